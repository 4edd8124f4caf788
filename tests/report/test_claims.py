"""The claims of both papers, on made-up results in which all runs are equal but for those that a test changes."""

import pandas as pd
import pytest
from report_runs import changed, make_data, names, without

from pipeline.report.artifacts import a_claims, b_claims, load
from pipeline.report.claims import KINDS, TABULATED, Claim, PaperClaims, interval, spread
from pipeline.report.runs import Runs, Where
from pipeline.report.verdicts import Difference

PAPERS = {"a-claims": a_claims.CLAIMS, "b-claims": b_claims.CLAIMS}
METRICS = ["mIoU_val", "mIoU_train", "DSC_val", "accuracy_val", "background_share"]


@pytest.fixture(scope="module")
def level(results_of_three_seeds):
    """All runs at 50 %, seeds a hundredth apart."""
    equal = pd.DataFrame(dict.fromkeys(METRICS, 0.5 + results_of_three_seeds["seed"] / 100))
    return results_of_three_seeds.assign(**equal)


@pytest.fixture
def tested(level, published):
    """Return a claim of a paper, tested with some runs better or worse."""

    def test(name, claim, *changes):
        rows = level
        for runs, by in changes:
            rows = changed(rows, runs, by=by)
        frame = PAPERS[name].tested(make_data(name, rows, published))
        return frame[frame["id"] == claim].iloc[0]

    return test


def verdict(tested, name, claim, *changes):
    return tested(name, claim, *changes)["verdict"]


@pytest.mark.parametrize("name", PAPERS)
def test_every_claim_has_a_name_of_its_own_a_place_and_a_kind(name, level, published):
    claims = PAPERS[name].claims
    assert len({claim.id for claim in claims}) == len(claims) == {"a-claims": 26, "b-claims": 24}[name]
    assert all(claim.where and claim.kind in KINDS for claim in claims)
    assert all(len(claim.printed) in (0, 1, len(claim.of)) for claim in claims)
    assert PAPERS[name].tested(make_data(name, level, published))["id"].tolist() == [claim.id for claim in claims]


@pytest.mark.parametrize("name", PAPERS)
def test_one_seed_decides_nothing_but_shows_the_difference(name, results, published):
    frame = PAPERS[name].tested(make_data(name, results, published))
    assert set(frame["verdict"]) == {"not decided (1 seed)"}
    assert frame["difference_points"].notna().all()
    assert frame["low_points"].isna().all()


@pytest.mark.parametrize(
    ("name", "claim", "better", "worse"),
    [
        ("a-claims", "size-reverse-accuracy", "size_noise/size-mre00", "size_losses/reverse-kl"),
        ("a-claims", "size-log-barrier-crf", "size_noise/size-crf-mre08", "size_losses/log-barrier-crf"),
        ("a-claims", "size-points", "size_noise/size-crf-mre08", "scribble_sizes/pce-crf-len000"),
        ("a-claims", "size-crf", "size_noise/size-crf-mre16", "size_noise/size-mre16"),
        ("a-claims", "size-bump", "size_noise/size-mre04", "size_noise/size-mre00"),
        ("a-claims", "size-reverse-trivial", "size_losses/reverse-kl", "size_noise/size-mre00"),
        ("a-claims", "size-short-gain-most", "scribble_sizes/size-mre00-len000", "scribble_sizes/size-mre00-len100"),
        ("a-claims", "size-acdc-full", "acdc/size-mre08", "acdc/full"),
        ("b-claims", "hard", "potts/q-len100", "cross_entropies/hard-len100"),
        ("b-claims", "entropy", "potts/exact-entropy-len100", "potts/exact-len100"),
        ("b-claims", "length", "potts/cd-len100", ("potts/cd-len000", "potts/cd-len050")),
        ("b-claims", "reverse", ("cross_entropies/rce-len000", "cross_entropies/rce-len100"), "cross_entropies/ce-len050"),
        ("b-claims", "nearest", "potts/q-len100", "methods/soft-dn-len100"),
        ("b-claims", "gradient", "methods/gd-dn-len100", "methods/gd-nn-len100"),
        ("b-claims", "full", "scribble_resnet_potts/cd-12", "scribble_resnet/full-12"),
        ("b-claims", "gridcrf", "scribble_resnet_potts/cd-12", "scribble_resnet_potts/gridcrf-12"),
        ("b-claims", "batch", "scribble_resnet_potts/cd-16", "scribble_resnet_potts/cd-12"),
        ("b-claims", "pretrain", "scribble_resnet_potts/cd-12", "scribble_resnet/cd-12-single"),
    ],
)
def test_a_comparison_holds_where_it_is_true_and_does_not_where_it_is_wrong(tested, name, claim, better, worse):
    assert verdict(tested, name, claim) == "not decided"
    assert verdict(tested, name, claim, (better, 0.1)) == "holds"
    assert verdict(tested, name, claim, (worse, 0.1)) == "does not hold"


@pytest.mark.parametrize(
    ("name", "claim", "run"),
    [
        ("a-claims", "size-suppression", "size_losses/forward-suppression"),
        ("a-claims", "size-annotated-dog", "annotated/dog-annotated"),
        ("a-claims", "size-acdc-mean", "acdc/barrier"),
        ("b-claims", "quadratic", "potts/cd-len100"),
        ("b-claims", "steps", "solvers/steps100-len100"),
    ],
)
def test_equal_runs_are_as_good(tested, name, claim, run):
    assert verdict(tested, name, claim) == "holds"
    assert verdict(tested, name, claim, (run, 0.1)) == "does not hold"


def test_shares_of_full_supervision_use_the_printed_ratio(tested):
    for claim, run in (("size-resnet-share", "size_noise/size-crf-mre08"), ("size-vit-share", "backbones/vit-size")):
        assert verdict(tested, "a-claims", claim, (run, -0.01)) == "holds"
        assert verdict(tested, "a-claims", claim, (run, -0.1)) == "does not hold"


def test_trends_follow_the_levels(tested):
    falling = [(f"size_noise/size-crf-mre{digits}", -int(digits) / 200) for digits in ("04", "08", "16", "32")]
    assert verdict(tested, "a-claims", "size-training-falls", *falling) == "holds"
    rising = [(f"scribble_sizes/pce-crf-len{digits}", int(digits) / 1000) for digits in ("050", "100")]
    assert verdict(tested, "a-claims", "size-scribbles-degrade", *rising) == "holds"
    assert tested("a-claims", "size-scribbles-degrade", *rising)["difference"].startswith("+10.00")


def test_on_acdc_the_worst_error_counts(tested):
    curve = [f"acdc/size-mre{digits}" for digits in ("00", "04", "08", "16", "32")]
    assert verdict(tested, "a-claims", "size-acdc-barrier", (curve, 0.1)) == "holds"
    assert verdict(tested, "a-claims", "size-acdc-barrier", (curve, 0.1), ("acdc/size-mre32", -0.2)) == "does not hold"


def test_means_are_taken_over_all_levels_and_all_curves_of_a_group(tested):
    assert tested("b-claims", "logarithm", ("potts/cd-len050", 0.09))["difference_points"] == pytest.approx(1)
    assert tested("b-claims", "normalised", ("potts/lq-len100", 0.12))["difference_points"] == pytest.approx(-1)
    assert tested("b-claims", "collision", ("potts/q-len000", 0.03))["difference_points"] == pytest.approx(1)


def test_orderings_name_their_weakest_step(tested):
    best = [(f"label_noise/{key}-eta{digits}", by) for key, by in (("cce", 0.2), ("rce", 0.1)) for digits in ("00", "50")]
    assert verdict(tested, "b-claims", "noise", *best) == "holds"
    blocks = [("blocks/ade20k-cd", 0.2), ("blocks/ade20k-gridcrf", 0.05)]
    assert tested("b-claims", "ade20k", *blocks)[["verdict", "difference_points"]].tolist() == ["holds", pytest.approx(5)]


def test_printed_numbers_stand_in_the_order_of_the_quantities(tested, published):
    assert tested("a-claims", "size-short-scribbles")["published"] == "74 against 66.6"
    assert tested("b-claims", "nearest")["published"] == "71.10 against 67.90"
    assert tested("b-claims", "cityscapes")["published"] == "72.40 against 69.50 against 69.30"
    assert (tested("b-claims", "steps")["published"], tested("b-claims", "noise")["published"]) == ("-0.72", "")
    table = published.query("artefact == 'b-tab3' and row.str.startswith('P_')").groupby("row")["value"].mean()
    means = table[["P_NQ", "P_CD"]].mean(), table[["P_BL", "P_Q", "P_CCE", "P_LQ"]].mean()
    assert tested("b-claims", "normalised")["published"] == "{:.2f} against {:.2f}".format(*means)


@pytest.mark.parametrize(
    ("name", "row", "claim"),
    [("a-claims", "ViT-B-Linear full", "size-vit-share"), ("b-claims", "dense neighbourhood", "nearest")],
)
def test_a_printed_number_that_vanished_is_an_error(level, published, name, row, claim):
    with pytest.raises(ValueError, match=f"{name}: claim {claim}: expected printed numbers"):
        PAPERS[name].tested(make_data(name, level, published[published["row"] != row]))


@pytest.mark.parametrize("name", PAPERS)
def test_claims_whose_runs_were_not_made_may_be_left_out(level, published, name):
    kept = level[level["family"].isin(["size_noise", "potts"])]
    frame = PAPERS[name].tested(make_data(name, kept, published), made_only=True)
    expected = {
        "a-claims": ["size-robust", "size-crf", "size-bump", "size-training-falls", "size-resnet-share"],
        "b-claims": ["logarithm", "normalised", "quadratic", "length", "entropy"],
    }
    assert frame["id"].tolist() == expected[name]


def test_a_group_that_lacks_a_curve_is_not_made(level, published):
    short = without(level, "potts/lq-len050")
    made = PAPERS["b-claims"].tested(make_data("b-claims", short, published), made_only=True)["id"].tolist()
    assert "logarithm" not in made
    assert "quadratic" in made


def test_lengths_are_not_compared_where_there_is_only_one(level, published):
    long = level[~names(level).str.contains("len0")]
    made = PAPERS["b-claims"].tested(make_data("b-claims", long, published), made_only=True)["id"].tolist()
    assert "length" not in made
    assert "logarithm" in made
    frame = PAPERS["b-claims"].tested(make_data("b-claims", long, published)).set_index("id")
    assert frame.loc["length", "difference_points"] == 0


def test_runs_that_cannot_be_compared_name_the_claim(level, published):
    claims = PaperClaims(
        "SIZE", (Claim("mine", "x", "y", "ratio", (Where(run="full"), Where(run="pce")), options={"ratio": -1}),), "g"
    )
    rows = level[level["family"] == "acdc"]
    data = make_data("a-claims", rows, published)
    with pytest.raises(ValueError, match="a-claims: claim mine: ratio: expected"):
        claims.tested(type(data)(Runs(rows, "a-claims"), published))


def test_the_figure_has_a_line_per_claim_in_the_colour_of_its_verdict(made):
    drawing = made("b-claims")
    assert list(drawing.table) == TABULATED
    ticks = [tick.get_text() for tick in drawing.figure.axes[0].get_yticklabels()]
    assert ticks == [claim.sentence for claim in b_claims.CLAIMS.claims]
    assert load("a-claims").draw is None


def test_numbers_are_points_with_their_deviation_and_interval():
    assert spread([0.70, 0.71, 0.72]) == "71.00 ± 1.00"
    assert (spread([0.7]), spread([])) == ("70.00", "-")
    assert interval(Difference(0.09, 0.01, 0.047, 0.133, 3)) == "+9.00 [+4.70, +13.30]"
    nan = float("nan")
    assert (interval(Difference(0.1, nan, nan, nan, 1)), interval(Difference(nan, nan, nan, nan, 0))) == ("+10.00", "-")
