"""Say in README.md and docs/ what the recorded runs on real data decided: `python -m pipeline.report.pages`.

Pages hold blocks between lines such as `<!-- results -->` and `<!-- /results -->` that are made of the record in
reports/recorded/real. `python -m pipeline.record real` rewrites the record; a test compares the pages with it. The curves of the
record, which the report page shows too, are drawn on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline import paths
from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.files import replace_block
from pipeline.report import bench_tables
from pipeline.report.artifacts import x_cost
from pipeline.report.evidence import (
    HOW,
    chart_table,
    count_sentence,
    drawn_charts,
    measured,
    origin,
    recorded_claims,
    recorded_runs,
    write_evidence,
)
from pipeline.report.labeling_cost import VOC_STATISTICS
from pipeline.report.points import METRIC
from pipeline.report.published import load_published, published_value
from pipeline.report.runs import Cell, Where
from pipeline.report.tables import markdown

RECORD = paths.REAL_RECORD
FRONT = (
    "size-robust",
    "size-crf",
    "size-short-scribbles",
    "size-log-barrier",
    "size-reverse-accuracy",
    "size-resnet-share",
    "size-acdc-barrier",
    "logarithm",
    "normalised",
    "collision",
    "hard",
    "soft-hard",
    "soft-gradient",
    "full",
)
"""Claims that the front page shows, by id."""
FINER = paths.RECORDED / "real-192"
"""The same photos and network at 192 px and with more epochs: masks, sizes, clicks, scribbles in two stages."""
CONTROL = "then partial cross-entropy again"
_FINER_RUNS = {
    "full masks": Where(family="size_noise", run="full"),
    "sizes, mRE 8 %, without CRF loss": Where(family="size_noise", run="size-mre08"),
    "clicks of people, partial cross-entropy": Where(family="seeds", run="pce-clicks"),
    "scribbles, partial cross-entropy": Where(family="seeds", run="pce-len100"),
    CONTROL: Where(family="potts", run="pce-len100"),
    "then soft self-labelling, P_Q": Where(family="potts", run="q-len100"),
    "then soft self-labelling, P_CD": Where(family="potts", run="cd-len100"),
}
_CRF = Where(family="size_noise", method="size_crf")
_ANIMALS = Where(family="annotated", several_classes=True)
_SHARES = {
    "full masks": Where(family="size_noise", method="full"),
    "exact sizes + CRF loss": _CRF.but(mre=0.0),
    "sizes, mRE 8 %, + CRF loss": _CRF.but(mre=0.08),
    "sizes, mRE 16 %, + CRF loss": _CRF.but(mre=0.16),
    "cats and dogs: full masks": _ANIMALS.but(method="full"),
    "cats and dogs: sizes, mRE 8 %, + CRF loss": _ANIMALS.but(method="size_crf", mre=0.08),
    "cats and dogs: annotated sizes + CRF loss": _ANIMALS.but(method="annotated"),
}
"""Supervision to its run; after each line of masks come those that are compared with it."""
SEARCH = paths.RECORDED / "search"
"""Trials of rates and weights on training photos."""
TRIED = {
    "full": "full masks",
    "size": "sizes, mRE 8 %",
    "reverse_kl": "sizes, mRE 8 %, reverse divergence",
    "flat_barrier": "flat barrier on tags",
    "log_barrier": "log barrier on tags",
    "size_crf": "sizes + CRF loss",
    "log_barrier_crf": "log barrier + CRF loss",
    "pce": "scribbles, one stage",
    "control": "scribbles again, the control",
    "soft": "soft self-labelling, P_CD",
    "gd_nn": "gradient descent, nearest neighbours",
    "gd_dn": "gradient descent, dense CRF loss",
    "gd_sn": "gradient descent, non-local CRF loss",
    "full_scans": "scans: full masks",
    "pce_size": "scans: sizes, mRE 8 %, with seeds",
    "mean_size": "scans: one mean size, with seeds",
    "barrier": "scans: size barriers, with seeds",
    "labels_ce": "wrong labels of pictures, standard cross-entropy",
    "labels_rce": "wrong labels of pictures, reverse cross-entropy",
    "labels_cce": "wrong labels of pictures, collision cross-entropy",
}
"""Method of a trial to what the table calls it."""
FACTORS = {"rate_factor": "rate", "weight_factor": "weight"}
"""Column of results to what is multiplied by it."""
OLDER = "older"
"""Records that a page of their own tells of."""
Blocks = dict[tuple[Path, str], str]
"""Page and mark to what stands there."""


def table(claims: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return claims as lines of a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(str(row[name]).replace('|', '/') for name in columns)} |" for _, row in claims.iterrows()]


def front_page(claims: pd.DataFrame) -> str:
    """Return the results on README.md."""
    shown = claims[claims["id"].isin(FRONT)].sort_values("id", key=lambda ids: ids.map(FRONT.index))
    lines = table(shown, ["claim", "where", "published", "difference", "verdict"])
    return "\n".join([*lines, "", f"{count_sentence(claims)} {HOW} {origin(RECORD)}"])


def curves() -> str:
    """Return the curves of the record with their numbers, in percent."""
    parts = []
    for chart, frame in drawn_charts(RECORD):
        picture = f"![{chart.title}](../{RECORD}/curves-{chart.name}.svg)"
        parts.append("\n".join([f"**{chart.title}** ({chart.source})", "", picture, "", *chart_table(chart, frame)]))
    return "\n\n".join(parts)


def budget() -> str:
    """Return seconds and accuracy of each kind of supervision as a Markdown table, cheapest first."""
    runs, published = recorded_runs(RECORD), load_published(paths.PUBLISHED)
    rows = []
    for name, one in x_cost.SUPERVISIONS.items():
        row, column, artifact = one.printed or ("", "", "x-cost")
        printed = published_value(published, artifact, row, column)
        here = _spread(runs.cell(one.run, METRIC)) if one.run is not None and measured(runs, one.run, METRIC) else ""
        seconds = x_cost.seconds_per_image(one, VOC_STATISTICS)
        rows.append([name, f"{seconds:.0f}", "" if printed is None else f"{printed:.1f}", here])
    return markdown(["supervision", "seconds per photo", "mIoU, published", "mIoU, here"], rows)


def finer() -> str:
    """Return mIoU at the finer grid, and how much self-labelling gains on the control, as a Markdown table."""
    runs = recorded_runs(FINER)
    control = runs.cell(_FINER_RUNS[CONTROL], METRIC).values
    rows = []
    for name, where in _FINER_RUNS.items():
        cell = runs.cell(where, METRIC)
        second = where.family == "potts" and name != CONTROL
        gains = [f"{100 * (value - control[seed]):+.1f}" for seed, value in cell.values.items()] if second else []
        rows.append([name, _spread(cell), ", ".join(gains)])
    return f"{markdown(['supervision', 'mIoU, %', 'points above the control, by seed'], rows)}\n\n{origin(FINER)}"


def _spread(cell: Cell) -> str:
    return f"{100 * cell.mean:.1f}" + ("" if pd.isna(cell.std) else f" ± {100 * cell.std:.1f}")


def shares() -> str:
    """Return mIoU of sizes and the share of that of full masks, as a Markdown table."""
    runs, rows, masks = recorded_runs(RECORD), [], Where()
    for name, where in _SHARES.items():
        masks = where if dict(where.fields)["method"] == "full" else masks
        cell, full = runs.cell(where, METRIC), runs.cell(masks, METRIC).values
        share = pd.Series([100 * value / full[seed] for seed, value in cell.values.items()])
        rows.append([name, _spread(cell), "" if where == masks else f"{share.mean():.1f} ± {share.std():.1f} %"])
    return markdown(["supervision", "mIoU, %", "share of full masks"], rows)


def trials() -> str:
    """Return accuracy on the training photos that trials were scored on, as a Markdown table; the best of each line is bold.

    It is mIoU, for scans DSC, and the share of right classes where labels are of whole pictures.
    """
    runs = recorded_runs(SEARCH).rows
    runs = runs.assign(**{METRIC: runs["DSC_val"].fillna(runs[METRIC]).fillna(runs["accuracy_val"])})
    usual = (runs[list(FACTORS)] == 1).all(axis="columns")
    tried = sorted({factor for column in FACTORS for factor in runs[column]})
    rows = []
    # Partial cross-entropy once more is what other second stages are compared with.
    again = (runs["method"] == "pce") & runs["start"].fillna("").ne("")
    asked = runs["method"].mask(again, "control").mask(runs["method"].eq("full") & runs["dataset"].eq("acdc"), "full_scans")
    shorter = runs["length_ratio"].fillna(1.0).map(lambda length: "" if length == 1 else f", length {100 * length:.0f} %")
    for name, of_method in runs.groupby(asked.map(TRIED.__getitem__) + shorter, sort=False):
        for column, times in FACTORS.items():
            scored = of_method[(of_method[column] != 1) | usual[of_method.index]].groupby(column)[METRIC].mean()
            shown = {factor: f"{100 * value:.1f}" for factor, value in scored.items()}
            shown[scored.idxmax()] = f"**{shown[scored.idxmax()]}**"
            if len(shown) > 1:
                rows.append([str(name), times, *(shown.get(factor, "") for factor in tried)])
    return f"{markdown(['method', 'times', *(f'{factor:g}' for factor in tried)], rows)}\n\n{origin(SEARCH)}"


def older_claims() -> str:
    """Return the claims that older records decided, as a Markdown table."""
    rows = []
    for record in sorted(path.parent for path in paths.RECORDED.glob("*/provenance.json")):
        claims = recorded_claims(record)
        decided = claims[claims["verdict"].str.startswith(("holds", "does not hold"))] if record != RECORD else claims.iloc[:0]
        rows.append(decided.assign(record=record.name))
    return "\n".join(table(pd.concat(rows, ignore_index=True), ["record", "claim", "difference", "verdict"]))


def blocks() -> Blocks:
    """Return what stands between the marks of each page."""
    claims = recorded_claims(RECORD)
    made = {(Path("docs/annotate.md"), "budget"): budget(), (Path("docs/evidence-appendix.md"), OLDER): older_claims()}
    made[Path("docs/evidence.md"), "finer"] = finer()
    cost = Path("docs/cost.md")
    made |= {(cost, "steps"): bench_tables.steps(), (cost, "networks"): bench_tables.published_networks()}
    made |= {(cost, "commands"): bench_tables.commands(), (cost, "solvers"): bench_tables.solvers()}
    dense = Path("docs/dense-crf.md")
    made[dense, "filters"] = bench_tables.crf_filters("dense_crf-voc-originals")
    made[dense, "reduced"] = bench_tables.crf_filters("dense_crf-voc-256")
    made[Path("docs/weights.md"), "speeds"] = bench_tables.kept_features()
    made |= {(Path("docs/evidence.md"), "trials"): trials(), (Path("docs/evidence.md"), "shares"): shares()}
    readme, page = (Path("README.md"), "results"), Path("docs/evidence.md")
    if claims.empty:
        nothing = "Nothing is recorded yet."
        return {**made, readme: nothing, (page, "results"): nothing, (page, "curves"): nothing}
    columns = ["claim", "paper", "where", "published", "difference", "detectable", "verdict", "corrected"]
    several = claims["published"].str.count("against") > 1
    short = claims.assign(published=claims["published"].mask(several, "several"))
    whole = [f"{count_sentence(claims)} {HOW} {origin(RECORD)}", "", *table(short, columns)]
    return {**made, readme: front_page(claims), (page, "results"): "\n".join(whole), (page, "curves"): curves()}


def main() -> None:
    """Draw the curves and rewrite the blocks."""
    parser = command_parser(__doc__, "pipeline.report.pages")
    parser.parse_args()
    with clear_errors():
        if (RECORD / "provenance.json").exists():
            write_evidence(RECORD)
        for (path, mark), block in blocks().items():
            replace_block(path, mark, block)


if __name__ == "__main__":
    main()
