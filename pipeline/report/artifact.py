"""What an artifact is: one table or figure, described in one file of `pipeline.report.artifacts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipeline import paths
from pipeline.report.published import published_origin, published_value
from pipeline.report.runs import NAN, Runs, Where

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Data:
    """What an artifact is computed from.

    Attributes:
        runs: the results of its runs; no row for an artifact without.
        published: from `load_published`; no row for an artifact that does not read it.
        plots: folder of the numbers that other artifacts plot.
    """

    runs: Runs
    published: pd.DataFrame
    plots: Path = paths.PLOTS

    def printed(self, row: str, column: str, artifact: str | None = None) -> float:
        """Return the number that the paper prints, in its unit; NaN where there is none.

        Args:
            row: row of `published.csv`, such as `P_BL`.
            column: column of it, such as `0.3`.
            artifact: another one than this, where the number stands there.
        """
        number = published_value(self.published, artifact or self.runs.artifact, row, column)
        return NAN if number is None else number

    def origin(self, row: str, column: str, artifact: str | None = None) -> str:
        """Return where a printed number comes from, of `published.ORIGINS`; empty where there is none."""
        return published_origin(self.published, artifact or self.runs.artifact, row, column)


def scale_of_runs(data: Data) -> pd.DataFrame:
    """Return the runs behind an artifact, whose scale is noted below it."""
    return data.runs.rows


@dataclass(frozen=True)
class Artifact:
    """One table or figure.

    Attributes:
        id: such as b-tab3; also the name of its file.
        title: what it is, in one line.
        shows: what is drawn or tabulated, in this project's words.
        paper: what the paper says about it.
        look_for: what to look for in ours.
        compute: its numbers, one row per point, as `dvc plots` and the page show them; ValueError where a run, a value
            or a picture is missing, or runs differ in what they must share.
        draw: its figure, from these numbers; None if it has none.
        tabulate: its table; None if it has none.
        runs: runs behind it. Their results are read, and no others.
        made_from: runs that made the files it reads instead of results.
        panels: archives of predictions it reads (NAME of models/panels/NAME.npz) to runs, of one data set and subset. A stage
            makes each.
        inputs: files it reads besides results; published numbers are among them where it has runs.
        places: places in the paper whose claims belong to it, in lower case.
        scale: rows with profile, device and seed of what is shown, for the note below; None: nothing was trained.
        note: below the figure instead of the scale.
        table_note: below the table, or how to write it for the numbers; {scale} is the scale.
        decimals: digits after the point in the table.
        mark_best: print the best of each column of numbers, published and ours, in bold; not where rows are no rivals.
        lower_is_better: beginnings of the columns in which the lowest number is best.
        compared: a table to its rows that are rivals of each other; None: all.
    """

    id: str
    title: str
    shows: str
    paper: str
    look_for: str
    compute: Callable[[Data], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Data], Figure] | None = None
    tabulate: Callable[[pd.DataFrame, Data], pd.DataFrame] | None = None
    runs: tuple[Where, ...] = ()
    made_from: tuple[Where, ...] = ()
    panels: Mapping[str, tuple[Where, ...]] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    places: tuple[str, ...] = ()
    scale: Callable[[Data], pd.DataFrame] | None = scale_of_runs
    note: str = ""
    table_note: str | Callable[[pd.DataFrame], str] = "In percent. Ours: {scale}."
    decimals: int = 2
    mark_best: bool = True
    lower_is_better: tuple[str, ...] = ()
    compared: Callable[[pd.DataFrame], pd.Series] | None = None

    @property
    def families(self) -> list[str]:
        """Families whose results it reads."""
        return list(dict.fromkeys(where.family for where in self.runs))

    @property
    def files(self) -> list[Path]:
        """All files it reads."""
        published = [paths.PUBLISHED] if self.runs else []
        return [*map(paths.results, self.families), *published, *self.inputs, *map(paths.panels, self.panels)]

    @property
    def behind(self) -> list[Where]:
        """All runs that it shows something of."""
        return [*self.runs, *self.made_from, *(run for runs in self.panels.values() for run in runs)]
