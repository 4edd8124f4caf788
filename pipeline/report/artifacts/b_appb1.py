"""Appendix B of [SSL]: how close the pseudo-labels of a solver come to the exact optimum in the quadratic case.

For H_Q + P_Q the optimum is the solution of a linear system. The paper reports a soft Jaccard index of 99.2 % between it and the
labels after 200 gradient steps, on average over 100 images; here every solver also shows its worst image and how far its
energy lies above the optimum. For other relaxations no optimum is known: there the energy is compared with the lowest that any
solver or L-BFGS found, from several starts, so that no gap is below 0.
"""

from __future__ import annotations

from math import isnan

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.points import in_symbols
from pipeline.report.runs import NAN, Where, require_columns
from pipeline.report.style import BLACK, BLUE, TEXT_WIDTH_IN, VERMILION, new_figure

ID = "b-appb1"
QUADRATIC = "H_Q+P_Q"
"""The case whose optimum is known."""
_NEEDED = (
    *("solver", "steps", "image_id", "cross_entropy", "relaxation"),
    *("soft_jaccard", "energy", "reference_energy", "converged", "seconds"),
)


def compute(_: Data) -> pd.DataFrame:
    """Return agreement with the reference of every solver on every image.

    The file has one row per solver, case and image: solver, steps (0 for a solver without steps), image_id, cross_entropy,
    relaxation, soft_jaccard (fraction; empty where no optimum is known), energy, reference_energy (of the optimum, else the
    lowest known), converged and seconds.

    Returns:
        One row per solver, case and image: case (`QUADRATIC`, "H_CCE+P_CD" ...), series ("gradient, 200 steps"), solver, steps,
        image_id, soft_jaccard_percent, energy_gap_percent (energy above the reference, relative to its magnitude; empty for a
        reference of 0), seconds and converged.

    Raises:
        ValueError: a column is missing, there is no row, or a solver lacks an image that another one solved in the same case.
    """
    solutions = _solutions()
    require_columns(solutions, ID, _NEEDED)
    if solutions.empty:
        raise ValueError(f"{ID}: expected solutions of at least one solver, got none")
    reference = solutions["reference_energy"]
    names = zip(solutions["cross_entropy"], solutions["relaxation"])
    columns = {
        "case": [f"H_{'Q' if first == 'quadratic' else first.upper()}+P_{second.upper()}" for first, second in names],
        "series": [_name(solver, count) for solver, count in zip(solutions["solver"], solutions["steps"])],
        "solver": solutions["solver"],
        "steps": solutions["steps"],
        "image_id": solutions["image_id"].astype(str),
        "soft_jaccard_percent": 100 * solutions["soft_jaccard"],
        "energy_gap_percent": 100 * (solutions["energy"] - reference) / reference.abs().where(reference != 0),
        "seconds": solutions["seconds"],
        "converged": solutions["converged"],
    }
    frame = pd.DataFrame(columns)
    for case, of_case in frame.groupby("case", sort=False):
        images = set(of_case["image_id"])
        for name, rows in of_case.groupby("series", sort=False):
            found = list(rows["image_id"])
            wrong = sorted((images - set(found)) | {image for image in found if found.count(image) > 1})
            if wrong:
                raise ValueError(
                    f"{ID}: expected each image once for solver {name!r} of {case}, missing or repeated: {wrong[:5]}"
                )
    return frame


def _solutions() -> pd.DataFrame:
    return pd.read_csv(paths.solver_check("seeds"))


def _name(solver: str, steps: int) -> str:
    name = solver.replace("_", " ")
    return f"{name}, {steps} steps" if steps else name


def tabulate(frame: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return one line per solver and case.

    Returns:
        energy (case), solver, images, soft Jaccard in percent (published, ours as mean with standard deviation over images,
        difference, worst image), energy gap in percent (mean, worst), milliseconds per image and converged, the share of images
        in percent.
    """
    lines = []
    for (case, name), rows in frame.groupby(["case", "series"], sort=False):
        number = _printed(data, case, name)
        mean = rows["soft_jaccard_percent"].mean()
        lines.append(
            {
                "energy": case,
                "solver": name,
                "images": len(rows),
                "soft Jaccard (%) published": number,
                "soft Jaccard (%) ours": mean,
                "soft Jaccard (%) ours std": rows["soft_jaccard_percent"].std(ddof=1),
                "soft Jaccard difference": mean - number,
                "soft Jaccard (%) worst image": rows["soft_jaccard_percent"].min(),
                "energy gap (%) mean": rows["energy_gap_percent"].mean(),
                "energy gap (%) worst image": rows["energy_gap_percent"].max(),
                "milliseconds per image": 1000 * rows["seconds"].mean(),
                "converged (%)": 100 * rows["converged"].mean(),
            }
        )
    return pd.DataFrame(lines)


def _printed(data: Data, case: object, name: object) -> float:
    return data.printed(str(name), "soft Jaccard") if case == QUADRATIC else NAN


def draw(frame: pd.DataFrame, data: Data) -> Figure:
    """Return a strip per solver: one dot per image and a diamond for their mean.

    The first panel has the soft Jaccard index of the quadratic case, with a dashed line at the published mean; one more panel per
    other case, two in a row, has the energy gap.
    """
    cases = sorted(dict.fromkeys(frame["case"]), key=lambda case: case != QUADRATIC)
    names = [list(dict.fromkeys(frame.loc[frame["case"] == case, "series"])) for case in cases]
    others = list(range(1, len(cases)))
    rows = [[0, 0], *([index, others[-1] if index == others[-1] else index + 1] for index in others[::2])]
    heights = [0.6 + 0.25 * max(len(names[index]) for index in row) for row in rows]
    figure = new_figure(TEXT_WIDTH_IN, 0.8 + sum(heights))
    placed = figure.subplot_mosaic(rows, height_ratios=heights)  # type: ignore[arg-type]  # numbers serve as names
    panels = [placed[index] for index in range(len(cases))]
    for axes, case in zip(panels, cases, strict=True):
        quadratic = case == QUADRATIC
        _draw_strips(
            axes, frame[frame["case"] == case], "soft_jaccard_percent" if quadratic else "energy_gap_percent", axes is panels[0]
        )
        axes.set_xlabel("soft Jaccard (%)" if quadratic else "energy above the lowest known (%)")
        axes.set_title(in_symbols(case))
    printed = [_printed(data, cases[0], name) for name in names[0]]
    for number in sorted({value for value in printed if not isnan(value)}):
        panels[0].axvline(number, color=BLACK, linestyle="--", linewidth=1, label=f"published mean ({number:g} %)")
    figure.legend(loc="outside upper center", ncols=2, columnspacing=1.0)
    return figure


def _draw_strips(axes: Axes, frame: pd.DataFrame, column: str, labelled: bool) -> None:
    names = list(dict.fromkeys(frame["series"]))
    for place, name in enumerate(names):
        values = frame.loc[frame["series"] == name, column].sort_values()
        heights = [place + 0.3 * (index % 5 - 2) / 2 for index in range(len(values))]  # spread, so that equal values stay visible
        dots, mean = ("one image", "mean over images") if labelled and place == 0 else (None, None)
        axes.plot(values, heights, "o", color=BLUE, alpha=0.45, markersize=2.5, markeredgewidth=0, label=dots)
        axes.plot(values.mean(), place, "D", color=VERMILION, markersize=5, markeredgecolor=BLACK, label=mean)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False, axis="y")


ARTIFACT = Artifact(
    id="b-appb1",
    title="Solvers against the exact optimum",
    shows="How close every solver comes to the exact optimum (quadratic case) or to the lowest energy known (others).",
    paper="200 gradient steps reach a soft Jaccard index of 99.2 % on average over 100 images.",
    look_for="The energy gap and the worst image, which a mean hides; no gap lies below 0.",
    made_from=(Where(family="seeds", length_ratio=1.0),),
    inputs=(paths.solver_check("seeds"), paths.PUBLISHED),
    scale=lambda _: _solutions(),
    table_note="Every solver against the optimum (H_Q + P_Q) or the lowest energy known (others). Ours: {scale}.",
    mark_best=False,
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
