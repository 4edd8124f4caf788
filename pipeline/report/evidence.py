"""What the record of runs on real data shows, whatever it holds: claims counted, curves drawn, results as tables.

`CHARTS` are figures of both papers as curves. Unlike an artifact, which is an error where a run is missing, a chart draws the
runs that were recorded. It is left out where it would compare nothing. `write_evidence` writes evidence.json, which says in words
what there is, and for each chart curves-NAME.svg and its numbers as curves-NAME.csv. The report page and the documentation show
these files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from pipeline.files import read_json, write_json
from pipeline.report.artifacts import (
    a_claims,
    a_fig4a,
    a_fig4b,
    a_fig5b,
    a_fig6a,
    b_claims,
    b_fig3d,
    b_fig4,
    b_fig6,
    b_tab3,
    x_cross,
)
from pipeline.report.curves import Curves
from pipeline.report.points import METRIC
from pipeline.report.runs import COMPARISON, NAN, Runs, Where, load_results
from pipeline.report.style import METHOD_STYLE, journal_style, save_figure
from pipeline.report.tables import write_points
from pipeline.report.verdicts import FAILS, HOLDS, LEVEL, OPEN

SUMMARY = "evidence.json"
HOW = "Differences are in points, paired over seeds, with 95 % intervals."
CLAIMS = {"a-claims": a_claims.CLAIMS, "b-claims": b_claims.CLAIMS}
AXES = {"mre_percent": ("mre", 100.0), "corrupted_percent": ("label_noise", 100.0), "length_ratio": ("length_ratio", 1.0)}
"""Horizontal axis of a chart to the column of results and what it is multiplied by."""
_FULL, _ANNOTATED = METHOD_STYLE["full"].label, METHOD_STYLE["annotated"].label
_TWO_COLUMNS = {"ncols": 2, "columnspacing": 1.2}


@dataclass(frozen=True)
class Chart:
    """A figure of curves over one level.

    Attributes:
        name: of its files.
        title: what it compares.
        source: where the papers have it.
        curves: series to what its runs have in common.
        drawing: how it is drawn; series that were not recorded are left out.
        levels: series to a run without a level, drawn as a line over the whole axis.
        metric: column of a fraction.
    """

    name: str
    title: str
    source: str
    curves: Mapping[str, Where]
    drawing: Curves
    levels: Mapping[str, Where] = field(default_factory=dict)
    metric: str = METRIC


CHARTS = (
    Chart(
        "size-errors",
        "Size targets may be wrong",
        "[SIZE] Fig. 4, left",
        {METHOD_STYLE[method].label: a_fig4a.SIZES.but(method=method) for method in a_fig4a.METHODS},
        Curves(
            x="mre_percent",
            looks={METHOD_STYLE[method].label: METHOD_STYLE[method] for method in a_fig4a.METHODS},
            levels={_FULL: METHOD_STYLE["full"]},
            height_in=2.8,
            legend={"ncols": 3, "columnspacing": 1.0, "handlelength": 1.6},
        ),
        {_FULL: a_fig4a.SIZES.but(method="full")},
    ),
    Chart(
        "size-barriers",
        "Size targets against size barriers on cardiac scans",
        "[SIZE] Fig. 6, left",
        a_fig6a.CURVES,
        cast(Curves, a_fig6a.ARTIFACT.draw),
        a_fig6a.LEVELS,
        "DSC_val",
    ),
    Chart(
        "size-annotated",
        "Sizes by an annotator against drawn errors",
        "[SIZE] Fig. 5, right",
        a_fig5b.CURVES,
        Curves(
            x="mre_percent",
            looks={a_fig5b.SIZES: METHOD_STYLE["size_crf"]},
            levels={_ANNOTATED: METHOD_STYLE["annotated"]._replace(line="--"), _FULL: METHOD_STYLE["full"]},
            height_in=2.8,
            legend=_TWO_COLUMNS,
        ),
        {_ANNOTATED: a_fig5b.STAR_RUN, _FULL: a_fig5b.FULL_RUN},
    ),
    Chart(
        "size-scribbles",
        "Size targets beside scribbles",
        "[SIZE] Fig. 4, right",
        a_fig4b.CURVES,
        cast(Curves, a_fig4b.ARTIFACT.draw),
        {_FULL: a_fig4b.FULL_RUN},
    ),
    Chart(
        "methods",
        "Scribbles: one stage, gradient descent, hard and soft self-labelling",
        "[SSL] Fig. 6",
        {METHOD_STYLE["pce"].label: Where(family="seeds", method="pce"), **b_fig6.CURVES},
        Curves(
            x="length_ratio",
            looks={
                METHOD_STYLE["pce"].label: METHOD_STYLE["pce"],
                **{
                    series: METHOD_STYLE[key]._replace(label=series)
                    for of in b_fig6.PANELS.values()
                    for series, key in of.items()
                },
            },
            height_in=3.4,
            legend={**_TWO_COLUMNS, "handlelength": 2.6},
        ),
    ),
    Chart(
        "relaxations",
        "Six relaxations of the Potts model",
        "[SSL] Table 3",
        b_tab3.RELAXATIONS,
        Curves(
            x="length_ratio",
            looks=b_tab3.LOOKS,
            height_in=3.6,
            base="P_Q",
            legend={"ncols": 3, "handlelength": 2.6},
        ),
    ),
    Chart(
        "cross-entropies",
        "Three cross-entropies with pseudo-labels",
        "[SSL] Fig. 4",
        {**b_fig4.CURVES, b_fig4.HARD: b_fig4.HARD_RUN},
        cast(Curves, b_fig4.ARTIFACT.draw),
    ),
    Chart(
        "label-noise",
        "Three cross-entropies under wrong labels",
        "[SSL] Fig. 3 (d)",
        b_fig3d.CURVES,
        cast(Curves, b_fig3d.ARTIFACT.draw),
        metric="accuracy_val",
    ),
    Chart(
        "both",
        "Size targets added to soft self-labelling",
        "neither paper",
        x_cross.CURVES,
        cast(Curves, x_cross.ARTIFACT.draw),
    ),
)


def recorded_runs(record: Path) -> Runs:
    """Return the results of all families in a record; no row if there are none."""
    files = sorted(record.glob("*/results.csv"))
    return Runs(load_results(files) if files else pd.DataFrame(columns=["run", "family", "seed"]), record.name)


def measured(runs: Runs, where: Where, metric: str) -> bool:
    """Return whether a run is there and has the metric for each of its seeds."""
    rows = runs.select(where) if set(dict(where.fields)) <= set(runs.rows.columns) else runs.rows.iloc[:0]
    return metric in rows.columns and len(rows) > 0 and bool(rows[metric].notna().all())


def chart_points(runs: Runs, chart: Chart) -> pd.DataFrame:
    """Return the points of a chart that were recorded, averaged over seeds.

    Returns:
        One row per point: series, run, the axis (NaN for level lines), mre_foreground_percent (realised by the objects) and the
        columns of `COMPARISON`; those of printed numbers are empty.
    """
    column, factor = AXES[chart.drawing.x]
    rows: list[dict[str, object]] = []
    for series, where in {**chart.curves, **chart.levels}.items():
        found = {NAN: where} if series in chart.levels else {}
        if series in chart.curves and {column, *dict(where.fields)} <= set(runs.rows.columns):
            found = runs.levels({series: where}, column, made_only=True)[series]
        for level, run in found.items():
            if measured(runs, run, chart.metric):
                realised = 100 * runs.mean(run, "mre_foreground")
                point = {"series": series, chart.drawing.x: factor * level, "mre_foreground_percent": realised}
                rows.append({**point, **runs.compare(run, chart.metric)})
    return pd.DataFrame(rows, columns=["series", "run", chart.drawing.x, "mre_foreground_percent", *COMPARISON])


def compares(chart: Chart, frame: pd.DataFrame) -> bool:
    """Return whether a chart has a curve of two points and something to compare it with."""
    curves = frame.loc[frame["series"].isin(chart.curves), "series"].value_counts()
    return bool((curves > 1).any()) and frame["series"].nunique() > 1


def write_chart(chart: Chart, frame: pd.DataFrame, stem: Path) -> None:
    """Draw a chart as SVG and write its numbers as CSV beside it."""
    there, drawing = set(frame["series"]), chart.drawing
    drawn = replace(
        drawing,
        looks={series: look for series, look in drawing.looks.items() if series in there},
        levels={series: look for series, look in drawing.levels.items() if series in there},
        base=drawing.base if drawing.base in there else "",
    )
    with journal_style():
        save_figure(drawn(frame), stem, (".svg",))
    write_points(frame.drop(columns=["published_percent", "difference_points"]), stem.with_name(f"{stem.name}.csv"))


def chart_table(chart: Chart, frame: pd.DataFrame) -> list[str]:
    """Return the numbers of a chart as lines of a Markdown table: a row per series, a column per level."""
    x = chart.drawing.x
    levels = sorted(frame[x].dropna().unique())
    unit = "" if x == "length_ratio" else " %"
    lines = [f"| | {' | '.join(f'{level:g}{unit}' for level in levels)} |", f"|{'---|' * (1 + len(levels))}"]
    for series, points in frame.groupby("series", sort=False):
        cells = {row[x]: _cell(row) for row in points.to_dict("records")}
        alone = [] if points[x].notna().any() else [_cell(points.iloc[0].to_dict())]
        shown = alone + [""] * (len(levels) - 1) if alone else [cells.get(level, "") for level in levels]
        lines.append(f"| {series} | {' | '.join(shown)} |")
    return lines


def _cell(row: Mapping[Any, Any]) -> str:
    spread = "" if pd.isna(row["ours_std_percent"]) else f" ± {row['ours_std_percent']:.2f}"
    return f"{row['ours_percent']:.2f}{spread}" + (" (training failed)" if row["failed"] else "")


def recorded_claims(record: Path) -> pd.DataFrame:
    """Return the claims of both papers that a record tested, with their `id`; no row if nothing is recorded."""
    frames = []
    for table, claims in CLAIMS.items():
        path = record / f"{table}.csv"
        if path.exists():
            ids = {claim.sentence: claim.id for claim in claims.claims}
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            frames.append(frame.assign(id=frame["claim"].map(ids)))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["id", "claim", "verdict"])


def count_sentence(claims: pd.DataFrame) -> str:
    """Return how many claims hold, in words."""
    count = Counter(claims["verdict"].str.split(" (", regex=False).str[0])
    untested = len(claims) - sum(count[verdict] for verdict in (HOLDS, FAILS, LEVEL, OPEN))
    return (
        f"Of {len(claims)} claims {count[HOLDS]} hold, {count[FAILS]} do not hold, {count[LEVEL]} are level, "
        f"{count[OPEN]} are not decided and {untested} not tested."
    )


def origin(record: Path) -> str:
    """Return one sentence about where the numbers of a record come from."""
    told = read_json(record / "provenance.json", "restore it with git")
    hours = sum(told["hours"].values())
    sets = ", ".join(kind["kind"] for kind in told["data"].values())
    devices = ", ".join(told["devices"])
    fewest, most = min(told["seeds"].values()), max(told["seeds"].values())
    seeds = f"{fewest} seed{'s' * (fewest > 1)}" if fewest == most else f"{fewest} to {most} seeds"
    return f"Profile {told['profile']}, {devices}, {seeds}, data: {sets}; {hours:.1f} hours of training."


def drawn_charts(record: Path) -> list[tuple[Chart, pd.DataFrame]]:
    """Return the charts that a record can fill, with their points."""
    runs = recorded_runs(record)
    charts = [(chart, chart_points(runs, chart)) for chart in CHARTS]
    return [(chart, frame) for chart, frame in charts if compares(chart, frame)]


def evidence(record: Path) -> dict[str, object]:
    """Return what evidence.json says: counted claims, origin, and name of the files, title and source of each chart."""
    charts = [{"name": f"curves-{one.name}", "title": one.title, "source": one.source} for one, _ in drawn_charts(record)]
    return {"counted": f"{count_sentence(recorded_claims(record))} {HOW}", "origin": origin(record), "charts": charts}


def write_evidence(record: Path) -> None:
    """Write evidence.json and the charts of a record; charts that it does not fill any more go."""
    for path in record.glob("curves-*"):
        path.unlink()
    for chart, frame in drawn_charts(record):
        write_chart(chart, frame, record / f"curves-{chart.name}")
    write_json(record / SUMMARY, evidence(record))
