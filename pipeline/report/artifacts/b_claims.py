"""What [SSL] claims about trained networks, tested on this project's runs: one row per sentence.

`verdicts` says how a verdict comes about. A claim that the paper makes for all scribble lengths (or shares of corrupted labels)
must hold at each that was trained. What it says of groups of relaxations must hold for every pair of them that differs in nothing
but what the group is named after, on the mean over the lengths: the paper's own pairs are hundredths of a point apart at some.
Printed numbers stand beside where there are any; what the paper shows as a curve only has none.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.claims import (
    NOT_TESTED,
    TABULATED,
    Claim,
    Curve,
    Fixed,
    Made,
    Measured,
    PaperClaims,
    Place,
    Quantity,
    Reported,
    each,
    mean,
    note_on_chance,
)
from pipeline.report.runs import Where
from pipeline.report.style import BLACK, BLUE, GREY, TEXT_WIDTH_IN, VERMILION, new_figure
from pipeline.report.verdicts import FAILS, HOLDS, LEVEL, OPEN

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
RELAXATIONS = ("BL", "NQ", "Q", "CCE", "CD", "LQ")
LOGARITHMIC = (("CCE", "BL"), ("CD", "NQ"), ("LQ", "Q"))
"""A relaxation that is the logarithm of another one, and that one."""
NORMALISED = (("NQ", "BL"), ("NQ", "Q"), ("CD", "CCE"), ("CD", "LQ"))
"""A relaxation that is another one of normalised labels, and that one."""
_POTTS = Where(family="potts", cross_entropy="cce")
_CD, _Q = _POTTS.but(relaxation="cd"), _POTTS.but(relaxation="q")
_SOFT = _Q.but(length_ratio=1.0)
_QUADRATIC = Where(family="potts", cross_entropy="quadratic", length_ratio=1.0)
_METHODS = Where(family="methods", length_ratio=1.0)
_ONE_STAGE = Where(family="scribble_resnet", training="seeds")
_TWO_STAGES = Where(family="scribble_resnet_potts", training="potts")
_CD_12 = _TWO_STAGES.but(relaxation="cd")
_CD_16 = _CD_12.but(training="potts-16")
_Q_12 = _TWO_STAGES.but(relaxation="q")
_PANELS = Where(family="seeds")
"""Predictions of one of these runs are what pseudo-labels of figures start from."""
_AT_16 = ("URSS (V2, batch 16)", "SPML (V2, batch 16)", "TEL (V3+, batch 16)")
_ROW_CD_12, _ROW_CD_16 = "H_CCE+P_CD (V3+, batch 12)", "H_CCE+P_CD (V3+, batch 16)"


STEP_TIMES = paths.RECORDED / "bench/steps-published-networks-cpu.csv"
"""Times of training steps of the published networks."""
FARTHEST = 30.0
"""Points; a difference beyond is a triangle at the edge of the figure."""


def _relaxation(key: str) -> Where:
    return _POTTS.but(relaxation=key.lower())


def _pairs(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[Quantity, ...], ...]:
    """Return pairs of relaxations, each by its mean over the lengths that were trained."""
    return tuple(
        tuple(Made(f"P_{key}, mean over lengths", (Curve(_relaxation(key), "length_ratio"),), mean) for key in pair)
        for pair in pairs
    )


def _lengths(key: str) -> Curve:
    where = _Q if key == "cce" else Where(family="cross_entropies", cross_entropy=key, labels="soft")
    return Curve(where, "length_ratio")


def _label_noise(key: str) -> Curve:
    return Curve(Where(family="label_noise", cross_entropy=key), "label_noise", above=0.0, fewest=1)


def _method(key: str) -> Curve:
    return Curve(Where(family="methods", method=key), "length_ratio")


def _pseudo_labels(plotted: Path) -> list[float] | None:
    """Return how much more of the true class nearest labels have than dense ones, by picture."""
    if not plotted.exists():
        return None
    right = pd.read_csv(plotted).pivot(index="image", columns="series", values="correct_percent").dropna() / 100
    return (right["nearest"] - right["dense"]).tolist()


def _jaccard(plotted: Path) -> list[float] | None:
    """Return the soft Jaccard index of the published 200 steps with the exact optimum, by picture; None if they were not made."""
    if not plotted.exists():
        return None
    solved = pd.read_csv(plotted)
    of_paper = solved[(solved["case"] == "H_Q+P_Q") & (solved["solver"] == "gradient") & (solved["steps"] == 200)]
    return (of_paper["soft_jaccard_percent"] / 100).tolist() or None


def _times_longer(_: Path) -> list[float] | None:
    """Return how many times longer a training step takes with the published steps than with the dense CRF loss, by network.

    In hundredths, as all numbers of a table of claims are shown times 100.
    """
    if not STEP_TIMES.exists():
        return None
    times = pd.read_csv(STEP_TIMES)
    times = times[times["solver"].isin(["gradient, 200 steps"]) | times["objective"].eq("dense-crf")]
    times = times.pivot(index="network", columns="objective", values="step_ms")
    return (times["soft-cd"] / times["dense-crf"] / 100).dropna().tolist()


def _blocks(dataset: str) -> tuple[Where, ...]:
    return tuple(Where(family="blocks", dataset=dataset, method=method) for method in ("soft", "gd_nn", "gd_dn"))


def _table3(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[Place, ...], ...]:
    """Return where the numbers of the first and of the second relaxation of all pairs are printed."""
    return tuple(
        tuple(("b-tab3", f"P_{key}", length) for key in dict.fromkeys(keys) for length in LENGTHS) for keys in zip(*pairs)
    )


def _table5(*rows: str) -> tuple[tuple[Place, ...], ...]:
    return each(*(("b-tab5", row, "mIoU") for row in rows))


def _table6(column: str) -> tuple[tuple[Place, ...], ...]:
    return each(*(("b-tab6", row, column) for row in ("H_CCE+P_CD", "GridCRF loss", "DenseCRF loss")))


CLAIMS = PaperClaims(
    "SSL",
    (
        Claim(
            "logarithm",
            "Relaxations with a logarithm are better than those without: CCE than BL, CD than NQ, LQ than Q.",
            "Section 3.1",
            "greater",
            _pairs(LOGARITHMIC)[0],
            printed=_table3(LOGARITHMIC),
            also=_pairs(LOGARITHMIC)[1:],
        ),
        Claim(
            "normalised",
            "Normalised relaxations are better than those that are not: NQ than BL and Q, CD than CCE and LQ.",
            "Section 3.1",
            "greater",
            _pairs(NORMALISED)[0],
            printed=_table3(NORMALISED),
            also=_pairs(NORMALISED)[1:],
        ),
        Claim(
            "quadratic",
            "The quadratic relaxation is at most 1 point below each of the others, at every length.",
            "Section 3.1",
            "not worse",
            tuple(Curve(_relaxation(key), "length_ratio") for key in ("Q", "BL", "NQ", "CCE", "CD", "LQ")),
            options={"margin": 0.01},
            printed=each(*(("b-tab3", f"P_{key}", "1") for key in ("Q", "BL", "NQ", "CCE", "CD", "LQ"))),
        ),
        Claim(
            "log-quadratic",
            "The log-quadratic relaxation is to be recommended: at most half a point below each of the others, at every length.",
            "Section 4",
            "not worse",
            tuple(Curve(_relaxation(key), "length_ratio") for key in ("LQ", "BL", "NQ", "Q", "CCE", "CD")),
            options={"margin": 0.005},
            printed=each(*(("b-tab3", f"P_{key}", "1") for key in ("LQ", "BL", "NQ", "Q", "CCE", "CD"))),
        ),
        Claim(
            "length",
            "Every longer scribble gives higher accuracy, with every relaxation.",
            "Table 3",
            "climbing",
            (Curve(_relaxation("BL"), "length_ratio"),),
            also=tuple((Curve(_relaxation(key), "length_ratio"),) for key in RELAXATIONS[1:]),
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
            "The collision cross-entropy is better than the reverse and the standard one at every scribble length.",
            "Section 3.2, Fig. 4",
            "greater",
            (_lengths("cce"), _lengths("rce"), _lengths("ce")),
        ),
        Claim(
            "reverse",
            "The reverse cross-entropy is better than the standard one at every scribble length.",
            "Section 3.2, Fig. 4",
            "greater",
            (_lengths("rce"), _lengths("ce")),
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
            "At every label noise the collision cross-entropy is best, then the reverse one, then the standard one.",
            "Fig. 3 (d)",
            "ordering",
            tuple(_label_noise(key) for key in ("cce", "rce", "ce")),
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
            "dense-labels",
            "From the same predictions the dense neighbourhood gives worse pseudo-labels (probability of the true class).",
            "Section 3.3, Fig. 5",
            "greater",
            (Measured("nearest minus dense", _pseudo_labels, _PANELS, "b-fig5"), Fixed("none", 0.0)),
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
            "soft-everywhere",
            "Soft self-labelling on nearest neighbours is better than every other method at every scribble length.",
            "Fig. 6",
            "greater",
            (_lengths("cce"), *(_method(key) for key in ("gd_nn", "gd_dn", "hard_nn", "hard_dn", "soft_dn"))),
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
            "Soft self-labelling (P_CD and P_Q) is better than the dense CRF loss.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(method="gd_dn")),
            printed=_table5(_ROW_CD_12, "DenseCRF loss (V3+, batch 12)"),
            also=((_Q_12, _TWO_STAGES.but(method="gd_dn")),),
        ),
        Claim(
            "gridcrf",
            "Soft self-labelling (P_CD and P_Q) is better than the grid CRF loss.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(method="hard_nn")),
            printed=_table5(_ROW_CD_12, "GridCRF loss (V3+, batch 12)"),
            also=((_Q_12, _TWO_STAGES.but(method="hard_nn")),),
        ),
        Claim(
            "nonlocalcrf",
            "Soft self-labelling (P_CD and P_Q) is better than the non-local CRF loss.",
            "Table 5",
            "greater",
            (_CD_12, _TWO_STAGES.but(method="gd_sn", training="potts-gd")),
            printed=_table5(_ROW_CD_12, "NonlocalCRF loss (V3+, batch 12)"),
            also=((_Q_12, _TWO_STAGES.but(method="gd_sn", training="potts-gd")),),
        ),
        Claim(
            "divergence",
            "The collision divergence is better than the quadratic relaxation.",
            "Table 5",
            "greater",
            (_CD_12, _Q_12),
            printed=_table5(_ROW_CD_12, "H_CCE+P_Q (V3+, batch 12)"),
        ),
        Claim(
            "batch",
            "The larger batch gives higher accuracy: with and without pre-training, and under full supervision.",
            "Section 3.5, Table 5",
            "greater",
            (_CD_16, _CD_12),
            printed=_table5(_ROW_CD_16, _ROW_CD_12),
            also=tuple(
                (run.but(training="seeds-16"), run) for run in (_ONE_STAGE.but(relaxation="cd"), _ONE_STAGE.but(method="full"))
            ),
        ),
        Claim(
            "pretrain",
            "Training on scribbles first gives higher accuracy, at both batch sizes.",
            "Table 5",
            "greater",
            (_CD_12, _ONE_STAGE.but(relaxation="cd")),
            printed=_table5(_ROW_CD_12, "H_CCE+P_CD (V3+, batch 12, no pretrain)"),
            also=((_CD_16, _ONE_STAGE.but(relaxation="cd", training="seeds-16")),),
        ),
        Claim(
            "batch-others",
            "At batch size 12 soft self-labelling is better than several methods of others at 16 (URSS, SPML, TEL).",
            "Section 3.5, Table 5",
            "greater",
            (_CD_12, *(Reported(("b-tab5", row, "mIoU")) for row in _AT_16)),
            printed=_table5(_ROW_CD_12, *_AT_16),
        ),
        Claim(
            "cityscapes",
            "On Cityscapes soft self-labelling is better than the grid and the dense CRF loss.",
            "Table 6",
            "greater",
            _blocks("cityscapes"),
            printed=_table6("Cityscapes"),
        ),
        Claim(
            "ade20k",
            "On ADE20K soft self-labelling is better than the grid and the dense CRF loss.",
            "Table 6",
            "greater",
            _blocks("ade20k"),
            printed=_table6("ADE20K"),
        ),
        Claim(
            "steps",
            "With half the steps for pseudo-labels accuracy is at most 1 point lower.",
            "Appendix B",
            "not worse",
            (Where(family="solvers", solver="gradient", length_ratio=1.0), _SOFT),
            options={"margin": 0.01},
            printed=each(("b-appb2", "100 steps", "change of mIoU")),
        ),
        Claim(
            "time",
            "With 200 steps training takes about three times as long as gradient descent on the dense CRF loss (tested: 2 to 4).",
            "Appendix B",
            "equivalent",
            (Measured("times longer, by network", _times_longer), Fixed("published", 0.03)),
            options={"margin": 0.01},
            printed=each(("b-appb2", "200 steps", "training time")),
        ),
        Claim(
            "optimum",
            "The steps come close to the exact optimum: soft Jaccard index at most 1 point below the printed 99.2 %.",
            "Appendix B",
            "greater",
            (Measured("soft Jaccard index by picture", _jaccard, _PANELS, "b-appb1"), Fixed("limit", 0.982)),
            printed=each(("b-appb1", "gradient, 200 steps", "soft Jaccard")),
        ),
    ),
    digits=".2f",
)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the differences with their 95 % intervals, a line per claim.

    Right of 0 is the claimed side; a grey bar is where the difference must lie instead. What is not tested has no dot.
    """
    figure = new_figure(TEXT_WIDTH_IN, 0.9 + 0.19 * len(frame))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=0.8)
    colors = {HOLDS: BLUE, FAILS: VERMILION, LEVEL: BLACK}
    ends = frame[["difference_points", "low_points", "high_points"]].max().max()
    for place, row in enumerate(frame.to_dict("records")):
        color = colors.get(row["verdict"], GREY)
        if row["verdict"] == NOT_TESTED:
            axes.annotate(NOT_TESTED, (0, place), color=GREY, fontsize=5, ha="center", va="center")
            continue
        if row["from_points"] != 0:
            end = min(row["to_points"], max(ends, 1.0))
            axes.barh(place, end - row["from_points"], left=row["from_points"], height=0.8, color=GREY, alpha=0.2)
        if pd.notna(row["low_points"]):
            axes.plot([row["low_points"], row["high_points"]], [place, place], color=color)
        far = math.copysign(FARTHEST, row["difference_points"])
        beyond = abs(row["difference_points"]) > FARTHEST
        marker = "o" if not beyond else ">" if far > 0 else "<"
        axes.plot(far if beyond else row["difference_points"], place, marker, color=color, clip_on=False)
    axes.set_yticks(range(len(frame)), list(frame["claim"]), fontsize=6)
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -FARTHEST), min(high, FARTHEST))
    axes.set_xlabel("difference (points, 95 % interval)")
    for name, color in (*colors.items(), (OPEN, GREY)):
        axes.plot([], [], "o-", color=color, label=name)
    handles = [*axes.get_legend_handles_labels()[0], Patch(color=GREY, alpha=0.2, label="claimed range, if not above 0")]
    figure.legend(handles=handles, loc="outside upper center", ncols=5)
    return figure


ARTIFACT = Artifact(
    id="b-claims",
    title="What the experiments of [SSL] say, tested over seeds",
    shows="Every sentence of [SSL] that its experiments support, tested on this project's runs, paired over seeds.",
    paper="Numbers that it prints for a claim stand in the column published.",
    look_for="The verdict: fewer than three seeds decide nothing, whatever the difference.",
    runs=tuple(Where(family=family) for family in FAMILIES),
    inputs=(paths.plotted("b-fig5"), paths.plotted("b-appb1"), STEP_TIMES),
    table_note=lambda frame: f"Ours: {{scale}}. {note_on_chance(frame)}",
    compute=CLAIMS.tested,
    draw=draw,
    tabulate=lambda frame, _: frame[TABULATED],
)
