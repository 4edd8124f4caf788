"""Tables as two files: `.csv` with six significant digits for programs, `.md` rounded and with the best in bold for people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from pipeline.files import format_cell, write_atomically

SPREAD = " std"
"""A column `X std` holds the standard deviation of column `X`; the `.md` shows both in one cell."""
DIFFERENCE = "difference"
"""Columns whose name ends so are shown with their sign."""


def write_points(frame: pd.DataFrame, path: Path) -> None:
    """Write the plotted numbers of an artefact as CSV, floats with six significant digits and missing values empty."""
    write_atomically(path, _csv(frame).encode())


def write_table(
    frame: pd.DataFrame,
    stem: Path,
    *,
    fractions: Collection[str] = (),
    highest: Collection[str] = (),
    lowest: Collection[str] = (),
    decimals: int = 2,
    note: str = "",
) -> None:
    """Write `stem`.csv and `stem`.md (GitHub style).

    Args:
        frame: text columns and numbers; NaN where there is none.
        stem: path without suffix; its folder is made when needed.
        fractions: columns in 0..1 to be shown times 100, their standard deviations with them.
        highest: columns whose largest value is bold in the `.md` (every one of equals, at the shown precision).
        lowest: likewise for the smallest value.
        decimals: digits after the point in the `.md`, for floats.
        note: text below the table in the `.md`.

    Raises:
        ValueError: a named column is not in `frame`, or `decimals` is negative.
    """
    unknown = sorted({*fractions, *highest, *lowest} - set(frame.columns))
    if unknown or decimals < 0:
        raise ValueError(f"{stem}: expected columns of {list(frame.columns)} and decimals >= 0, got {unknown} and {decimals}")
    shown = frame.copy()
    for column in fractions:
        for scaled in (column, column + SPREAD):
            if scaled in shown:
                shown[scaled] = 100 * shown[scaled]
    write_atomically(stem.with_name(stem.name + ".csv"), _csv(shown).encode())
    write_atomically(stem.with_name(stem.name + ".md"), _markdown(shown, highest, lowest, decimals, note).encode())


def _csv(frame: pd.DataFrame) -> str:
    # + 0.0 turns the -0 of a logarithm of 1 into 0.
    cells = frame.copy()
    for column in cells.select_dtypes("float").columns:
        cells[column] = pd.Series([format_cell(float(value) + 0.0) for value in cells[column]], index=cells.index, dtype=object)
    return str(cells.to_csv(index=False, lineterminator="\n"))


def _markdown(frame: pd.DataFrame, highest: Collection[str], lowest: Collection[str], decimals: int, note: str) -> str:
    columns = [str(name) for name in frame.columns if not _is_spread(str(name), frame)]
    cells = {name: _cells(frame, name, decimals) for name in columns}
    for name in columns:
        if name in highest or name in lowest:
            rounded = frame[name].round(decimals)
            best = rounded.max() if name in highest else rounded.min()
            cells[name] = [f"**{cell}**" if value == best else cell for cell, value in zip(cells[name], rounded, strict=True)]
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in columns]
    rules = ["---:" if right else "---" for right in numeric]
    body = [[cells[name][index] for name in columns] for index in range(len(frame))]
    lines = [_line(columns), _line(rules), *map(_line, body)]
    return "\n".join(lines) + "\n" + (f"\n{note}\n" if note else "")


def _is_spread(name: str, frame: pd.DataFrame) -> bool:
    return name.endswith(SPREAD) and name.removesuffix(SPREAD) in frame.columns


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(frame: pd.DataFrame, name: str, decimals: int) -> list[str]:
    spreads = frame[name + SPREAD] if name + SPREAD in frame.columns else [None] * len(frame)
    signed = name.endswith(DIFFERENCE)
    return [_cell(value, spread, decimals, signed) for value, spread in zip(frame[name], spreads, strict=True)]


def _cell(value: object, spread: object, decimals: int, signed: bool) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return "-"
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    sign = "+" if signed else ""
    text = f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"
    return text if not isinstance(spread, float) or pd.isna(spread) else f"{text} ± {spread:.{decimals}f}"
