"""The claims of [SIZE] that its experiments carry, each tested on this project's runs.

What *holds*, *does not hold* and *not decided* mean is defined in `claims`. Where the paper says "slightly", "close" or
"comparable", the sentence here states the margin that is tested. Its comparison of WideResNet-38 with methods of others needs
numbers at their scale and is left to `fig_a_tab2`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.report.cells import cell, levels, require_ids, require_shared
from pipeline.report.claims import Claim, Test, claims_table, equivalent, greater, ratio_at_least, trend
from pipeline.report.published import published_value

ID = "a-claims"
MARGIN = 0.02
"""What this file takes "slightly" and "close" to mean: 2 points."""
MIOU, TRAIN, SHARE, DSC = "mIoU_val", "mIoU_train", "background_share", "DSC_val"
Printed = tuple[tuple[str, str, str], ...]
"""Published numbers of a claim by (artefact, row, column)."""


class Entry(NamedTuple):
    """A claim, the metric it is about, the runs it compares and the numbers the paper prints for it."""

    claim: Claim
    metric: str
    runs: tuple[str, ...]
    printed: Printed = ()


class Derived(NamedTuple):
    """A quantity that is made from runs, seed by seed."""

    runs: tuple[str, ...]
    combine: Callable[..., float]


_ANIMALS = ("annotated/animals-annotated", "annotated/animals-full")
_SHORT = ("scribble_sizes/size-mre00-len000", "scribble_sizes/pce-crf-len000")
_LONG = ("scribble_sizes/size-mre00-len100", "scribble_sizes/pce-crf-len100")
_GAIN_SHORT, _GAIN_LONG = "gain from sizes at length 0", "gain from sizes at full length"
_ACDC_LOWEST = "acdc/size-mre.., lowest"
_CURVES = {
    "trained": "size_noise/size-crf-mre{}",
    "scribbles": "scribble_sizes/pce-crf-len{}",
    "acdc": "acdc/size-mre{}",
}


def _claim(name: str, where: str, sentence: str, test: Test) -> Claim:
    return Claim(f"size-{name}", sentence, "SIZE", where, test)


def _greater(name: str, where: str, sentence: str, runs: tuple[str, str], metric: str = MIOU, printed: Printed = ()) -> Entry:
    return Entry(_claim(name, where, sentence, greater(*runs)), metric, runs, printed)


def _equivalent(
    name: str, where: str, sentence: str, runs: tuple[str, str], margin: float, metric: str = MIOU, printed: Printed = ()
) -> Entry:
    return Entry(_claim(name, where, sentence, equivalent(*runs, margin=margin)), metric, runs, printed)


def _ratio(name: str, where: str, sentence: str, runs: tuple[str, str], ratio: float, printed: Printed) -> Entry:
    return Entry(_claim(name, where, sentence, ratio_at_least(*runs, ratio=ratio)), MIOU, runs, printed)


def _trend(name: str, where: str, sentence: str, curve: Mapping[float, str], rising: bool, metric: str) -> Entry:
    places = {run: level for level, run in curve.items()}
    return Entry(_claim(name, where, sentence, lambda runs: trend(places, rising)(runs)), metric, tuple(places))


def entries(curves: Mapping[str, Mapping[float, str]]) -> list[Entry]:
    """Return all claims in the order of the paper.

    Args:
        curves: "trained", "scribbles" and "acdc" to (level to run), as `cells.levels` finds them in the results.
    """
    names = ("cat", "dog", "bird")
    return [
        _greater(
            "reverse-accuracy",
            "section 2",
            "forward KL trains better than reverse KL",
            ("size_noise/size-mre00", "size_losses/reverse-kl"),
        ),
        _greater(
            "reverse-trivial",
            "section 2",
            "with reverse KL more pixels are predicted background than with forward KL",
            ("size_losses/reverse-kl", "size_noise/size-mre00"),
            SHARE,
        ),
        _equivalent(
            "suppression",
            "section 2",
            "suppression of absent classes does not change size targets (1 point)",
            ("size_losses/forward-suppression", "size_noise/size-mre00"),
            0.01,
        ),
        _greater(
            "log-barrier",
            "section 1.3",
            "size targets are better than log barriers on tags with suppression",
            ("size_noise/size-mre00", "size_losses/log-barrier-suppression"),
        ),
        _greater(
            "flat-barrier",
            "section 1.3",
            "size targets are better than flat barriers on tags with suppression",
            ("size_noise/size-mre00", "size_losses/flat-barrier-suppression"),
        ),
        _greater(
            "log-barrier-crf",
            "Fig. 2",
            "size targets are better than log barriers on tags, both with CRF loss",
            ("size_noise/size-crf-mre08", "size_losses/log-barrier-crf"),
        ),
        _greater(
            "points",
            "Fig. 1",
            "size targets (8 %, CRF) are better than one point per object (CRF)",
            ("size_noise/size-crf-mre08", "scribble_sizes/pce-crf-len000"),
            printed=(("a-fig1", "size", "mIoU"), ("a-fig1", "point", "mIoU")),
        ),
        _equivalent(
            "robust",
            "section 3.2",
            "at mRE 16 % accuracy is only slightly (2 points) from that of exact sizes",
            ("size_noise/size-mre16", "size_noise/size-mre00"),
            MARGIN,
        ),
        _greater(
            "crf",
            "section 3.2",
            "the CRF loss raises accuracy at mRE 16 %",
            ("size_noise/size-crf-mre16", "size_noise/size-mre16"),
        ),
        _greater(
            "bump",
            "section 3.2",
            "accuracy at mRE 4 % is above that of exact sizes",
            ("size_noise/size-mre04", "size_noise/size-mre00"),
        ),
        _trend(
            "training-falls",
            "section 3.2",
            "accuracy on training images falls with mRE (slope per unit of mRE, with CRF loss)",
            curves["trained"],
            False,
            TRAIN,
        ),
        _greater(
            "short-scribbles",
            "section 3.3",
            "size targets raise accuracy where one point per object is labelled",
            _SHORT,
            printed=(("a-fig4b", "seeds+size", "0"), ("a-fig4b", "seeds", "0")),
        ),
        _equivalent(
            "short-as-long",
            "section 3.3",
            "points with size targets come close (2 points) to scribbles of full length without",
            (_SHORT[0], _LONG[1]),
            MARGIN,
        ),
        _trend(
            "scribbles-degrade",
            "section 3.3",
            "without size targets accuracy rises with scribble length (slope per full length)",
            curves["scribbles"],
            True,
            MIOU,
        ),
        _greater(
            "short-gain-most",
            "section 3.3",
            "size targets help more at length 0 than at full length",
            (_GAIN_SHORT, _GAIN_LONG),
        ),
        _ratio(
            "annotated-share",
            "section 3.4",
            "annotated sizes reach 97.1 % of the accuracy of full masks (printed 89.6 / 92.2)",
            _ANIMALS,
            0.971,
            (("a-fig5b", "human-annotated size", "mIoU"), ("a-fig5b", "full", "mIoU")),
        ),
        _equivalent(
            "annotated-as-synthetic",
            "section 3.5",
            "annotated sizes do as well (1 point) as synthetic ones at mRE 8 %",
            (_ANIMALS[0], "annotated/animals-size-mre08"),
            0.01,
        ),
        *(
            _equivalent(
                f"annotated-{name}",
                "Table 1",
                f"{name}: annotated sizes do as well (1 point) as exact ones",
                (f"annotated/{name}-annotated", f"annotated/{name}-size"),
                0.01,
                printed=(("a-tab1", name, "human-annotated size mIoU"), ("a-tab1", name, "gt size mIoU")),
            )
            for name in names
        ),
        _ratio(
            "resnet-share",
            "section 3.5",
            "ResNet-101: size targets (8 %) reach 91.9 % of the accuracy of full masks (printed 71.9 / 78.2)",
            ("size_noise/size-crf-mre08", "size_noise/full"),
            0.919,
            (("a-tab2", "R101-DeepLabV3+ size (8%)", "PASCAL val mIoU"), ("a-tab2", "R101-DeepLabV3+ full", "PASCAL val mIoU")),
        ),
        _ratio(
            "vit-share",
            "section 3.5",
            "ViT-B: size targets (8 %) reach 95.9 % of the accuracy of full masks (printed 78.1 / 81.4)",
            ("backbones/vit-size", "backbones/vit-full"),
            0.959,
            (("a-tab2", "ViT-B-Linear size (8%)", "PASCAL val mIoU"), ("a-tab2", "ViT-B-Linear full", "PASCAL val mIoU")),
        ),
        _greater(
            "acdc-barrier",
            "section 3.6",
            "ACDC: size targets are better than size barriers at every mRE (the lowest of the curve, per seed)",
            (_ACDC_LOWEST, "acdc/barrier"),
            DSC,
        ),
        _greater(
            "acdc-full",
            "section 3.6",
            "ACDC: size targets at mRE 8 % are better than full masks",
            ("acdc/size-mre08", "acdc/full"),
            DSC,
        ),
        _greater(
            "acdc-bump",
            "section 3.6",
            "ACDC: accuracy at mRE 8 % is above that of exact sizes",
            ("acdc/size-mre08", "acdc/size-mre00"),
            DSC,
        ),
        _equivalent(
            "acdc-mean",
            "section 3.6",
            "ACDC: one mean size target does as well (2 points) as size barriers",
            ("acdc/mean-size", "acdc/barrier"),
            MARGIN,
            DSC,
        ),
    ]


def compute(results: pd.DataFrame, published: pd.DataFrame, *, made_only: bool = False) -> pd.DataFrame:
    """Return one row per claim, in the order of the paper.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.
        made_only: leave out claims of which a run is missing, instead of refusing.

    Returns:
        claim, paper, where, published, ours (per run, in percent), difference (points, with its 95 % interval), n (seeds) and
        verdict, all text but n.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile.
    """
    curves = {name: levels(results, ID, {name: pattern}, made_only=made_only)[name] for name, pattern in _CURVES.items()}
    derived = {
        _GAIN_SHORT: Derived(_SHORT, lambda with_sizes, without: with_sizes - without),
        _GAIN_LONG: Derived(_LONG, lambda with_sizes, without: with_sizes - without),
        _ACDC_LOWEST: Derived(tuple(curves["acdc"].values()), lambda *values: min(values)),
    }

    def parts(entry: Entry) -> list[str]:
        return [run for name in entry.runs for run in (derived[name].runs if name in derived else (name,))]

    listed = entries(curves)
    if made_only:
        listed = [entry for entry in listed if parts(entry) and all(run in results.index for run in parts(entry))]
    ids = {run for entry in listed for run in parts(entry)}
    require_ids(results, ID, sorted(ids))
    require_shared(results, ID, ids, ["profile"])

    def values(name: str, metric: str) -> list[float]:
        if name not in derived:
            return list(cell(results, name, metric, ID).values.values())
        by_run = [values(run, metric) for run in derived[name].runs]
        return [derived[name].combine(*of_seed) for of_seed in zip(*by_run, strict=True)]

    rows: list[dict[str, object]] = []
    for entry in listed:
        runs = {name: values(name, entry.metric) for name in entry.runs}
        rows += claims_table([entry.claim], runs, {entry.claim.id: _printed(entry, published)})
    return pd.DataFrame(rows)


def _printed(entry: Entry, published: pd.DataFrame) -> str:
    numbers = [published_value(published, *place) for place in entry.printed]
    missing = [place for place, number in zip(entry.printed, numbers, strict=True) if number is None]
    if missing:
        raise ValueError(f"{ID}: claim {entry.claim.id}: expected published numbers at {missing}, got none")
    return " against ".join(f"{number:g}" for number in numbers)
