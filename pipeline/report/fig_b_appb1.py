"""Appendix B of [SSL]: how close the pseudo-labels of a solver come to the exact optimum in the quadratic case.

For H_Q + P_Q the optimum is the solution of a linear system. The paper reports a soft Jaccard index of 99.2 % between it and the
labels after 200 gradient steps, on average over 100 images; here every solver also shows its worst image and how far its
energy lies above the optimum.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.published import published_value
from pipeline.report.runs import is_true, require_columns
from pipeline.report.style import BLACK, BLUE, COLUMN_WIDTH_IN, VERMILION, journal_style, new_figure

ID = "b-appb1"
_NEEDED = ("solver", "steps", "image_id", "soft_jaccard", "energy", "energy_optimum", "converged")


def compute(solutions: pd.DataFrame) -> pd.DataFrame:
    """Return agreement with the optimum of every solver on every image.

    Args:
        solutions: one row per solver and image: solver, steps (0 for a solver without steps), image_id, soft_jaccard (fraction),
            energy, energy_optimum, converged.

    Returns:
        One row per solver and image: series ("gradient, 200 steps"), solver, steps, image_id, soft_jaccard_percent,
        energy_gap_percent (energy above the optimum, relative to its magnitude; empty for an optimum of 0) and converged.

    Raises:
        ValueError: a column is missing, there is no row, or a solver lacks an image that another one solved.
    """
    require_columns(solutions, ID, _NEEDED)
    if solutions.empty:
        raise ValueError(f"{ID}: expected solutions of at least one solver, got none")
    steps = solutions["steps"].astype(int)
    series = [_name(solver, count) for solver, count in zip(solutions["solver"], steps, strict=True)]
    optimum = solutions["energy_optimum"].astype(float)
    gap = (solutions["energy"].astype(float) - optimum) / optimum.abs().where(optimum != 0)
    columns = {
        "series": series,
        "solver": solutions["solver"],
        "steps": steps,
        "image_id": solutions["image_id"].astype(str),
        "soft_jaccard_percent": 100 * solutions["soft_jaccard"].astype(float),
        "energy_gap_percent": 100 * gap,
        "converged": is_true(solutions["converged"]),
    }
    frame = pd.DataFrame(columns).reset_index(drop=True)
    images = set(frame["image_id"])
    for name, rows in frame.groupby("series", sort=False):
        found = list(rows["image_id"])
        wrong = sorted((images - set(found)) | {image for image in found if found.count(image) > 1})
        if wrong:
            raise ValueError(f"{ID}: expected each image once for solver {name!r}, missing or repeated: {wrong[:5]}")
    return frame


def _name(solver: str, steps: int) -> str:
    name = solver.replace("_", " ")
    return f"{name}, {steps} steps" if steps else name


def tabulate(frame: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return one line per solver.

    Args:
        frame: from `compute`.
        published: from `load_published`.

    Returns:
        solver, images, soft Jaccard in percent (published, ours as mean with standard deviation over images, difference, worst
        image), energy gap in percent (mean, worst) and converged, the share of images in percent.
    """
    lines = []
    for name, rows in frame.groupby("series", sort=False):
        printed = published_value(published, ID, str(name), "soft Jaccard")
        number = float("nan") if printed is None else printed
        mean = rows["soft_jaccard_percent"].mean()
        lines.append(
            {
                "solver": name,
                "images": len(rows),
                "soft Jaccard (%) published": number,
                "soft Jaccard (%) ours": mean,
                "soft Jaccard (%) ours std": rows["soft_jaccard_percent"].std(ddof=1),
                "soft Jaccard difference": mean - number,
                "soft Jaccard (%) worst image": rows["soft_jaccard_percent"].min(),
                "energy gap (%) mean": rows["energy_gap_percent"].mean(),
                "energy gap (%) worst image": rows["energy_gap_percent"].max(),
                "converged (%)": 100 * float(rows["converged"].mean()),
            }
        )
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Return a strip per solver: one dot per image, a diamond for their mean, a dashed line at the published mean."""
    names = list(dict.fromkeys(frame["series"]))
    figure = new_figure(COLUMN_WIDTH_IN, 1.2 + 0.4 * len(names))
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        values = frame.loc[frame["series"] == name, "soft_jaccard_percent"].sort_values()
        heights = [place + 0.3 * (index % 5 - 2) / 2 for index in range(len(values))]  # spread, so that equal values stay visible
        dots, mean = ("one image", "mean over images") if place == 0 else (None, None)
        axes.plot(values, heights, "o", color=BLUE, alpha=0.45, markersize=2.5, markeredgewidth=0, label=dots)
        axes.plot(values.mean(), place, "D", color=VERMILION, markersize=5, markeredgecolor=BLACK, label=mean)
    printed = [published_value(published, ID, name, "soft Jaccard") for name in names]
    for number in {value for value in printed if value is not None}:
        axes.axvline(number, color=BLACK, linestyle="--", linewidth=1, label=f"published mean ({number:g} %)")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="soft Jaccard (%)", ylim=(len(names) - 0.5, -0.5))
    axes.grid(False, axis="y")
    figure.legend(loc="outside upper center", ncols=2, columnspacing=1.0)
    return figure
