"""The claims of [SIZE] that its experiments carry, each tested on this project's runs.

What *holds*, *does not hold* and *not decided* mean is defined in `verdicts`. Where the paper says "slightly", "close" or
"comparable", the sentence here states the margin that is tested: one-sided where better would be no objection. What it says of
its annotators is tested on annotations of people only, and its comparison with methods of others at the paper's scale only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from pipeline import paths
from pipeline.report.artifact import Artifact
from pipeline.report.claims import (
    TABULATED,
    Claim,
    Curve,
    Fixed,
    Made,
    Measured,
    PaperClaims,
    Reported,
    each,
    gain,
    note_on_chance,
)
from pipeline.report.runs import Where

FAMILIES = ("size_noise", "size_losses", "scribble_sizes", "annotated", "backbones", "acdc")
MARGIN = 0.02
"""What this file takes "slightly" and "close" to mean: 2 points."""
_SIZE = Where(family="size_noise", method="size")
_SIZE_CRF = Where(family="size_noise", method="size_crf")
_FULL = Where(family="size_noise", method="full")
_LOSSES = Where(family="size_losses")
_PCE = Where(family="scribble_sizes", method="pce_crf")
_EXACT = Where(family="scribble_sizes", method="pce_size_crf", mre=0.0)
_POINTS = (_EXACT.but(length_ratio=0.0), _PCE.but(length_ratio=0.0))
_SCRIBBLES = (_EXACT.but(length_ratio=1.0), _PCE.but(length_ratio=1.0))
"""With exact sizes, and without."""
_ONE_CLASS = Where(family="annotated")
_ANIMALS = _ONE_CLASS.but(several_classes=True)
_VIT = Where(family="backbones", dataset="voc", network="vit")
_ACDC = Where(family="acdc")
_ACDC_SIZES = _ACDC.but(method="pce_size")
_OTHERS = ("SSSS (WR38-DeepLabV3+ tags)", "RRM (WR38-Conv tags)")
_WIDE = Where(family="backbones", dataset="voc", network="wideresnet38", method="size_crf")
ANNOTATED = "voc/animals-annotated"
"""Supervision whose annotations are tested."""
TAIL = 3.0
"""An error in the tail is more than so many times the mean one; of Normal errors 1.7 % are."""


def _errors() -> pd.DataFrame | None:
    """Return the annotated sizes with their `error` (RE, not negative); None where a model of an annotator gave them."""
    path = paths.annotation_errors(ANNOTATED)
    errors = pd.read_csv(path) if path.exists() else None
    if errors is None or errors.empty or set(errors["source"]) != {"annotated"}:
        return None
    return errors.assign(error=errors["relative_error"].astype(float).abs())


def _share(fits: Callable[[pd.Series], pd.Series]) -> Sequence[float] | None:
    errors = _errors()
    return None if errors is None else fits(errors["error"]).astype(float).tolist()


def _twice_as_accurate(_: Path) -> Sequence[float] | None:
    """Return for each class of each annotator the ratio of the mean errors without and with a grid.

    In hundredths, as all numbers of a table of claims are shown times 100.
    """
    errors = _errors()
    if errors is None or "grid" not in errors:
        return None
    gridded = errors.dropna(subset="grid").assign(grid=errors["grid"].ne("none"))  # of overlooked classes none is known
    means = gridded.groupby(["annotator", "class", "grid"])["error"].mean().unstack()
    return None if means.shape[1] < 2 or means.dropna().empty else (means[False] / means[True] / 100).dropna().tolist()


CLAIMS = PaperClaims(
    "SIZE",
    (
        Claim(
            "size-reverse-accuracy",
            "forward KL trains better than reverse KL",
            "section 2",
            "greater",
            (_SIZE.but(mre=0.0), _LOSSES.but(objective="reverse-kl")),
        ),
        Claim(
            "size-reverse-trivial",
            "with reverse KL more pixels are predicted background than with forward KL, with and without suppression",
            "section 2",
            "greater",
            (_LOSSES.but(objective="reverse-kl"), _SIZE.but(mre=0.0)),
            metric="background_share",
            also=((_LOSSES.but(objective="reverse-kl-suppression"), _LOSSES.but(objective="size-suppression")),),
        ),
        Claim(
            "size-suppression",
            "suppression of absent classes does not change size targets (1 point)",
            "section 2",
            "equivalent",
            (_LOSSES.but(objective="size-suppression"), _SIZE.but(mre=0.0)),
            options={"margin": 0.01},
        ),
        Claim(
            "size-log-barrier",
            "size targets are better than log barriers on tags, with and without suppression",
            "section 1.3",
            "greater",
            (_SIZE.but(mre=0.0), _LOSSES.but(objective="log-barrier"), _LOSSES.but(objective="log-barrier-suppression")),
        ),
        # Apart: a flat barrier alone has no gradient once each tag has its hundredth, as in a network that knows nothing.
        Claim(
            "size-flat-barrier",
            "size targets are better than flat barriers on tags, without suppression",
            "section 1.3",
            "greater",
            (_SIZE.but(mre=0.0), _LOSSES.but(objective="flat-barrier")),
        ),
        Claim(
            "size-flat-barrier-suppression",
            "size targets are better than flat barriers on tags, with suppression",
            "section 1.3",
            "greater",
            (_SIZE.but(mre=0.0), _LOSSES.but(objective="flat-barrier-suppression")),
        ),
        Claim(
            "size-equal-sizes",
            "log barriers are biased to equal sizes: they leave less background than size targets, both with CRF loss",
            "section 1.2",
            "greater",
            (_SIZE_CRF.but(mre=0.08), _LOSSES.but(objective="log-barrier-crf")),
            metric="background_share",
        ),
        Claim(
            "size-crf-suppresses",
            "the CRF loss suppresses redundant classes: fewer pixels get a class that is not in the image, at every mRE",
            "section 2",
            "greater",
            (Curve(_SIZE, "mre"), Curve(_SIZE_CRF, "mre")),
            metric="absent_share",
        ),
        Claim(
            "size-log-barrier-crf",
            "size targets are better than log barriers on tags, both with CRF loss",
            "Fig. 2",
            "greater",
            (_SIZE_CRF.but(mre=0.08), _LOSSES.but(objective="log-barrier-crf")),
        ),
        Claim(
            "size-points",
            "size targets (8 %, CRF) are better than one point per object (CRF)",
            "Fig. 1",
            "greater",
            (_SIZE_CRF.but(mre=0.08), _POINTS[1]),
            printed=each(("a-fig1", "size", "mIoU"), ("a-fig1", "point", "mIoU")),
        ),
        Claim(
            "size-robust",
            "up to mRE 16 % accuracy is at most slightly (2 points) below that of exact sizes",
            "section 3.2",
            "not worse",
            (Curve(_SIZE, "mre", above=0.0, up_to=0.16, fewest=1), _SIZE.but(mre=0.0)),
            options={"margin": MARGIN},
        ),
        Claim(
            "size-crf",
            "the CRF loss raises accuracy at every mRE",
            "section 3.2",
            "greater",
            (Curve(_SIZE_CRF, "mre"), Curve(_SIZE, "mre")),
        ),
        Claim(
            "size-bump",
            "accuracy at mRE 4 % is above that of exact sizes, without and with CRF loss",
            "section 3.2",
            "greater",
            (_SIZE.but(mre=0.04), _SIZE.but(mre=0.0)),
            also=((_SIZE_CRF.but(mre=0.04), _SIZE_CRF.but(mre=0.0)),),
        ),
        Claim(
            "size-training-falls",
            "accuracy on training images falls with mRE (slope per unit of mRE, with CRF loss)",
            "section 3.2",
            "falling",
            (Curve(_SIZE_CRF, "mre"),),
            metric="mIoU_train",
        ),
        Claim(
            "size-short-scribbles",
            "size targets raise accuracy where one point per object is labelled, at mRE 0, 8 and 16 %",
            "section 3.3",
            "greater",
            _POINTS,
            printed=each(("a-fig4b", "seeds+size", "0"), ("a-fig4b", "seeds", "0")),
            also=tuple((_POINTS[0].but(mre=mre), _POINTS[1]) for mre in (0.08, 0.16)),
        ),
        Claim(
            "size-seeds",
            "exact size targets raise accuracy at every scribble length",
            "section 3.3",
            "greater",
            (Curve(_EXACT, "length_ratio"), Curve(_PCE, "length_ratio")),
        ),
        Claim(
            "size-short-as-long",
            "points with size targets come close to (at most 2 points below) scribbles of full length without",
            "section 3.3",
            "not worse",
            (_POINTS[0], _SCRIBBLES[1]),
            options={"margin": MARGIN},
        ),
        Claim(
            "size-scribbles-degrade",
            "without size targets accuracy rises with scribble length (slope per full length)",
            "section 3.3",
            "rising",
            (Curve(_PCE, "length_ratio"),),
        ),
        Claim(
            "size-short-gain-most",
            "size targets help more at length 0 than at every greater length",
            "section 3.3",
            "greater",
            (
                Made("gain from sizes at length 0", _POINTS, gain),
                Made(
                    "gain from sizes at length",
                    tuple(Curve(of, "length_ratio", above=0.0, fewest=1) for of in (_EXACT, _PCE)),
                    gain,
                    at_each_level=True,
                ),
            ),
        ),
        Claim(
            "size-annotated-share",
            "annotated sizes reach 97.2 % of the accuracy of full masks (tested against 97.1 %, as 89.6 / 92.2 is rounded up)",
            "section 3.4",
            "ratio",
            (_ANIMALS.but(method="annotated"), _ANIMALS.but(method="full")),
            options={"ratio": 0.971},
            printed=each(("a-fig5b", "human-annotated size", "mIoU"), ("a-fig5b", "full", "mIoU")),
        ),
        Claim(
            "size-annotated-as-synthetic",
            "annotated sizes do as well (1 point) as synthetic ones at mRE 8 %",
            "section 3.5",
            "equivalent",
            (_ANIMALS.but(method="annotated"), _ANIMALS.but(method="size_crf", mre=0.08)),
            options={"margin": 0.01},
        ),
        *(
            Claim(
                f"size-annotated-{name}",
                f"{name}: annotated sizes do as well as (at most 1 point below) exact ones",
                "Table 1",
                "not worse",
                (_ONE_CLASS.but(classes=name, method="annotated"), _ONE_CLASS.but(classes=name, method="size_crf")),
                options={"margin": 0.01},
                printed=each(("a-tab1", name, "human-annotated size mIoU"), ("a-tab1", name, "gt size mIoU")),
            )
            for name in ("cat", "dog", "bird")
        ),
        Claim(
            "size-resnet-share",
            "ResNet-101: size targets (8 %) reach 92 % of the accuracy of full masks (tested against 91.9 %, as 71.9 / 78.2 is "
            "rounded up)",
            "section 3.5",
            "ratio",
            (_SIZE_CRF.but(mre=0.08), _FULL),
            options={"ratio": 0.919},
            printed=each(
                ("a-tab2", "R101-DeepLabV3+ size (8%)", "PASCAL val mIoU"), ("a-tab2", "R101-DeepLabV3+ full", "PASCAL val mIoU")
            ),
        ),
        Claim(
            "size-vit-share",
            "ViT-B: size targets (8 %) reach 96 % of the accuracy of full masks (tested against 95.9 %, as 78.1 / 81.4 is "
            "rounded up)",
            "section 3.5",
            "ratio",
            (_VIT.but(method="size_crf"), _VIT.but(method="full")),
            options={"ratio": 0.959},
            printed=each(
                ("a-tab2", "ViT-B-Linear size (8%)", "PASCAL val mIoU"), ("a-tab2", "ViT-B-Linear full", "PASCAL val mIoU")
            ),
        ),
        Claim(
            "size-wide",
            "WideResNet-38: size targets (8 %) are about 10 points (tested: 9.5) above SSSS and RRM on tags",
            "section 3.5",
            "greater",
            (_WIDE, *(Reported(("a-tab2", row, "PASCAL val mIoU")) for row in _OTHERS)),
            options={"by": 0.095},
            printed=each(*(("a-tab2", row, "PASCAL val mIoU") for row in ("WR38-DeepLabV3+ size (8%)", *_OTHERS))),
        ),
        Claim(
            "size-annotators-small",
            "most errors of annotated sizes are below 10 %",
            "section 3.4",
            "greater",
            (Measured("share of errors below 10 %", lambda _: _share(lambda of: of < 0.1)), Fixed("half of them", 0.5)),
        ),
        Claim(
            "size-annotators-tail",
            "annotators' errors have heavy tails: more of them are beyond three times the mean than of Normal errors",
            "section 3.4",
            "greater",
            (
                Measured("share of errors beyond three times the mean", lambda _: _share(lambda of: of > TAIL * of.mean())),
                Fixed("of Normal errors", 0.0167),
            ),
        ),
        Claim(
            "size-annotators-grid",
            "with a grid annotators are about twice as accurate (tested: 1.5 times, by annotator and class)",
            "section 3.4",
            "greater",
            (Measured("times larger without grid", _twice_as_accurate), Fixed("limit", 0.015)),
            printed=each(("a-claims", "grid", "times more accurate")),
        ),
        Claim(
            "size-acdc-barrier",
            "ACDC: size targets are better than size barriers at every mRE",
            "section 3.6",
            "greater",
            (Curve(_ACDC_SIZES, "mre"), _ACDC.but(method="barrier")),
            metric="DSC_val",
        ),
        Claim(
            "size-acdc-full",
            "ACDC: size targets at mRE 8 % are better than full masks",
            "section 3.6",
            "greater",
            (_ACDC_SIZES.but(mre=0.08), _ACDC.but(method="full")),
            metric="DSC_val",
        ),
        Claim(
            "size-acdc-bump",
            "ACDC: accuracy at mRE 8 % is above that of exact sizes",
            "section 3.6",
            "greater",
            (_ACDC_SIZES.but(mre=0.08), _ACDC_SIZES.but(mre=0.0)),
            metric="DSC_val",
        ),
        Claim(
            "size-acdc-mean",
            "ACDC: one mean size target does as well as (at most 2 points below) size barriers",
            "section 3.6",
            "not worse",
            (_ACDC.but(method="mean_size"), _ACDC.but(method="barrier")),
            metric="DSC_val",
            options={"margin": MARGIN},
        ),
    ),
    digits="g",
)


ARTIFACT = Artifact(
    id="a-claims",
    title="What the experiments of [SIZE] say, tested over seeds",
    shows="Every sentence of [SIZE] that its experiments support, tested on this project's runs, paired over seeds.",
    paper="Numbers that it prints for a claim stand in the column published.",
    look_for="The verdict: fewer than three seeds decide nothing, whatever the difference.",
    runs=tuple(Where(family=family) for family in FAMILIES),
    inputs=(paths.supervision(ANNOTATED),),
    table_note=lambda frame: f"Ours: {{scale}}. {note_on_chance(frame)}",
    compute=CLAIMS.tested,
    tabulate=lambda frame, _: frame[TABULATED],
)
