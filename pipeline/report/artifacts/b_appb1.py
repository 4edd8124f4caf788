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
from pipeline.report.runs import NAN, Where, is_true, require_columns
from pipeline.report.style import BLACK, BLUE, COLUMN_WIDTH_IN, TEXT_WIDTH_IN, VERMILION, new_figure

ID = "b-appb1"
QUADRATIC = "H_Q+P_Q"
"""The case whose optimum is known."""
_NEEDED = ("solver", "steps", "image_id", "soft_jaccard", "energy", "reference_energy")
_OPTIONAL = {"relaxation": "q", "cross_entropy": None, "seconds": float("nan"), "converged": None}
"""Columns that need not be there, and what stands for them."""


def compute(_: Data) -> pd.DataFrame:
    """Return agreement with the reference of every solver on every image.

    The file has one row per solver, case and image: solver, steps (0 for a solver without steps), image_id, soft_jaccard
    (fraction; empty where no optimum is known), energy, reference_energy (or energy_optimum: of the optimum, else the
    lowest known); and if there, relaxation (without it all rows are the quadratic case), cross_entropy (without it relaxation q
    is the quadratic case, the others are with H_CCE), seconds and converged.

    Returns:
        One row per solver, case and image: case (`QUADRATIC`, "H_CCE+P_CD" ...), series ("gradient, 200 steps"), solver, steps,
        image_id, soft_jaccard_percent, energy_gap_percent (energy above the reference, relative to its magnitude; empty for a
        reference of 0), seconds and converged (True, False or empty).

    Raises:
        ValueError: a column is missing, there is no row, or a solver lacks an image that another one solved in the same case.
    """
    solutions = _solutions().rename(columns={"energy_optimum": "reference_energy"})
    require_columns(solutions, ID, _NEEDED)
    if solutions.empty:
        raise ValueError(f"{ID}: expected solutions of at least one solver, got none")
    absent = {column: value for column, value in _OPTIONAL.items() if column not in solutions.columns}
    solutions = solutions.assign(**absent)
    steps = solutions["steps"].fillna(0).astype(int)
    reference = solutions["reference_energy"].astype(float)
    gap = (solutions["energy"].astype(float) - reference) / reference.abs().where(reference != 0)
    converged = solutions["converged"]
    columns = {
        "case": [_case(name, relaxation) for name, relaxation in zip(solutions["cross_entropy"], solutions["relaxation"])],
        "series": [_name(solver, count) for solver, count in zip(solutions["solver"], steps)],
        "solver": solutions["solver"],
        "steps": steps,
        "image_id": solutions["image_id"].astype(str),
        "soft_jaccard_percent": 100 * solutions["soft_jaccard"].astype(float),
        "energy_gap_percent": 100 * gap,
        "seconds": solutions["seconds"].astype(float),
        "converged": is_true(converged).astype(object).where(converged.notna(), None),
    }
    frame = pd.DataFrame(columns).reset_index(drop=True)
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


def _case(cross_entropy: object, relaxation: object) -> str:
    known = cross_entropy if isinstance(cross_entropy, str) else "quadratic" if relaxation == "q" else "cce"
    symbol = "H_Q" if known == "quadratic" else f"H_{known.upper()}"
    return f"{symbol}+P_{str(relaxation).upper()}"


def _name(solver: str, steps: int) -> str:
    name = solver.replace("_", " ")
    return f"{name}, {steps} steps" if steps else name


def tabulate(frame: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return one line per solver and case.

    Returns:
        solver, images, soft Jaccard in percent (published, ours as mean with standard deviation over images, difference, worst
        image), energy gap in percent (mean, worst) and converged, the share of images in percent; a column energy in front if
        there are several cases, and milliseconds per image if they were taken.
    """
    lines = []
    for (case, name), rows in frame.groupby(["case", "series"], sort=False):
        number = _printed(data, case, name)
        mean = rows["soft_jaccard_percent"].mean()
        converged = rows["converged"].dropna().astype(float)
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
                "converged (%)": 100 * converged.mean(),
            }
        )
    table = pd.DataFrame(lines)
    unused = ["energy"] if table["energy"].nunique() == 1 else []
    unused += [name for name in ("milliseconds per image", "converged (%)") if table[name].isna().all()]
    return table.drop(columns=unused)


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
    heights = [(0.6 if len(cases) > 1 else 0) + 0.25 * max(len(names[index]) for index in row) for row in rows]
    figure = new_figure(TEXT_WIDTH_IN if others else COLUMN_WIDTH_IN, 0.8 + sum(heights))
    placed = figure.subplot_mosaic(rows, height_ratios=heights)  # type: ignore[arg-type]  # numbers serve as names
    panels = [placed[index] for index in range(len(cases))]
    for axes, case in zip(panels, cases, strict=True):
        quadratic = case == QUADRATIC
        _draw_strips(
            axes, frame[frame["case"] == case], "soft_jaccard_percent" if quadratic else "energy_gap_percent", axes is panels[0]
        )
        axes.set_xlabel("soft Jaccard (%)" if quadratic else "energy above the lowest known (%)")
        if len(cases) > 1:
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
