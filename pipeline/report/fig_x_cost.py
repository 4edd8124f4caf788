"""Beyond both papers: accuracy on PASCAL VOC against the seconds it takes to annotate an image, for their types of supervision.

Seconds follow the rule of Bearman et al. (`labeling_cost`): printed accuracies stand at the cost with the statistics of PASCAL
VOC 2012, ours at the cost with those of the data set that was trained on. Two kinds of annotation of one image share the seconds
for classes that are not there. All runs have the same network; those of [SIZE] and [SSL] differ in schedule and input size.
Block labels are left out: nobody has published what they cost, and they belong to other data sets.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.cells import COMPARISON, cited, compare, require_ids, require_shared, rows_of
from pipeline.report.labeling_cost import SECONDS_PER_TAG, VOC_STATISTICS, LabelStatistics, labeling_seconds
from pipeline.report.points import METRIC, MIOU_LABEL, number_columns
from pipeline.report.published import published_value
from pipeline.report.style import BLACK, GREY, METHOD_STYLE, TEXT_WIDTH_IN, journal_style, new_figure, scale_note

ID = "x-cost"
TRAINED, CITED, NONE = "trained here", "reported by its authors", "no number printed"


class Supervision(NamedTuple):
    """One type of supervision."""

    kinds: tuple[str, ...]
    """What is annotated, of `labeling_cost.LABEL_KINDS`."""
    style: str
    """Its look, of `METHOD_STYLE`."""
    run: str = ""
    """ "family/run", empty where it is not trained here."""
    printed: tuple[str, str, str] | None = None
    """Artefact, row and column of the printed accuracy."""


SUPERVISIONS = {
    "tags": Supervision(("tag",), "tag", printed=("a-fig1", "tag", "mIoU")),
    "points": Supervision(("point",), "pce_crf", "scribble_sizes/pce-crf-len000", ("a-fig4b", "seeds", "0")),
    "scribbles, dense CRF loss": Supervision(
        ("scribble",), "gd_dn", "scribble_resnet_potts/densecrf-12", ("b-tab5", "DenseCRF loss (V3+, batch 12)", "mIoU")
    ),
    "scribbles, soft self-labelling": Supervision(
        ("scribble",), "soft", "scribble_resnet_potts/cd-12", ("b-tab5", "H_CCE+P_CD (V3+, batch 12)", "mIoU")
    ),
    "size targets": Supervision(("size",), "size_crf", "size_noise/size-crf-mre08", ("a-fig1", "size", "mIoU")),
    "boxes": Supervision(("box",), "box"),
    "points and size targets": Supervision(
        ("point", "size"), "size_pce_crf", "scribble_sizes/size-mre08-len000", ("a-fig4b", "seeds+size", "0")
    ),
    "scribbles and size targets": Supervision(("scribble", "size"), "size", "scribble_sizes/size-mre08-len100"),
    "full masks": Supervision(("full mask",), "full", "size_noise/full", ("a-fig1", "full", "mIoU")),
}
"""Types of supervision, cheapest first. Size targets have a mean relative error of 8 %."""


def compute(results: pd.DataFrame, published: pd.DataFrame, statistics: LabelStatistics = VOC_STATISTICS) -> pd.DataFrame:
    """Return cost and accuracy of every type of supervision.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.
        statistics: of the training images of the data set of the runs.

    Returns:
        One row per type: series, run (empty where not trained), seconds_voc and seconds_ours (per image, by the rule with the
        statistics of PASCAL VOC and of our data set), the columns of `cells.COMPARISON` and source (`TRAINED`, `CITED`, `NONE`).

    Raises:
        ValueError: a run or a value is missing, the runs differ in profile, data set or network, or statistics are impossible.
    """
    require_ids(results, ID, ids := [one.run for one in SUPERVISIONS.values() if one.run])
    require_shared(results, ID, ids)
    rows: list[dict[str, object]] = []
    for series, one in SUPERVISIONS.items():
        printed = published_value(published, *one.printed) if one.printed else None
        numbers = compare(results, one.run, METRIC, ID, printed) if one.run else cited(printed)
        seconds = {"seconds_voc": _seconds(one, VOC_STATISTICS), "seconds_ours": _seconds(one, statistics)}
        source = TRAINED if one.run else NONE if printed is None else CITED
        rows.append({"series": series, "run": one.run, **seconds, **numbers, "source": source})
    return pd.DataFrame(rows, columns=["series", "run", "seconds_voc", "seconds_ours", *COMPARISON, "source"])


def _seconds(supervision: Supervision, statistics: LabelStatistics) -> float:
    """Return the time of all annotations of an image, absent classes gone through once."""
    seconds = labeling_seconds(statistics)
    absent = SECONDS_PER_TAG * (statistics.num_classes - statistics.classes_per_image)
    return sum(seconds[kind] for kind in supervision.kinds) - absent * (len(supervision.kinds) - 1)


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per type of supervision: seconds per image, then published, ours and the difference in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    lines = []
    for row in frame.itertuples():
        line: dict[str, object] = {
            "supervision": row.series,
            "seconds per image, PASCAL VOC": row.seconds_voc,
            "seconds per image, our data set": row.seconds_ours,
        }
        lines.append({**line, **number_columns(row, tracked), "source": row.source})
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return accuracy over seconds per image (logarithmic): ours filled, printed hollow; grey where not trained here.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 3.0)
    axes = figure.add_subplot()
    shown = frame[frame[["published_percent", "ours_percent"]].notna().any(axis=1)]
    for row in shown.to_dict("records"):
        look, trained = METHOD_STYLE[SUPERVISIONS[str(row["series"])].style], row["source"] == TRAINED
        if pd.notna(row["published_percent"]):
            edge = look.color if trained else GREY
            place = (row["seconds_voc"], row["published_percent"])
            axes.plot(*place, look.marker, markersize=7, markerfacecolor="none", markeredgecolor=edge)
        if trained:
            spread = row["ours_std_percent"] if pd.notna(row["ours_std_percent"]) else None
            place = (row["seconds_ours"], row["ours_percent"])
            axes.errorbar(*place, yerr=spread, fmt=look.marker, color=look.color, markersize=5, capsize=2)
    seconds = shown[["seconds_voc", "seconds_ours"]].to_numpy()
    axes.set_xscale("log")
    axes.set_xticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
    axes.minorticks_off()
    axes.set_xlim(float(seconds.min()) / 1.3, float(seconds.max()) * 1.3)
    axes.margins(y=0.1)
    axes.set_xlabel("annotation time per image (s)")
    axes.set_ylabel(MIOU_LABEL)
    figure.legend(handles=_legend(shown), loc="outside right center")
    scale_note(figure, rows_of(results, {run for run in frame["run"] if run}))
    return figure


def _legend(shown: pd.DataFrame) -> list[Line2D]:
    handles = []
    for row in shown.itertuples():
        look, trained = METHOD_STYLE[SUPERVISIONS[str(row.series)].style], row.source == TRAINED
        color = look.color if trained else GREY
        fill = color if trained else "none"
        label = f"{row.series}, {row.seconds_voc:.0f} s" + ("" if trained else "\n(reported by its authors)")
        handles.append(Line2D([], [], linestyle="", marker=look.marker, color=color, markerfacecolor=fill, label=label))
    handles.append(Line2D([], [], linestyle="", marker="o", color=BLACK, label="ours"))
    handles.append(Line2D([], [], linestyle="", marker="o", color=BLACK, markerfacecolor="none", markersize=7, label="published"))
    return handles
