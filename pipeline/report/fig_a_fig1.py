"""Figure 1 of [SIZE]: what kinds of supervision cost in seconds per image, and what accuracy they buy on PASCAL VOC.

Seconds follow the rule of Bearman et al. (appendix A.1, `labeling_cost`), once with the statistics of PASCAL VOC 2012 and once
with those of the data set that was trained on. Accuracies of points, sizes and masks are runs; those of tags and boxes the paper
took from others: the one for tags is printed in its Table 2, the one for boxes only inside the picture, so it is absent here.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, cited, compare, require_ids, require_shared, rows_of
from pipeline.report.curves import dots_handles
from pipeline.report.labeling_cost import LABEL_KINDS, VOC_STATISTICS, LabelStatistics, labeling_seconds
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "a-fig1"
KINDS = {"tag": "tag", "point": "point", "size": "size", "box": "box", "full": "full mask"}
"""Row of the artefact to its kind of `LABEL_KINDS`, cheapest first as in the paper's table."""
RUNS = {
    "point": "scribble_sizes/pce-crf-len000",
    "size": "size_noise/size-crf-mre08",
    "full": "size_noise/full",
}
METRIC = "mIoU_val"
TRAINED, CITED, NONE = "trained here", "reported by its authors", "printed in the picture only"
_STYLES = {"tag": "tag", "point": "pce_crf", "size": "size_crf", "box": "box", "full": "full"}
_NAMES = {"tag": "tags", "point": "points", "size": "size targets", "box": "boxes", "full": "full masks"}


def compute(results: pd.DataFrame, published: pd.DataFrame, statistics: LabelStatistics) -> pd.DataFrame:
    """Return cost and accuracy of every kind of supervision.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.
        statistics: of the training images of the data set of the runs.

    Returns:
        One row per kind: series (name), kind, run (empty where not trained), seconds_voc and seconds_ours (per image, by the rule
        with the statistics of PASCAL VOC and of our data set), the columns of `cells.COMPARISON`, source (of the accuracy) and
        seconds_source (of the time per item).

    Raises:
        ValueError: a run or a value is missing, the runs differ in profile, data set or network, or the statistics are not
            those of any data set.
    """
    require_ids(results, ID, ids := list(RUNS.values()))
    require_shared(results, ID, ids)
    by_rule, here = labeling_seconds(VOC_STATISTICS), labeling_seconds(statistics)
    rows: list[dict[str, object]] = []
    for name, kind in KINDS.items():
        printed, run = published_value(published, ID, name, "mIoU"), RUNS.get(name, "")
        source = TRAINED if run else NONE if printed is None else CITED
        numbers = compare(results, run, METRIC, ID, printed) if run else cited(printed)
        seconds = {"seconds_voc": by_rule[kind], "seconds_ours": here[kind]}
        row: dict[str, object] = {"series": _NAMES[name], "kind": name, "run": run, **seconds, **numbers}
        rows.append({**row, "source": source, "seconds_source": LABEL_KINDS[kind].source})
    columns = ["series", "kind", "run", "seconds_voc", "seconds_ours", *COMPARISON, "source", "seconds_source"]
    return pd.DataFrame(rows, columns=columns)


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table below the paper's figure: a row per kind of supervision; seconds per image, then mIoU in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    columns = {
        "supervision": frame["series"],
        "seconds per image, PASCAL VOC": frame["seconds_voc"],
        "seconds per image, our data set": frame["seconds_ours"],
        "mIoU published": frame["published_percent"],
        "mIoU ours": frame["ours_percent"],
        "mIoU ours std": frame["ours_std_percent"],
        "mIoU ours, best epoch": frame["ours_best_percent"],
        "mIoU difference": frame["difference_points"],
        "accuracy": frame["source"],
        "time per item": frame["seconds_source"],
    }
    table = pd.DataFrame(columns)
    return table if table["mIoU ours, best epoch"].notna().any() else table.drop(columns="mIoU ours, best epoch")


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return accuracy over seconds per image (logarithmic): published hollow at PASCAL's cost, ours filled at our data set's.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 2.8)
    axes = figure.add_subplot()
    handles = []
    for row in frame.to_dict("records"):
        look = METHOD_STYLE[_STYLES[str(row["kind"])]]
        if pd.notna(row["published_percent"]):
            style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": look.color}
            axes.plot(row["seconds_voc"], row["published_percent"], look.marker, **style)
        if pd.notna(row["ours_percent"]):
            spread = row["ours_std_percent"] if pd.notna(row["ours_std_percent"]) else None
            axes.errorbar(
                row["seconds_ours"], row["ours_percent"], yerr=spread, fmt=look.marker, color=look.color, markersize=5, capsize=2
            )
        seconds = f"{row['series']}, {row['seconds_voc']:.0f} s"
        if pd.notna(row["published_percent"]) or pd.notna(row["ours_percent"]):
            handles += axes.plot([], [], look.marker, color=look.color, label=seconds)
    axes.set_xscale("log")
    axes.set_xticks([5, 10, 20, 50, 100, 200, 500], ["5", "10", "20", "50", "100", "200", "500"])
    axes.minorticks_off()
    axes.set_xlim(*_limits(frame))
    axes.margins(y=0.1)
    axes.set_xlabel("labelling time per image (s)")
    axes.set_ylabel("mIoU on validation images (%)")
    figure.legend(handles=[*handles, *dots_handles()], loc="outside upper center", ncols=2, columnspacing=1.2)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis: all seconds with a margin, and at least one decade, which has enough ticks to be read."""
    seconds = frame[["seconds_voc", "seconds_ours"]].to_numpy()
    low, high = float(seconds.min()), float(seconds.max())
    return low / 1.3, max(high, 10 * low) * 1.3
