"""Figure 5 (left) of [SIZE]: how far annotated sizes are off, as histograms of their relative error (Eq. 14) per class.

The histograms are divided by the number of annotated sizes of their class. The dashed line is the error of synthetic targets
with Normal noise (Eq. 15) of sigma = 20 %, whose mean error is the 15.9 % of the paper's annotators (Eq. 16): the error is an
absolute value, so its density is twice the Normal one. The paper finds that most annotated errors are below 10 %, with heavy
tails. Where the annotations come from a model of an annotator, the title says so: such a figure shows that model, no person.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.runs import require_columns
from pipeline.report.style import BLACK, BLUE, COLUMN_WIDTH_IN, GREEN, GREY, ORANGE, PURPLE, VERMILION, new_figure

ID = "a-fig5a"
ANNOTATED = "voc/animals-annotated"
"""Supervision whose annotated sizes are shown."""
BIN_PERCENT = 5.0
END_PERCENT = 80.0
"""Errors from here on are counted in one last bin, so that a single gross error does not flatten the rest."""
ALL = "all"
SOURCES = {"simulated": "simulated annotator", "annotated": "annotated by people"}
_COLORS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, GREY)
_NEEDED = ("image_id", "class", "exact", "relative_error", "seconds", "source")


def compute(data: Data) -> pd.DataFrame:
    """Return the bins of all histograms and of the error of Normal noise.

    Returns:
        One row per bin: series (class, or Normal noise with its sigma), error_percent (left end of the bin; the last bin is
        open), share_percent (of the annotated sizes of the class), annotations (how many in the class; 0 for Normal noise) and
        source (empty for Normal noise).
    """
    from scipy.special import ndtr  # Phi, the Normal distribution function

    rows = annotation_errors()
    source = str(rows["source"].iloc[0])
    starts = np.arange(0.0, END_PERCENT + BIN_PERCENT / 2, BIN_PERCENT)
    frames = []
    for name in _classes(rows, data):
        of_class = rows[rows["class"] == name]
        counts, _ = np.histogram(100 * of_class["relative_error"], [*starts, np.inf])
        share, number = 100 * counts / len(of_class), len(of_class)
        columns = {"series": name, "error_percent": starts, "share_percent": share, "annotations": number, "source": source}
        frames.append(pd.DataFrame(columns))
    sigma = data.printed("synthetic", "sigma")
    if np.isnan(sigma):
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


def _classes(rows: pd.DataFrame, data: Data) -> list[str]:
    """Return the annotated classes, in the order of the paper where it has them."""
    found, printed = set(rows["class"]), data.published.loc[data.published["artifact"] == ID, "row"]
    return [*(name for name in dict.fromkeys(printed) if name in found), *sorted(found - set(printed))]


def annotation_errors() -> pd.DataFrame:
    """Return the annotated sizes: image_id, class, exact (fraction, above 0), relative_error (not negative), seconds, source.

    Rows whose exact size is 0 have no relative error and are left out.

    Raises:
        ValueError: a column is missing, no row is usable, the source is unknown or annotations of both sources are mixed.
    """
    errors = pd.read_csv(paths.annotation_errors(ANNOTATED))
    require_columns(errors, ID, _NEEDED)
    rows = errors[errors["exact"].astype(float) > 0].copy()
    rows["relative_error"] = rows["relative_error"].astype(float).abs()
    if rows.empty or not np.isfinite(rows["relative_error"]).all():
        raise ValueError(f"{ID}: expected a finite relative error of every annotated size, got {len(rows)} rows, some without")
    sources = sorted(set(rows["source"].astype(str)))
    if len(sources) != 1 or sources[0] not in SOURCES:
        raise ValueError(f"{ID}: expected annotations of one source out of {list(SOURCES)}, got {sources}")
    return rows


def tabulate(_: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return one line per class and one for all: annotations, mRE published and ours (percent), median error, seconds."""
    rows = annotation_errors()
    groups = [*((name, rows[rows["class"] == name]) for name in _classes(rows, data)), (ALL, rows)]
    lines = []
    for name, group in groups:
        printed, error = data.printed(name, "mRE"), 100 * group["relative_error"]
        lines.append(
            {
                "class": name,
                "annotated sizes": len(group),
                "mRE published": printed,
                "mRE ours": error.mean(),
                "mRE difference": error.mean() - printed,
                "median error": error.median(),
                "below 10 %": 100 * float((error < 10).mean()),
                "seconds per size": group["seconds"].astype(float).mean(),
            }
        )
    return pd.DataFrame(lines)


def draw(frame: pd.DataFrame, data: Data) -> Figure:
    """Return the histograms as outlines, over the error of Normal noise as a dashed line."""
    figure = new_figure(COLUMN_WIDTH_IN, 3.3)
    axes = figure.add_subplot()
    means = tabulate(frame, data).set_index("class").to_dict("index")
    noise, annotated = frame[frame["source"] == ""], frame[frame["source"] != ""]

    def error_of(name: str) -> str:
        printed = means[name]["mRE published"]
        beside = f" (published {printed:.1f} %)" if pd.notna(printed) else ""
        return f"{name}: mRE {means[name]['mRE ours']:.1f} %{beside}"

    for place, (name, bars) in enumerate(annotated.groupby("series", sort=False)):
        edges = [*bars["error_percent"], END_PERCENT + BIN_PERCENT]
        color = _COLORS[place % len(_COLORS)]
        middles, label = bars["error_percent"] + BIN_PERCENT / 2, error_of(str(name))
        look: dict[str, Any] = {"element": "step", "color": color, "alpha": 0.12, "linewidth": 1.4, "label": label}
        sns.histplot(x=middles, weights=bars["share_percent"], bins=edges, ax=axes, **look)
    middles, density = noise["error_percent"].iloc[:-1] + BIN_PERCENT / 2, noise["share_percent"].iloc[:-1]
    axes.plot(middles, density, "--", color=BLACK, label=noise["series"].iloc[0])
    axes.set_xlim(0, END_PERCENT + BIN_PERCENT)
    ticks = list(range(0, int(END_PERCENT), 20))
    axes.set_xticks([*ticks, END_PERCENT + BIN_PERCENT / 2], [*map(str, ticks), f"≥ {END_PERCENT:g}"])
    axes.set_xlabel("relative error of the annotated size (%)")
    axes.set_ylabel(f"share of the sizes of the class (%)\nper {BIN_PERCENT:g} % of error")
    axes.set_title(SOURCES[str(frame["source"].iloc[0])])
    axes.plot([], [], " ", label=error_of(ALL))
    figure.legend(loc="outside upper center", ncols=1)
    return figure


ARTIFACT = Artifact(
    id=ID,
    title="Histograms of the relative error of annotated sizes",
    shows="How far annotated sizes are off, per class, beside the density of synthetic errors.",
    paper="Most errors of the annotators are below 10 %, with heavy tails; the mean over all classes is 15.9 %.",
    look_for="The title says whether a person annotated or a model of one: only the former is evidence about people.",
    inputs=(paths.supervision(ANNOTATED), paths.PUBLISHED),
    scale=None,
    note=f"sizes of supervision {ANNOTATED}",
    table_note=lambda frame: (
        f"Relative errors in percent of the exact size; ours: {SOURCES[str(frame['source'].iloc[0])]}, published: people."
    ),
    decimals=1,
    mark_best=False,
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
