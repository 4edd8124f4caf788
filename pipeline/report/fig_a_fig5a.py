"""Figure 5 (left) of [SIZE]: how far annotated sizes are off, as histograms of their relative error (Eq. 14) per class.

The histograms are divided by the number of annotated sizes of their class. The dashed line is the error of synthetic targets
with Normal noise (Eq. 15) of sigma = 20 %, whose mean error is the 15.9 % of the paper's annotators (Eq. 16): the error is an
absolute value, so its density is twice the Normal one. The paper finds that most annotated errors are below 10 %, with heavy
tails. Where the annotations come from a model of an annotator, the title says so: such a figure shows that model, no person.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.published import published_value
from pipeline.report.runs import require_columns
from pipeline.report.style import BLACK, BLUE, COLUMN_WIDTH_IN, GREEN, GREY, ORANGE, PURPLE, VERMILION, journal_style, new_figure

ID = "a-fig5a"
BIN_PERCENT = 5.0
END_PERCENT = 80.0
"""Errors from here on are counted in one last bin, so that a single gross error does not flatten the rest."""
ALL = "all"
SOURCES = {"simulated": "simulated annotator", "annotated": "annotated by people"}
_COLORS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, GREY)
_NEEDED = ("image_id", "class", "exact", "relative_error", "seconds", "source")


def compute(errors: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return the bins of all histograms and of the error of Normal noise.

    Args:
        errors: one row per annotated size: image_id, class, exact (fraction of the image), relative_error (a fraction, with or
            without sign), seconds, source ("simulated" or "annotated"). Rows whose exact size is 0 have no relative error and are
            left out.
        published: from `load_published`; has the sigma of the Normal noise.

    Returns:
        One row per bin: series (class, or Normal noise with its sigma), error_percent (left end of the bin; the last bin is
        open), share_percent (of the annotated sizes of the class), annotations (how many in the class; 0 for Normal noise) and
        source (empty for Normal noise).

    Raises:
        ValueError: a column is missing, no row is usable, the source is unknown or annotations of both sources are mixed, or the
            published sigma is missing.
    """
    from scipy.special import ndtr  # Phi, the Normal distribution function

    rows = _checked(errors)
    source = str(rows["source"].iloc[0])
    starts = np.arange(0.0, END_PERCENT + BIN_PERCENT / 2, BIN_PERCENT)
    frames = []
    for name, of_class in rows.groupby("class", sort=True):
        counts, _ = np.histogram(100 * of_class["relative_error"], [*starts, np.inf])
        share, number = 100 * counts / len(of_class), len(of_class)
        columns = {"series": str(name), "error_percent": starts, "share_percent": share, "annotations": number, "source": source}
        frames.append(pd.DataFrame(columns))
    sigma = published_value(published, ID, "synthetic", "sigma")
    if sigma is None:
        raise ValueError(f"{ID}: expected the published sigma of synthetic targets, got none")
    # P(|e| < x) = 2 Phi(x / sigma) - 1 for Normal e
    share = 100 * np.diff(2 * ndtr(np.append(starts, np.inf) / sigma) - 1)
    columns = {
        "series": rf"Normal noise, $\sigma$ = {sigma:g} %",
        "error_percent": starts,
        "share_percent": share,
        "annotations": 0,
        "source": "",
    }
    return pd.concat([*frames, pd.DataFrame(columns)], ignore_index=True)


def _checked(errors: pd.DataFrame) -> pd.DataFrame:
    require_columns(errors, ID, _NEEDED)
    rows = errors[errors["exact"].astype(float) > 0].copy()
    rows["relative_error"] = rows["relative_error"].astype(float).abs()
    if rows.empty or not np.isfinite(rows["relative_error"]).all():
        raise ValueError(f"{ID}: expected a finite relative error of every annotated size, got {len(rows)} rows, some without")
    sources = sorted(set(rows["source"].astype(str)))
    if len(sources) != 1 or sources[0] not in SOURCES:
        raise ValueError(f"{ID}: expected annotations of one source out of {list(SOURCES)}, got {sources}")
    return rows


def tabulate(errors: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return one line per class and one for all: annotations, mRE published and ours (percent), median error, seconds.

    Args:
        errors: as in `compute`.
        published: from `load_published`.
    """
    rows = _checked(errors)
    groups = [*((str(name), of_class) for name, of_class in rows.groupby("class", sort=True)), (ALL, rows)]
    lines = []
    for name, group in groups:
        printed = published_value(published, ID, name, "mRE")
        error = 100 * group["relative_error"]
        number = float("nan") if printed is None else printed
        lines.append(
            {
                "class": name,
                "annotated sizes": len(group),
                "mRE published": number,
                "mRE ours": error.mean(),
                "mRE difference": error.mean() - number,
                "median error": error.median(),
                "below 10 %": 100 * float((error < 10).mean()),
                "seconds per size": group["seconds"].astype(float).mean(),
            }
        )
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, table: pd.DataFrame, note: str = "") -> Figure:
    """Return the histograms as outlines, over the error of Normal noise as a dashed line.

    Args:
        frame: from `compute`.
        table: from `tabulate`, for the mean errors in the legend.
        note: small text below the figure, for example which pictures were annotated.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 3.1)
    axes = figure.add_subplot()
    mean = table.set_index("class")["mRE ours"]
    printed = table.set_index("class")["mRE published"]
    noise, annotated = frame[frame["source"] == ""], frame[frame["source"] != ""]
    for place, (name, bars) in enumerate(annotated.groupby("series", sort=False)):
        edges = [*bars["error_percent"], END_PERCENT + BIN_PERCENT]
        label = f"{name}: mRE {mean[name]:.1f} %" + (f" (published {printed[name]:.1f} %)" if pd.notna(printed[name]) else "")
        color = _COLORS[place % len(_COLORS)]
        axes.stairs(bars["share_percent"], edges, color=color, linewidth=1.4, label=label)
        axes.stairs(bars["share_percent"], edges, color=color, alpha=0.12, fill=True)
    middles, density = noise["error_percent"].iloc[:-1] + BIN_PERCENT / 2, noise["share_percent"].iloc[:-1]
    axes.plot(middles, density, "--", color=BLACK, label=noise["series"].iloc[0])
    axes.set_xlim(0, END_PERCENT + BIN_PERCENT)
    ticks = list(range(0, int(END_PERCENT), 20))
    axes.set_xticks([*ticks, END_PERCENT + BIN_PERCENT / 2], [*map(str, ticks), f"≥ {END_PERCENT:g}"])
    axes.set_xlabel("relative error of the annotated size (%)")
    axes.set_ylabel(f"share of the sizes of the class (%)\nper {BIN_PERCENT:g} % of error")
    source = str(frame["source"].iloc[0])
    axes.set_title(SOURCES[source])
    figure.legend(loc="outside upper center", ncols=1)
    if note:
        figure.supxlabel(note, x=0.01, ha="left", fontsize=6.0, color=GREY)
    return figure
