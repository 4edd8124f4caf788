"""Tables as three files: `.csv` with six significant digits for programs; rounded and with the best in bold `.md` for people and
`.tex` (package booktabs) for papers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.files import format_cell, write_atomically

SPREAD = " std"
"""A column `X std` holds the standard deviation of column `X`; `.md` and `.tex` show both in one cell."""
FAILED = " failed"
"""A column `X failed` says which numbers of column `X` come of a training that failed: they are marked and never the best."""
DIFFERENCE = "difference"
"""Columns whose name ends so are shown with their sign."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
"""Characters that LaTeX would read as commands, and how to print them."""


class _Shown(NamedTuple):
    """A rounded table: names of columns, whether each is numeric, and its cells with whether each is the best of its column."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[tuple[str, bool]]]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in GitHub's style; numbers stand in all columns but the first."""
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def write_points(frame: pd.DataFrame, path: Path) -> None:
    """Write the plotted numbers of an artifact as CSV, floats with six significant digits and missing values empty."""
    write_atomically(path, _csv(frame).encode())


def write_table(
    frame: pd.DataFrame,
    stem: Path,
    *,
    highest: Collection[str] = (),
    lowest: Collection[str] = (),
    compared: Sequence[bool] | None = None,
    decimals: int = 2,
    note: str = "",
) -> None:
    """Write `stem`.csv, `stem`.md (GitHub style) and `stem`.tex (a `tabular` with the rules of booktabs).

    Args:
        frame: text columns and numbers; NaN where there is none.
        stem: path without suffix; its folder is made when needed.
        highest: columns whose largest value is bold (every one of equals, at the shown precision).
        lowest: likewise for the smallest value.
        compared: which rows these are sought among; None: all.
        decimals: digits after the point in `.md` and `.tex`, for floats.
        note: text below the table in the `.md`, a comment in the `.tex`.
    """
    write_atomically(stem.with_name(stem.name + ".csv"), _csv(frame).encode())
    rounded = _shown(frame, highest, lowest, [True] * len(frame) if compared is None else compared, decimals)
    write_atomically(stem.with_name(stem.name + ".md"), _markdown(rounded, note).encode())
    write_atomically(stem.with_name(stem.name + ".tex"), _latex(rounded, note).encode())


def _csv(frame: pd.DataFrame) -> str:
    # + 0.0 turns the -0 of a logarithm of 1 into 0.
    cells = frame.copy()
    for column in cells.select_dtypes("float").columns:
        cells[column] = pd.Series([format_cell(float(value) + 0.0) for value in cells[column]], index=cells.index, dtype=object)
    return str(cells.to_csv(index=False, lineterminator="\n"))


def _shown(
    frame: pd.DataFrame, highest: Collection[str], lowest: Collection[str], compared: Sequence[bool], decimals: int
) -> _Shown:
    columns = [str(name) for name in frame.columns if not _belongs(str(name), frame)]
    cells: list[list[tuple[str, bool]]] = []
    for name in columns:
        best = [False] * len(frame)
        if name in highest or name in lowest:
            rounded = frame[name].round(decimals).where(pd.Series(compared, index=frame.index) & ~_failed(frame, name))
            best = (rounded == (rounded.max() if name in highest else rounded.min())).tolist()
        cells.append(list(zip(_cells(frame, name, decimals), best, strict=True)))
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in columns]
    return _Shown(columns, numeric, [[column[index] for column in cells] for index in range(len(frame))])


def _markdown(shown: _Shown, note: str) -> str:
    rules = ["---:" if right else "---" for right in shown.numeric]
    body = [[f"**{_bar(text)}**" if best else _bar(text) for text, best in row] for row in shown.rows]
    lines = [_line(shown.columns), _line(rules), *map(_line, body)]
    return "\n".join(lines) + "\n" + (f"\n{note}\n" if note else "")


def _bar(text: str) -> str:
    return text.replace("|", "\\|")


def _latex(shown: _Shown, note: str) -> str:
    body = [[rf"\textbf{{{_tex(text)}}}" if best else _tex(text) for text, best in row] for row in shown.rows]
    lines = [
        *([f"% {note}"] if note else []),
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in shown.numeric)}}}",
        r"\toprule",
        _tex_line([_tex(name) for name in shown.columns]),
        r"\midrule",
        *map(_tex_line, body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    """Return text as LaTeX prints it, with the minus sign and the dash of typeset numbers."""
    if text == "-":
        return "--"
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return re.sub(r"(?<!\w)[-+](?=\d)", lambda sign: f"${sign[0]}$", escaped)


def _tex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _belongs(name: str, frame: pd.DataFrame) -> bool:
    """Return whether a column says something about the numbers of another one."""
    return any(name.endswith(ending) and name.removesuffix(ending) in frame.columns for ending in (SPREAD, FAILED))


def _failed(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name + FAILED].astype(bool) if name + FAILED in frame.columns else pd.Series(False, index=frame.index)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(frame: pd.DataFrame, name: str, decimals: int) -> list[str]:
    spreads = frame[name + SPREAD] if name + SPREAD in frame.columns else [None] * len(frame)
    signed = name.endswith(DIFFERENCE)
    cells = [_cell(value, spread, decimals, signed) for value, spread in zip(frame[name], spreads, strict=True)]
    return [f"{cell} (failed)" if failed else cell for cell, failed in zip(cells, _failed(frame, name), strict=True)]


def _cell(value: object, spread: object, decimals: int, signed: bool) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return "-"
    if not isinstance(value, float):
        return str(value)
    sign = "+" if signed else ""
    text = f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"
    return text if not isinstance(spread, float) or pd.isna(spread) else f"{text} ± {spread:.{decimals}f}"
