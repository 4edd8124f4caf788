"""What [SSL] claims about trained networks, tested on this project's runs: one row per sentence.

`verdicts` says how a verdict comes about. A claim that the paper makes over all scribble lengths (or shares of corrupted
labels) is tested on the mean over those that were trained, one number per seed. Printed numbers stand beside where there are any;
what the paper shows as a curve only has none.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.claims import TABULATED, Claim, Curve, Made, PaperClaims, Place, each, mean
from pipeline.report.runs import Where
from pipeline.report.style import BLUE, GREY, TEXT_WIDTH_IN, VERMILION, new_figure
from pipeline.report.verdicts import EQUIVALENCE_MARGIN, FAILS, HOLDS, OPEN, RULE

FAMILIES = (
    "seeds",
    "potts",
    "cross_entropies",
    "methods",
    "solvers",
    "scribble_resnet",
    "scribble_resnet_potts",
    "label_noise",
    "blocks",
)
LENGTHS = ("0", "0.3", "0.5", "0.8", "1")
GROUPS = {
    "with logarithm": ("CCE", "CD", "LQ"),
    "without logarithm": ("BL", "NQ", "Q"),
    "normalised": ("NQ", "CD"),
    "not normalised": ("BL", "Q", "CCE", "LQ"),
}
"""Relaxations whose mean over all scribble lengths is compared."""
_POTTS = Where(family="potts", cross_entropy="cce")
_CD, _Q = _POTTS.but(relaxation="cd"), _POTTS.but(relaxation="q")
_SOFT = _Q.but(length_ratio=1.0)
_QUADRATIC = Where(family="potts", cross_entropy="quadratic", length_ratio=1.0)
_METHODS = Where(family="methods", length_ratio=1.0)
_ONE_STAGE = Where(family="scribble_resnet", training="seeds")
_TWO_STAGES = Where(family="scribble_resnet_potts", training="potts")
_CD_12 = _TWO_STAGES.but(relaxation="cd")
_CD_16 = _CD_12.but(training="potts-16")
_ROW_CD_12, _ROW_CD_16 = "H_CCE+P_CD (V3+, batch 12)", "H_CCE+P_CD (V3+, batch 16)"


def _group(name: str) -> Made:
    return Made(name, tuple(Curve(_POTTS.but(relaxation=key.lower()), "length_ratio") for key in GROUPS[name]), mean)


def _all_lengths(key: str) -> Made:
    where = _Q if key == "cce" else Where(family="cross_entropies", cross_entropy=key, labels="soft")
    return Made(f"H_{key.upper()}, all lengths", (Curve(where, "length_ratio"),), mean)


def _all_label_noise(key: str) -> Made:
    where = Where(family="label_noise", cross_entropy=key)
    return Made(f"H_{key.upper()}, all label noise", (Curve(where, "label_noise"),), mean)


def _blocks(dataset: str) -> tuple[Where, ...]:
    return tuple(Where(family="blocks", dataset=dataset, method=method) for method in ("soft", "gd_nn", "gd_dn"))


def _table3(*groups: str) -> tuple[tuple[Place, ...], ...]:
    return tuple(tuple(("b-tab3", f"P_{key}", length) for key in GROUPS[group] for length in LENGTHS) for group in groups)


def _table5(*rows: str) -> tuple[tuple[Place, ...], ...]:
    return each(*(("b-tab5", row, "mIoU") for row in rows))


def _table6(column: str) -> tuple[tuple[Place, ...], ...]:
    return each(*(("b-tab6", row, column) for row in ("H_CCE+P_CD", "GridCRF loss", "DenseCRF loss")))


CLAIMS = PaperClaims(
    "SSL",
    (
        Claim(
            "logarithm",
            "Relaxations with a logarithm are better than those without.",
            "Section 3.1",
            "greater",
            (_group("with logarithm"), _group("without logarithm")),
            printed=_table3("with logarithm", "without logarithm"),
        ),
        Claim(
            "normalised",
            "Normalised relaxations are better than those that are not.",
            "Section 3.1",
            "greater",
            (_group("normalised"), _group("not normalised")),
            printed=_table3("normalised", "not normalised"),
        ),
        Claim(
            "quadratic",
            "The quadratic relaxation comes within a point of the best, P_CD.",
            "Section 3.1",
            "equivalent",
            (_SOFT, _CD.but(length_ratio=1.0)),
            printed=each(("b-tab3", "P_Q", "1"), ("b-tab3", "P_CD", "1")),
        ),
        Claim(
            "length",
            "Longer scribbles give higher accuracy.",
            "Table 3",
            "greater",
            (_CD.but(length_ratio=1.0), Made("P_CD, shorter scribbles", (Curve(_CD, "length_ratio", below=1.0),), mean)),
        ),
        Claim(
            "entropy",
            "An entropy term helps H_Q + P_Q, whose labels are overly soft.",
            "Section 3.1",
            "greater",
            (_QUADRATIC.but(entropy_term=True), _QUADRATIC.but(entropy_term=False)),
            printed=each(("b-tab3", "H_Q+P_Q+entropy", "1"), ("b-tab3", "H_Q+P_Q", "1")),
        ),
        Claim(
            "collision",
            "The collision cross-entropy is the best of three over all scribble lengths.",
            "Section 3.2, Fig. 4",
            "greater",
            (_all_lengths("cce"), _all_lengths("rce")),
        ),
        Claim(
            "reverse",
            "The reverse cross-entropy is better than the standard one over all scribble lengths.",
            "Section 3.2, Fig. 4",
            "greater",
            (_all_lengths("rce"), _all_lengths("ce")),
        ),
        Claim(
            "hard",
            "Soft pseudo-labels are better than their arg max.",
            "Section 3.2",
            "greater",
            (_SOFT, Where(family="cross_entropies", labels="hard", length_ratio=1.0)),
            printed=each(("b-fig4", "H_CCE+P_Q", "1"), ("b-fig4", "H_CCE+P_Q, hard pseudo-labels", "1")),
        ),
        Claim(
            "noise",
            "Under label noise the collision cross-entropy is best, then the reverse one, then the standard one.",
            "Fig. 3 (d)",
            "ordering",
            tuple(_all_label_noise(key) for key in ("cce", "rce", "ce")),
            metric="accuracy_val",
        ),
        Claim(
            "nearest",
            "Soft self-labelling wants nearest neighbours, not the dense neighbourhood.",
            "Section 3.3",
            "greater",
            (_SOFT, _METHODS.but(method="soft_dn")),
            printed=each(("b-sec33", "nearest neighbours", "mIoU"), ("b-sec33", "dense neighbourhood", "mIoU")),
        ),
        Claim(
            "gradient",
            "Gradient descent wants the dense neighbourhood, not nearest neighbours.",
            "Section 3.4, Table 4",
            "greater",
            (_METHODS.but(method="gd_dn"), _METHODS.but(method="gd_nn")),
            printed=each(("b-tab4", "gradient descent", "DN"), ("b-tab4", "gradient descent", "NN")),
        ),
        Claim(
            "hard-nearest",
            "Hard self-labelling wants nearest neighbours, not the dense neighbourhood.",
            "Section 3.4, Table 4",
            "greater",
            (_METHODS.but(method="hard_nn"), _METHODS.but(method="hard_dn")),
            printed=each(("b-tab4", "hard self-labelling", "NN"), ("b-tab4", "hard self-labelling", "DN")),
        ),
        Claim(
            "soft-hard",
            "On nearest neighbours soft self-labelling is better than hard self-labelling.",
            "Section 3.4, Table 4",
            "greater",
            (_SOFT, _METHODS.but(method="hard_nn")),
            printed=each(("b-tab4", "soft self-labelling", "NN"), ("b-tab4", "hard self-labelling", "NN")),
        ),
        Claim(
            "soft-gradient",
            "Soft self-labelling on nearest neighbours is better than gradient descent on the dense CRF loss.",
            "Section 3.4, Table 4",
            "greater",
            (_SOFT, _METHODS.but(method="gd_dn")),
            printed=each(("b-tab4", "soft self-labelling", "NN"), ("b-tab4", "gradient descent", "DN")),
        ),
        Claim(
            "full",
            "Soft self-labelling from scribbles outperforms full supervision at batch size 12.",
            "Section 3.5, Table 5",
            "greater",
            (_CD_12, _ONE_STAGE.but(method="full")),
            printed=_table5(_ROW_CD_12, "Deeplab V3+, batch 12"),
        ),
        Claim(
            "densecrf",
            "Soft self-labelling is better than the dense CRF loss.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(method="gd_dn")),
            printed=_table5(_ROW_CD_12, "DenseCRF loss (V3+, batch 12)"),
        ),
        Claim(
            "gridcrf",
            "Soft self-labelling is better than the grid CRF loss.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(method="hard_nn")),
            printed=_table5(_ROW_CD_12, "GridCRF loss (V3+, batch 12)"),
        ),
        Claim(
            "nonlocalcrf",
            "Soft self-labelling is better than the non-local CRF loss.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(method="gd_sn")),
            printed=_table5(_ROW_CD_12, "NonlocalCRF loss (V3+, batch 12)"),
        ),
        Claim(
            "divergence",
            "The collision divergence is better than the quadratic relaxation.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(relaxation="q")),
            printed=_table5(_ROW_CD_12, "H_CCE+P_Q (V3+, batch 12)"),
        ),
        Claim(
            "batch",
            "The larger batch gives higher accuracy.",
            "Section 3.5, Table 5",
            "greater",
            (_CD_16, _CD_12),
            printed=_table5(_ROW_CD_16, _ROW_CD_12),
        ),
        Claim(
            "pretrain",
            "Training on scribbles first gives higher accuracy.",
            "Table 5",
            "greater",
            (_CD_12, _ONE_STAGE.but(relaxation="cd")),
            printed=_table5(_ROW_CD_12, "H_CCE+P_CD (V3+, batch 12, no pretrain)"),
        ),
        Claim(
            "cityscapes",
            "On Cityscapes soft self-labelling is better than the grid CRF loss, and that than the dense one.",
            "Table 6",
            "ordering",
            _blocks("cityscapes"),
            printed=_table6("Cityscapes"),
        ),
        Claim(
            "ade20k",
            "On ADE20K soft self-labelling is better than the grid CRF loss, and that than the dense one.",
            "Table 6",
            "ordering",
            _blocks("ade20k"),
            printed=_table6("ADE20K"),
        ),
        Claim(
            "steps",
            "Half the steps for pseudo-labels change accuracy by less than a point.",
            "Appendix B",
            "equivalent",
            (Where(family="solvers", solver="gradient", length_ratio=1.0), _SOFT),
            printed=each(("b-appb2", "100 steps", "change of mIoU")),
        ),
    ),
    digits=".2f",
)


def compute(data: Data) -> pd.DataFrame:
    """Return every claim with its verdict, see `PaperClaims.tested`."""
    return CLAIMS.tested(data)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the differences with their 95 % intervals, a line per claim.

    Right of 0 is the claimed side; for a claim that two runs differ by less than a margin, the grey bar.
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
    for name, color in (*colors.items(), (OPEN, GREY)):
        axes.plot([], [], "o-", color=color, label=name)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


ARTIFACT = Artifact(
    id="b-claims",
    title="What the experiments of [SSL] say, tested over seeds",
    shows="Every sentence of [SSL] that its experiments support, tested on this project's runs, paired over seeds.",
    paper="Numbers that it prints for a claim stand in the column published.",
    look_for="The verdict: fewer than three seeds decide nothing, whatever the difference.",
    runs=tuple(Where(family=family) for family in FAMILIES),
    table_note=f"Ours: {{scale}}. {RULE}",
    compute=compute,
    draw=draw,
    tabulate=lambda frame, _: frame[TABULATED],
)
