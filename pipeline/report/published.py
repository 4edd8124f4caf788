"""The numbers printed in the two papers, read from `reports/published.csv`.

One line per number: paper (SIZE or SSL), place ("Table 3"), artifact (id), row, column, value as printed, unit and note.
Numbers that exist only as curves in the papers are not in this file, and nothing here is estimated from a picture.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.report.artifacts import IDS

COLUMNS = ["paper", "place", "artifact", "row", "column", "value", "unit", "note"]
PAPERS = ("SIZE", "SSL")
UNITS = ("percent", "seconds", "ratio", "images")
KEY = ["artifact", "row", "column"]
OWN, REPRODUCED, CITED, OTHER = "the paper's own", "reproduced for the paper", "reported by its authors", "another network"
ORIGINS = {"with another network": OTHER, "reproduced by": REPRODUCED, CITED: CITED, "run of the authors": OWN}
"""What a note says, first come first served, to where a number comes from."""
MARKS = {REPRODUCED: "*", OTHER: "\N{DAGGER}"}
"""Where a number comes from to its mark in tables and figures; the asterisk is that of [SSL]."""
LEGEND = f"published: * {REPRODUCED}"


def load_published(path: Path) -> pd.DataFrame:
    """Return the published numbers, checked.

    Returns:
        One line per number; `value` is float64 in the printed unit (71.05 percent stays 71.05), all else is text.

    Raises:
        ValueError: wrong columns, an unknown paper, unit or artifact, a value that is no number, or the same number twice.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(frame.columns) != COLUMNS:
        raise ValueError(f"{path}: expected columns {COLUMNS}, got {list(frame.columns)}")
    for column, allowed in (("paper", PAPERS), ("unit", UNITS), ("artifact", IDS)):
        unknown = sorted(set(frame[column]) - set(allowed))
        if unknown:
            raise ValueError(f"{path}: expected {column} to be one of {list(allowed)}, got {unknown}")
    twice = frame[frame.duplicated(KEY)]
    if len(twice):
        raise ValueError(f"{path}: expected one line per artifact, row and column, got {twice[KEY].to_dict('records')} again")
    values = pd.to_numeric(frame["value"], errors="coerce")
    if values.isna().any():
        raise ValueError(f"{path}: expected a number as value, got {frame['value'][values.isna()].tolist()}")
    return frame.assign(value=values.astype(float))


def published_origin(frame: pd.DataFrame, artifact: str, row: str, column: str) -> str:
    """Return where one published number comes from, of `ORIGINS`; empty where there is no number or the note does not say."""
    notes = frame.loc[(frame["artifact"] == artifact) & (frame["row"] == row) & (frame["column"] == column), "note"]
    return next((origin for words, origin in ORIGINS.items() if len(notes) and words in notes.iloc[0]), "")


def published_value(frame: pd.DataFrame, artifact: str, row: str, column: str) -> float | None:
    """Return one published number in its printed unit, or None where the paper prints none.

    Raises:
        ValueError: no such artifact exists, so the question is a spelling mistake.
    """
    if artifact not in IDS:
        raise ValueError(f"expected an artifact of {list(IDS)}, got {artifact!r}")
    values = frame.loc[(frame["artifact"] == artifact) & (frame["row"] == row) & (frame["column"] == column), "value"]
    return float(values.iloc[0]) if len(values) else None
