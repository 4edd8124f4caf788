"""Appendix B of [SSL]: accuracy and training time against the number of steps that solve for pseudo-labels (H_CCE + P_Q).

The paper takes 200 gradient steps and loses 0.72 points with half of them; training then takes about three times as long as
gradient descent on the dense CRF loss. Beside that stands this project's own solver, with the same energy and with the weight of
the pairwise term tuned for it. Smaller scales take fewer steps, in the same proportion: the table says how many. Times are those
of a benchmark, which takes training steps in turn: trainings beside each other tell nothing of their losses.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import dots_legend, draw_dots
from pipeline.report.points import METRIC, MIOU_LABEL, number_columns, table_rows
from pipeline.report.runs import COMPARISON, NAN, Where
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, new_figure

REFERENCE, TIMED_AGAINST = "200 steps", "gradient descent, dense"
_SOLVERS = Where(family="solvers", length_ratio=1.0)
RUNS = {
    REFERENCE: Where(family="potts", cross_entropy="cce", relaxation="q", length_ratio=1.0),
    "100 steps": _SOLVERS.but(solver="gradient"),
    "fast solver": _SOLVERS.but(objective="soft-q-fast"),
    "fast solver, tuned": _SOLVERS.but(objective="soft-q-fast-tuned"),
    TIMED_AGAINST: Where(family="methods", method="gd_dn", length_ratio=1.0),
}
"""Row to its run; rows with a number of steps are named after that of the paper. The last one has no pseudo-labels."""
STEP_TIMES = paths.RECORDED / "bench/steps.csv"
"""Times of training steps, as `python -m pipeline.bench.steps` writes them."""


def compute(data: Data) -> pd.DataFrame:
    """Return accuracy and time of every row.

    Returns:
        One row per run: series, run, solver_steps (of ours; NaN without), the columns of `COMPARISON`; change_points and
        change_std_points (seed by seed against the 200 steps, NaN for these), change_published_points; step_ratio (time of
        a training step against plain cross-entropy, NaN where not recorded), time_ratio (against gradient descent with the dense
        neighbourhood) and time_ratio_published.
    """
    runs = data.runs
    frame = table_rows(runs, RUNS, lambda series: data.printed(series, "mIoU"))
    frame["solver_steps"] = [runs.mean(run, "solver_steps") for run in RUNS.values()]
    times = pd.read_csv(STEP_TIMES, keep_default_na=False).drop_duplicates(["objective", "solver"])
    known = times.set_index(["objective", "solver"])["ratio"].astype(float).to_dict()
    frame["step_ratio"] = [known.get((runs.value(run, "objective"), _solver(data, run)), NAN) for run in RUNS.values()]
    changes = [_changes(data, run) for run in RUNS.values()]
    frame["change_points"] = [change.mean() for change in changes]
    frame["change_std_points"] = [change.std(ddof=1) for change in changes]
    frame["time_ratio"] = frame["step_ratio"] / frame.loc[frame["series"] == TIMED_AGAINST, "step_ratio"].item()
    frame["change_published_points"] = [data.printed(series, "change of mIoU") for series in RUNS]
    frame["time_ratio_published"] = [data.printed(series, "training time") for series in RUNS]
    order = ["series", "run", "solver_steps", *COMPARISON, "change_points", "change_std_points", "change_published_points"]
    return frame[[*order, "step_ratio", "time_ratio", "time_ratio_published"]]


def _solver(data: Data, run: Where) -> str:
    """Return what the benchmark calls the solver of a run, empty for one without."""
    solver, steps = data.runs.value(run, "solver"), data.runs.mean(run, "solver_steps")
    if not isinstance(solver, str):
        return ""
    return solver if math.isnan(steps) else f"{solver}, {steps:g} steps"


def _changes(data: Data, run: Where) -> pd.Series:
    """Return the change of accuracy of each seed against the reference, in points; none for the reference itself."""
    if run == RUNS[REFERENCE]:
        return pd.Series(dtype=float)
    reference = data.runs.cell(RUNS[REFERENCE], METRIC).values
    return pd.Series([100 * (value - reference[seed]) for seed, value in data.runs.cell(run, METRIC).values.items()])


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return a row per solver: steps, accuracy, its change against 200 steps, and training time, published beside ours."""
    columns = {
        "pseudo-labels (steps of the paper)": frame["series"],
        "steps of ours": ["-" if math.isnan(steps) else f"{steps:g}" for steps in frame["solver_steps"]],
        **number_columns(frame, "mIoU"),
        "change published": frame["change_published_points"],
        "change ours": frame["change_points"],
        "change ours std": frame["change_std_points"],
        "step, times plain cross-entropy": frame["step_ratio"],
        "time, ratio published": frame["time_ratio_published"],
        "time, ratio ours": frame["time_ratio"],
    }
    return pd.DataFrame(columns)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return accuracies as dots, published hollow and ours filled, and times of training steps likewise."""
    figure = new_figure(COLUMN_WIDTH_IN, 3.2)
    panels = figure.subplots(2, 1)
    labels = [_label(name, count) for name, count in zip(frame["series"], frame["solver_steps"])]
    styles = ["gd_dn" if name == TIMED_AGAINST else "soft_fast" if "fast" in name else "soft" for name in frame["series"]]
    colors = [METHOD_STYLE[style].color for style in styles]
    draw_dots(panels[0], frame, labels, colors)
    panels[0].set_xlabel(MIOU_LABEL)
    ratios = {"published_percent": frame["time_ratio_published"], "ours_percent": frame["time_ratio"]}
    draw_dots(panels[1], pd.DataFrame({**ratios, "ours_std_percent": NAN}), labels, colors)
    panels[1].set_xlabel("time of a training step (last row = 1)")
    dots_legend(figure)
    return figure


def _label(name: str, count: float) -> str:
    """Return a row's name, with the number of steps of ours where that is another one."""
    return name if math.isnan(count) or name == f"{count:g} steps" else f"{name} (ours: {count:g})"


ARTIFACT = Artifact(
    id="b-appb2",
    title="Number of solver steps against accuracy",
    shows="Accuracy and time of a training step against the number of steps that solve for pseudo-labels.",
    paper="Half of the 200 steps lose 0.72 points; training takes about three times as long as dense gradient descent.",
    look_for="The change of accuracy beside the time that is saved.",
    runs=tuple(RUNS.values()),
    inputs=(STEP_TIMES,),
    places=("appendix b",),
    lower_is_better=("time",),
    table_note="In percent; times are of the recorded benchmark, whatever the runs were trained on. Ours: {scale}.",
    compared=lambda table: table["pseudo-labels (steps of the paper)"] != TIMED_AGAINST,
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
