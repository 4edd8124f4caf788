"""Imported by the process that stages are forked from; see `warm`."""

from pipeline.launch.warm import load_stages

load_stages()
