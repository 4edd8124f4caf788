"""Appendix B of [SSL]: accuracy and training time against the number of steps that solve for pseudo-labels (H_CCE + P_Q).

The paper takes 200 gradient steps and loses 0.72 points with half of them; training then takes about three times as long as
gradient descent on the dense CRF loss. Beside that stands this project's own solver, with the same energy and with the weight of
the pairwise term tuned for it. Smaller scales take fewer steps, in the same proportion: the table says how many.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, cell, require_ids, rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.points import MIOU_LABEL, number_columns, table_rows
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "b-appb2"
REFERENCE = "200 steps"
RUNS = {
    REFERENCE: "potts/q-len100",
    "100 steps": "solvers/steps100-len100",
    "fast solver": "solvers/fast-len100",
    "fast solver, tuned": "solvers/fast-tuned-len100",
    "gradient descent, dense": "methods/gd-dn-len100",
}
"""Row to its run; rows with a number of steps are named after that of the paper. The last one has no pseudo-labels."""
TIMED_AGAINST = "gradient descent, dense"
METRIC = "mIoU_val"
_TIMES = {"train_seconds": "seconds of training", "train_step_ms": "milliseconds per training step"}


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and time of every row.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored. The times train_seconds and
            train_step_ms may be absent.
        published: from `load_published`.

    Returns:
        One row per run: series, run, solver_steps (of ours; NaN without), the columns of `cells.COMPARISON`; change_points and
        change_std_points (seed by seed against the 200 steps, NaN for these), change_published_points; train_seconds,
        train_step_ms, time_ratio (training time against gradient descent with the dense neighbourhood) and
        time_ratio_published.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    frame = table_rows(results, ID, RUNS, lambda series: published_value(published, ID, series, "mIoU"))
    reference = cell(results, RUNS[REFERENCE], METRIC, ID)
    rows = []
    for run in RUNS.values():
        ours = cell(results, run, METRIC, ID)
        changes = pd.Series([100 * (value - reference.values[seed]) for seed, value in ours.values.items()])
        steps = _mean_or_nan(results, run, "solver_steps")
        times = {column: _mean_or_nan(results, run, column) for column in _TIMES}
        if run == RUNS[REFERENCE]:
            changes = pd.Series(dtype=float)
        rows.append({"solver_steps": steps, "change_points": changes.mean(), "change_std_points": changes.std(ddof=1), **times})
    frame = pd.concat([frame, pd.DataFrame(rows)], axis=1)
    seconds = frame.loc[frame["series"] == TIMED_AGAINST, "train_seconds"].item()
    frame["time_ratio"] = frame["train_seconds"] / seconds
    for column, name in (("change_published_points", "change of mIoU"), ("time_ratio_published", "training time")):
        frame[column] = [_number(published_value(published, ID, series, name)) for series in frame["series"]]
    order = ["series", "run", "solver_steps", *COMPARISON, "change_points", "change_std_points", "change_published_points"]
    return frame[[*order, *_TIMES, "time_ratio", "time_ratio_published"]]


def _mean_or_nan(results: pd.DataFrame, run: str, column: str) -> float:
    """Return the mean over seeds of a column that need not be there."""
    require_ids(results, ID, [run])
    values = results.loc[[run], column].astype(float) if column in results.columns else pd.Series(dtype=float)
    return float(values.mean())


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per solver: steps, accuracy, its change against 200 steps, and training time, published beside ours.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    lines = []
    for row, steps in zip(frame.itertuples(), frame["solver_steps"].astype(float), strict=True):
        line: dict[str, object] = {"pseudo-labels (steps of the paper)": row.series, "steps of ours": _steps(steps)}
        line.update({f"mIoU {name}": number for name, number in number_columns(row, tracked).items()})
        line["change published"] = row.change_published_points
        line["change ours"] = row.change_points
        line["change ours std"] = row.change_std_points
        line[_TIMES["train_seconds"]] = row.train_seconds
        line[_TIMES["train_step_ms"]] = row.train_step_ms
        line["time, ratio published"] = row.time_ratio_published
        line["time, ratio ours"] = row.time_ratio
        lines.append(line)
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return accuracies as dots, published hollow and ours filled; and training times likewise, where they are known.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    timed = bool(frame["time_ratio"].notna().any())
    figure = new_figure(COLUMN_WIDTH_IN, 3.2 if timed else 2.0)
    panels = figure.subplots(2 if timed else 1, 1, squeeze=False)[:, 0]
    labels = [_label(name, count) for name, count in zip(frame["series"], frame["solver_steps"].astype(float))]
    styles = ["gd_dn" if name == TIMED_AGAINST else "soft_fast" if "fast" in name else "soft" for name in frame["series"]]
    draw_dots(panels[0], frame, labels, [METHOD_STYLE[style].color for style in styles])
    panels[0].set_xlabel(MIOU_LABEL)
    if timed:
        ratios = {"published_percent": frame["time_ratio_published"], "ours_percent": frame["time_ratio"]}
        draw_dots(
            panels[1],
            pd.DataFrame(ratios).assign(ours_std_percent=math.nan),
            labels,
            [METHOD_STYLE[style].color for style in styles],
        )
        panels[1].set_xlabel("training time (last row = 1)")
    figure.legend(handles=dots_handles(), loc="outside upper center", ncols=2)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure


def _steps(count: float) -> str:
    return "-" if math.isnan(count) else f"{count:g}"


def _label(name: str, count: float) -> str:
    """Return a row's name, with the number of steps of ours where that is another one."""
    return name if math.isnan(count) or name == f"{count:g} steps" else f"{name} (ours: {count:g})"
