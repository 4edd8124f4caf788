"""Table 3 of [SSL]: mIoU on validation images for six Potts relaxations and five scribble lengths, with collision cross-entropy
and the four nearest neighbours; and from section 3.1 the pair H_Q + P_Q, whose pseudo-labels have a closed form, without and
with an entropy term while the network is trained.

The paper finds the logarithmic relaxations above the others, and the normalised ones above those that are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.published import published_value
from pipeline.report.runs import is_true, mean_over_seeds, require_columns, require_one_setting, require_runs, require_values
from pipeline.report.style import RELAXATION_STYLE, TEXT_WIDTH_IN, journal_style, new_figure, scale_note

ID = "b-tab3"
LENGTH_RATIOS = (0.0, 0.3, 0.5, 0.8, 1.0)
QUADRATIC = {False: "H_Q+P_Q", True: "H_Q+P_Q+entropy"}
_METHODS = ("soft", "soft_entropy")
_KEYS = ("method", "cross_entropy", "relaxation", "neighborhood", "entropy_term", "length_ratio")
_NEEDED = ("run", *_KEYS, "dataset", "network", "profile", "device", "seed", "mIoU_val", "mIoU_val_best")


def compute(results: pd.DataFrame, published: pd.DataFrame, length_ratios: Sequence[float] = LENGTH_RATIOS) -> pd.DataFrame:
    """Return published and own accuracy of every row and scribble length.

    Args:
        results: one run per row, metrics as fractions; rows of other methods are ignored.
        published: from `load_published`.
        length_ratios: scribble lengths that the six relaxations must have been trained with.

    Returns:
        One row per cell: series (P_BL ..., H_Q+P_Q, H_Q+P_Q+entropy), length_ratio, published_percent, ours_percent,
        ours_std_percent, ours_best_percent (best epoch; empty if not tracked), difference_points (ours - published) and seeds.
        The six relaxations are absent if none of their runs is there, and so is each quadratic row.

    Raises:
        ValueError: a column or a value is missing, no run is there at all, runs differ in data set, network or profile, or a cell
            has no run for a seed that others have.
    """
    require_columns(results, ID, _NEEDED)
    rows = select(results)
    if rows.empty:
        raise ValueError(f"{ID}: expected runs of the methods {list(_METHODS)}, got {sorted(set(results['method'].astype(str)))}")
    require_one_setting(rows, ID)
    require_values(rows, ID, ["mIoU_val"])
    relaxations = rows[rows["series"].str.startswith("P_")]
    if len(relaxations):
        require_runs(relaxations, ID, {"series": _series_of_relaxations(), "length_ratio": list(length_ratios)})
    for name in QUADRATIC.values():
        quadratic = rows[rows["series"] == name]
        if len(quadratic):
            require_runs(quadratic, ID, {"series": [name], "length_ratio": sorted(set(quadratic["length_ratio"]))})

    means = mean_over_seeds(rows, ["series", "length_ratio"], ["mIoU_val", "mIoU_val_best"])
    order = {name: place for place, name in enumerate([*_series_of_relaxations(), *QUADRATIC.values()])}
    means = means.assign(place=means["series"].map(order)).sort_values(["place", "length_ratio"])
    cells = zip(means["series"], means["length_ratio"], strict=True)
    numbers = [published_value(published, ID, series, f"{length:g}") for series, length in cells]
    printed = pd.Series(numbers, index=means.index, dtype=float)
    columns = {
        "series": means["series"],
        "length_ratio": means["length_ratio"],
        "published_percent": printed,
        "ours_percent": means["mIoU_val_percent"],
        "ours_std_percent": means["mIoU_val_std_percent"],
        "ours_best_percent": means["mIoU_val_best_percent"],
        "difference_points": means["mIoU_val_percent"] - printed,
        "seeds": means["seeds"],
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def select(results: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of this table with their row name as `series`; the quadratic pair may come from any solver."""
    rows = results[results["method"].isin(_METHODS) & (results["neighborhood"] == "grid4")].copy()
    entropy = is_true(rows["entropy_term"])
    collision = (rows["cross_entropy"] == "cce") & ~entropy
    quadratic = (rows["cross_entropy"] == "quadratic") & (rows["relaxation"] == "q")
    rows["series"] = ""
    rows.loc[collision, "series"] = "P_" + rows.loc[collision, "relaxation"].str.upper()
    rows.loc[quadratic, "series"] = entropy[quadratic].map(QUADRATIC)
    return rows[collision | quadratic]


def _series_of_relaxations() -> list[str]:
    return [f"P_{key.upper()}" for key in RELAXATION_STYLE]


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per relaxation; per length published, ours and the difference, in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = frame["ours_best_percent"].notna().any()
    lines = []
    for series, rows in frame.groupby("series", sort=False):
        line: dict[str, object] = {"relaxation": series}
        for row in rows.itertuples():
            length = f"{row.length_ratio:g}"
            line[f"{length} published"] = row.published_percent
            line[f"{length} ours"] = row.ours_percent
            line[f"{length} ours std"] = row.ours_std_percent
            if tracked:
                line[f"{length} ours, best epoch"] = row.ours_best_percent
            line[f"{length} difference"] = row.difference_points
        lines.append(line)
    table = pd.DataFrame(lines)
    # Rows differ in the lengths they have: columns follow the length, not the first row that has them.
    lengths = sorted({float(str(name).split()[0]) for name in table.columns[1:]})
    ordered = [name for length in lengths for name in table.columns[1:] if float(str(name).split()[0]) == length]
    return table[["relaxation", *ordered]]


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the table as curves over scribble length, published and ours side by side on axes of their own.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 3.0)
    panels = figure.subplots(1, 2)
    for axes, column, title in zip(panels, ("published_percent", "ours_percent"), ("published", "ours"), strict=True):
        for key, style in RELAXATION_STYLE.items():
            curve = frame[frame["series"] == f"P_{key.upper()}"]
            spread = curve["ours_std_percent"] if column == "ours_percent" and curve["ours_std_percent"].notna().any() else None
            fill = "white" if style.line == "--" else style.color
            axes.errorbar(
                curve["length_ratio"],
                curve[column],
                yerr=spread,
                color=style.color,
                linestyle=style.line,
                marker=style.marker,
                markerfacecolor=fill,
                capsize=2,
                label=style.label if title == "ours" else None,
            )
        axes.set(xlabel="scribble length (fraction of the full length)", ylabel="mIoU on validation images (%)", title=title)
    figure.legend(loc="outside right center", handlelength=3.0)
    scale_note(figure, select(results))
    return figure
