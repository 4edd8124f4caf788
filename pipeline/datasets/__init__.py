"""Data sets: readers of raw layouts (`registry`), procedural pictures to write in them, the prepared archive of later stages."""
