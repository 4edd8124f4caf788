"""The claims of both papers, on made-up results in which all runs are equal but for those that a test changes."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from report_runs import changed, make_data, names, without

from pipeline import paths
from pipeline.report.artifacts import a_claims, b_claims, load
from pipeline.report.claims import (
    KINDS,
    NOT_TESTED,
    TABULATED,
    Claim,
    Curve,
    Fixed,
    Measured,
    PaperClaims,
    interval,
    note_on_chance,
    spread,
)
from pipeline.report.runs import Runs, Where
from pipeline.report.verdicts import Difference

PAPERS = {"a-claims": a_claims.CLAIMS, "b-claims": b_claims.CLAIMS}
METRICS = ["mIoU_val", "mIoU_train", "DSC_val", "accuracy_val", "background_share", "absent_share"]


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
        alone = replace(PAPERS[name], claims=tuple(one for one in PAPERS[name].claims if one.id == claim))
        return alone.tested(make_data(name, rows, published)).iloc[0]

    return test


def verdict(tested, name, claim, *changes):
    return tested(name, claim, *changes)["verdict"]


@pytest.mark.parametrize("name", PAPERS)
def test_every_claim_has_a_name_of_its_own_a_place_and_a_kind(name, level, published):
    claims = PAPERS[name].claims
    assert len({claim.id for claim in claims}) == len(claims) == {"a-claims": 34, "b-claims": 30}[name]
    assert all(claim.where and claim.kind in KINDS for claim in claims)
    assert all(len(claim.printed) in (0, 1, len(claim.of)) for claim in claims)
    assert PAPERS[name].tested(make_data(name, level, published))["id"].tolist() == [claim.id for claim in claims]


@pytest.mark.parametrize("name", PAPERS)
def test_one_seed_decides_nothing_but_shows_the_difference(folder, name, results, published):
    frame = PAPERS[name].tested(make_data(name, results, published))
    frame = frame[frame["verdict"] != NOT_TESTED]
    assert set(frame["verdict"]) == {"not decided (1 seed)"}
    assert frame["difference_points"].notna().all()
    assert frame["low_points"].isna().all()


CURVE = ("000", "050", "100")
SIZES = [f"size_noise/size-mre{mre}" for mre in ("00", "04", "08", "16", "32")]
SIZES_CRF = [name.replace("size-mre", "size-crf-mre") for name in SIZES]


def lengths(name):
    return [f"{name}-len{digits}" for digits in CURVE]


@pytest.mark.parametrize(
    ("name", "claim", "better", "worse"),
    [
        ("a-claims", "size-reverse-accuracy", "size_noise/size-mre00", "size_losses/reverse-kl"),
        ("a-claims", "size-log-barrier-crf", "size_noise/size-crf-mre08", "size_losses/log-barrier-crf"),
        ("a-claims", "size-points", "size_noise/size-crf-mre08", "scribble_sizes/pce-crf-len000"),
        ("a-claims", "size-crf", SIZES_CRF, SIZES[2]),
        ("a-claims", "size-crf-suppresses", SIZES, SIZES_CRF[1]),
        ("a-claims", "size-equal-sizes", "size_noise/size-crf-mre08", "size_losses/log-barrier-crf"),
        ("a-claims", "size-bump", (SIZES[1], SIZES_CRF[1]), SIZES[0]),
        (
            "a-claims",
            "size-reverse-trivial",
            ("size_losses/reverse-kl", "size_losses/reverse-kl-suppression"),
            "size_noise/size-mre00",
        ),
        ("a-claims", "size-seeds", lengths("scribble_sizes/size-mre00"), "scribble_sizes/pce-crf-len050"),
        ("a-claims", "size-short-gain-most", "scribble_sizes/size-mre00-len000", "scribble_sizes/size-mre00-len050"),
        ("a-claims", "size-acdc-full", "acdc/size-mre08", "acdc/full"),
        ("b-claims", "hard", "potts/q-len100", "cross_entropies/hard-len100"),
        ("b-claims", "entropy", "potts/exact-entropy-len100", "potts/exact-len100"),
        ("b-claims", "reverse", lengths("cross_entropies/rce"), "cross_entropies/ce-len050"),
        ("b-claims", "nearest", "potts/q-len100", "methods/soft-dn-len100"),
        ("b-claims", "gradient", "methods/gd-dn-len100", "methods/gd-nn-len100"),
        ("b-claims", "soft-everywhere", lengths("potts/q"), "methods/hard-dn-len050"),
        ("b-claims", "full", "scribble_resnet_potts/cd-12", "scribble_resnet/full-12"),
        (
            "b-claims",
            "gridcrf",
            ("scribble_resnet_potts/cd-12", "scribble_resnet_potts/q-12"),
            "scribble_resnet_potts/gridcrf-12",
        ),
        (
            "b-claims",
            "batch",
            ("scribble_resnet_potts/cd-16", "scribble_resnet/cd-16-single", "scribble_resnet/full-16"),
            "scribble_resnet/full-12",
        ),
        ("b-claims", "pretrain", ("scribble_resnet_potts/cd-12", "scribble_resnet_potts/cd-16"), "scribble_resnet/cd-12-single"),
        ("b-claims", "ade20k", "blocks/ade20k-cd", "blocks/ade20k-densecrf"),
    ],
)
def test_a_comparison_holds_where_it_is_true_and_does_not_where_it_is_wrong(tested, name, claim, better, worse):
    metric = next(one.metric for one in PAPERS[name].claims if one.id == claim)
    assert verdict(tested, name, claim) == ("not decided" if metric.endswith("share") else "level")
    assert verdict(tested, name, claim, (better, 0.1)) == "holds"
    assert verdict(tested, name, claim, (worse, 0.1)) == "does not hold"


@pytest.mark.parametrize(
    ("name", "claim", "run"),
    [
        ("a-claims", "size-suppression", "size_losses/forward-suppression"),
        ("a-claims", "size-annotated-as-synthetic", "annotated/animals-annotated"),
    ],
)
def test_equal_runs_are_as_good(tested, name, claim, run):
    assert verdict(tested, name, claim) == "holds"
    assert verdict(tested, name, claim, (run, 0.1)) == verdict(tested, name, claim, (run, -0.1)) == "does not hold"


@pytest.mark.parametrize(
    ("name", "claim", "run"),
    [
        ("a-claims", "size-robust", "size_noise/size-mre08"),
        ("a-claims", "size-short-as-long", "scribble_sizes/size-mre00-len000"),
        ("a-claims", "size-annotated-dog", "annotated/dog-annotated"),
        ("a-claims", "size-acdc-mean", "acdc/mean-size"),
        ("b-claims", "quadratic", "potts/q-len050"),
        ("b-claims", "log-quadratic", "potts/lq-len000"),
        ("b-claims", "steps", "solvers/steps100-len100"),
    ],
)
def test_being_better_does_not_speak_against_being_hardly_worse(tested, name, claim, run):
    assert verdict(tested, name, claim) == verdict(tested, name, claim, (run, 0.1)) == "holds"
    assert verdict(tested, name, claim, (run, -0.1)) == "does not hold"


@pytest.mark.parametrize("rival", ["rce", "ce"])
def test_the_best_of_three_must_beat_both_others_at_every_length(tested, rival):
    best = (lengths("potts/q"), 0.1)
    assert verdict(tested, "b-claims", "collision", best) == "holds"
    beaten = tested("b-claims", "collision", best, (f"cross_entropies/{rival}-len050", 0.2))
    assert beaten["verdict"] == "does not hold"
    assert f"cross_entropies/{rival}-len050" in beaten["ours"]


@pytest.mark.parametrize("claim", ["logarithm", "normalised"])
def test_one_pair_of_relaxations_does_not_decide_for_all(tested, claim):
    one = (lengths("potts/cce") if claim == "logarithm" else lengths("potts/nq"), 0.1)
    assert verdict(tested, "b-claims", claim, one) == "level"
    every = lengths("potts/cd") + (lengths("potts/lq") if claim == "logarithm" else [])
    assert verdict(tested, "b-claims", claim, one, (every, 0.1)) == "holds"


def test_groups_of_relaxations_are_compared_by_their_mean_over_lengths(tested):
    rows = [(f"potts/{key}-len100", 0.03) for key in ("cce", "cd", "lq")]
    assert tested("b-claims", "logarithm", *rows)["difference_points"] == pytest.approx(1)


def test_every_step_to_longer_scribbles_counts(tested):
    rising = [(f"potts/{key}-len{digits}", int(digits) / 500) for key in ("bl", "nq", "q", "cce", "cd", "lq") for digits in CURVE]
    assert verdict(tested, "b-claims", "length", *rising) == "holds"
    assert verdict(tested, "b-claims", "length", *rising, ("potts/nq-len050", 0.2)) == "does not hold"


def test_shares_of_full_supervision_use_the_printed_ratio(tested):
    for claim, run in (("size-resnet-share", "size_noise/size-crf-mre08"), ("size-vit-share", "backbones/vit-size")):
        assert verdict(tested, "a-claims", claim, (run, -0.01)) == "holds"
        assert verdict(tested, "a-claims", claim, (run, -0.1)) == "does not hold"


def test_claims_of_shares_say_what_they_are_tested_against():
    shares = [claim for claim in a_claims.CLAIMS.claims if claim.kind == "ratio"]
    assert shares
    assert all(f"tested against {100 * claim.options['ratio']:.1f} %" in claim.sentence for claim in shares)


def test_margins_stand_in_the_sentence():
    claims = [claim for paper in PAPERS.values() for claim in paper.claims if claim.kind == "not worse"]
    words = {0.02: "2 points", 0.01: "1 point", 0.005: "half a point"}
    assert len(claims) > 5
    assert all(words[claim.options["margin"]] in claim.sentence for claim in claims)


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


def test_orderings_name_their_weakest_step(tested):
    best = [("label_noise/cce-eta50", 0.2), ("label_noise/rce-eta50", 0.15)]
    assert tested("b-claims", "noise", *best)[["verdict", "difference_points"]].tolist() == ["holds", pytest.approx(5)]


def test_a_claim_about_a_training_that_failed_is_not_tested(level, published):
    failed = changed(level.assign(failed=False), "acdc/barrier", by=-0.3, failed=True)
    frame = a_claims.CLAIMS.tested(make_data("a-claims", failed, published)).set_index("id")
    assert frame.loc["size-acdc-barrier", ["verdict", "ours"]].tolist() == [NOT_TESTED, "training failed: acdc/barrier"]
    assert frame.loc["size-acdc-mean", "verdict"] == NOT_TESTED
    assert frame.loc["size-acdc-full", "verdict"] == "level"


def test_a_claim_about_what_was_not_measured_is_not_tested(level, published):
    frame = a_claims.CLAIMS.tested(make_data("a-claims", level.assign(mIoU_train=math.nan), published)).set_index("id")
    assert frame.loc["size-training-falls", "verdict"] == NOT_TESTED
    assert frame.loc["size-training-falls", "ours"].startswith("mIoU_train was not measured: size_noise/")


def test_numbers_of_others_are_compared_at_the_scale_of_the_paper_only(level, published):
    rows = changed(level, "backbones/wideresnet38-size", by=0.4)
    for profile, expected in (("embedded", NOT_TESTED), ("paper", "holds")):
        frame = a_claims.CLAIMS.tested(make_data("a-claims", rows.assign(profile=profile), published)).set_index("id")
        assert frame.loc["size-wide", "verdict"] == expected


def write_errors(folder, rows, source="annotated"):
    path = folder / paths.annotation_errors(a_claims.ANNOTATED)
    path.parent.mkdir(parents=True)
    pd.DataFrame(rows, columns=["class", "relative_error", "grid", "annotator"]).assign(source=source).to_csv(path, index=False)


def errors_of(grids):
    """Errors of 30 sizes each: mostly small, one gross."""
    return [("cat", (-1) ** place * off * (20 if place == 0 else 1), grid, "x") for grid, off in grids for place in range(30)]


@pytest.mark.parametrize("claim", ["size-annotators-small", "size-annotators-tail"])
def test_what_is_said_of_annotators_is_tested_on_people_only(tested, folder, claim):
    assert verdict(tested, "a-claims", claim) == NOT_TESTED
    write_errors(folder, errors_of([("3x3", 0.05)]) * 2, source="simulated")
    assert verdict(tested, "a-claims", claim) == NOT_TESTED


def test_small_errors_of_annotators_are_most_of_them(tested, folder):
    write_errors(folder, errors_of([("3x3", 0.05)]))
    assert verdict(tested, "a-claims", "size-annotators-small") == "holds"


def test_tails_are_heavy_where_gross_errors_are_more_than_normal_ones(tested, folder):
    write_errors(folder, [("cat", 1.0 if place % 10 == 0 else 0.01, "3x3", "x") for place in range(100)])
    assert verdict(tested, "a-claims", "size-annotators-tail") == "holds"


def test_the_grid_is_tested_by_annotator_and_class(tested, folder):
    rows = [
        (name, off * by, grid, who)
        for name in ("cat", "dog")
        for who, by in (("x", 1), ("y", 1.1))
        for grid, off in (("none", 0.2), ("5x4", 0.1))
    ]
    write_errors(folder, rows)
    assert tested("a-claims", "size-annotators-grid")[["verdict", "n"]].tolist() == ["holds", 4]


def test_pseudo_labels_and_solutions_are_read_where_they_were_made(tested, folder):
    assert verdict(tested, "b-claims", "dense-labels") == verdict(tested, "b-claims", "optimum") == NOT_TESTED
    paths.plotted("x").parent.mkdir(parents=True)
    labels = [(series, image, 60 + image + by) for series, by in (("nearest", 5), ("dense", 0)) for image in range(4)]
    pd.DataFrame(labels, columns=["series", "image", "correct_percent"]).to_csv(paths.plotted("b-fig5"), index=False)
    agreement = ((200, 99.0), (200, 99.1), (200, 99.2), (100, 0.0), (1000, 0.0))
    solved = [("H_Q+P_Q", "gradient", steps, agreed) for steps, agreed in agreement]
    columns = ["case", "solver", "steps", "soft_jaccard_percent"]
    pd.DataFrame(solved, columns=columns).to_csv(paths.plotted("b-appb1"), index=False)
    assert tested("b-claims", "dense-labels")[["verdict", "difference_points"]].tolist() == ["holds", pytest.approx(5)]
    assert tested("b-claims", "optimum")[["verdict", "n"]].tolist() == ["holds", 3]


@pytest.mark.parametrize(("steps_ms", "expected"), [(290, "holds"), (150, "does not hold"), (900, "does not hold")])
def test_the_published_steps_are_timed_against_the_dense_crf_loss_network_by_network(tested, folder, steps_ms, expected):
    b_claims.STEP_TIMES.parent.mkdir(parents=True)
    times = {("soft-cd", "gradient, 200 steps"): steps_ms, ("soft-cd", "fast"): 90, ("dense-crf", ""): 100}
    rows = [(network, *case, ms + place) for place, network in enumerate("abc") for case, ms in times.items()]
    pd.DataFrame(rows, columns=["network", "objective", "solver", "step_ms"]).to_csv(b_claims.STEP_TIMES, index=False)
    assert verdict(tested, "b-claims", "time") == expected


def test_a_difference_beyond_the_figure_is_a_triangle_at_its_edge(made, results):
    far = made("b-claims", changed(results, "potts/q-len100", by=0.5)).figure.axes[0]
    assert any(line.get_marker() == ">" and line.get_xdata()[0] == b_claims.FARTHEST for line in far.lines)
    assert far.get_xlim()[1] == b_claims.FARTHEST


def test_tables_say_how_many_claims_would_hold_by_chance(folder, level, published):
    frame = b_claims.CLAIMS.tested(make_data("b-claims", level, published))
    tested = (frame["verdict"] != NOT_TESTED).sum()
    assert f"Of {tested} tested claims about {0.05 * tested:.1f} would hold by chance" in note_on_chance(frame)


def test_the_corrected_verdict_asks_for_more(level, published):
    noise = [0.0, 0.01, 0.02]
    rows = level.copy()
    chosen = names(rows) == "potts/q-len100"
    rows.loc[chosen, "mIoU_val"] += 0.03 + pd.Series(noise, index=rows.index[chosen])  # p = 0.01
    frame = b_claims.CLAIMS.tested(make_data("b-claims", rows, published)).set_index("id")
    assert frame.loc["hard", ["verdict", "corrected"]].tolist() == ["holds", "not decided"]
    rows.loc[chosen, "mIoU_val"] += 1.0
    frame = b_claims.CLAIMS.tested(make_data("b-claims", rows, published)).set_index("id")
    assert frame.loc["hard", "corrected"] == "holds"


def test_printed_numbers_stand_in_the_order_of_the_quantities(tested, published):
    assert tested("a-claims", "size-short-scribbles")["published"] == "74 against 66.6"
    assert tested("b-claims", "nearest")["published"] == "71.10 against 67.90"
    assert tested("b-claims", "cityscapes")["published"] == "72.40 against 69.50 against 69.30"
    assert (tested("b-claims", "steps")["published"], tested("b-claims", "noise")["published"]) == ("-0.72", "")
    table = published.query("artifact == 'b-tab3' and row.str.startswith('P_')").groupby("row")["value"].mean()
    means = table[["P_CCE", "P_CD", "P_LQ"]].mean(), table[["P_BL", "P_NQ", "P_Q"]].mean()
    assert tested("b-claims", "logarithm")["published"] == "{:.2f} against {:.2f}".format(*means)


@pytest.mark.parametrize(
    ("name", "row", "claim"),
    [("a-claims", "ViT-B-Linear full", "size-vit-share"), ("b-claims", "dense neighbourhood", "nearest")],
)
def test_a_printed_number_that_vanished_is_an_error(level, published, name, row, claim):
    with pytest.raises(ValueError, match=f"{name}: claim {claim}: expected printed numbers"):
        PAPERS[name].tested(make_data(name, level, published[published["row"] != row]))


@pytest.mark.parametrize("name", PAPERS)
def test_claims_whose_runs_were_not_made_may_be_left_out(folder, level, published, name):
    kept = level[level["family"].isin(["size_noise", "potts"])]
    frame = PAPERS[name].tested(make_data(name, kept, published), made_only=True)
    expected = {
        "a-claims": ["size-crf-suppresses", "size-robust", "size-crf", "size-bump", "size-training-falls", "size-resnet-share"],
        "b-claims": ["logarithm", "normalised", "quadratic", "log-quadratic", "length", "entropy"],
    }
    assert frame["id"].tolist() == expected[name]


def test_what_was_measured_on_runs_that_are_not_there_is_left_out(level, published):
    kept, asked = level[level["family"] == "potts"], (Fixed("none", 0.0),)
    wheres = {"there": Where(family="potts"), "gone": Where(family="seeds"), "unknown": None}
    claims = [Claim(key, "x", "y", "greater", (Measured("z", lambda _: [0.1, 0.2], on), *asked)) for key, on in wheres.items()]
    frame = PaperClaims("SSL", tuple(claims), "g").tested(make_data("b-claims", kept, published), made_only=True)
    assert frame["id"].tolist() == ["there"]


def test_what_is_no_accuracy_of_runs_is_never_level(level, published):
    measured = Claim(
        "m", "x", "y", "greater", (Measured("z", lambda _: [0.5, 0.501, 0.5], Where(family="potts")), Fixed("f", 0.5))
    )
    share = Claim("s", "x", "y", "greater", (Where(run="q-len100"), Where(run="cd-len100")), metric="absent_share")
    frame = PaperClaims("SSL", (measured, share), "g").tested(make_data("b-claims", level, published))
    assert set(frame["verdict"]) == {"not decided"}


def test_a_group_that_lacks_a_curve_is_not_made(level, published):
    short = without(level, "potts/lq-len050")
    made = PAPERS["b-claims"].tested(make_data("b-claims", short, published), made_only=True)["id"].tolist()
    assert "logarithm" not in made
    assert "entropy" in made


def test_a_claim_over_lengths_is_not_tested_where_there_is_only_one(level, published):
    long = level[~names(level).str.contains("len0")]
    frame = PAPERS["b-claims"].tested(make_data("b-claims", long, published)).set_index("id")
    for claim in ("length", "collision", "reverse", "logarithm", "normalised", "quadratic", "soft-everywhere"):
        assert frame.loc[claim, "verdict"] == NOT_TESTED
    assert frame.loc["length", "ours"] == "1 of at least 2 levels of length_ratio were trained"
    assert frame.loc["hard", "verdict"] == "level"


def test_runs_that_cannot_be_compared_name_the_claim(level, published):
    one_level = Curve(Where(method="pce_size"), "mre", up_to=0.0, fewest=1)
    claims = PaperClaims("SIZE", (Claim("mine", "x", "y", "rising", (one_level,)),), "g")
    rows = level[level["family"] == "acdc"]
    data = make_data("a-claims", rows, published)
    with pytest.raises(ValueError, match="a-claims: claim mine: places: expected"):
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
