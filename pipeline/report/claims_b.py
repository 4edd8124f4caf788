"""What [SSL] claims about trained networks, tested on this project's runs: one row per sentence.

`report.claims` says how a verdict comes about. A claim that the paper makes over all scribble lengths (or shares of corrupted
labels) is tested on the mean over those that were trained, one number per seed. Printed numbers stand beside where there are any;
what the paper shows as a curve only has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import cell, levels, require_ids, require_shared, rows_of
from pipeline.report.claims import EQUIVALENCE_MARGIN, FAILS, HOLDS, Claim, Test, claims_table, equivalent, greater, ordering
from pipeline.report.published import published_value
from pipeline.report.style import BLUE, GREY, TEXT_WIDTH_IN, VERMILION, journal_style, new_figure, scale_note

ID = "b-claims"
KINDS: dict[str, Callable[[Sequence[str]], Test]] = {
    "greater": lambda runs: greater(runs[0], runs[1]),
    "equivalent": lambda runs: equivalent(runs[0], runs[1]),
    "ordering": ordering,
}
"""How the runs of a statement are compared."""
LENGTHS = ("0", "0.3", "0.5", "0.8", "1")
RELAXATION_RUNS = {f"P_{key}": f"potts/{key.lower()}-len{{}}" for key in ("BL", "NQ", "Q", "CCE", "CD", "LQ")}
CROSS_ENTROPY_RUNS = {"H_CE": "cross_entropies/ce-len{}", "H_RCE": "cross_entropies/rce-len{}", "H_CCE": "potts/q-len{}"}
LABEL_NOISE_RUNS = {"H_CE": "label_noise/ce-eta{}", "H_RCE": "label_noise/rce-eta{}", "H_CCE": "label_noise/cce-eta{}"}
GROUPS = {
    "with logarithm": ("P_CCE", "P_CD", "P_LQ"),
    "without logarithm": ("P_BL", "P_NQ", "P_Q"),
    "normalised": ("P_NQ", "P_CD"),
    "not normalised": ("P_BL", "P_Q", "P_CCE", "P_LQ"),
}
"""Relaxations whose mean over all scribble lengths is compared."""
MIOU, ACCURACY = "mIoU_val", "accuracy_val"
TABULATED = ["claim", "paper", "where", "published", "ours", "difference", "n", "verdict"]
"""Columns of the table of claims."""

Place = tuple[str, str, str]
"""Artefact, row and column of a number in `published.csv`."""


class Statement(NamedTuple):
    """A sentence of the paper, in our words, and how it is tested."""

    id: str
    sentence: str
    where: str
    kind: str
    """One of `KINDS`."""
    runs: tuple[str, ...]
    """ "family/run", or the name of a mean over runs made by `_means`."""
    printed: tuple[tuple[Place, ...], ...] = ()
    """Printed numbers of `runs`, each the mean of one or more places; or the printed difference."""


def _each(*places: Place) -> tuple[tuple[Place, ...], ...]:
    return tuple((place,) for place in places)


def _table3(*groups: str) -> tuple[tuple[Place, ...], ...]:
    return tuple(tuple(("b-tab3", name, length) for name in GROUPS[group] for length in LENGTHS) for group in groups)


def _table5(*rows: str) -> tuple[tuple[Place, ...], ...]:
    return _each(*(("b-tab5", row, "mIoU") for row in rows))


def _table6(column: str) -> tuple[tuple[Place, ...], ...]:
    return _each(*(("b-tab6", row, column) for row in ("H_CCE+P_CD", "GridCRF loss", "DenseCRF loss")))


_CD_12, _CD_16 = "scribble_resnet_potts/cd-12", "scribble_resnet_potts/cd-16"
_ROW_CD_12, _ROW_CD_16 = "H_CCE+P_CD (V3+, batch 12)", "H_CCE+P_CD (V3+, batch 16)"
_SOFT = "potts/q-len100"
STATEMENTS = (
    Statement(
        "logarithm",
        "Relaxations with a logarithm are better than those without.",
        "Section 3.1",
        "greater",
        ("with logarithm", "without logarithm"),
        _table3("with logarithm", "without logarithm"),
    ),
    Statement(
        "normalised",
        "Normalised relaxations are better than those that are not.",
        "Section 3.1",
        "greater",
        ("normalised", "not normalised"),
        _table3("normalised", "not normalised"),
    ),
    Statement(
        "quadratic",
        "The quadratic relaxation comes within a point of the best, P_CD.",
        "Section 3.1",
        "equivalent",
        (_SOFT, "potts/cd-len100"),
        _each(("b-tab3", "P_Q", "1"), ("b-tab3", "P_CD", "1")),
    ),
    Statement(
        "length",
        "Longer scribbles give higher accuracy.",
        "Table 3",
        "greater",
        ("potts/cd-len100", "P_CD, shorter scribbles"),
    ),
    Statement(
        "entropy",
        "An entropy term helps H_Q + P_Q, whose labels are overly soft.",
        "Section 3.1",
        "greater",
        ("potts/exact-entropy-len100", "potts/exact-len100"),
        _each(("b-tab3", "H_Q+P_Q+entropy", "1"), ("b-tab3", "H_Q+P_Q", "1")),
    ),
    Statement(
        "collision",
        "The collision cross-entropy is the best of three over all scribble lengths.",
        "Section 3.2, Fig. 4",
        "greater",
        ("H_CCE, all lengths", "H_RCE, all lengths"),
    ),
    Statement(
        "reverse",
        "The reverse cross-entropy is better than the standard one over all scribble lengths.",
        "Section 3.2, Fig. 4",
        "greater",
        ("H_RCE, all lengths", "H_CE, all lengths"),
    ),
    Statement(
        "hard",
        "Soft pseudo-labels are better than their arg max.",
        "Section 3.2",
        "greater",
        (_SOFT, "cross_entropies/hard-len100"),
        _each(("b-fig4", "H_CCE+P_Q", "1"), ("b-fig4", "H_CCE+P_Q, hard pseudo-labels", "1")),
    ),
    Statement(
        "noise",
        "Under label noise the collision cross-entropy is best, then the reverse one, then the standard one.",
        "Fig. 3 (d)",
        "ordering",
        tuple(f"{name}, all label noise" for name in ("H_CCE", "H_RCE", "H_CE")),
    ),
    Statement(
        "nearest",
        "Soft self-labelling wants nearest neighbours, not the dense neighbourhood.",
        "Section 3.3",
        "greater",
        (_SOFT, "methods/soft-dn-len100"),
        _each(("b-sec33", "nearest neighbours", "mIoU"), ("b-sec33", "dense neighbourhood", "mIoU")),
    ),
    Statement(
        "gradient",
        "Gradient descent wants the dense neighbourhood, not nearest neighbours.",
        "Section 3.4, Table 4",
        "greater",
        ("methods/gd-dn-len100", "methods/gd-nn-len100"),
        _each(("b-tab4", "gradient descent", "DN"), ("b-tab4", "gradient descent", "NN")),
    ),
    Statement(
        "hard-nearest",
        "Hard self-labelling wants nearest neighbours, not the dense neighbourhood.",
        "Section 3.4, Table 4",
        "greater",
        ("methods/hard-nn-len100", "methods/hard-dn-len100"),
        _each(("b-tab4", "hard self-labelling", "NN"), ("b-tab4", "hard self-labelling", "DN")),
    ),
    Statement(
        "soft-hard",
        "On nearest neighbours soft self-labelling is better than hard self-labelling.",
        "Section 3.4, Table 4",
        "greater",
        (_SOFT, "methods/hard-nn-len100"),
        _each(("b-tab4", "soft self-labelling", "NN"), ("b-tab4", "hard self-labelling", "NN")),
    ),
    Statement(
        "soft-gradient",
        "Soft self-labelling on nearest neighbours is better than gradient descent on the dense CRF loss.",
        "Section 3.4, Table 4",
        "greater",
        (_SOFT, "methods/gd-dn-len100"),
        _each(("b-tab4", "soft self-labelling", "NN"), ("b-tab4", "gradient descent", "DN")),
    ),
    Statement(
        "full",
        "Soft self-labelling from scribbles outperforms full supervision at batch size 12.",
        "Section 3.5, Table 5",
        "greater",
        (_CD_12, "scribble_resnet/full-12"),
        _table5(_ROW_CD_12, "Deeplab V3+, batch 12"),
    ),
    Statement(
        "densecrf",
        "Soft self-labelling is better than the dense CRF loss.",
        "Table 5",
        "greater",
        (_CD_12, "scribble_resnet_potts/densecrf-12"),
        _table5(_ROW_CD_12, "DenseCRF loss (V3+, batch 12)"),
    ),
    Statement(
        "gridcrf",
        "Soft self-labelling is better than the grid CRF loss.",
        "Table 5",
        "greater",
        (_CD_12, "scribble_resnet_potts/gridcrf-12"),
        _table5(_ROW_CD_12, "GridCRF loss (V3+, batch 12)"),
    ),
    Statement(
        "nonlocalcrf",
        "Soft self-labelling is better than the non-local CRF loss.",
        "Table 5",
        "greater",
        (_CD_12, "scribble_resnet_potts/nonlocalcrf-12"),
        _table5(_ROW_CD_12, "NonlocalCRF loss (V3+, batch 12)"),
    ),
    Statement(
        "divergence",
        "The collision divergence is better than the quadratic relaxation.",
        "Table 5",
        "greater",
        (_CD_12, "scribble_resnet_potts/q-12"),
        _table5(_ROW_CD_12, "H_CCE+P_Q (V3+, batch 12)"),
    ),
    Statement(
        "batch",
        "The larger batch gives higher accuracy.",
        "Section 3.5, Table 5",
        "greater",
        (_CD_16, _CD_12),
        _table5(_ROW_CD_16, _ROW_CD_12),
    ),
    Statement(
        "pretrain",
        "Training on scribbles first gives higher accuracy.",
        "Table 5",
        "greater",
        (_CD_12, "scribble_resnet/cd-12-single"),
        _table5(_ROW_CD_12, "H_CCE+P_CD (V3+, batch 12, no pretrain)"),
    ),
    Statement(
        "cityscapes",
        "On Cityscapes soft self-labelling is better than the grid CRF loss, and that than the dense one.",
        "Table 6",
        "ordering",
        tuple(f"blocks/cityscapes-{name}" for name in ("cd", "gridcrf", "densecrf")),
        _table6("Cityscapes"),
    ),
    Statement(
        "ade20k",
        "On ADE20K soft self-labelling is better than the grid CRF loss, and that than the dense one.",
        "Table 6",
        "ordering",
        tuple(f"blocks/ade20k-{name}" for name in ("cd", "gridcrf", "densecrf")),
        _table6("ADE20K"),
    ),
    Statement(
        "steps",
        "Half the steps for pseudo-labels change accuracy by less than a point.",
        "Appendix B",
        "equivalent",
        ("solvers/steps100-len100", _SOFT),
        _each(("b-appb2", "100 steps", "change of mIoU")),
    ),
)
"""In the order of the paper."""


def compute(results: pd.DataFrame, published: pd.DataFrame, *, made_only: bool = False) -> pd.DataFrame:
    """Return every claim with its verdict.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.
        made_only: leave out claims of which a run is missing, instead of refusing.

    Returns:
        One row per statement: id, kind (of `KINDS`), claim, paper, where, published (printed numbers in the order of the runs, as
        text), ours (mean and standard deviation of each run, as text), difference (with its two-sided 95 % interval, as text; of
        an ordering the weakest step), difference_points, low_points, high_points (NaN for one seed), n (seeds) and verdict.

    Raises:
        ValueError: a run or a value is missing, or runs differ in their seeds or in profile.
    """
    means = _means(results, made_only)
    listed: tuple[Statement, ...] = STATEMENTS
    if made_only:
        made = {*results.index, *(name for name, (runs, _) in means.items() if runs and set(runs) <= set(results.index))}
        listed = tuple(one for one in STATEMENTS if set(one.runs) <= made)
    values = _values(results, listed, means)
    claims = [Claim(one.id, one.sentence, "SSL", one.where, KINDS[one.kind](one.runs)) for one in listed]
    printed = {one.id: _printed(one, published) for one in listed}
    frame = pd.DataFrame(claims_table(claims, values, printed), columns=TABULATED)
    differences = [claim.test(values).difference for claim in claims]
    numbers = {
        "difference_points": [100 * difference.mean for difference in differences],
        "low_points": [100 * difference.low for difference in differences],
        "high_points": [100 * difference.high for difference in differences],
    }
    frame = frame.assign(id=[one.id for one in listed], kind=[one.kind for one in listed], **numbers)
    texts = ["id", "kind", "claim", "paper", "where", "published", "ours", "difference"]
    return frame[[*texts, *numbers, "n", "verdict"]]


def _printed(statement: Statement, published: pd.DataFrame) -> str:
    """Return the printed numbers of a statement as text, empty where the paper prints none."""
    numbers = [[published_value(published, *place) for place in places] for places in statement.printed]
    found = [[value for value in values if value is not None] for values in numbers]
    if any(len(have) < len(values) for have, values in zip(found, numbers, strict=True)):
        raise ValueError(f"{ID}: expected printed numbers at {statement.printed} for claim {statement.id}, got {numbers}")
    return " against ".join(f"{sum(values) / len(values):.2f}" for values in found)


Means = dict[str, tuple[list[str], str]]
"""Means over several runs: name to the runs and their metric."""


def _values(results: pd.DataFrame, listed: Sequence[Statement], means: Means) -> dict[str, list[float]]:
    """Return the values over seeds of all runs and means that the statements name."""
    named = list(dict.fromkeys(run for one in listed for run in one.runs))
    parts = [part for name in named for part in (means[name][0] if name in means else [name])]
    require_ids(results, ID, parts)
    require_shared(results, ID, parts, ["profile"])
    values = {}
    for name in named:
        runs, metric = means.get(name, ([name], MIOU))
        by_run = [cell(results, run, metric, ID).values.values() for run in runs]
        values[name] = [sum(of_seed) / len(of_seed) for of_seed in zip(*by_run, strict=True)]
    return values


def _means(results: pd.DataFrame, made_only: bool) -> Means:
    """Return the means that statements may name; without any run where there is none and `made_only`."""
    relaxations = levels(results, ID, RELAXATION_RUNS, made_only=made_only)
    means: Means = {
        group: ([run for name in names for run in relaxations[name].values()], MIOU) for group, names in GROUPS.items()
    }
    shorter = [run for length, run in relaxations["P_CD"].items() if length < 1]
    if not shorter and not made_only:  # every statement needs a value; runs of one length differ by nothing
        shorter = list(relaxations["P_CD"].values())
    means["P_CD, shorter scribbles"] = (shorter, MIOU)
    for name, runs in levels(results, ID, CROSS_ENTROPY_RUNS, made_only=made_only).items():
        means[f"{name}, all lengths"] = (list(runs.values()), MIOU)
    for name, runs in levels(results, ID, LABEL_NOISE_RUNS, made_only=made_only).items():
        means[f"{name}, all label noise"] = (list(runs.values()), ACCURACY)
    return means


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table of claims with the columns of `claims_table`; differences are points, with their 95 % interval.

    Args:
        frame: from `compute`.
    """
    return frame[TABULATED]


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the differences with their 95 % intervals, a line per claim.

    Right of 0 is the claimed side; for a claim that two runs differ by less than a margin, the grey bar.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 0.9 + 0.19 * len(frame))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=0.8)
    colors = {HOLDS: BLUE, FAILS: VERMILION}
    for place, row in enumerate(frame.to_dict("records")):
        color = colors.get(row["verdict"], GREY)
        if row["kind"] == "equivalent":
            axes.barh(place, 200 * EQUIVALENCE_MARGIN, left=-100 * EQUIVALENCE_MARGIN, height=0.8, color=GREY, alpha=0.2)
        if pd.notna(row["low_points"]):
            axes.plot([row["low_points"], row["high_points"]], [place, place], color=color)
        axes.plot(row["difference_points"], place, "o", color=color)
    axes.set_yticks(range(len(frame)), list(frame["claim"]), fontsize=6)
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("difference (points, 95 % interval)")
    for name, color in (*colors.items(), ("not decided", GREY)):
        axes.plot([], [], "o-", color=color, label=name)
    figure.legend(loc="outside upper center", ncols=3)
    scale_note(figure, rows_of(results, {run for one in STATEMENTS for run in one.runs}))
    return figure
