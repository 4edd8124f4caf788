"""The parser that every command has: its `--help` shows the module's docstring and ends with an example."""

from __future__ import annotations

import argparse


def command_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """Return the parser of a command.

    Args:
        description: docstring of its module.
        example: what a reader would type behind `python -m`, the module first.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {example.split()[0]}",
        description=description,
        epilog=f"example:\n  python -m {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
