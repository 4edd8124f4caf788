import pandas as pd
import pytest
from pipeline.report.claims_b import (
    CROSS_ENTROPY_RUNS,
    KINDS,
    LABEL_NOISE_RUNS,
    RELAXATION_RUNS,
    STATEMENTS,
    compute,
    draw,
    tabulate,
)
from report_runs import make_runs

from pipeline.report.style import save_figure

BETTER = {"P_BL": 0.50, "P_CCE": 0.52, "P_Q": 0.60, "P_LQ": 0.61, "P_NQ": 0.62, "P_CD": 0.63}


def make(seeds=3):
    """Results in which every claim of the paper is clearly true: what a statement names first is best."""
    accuracies = {
        pattern.format(digits): BETTER[name] + int(digits) / 10000
        for name, pattern in RELAXATION_RUNS.items()
        for digits in ("000", "100")
    }
    accuracies |= {
        CROSS_ENTROPY_RUNS[name].format(digits): value
        for name, value in (("H_CE", 0.4), ("H_RCE", 0.5))
        for digits in ("000", "100")
    }
    accuracies |= {
        "potts/q-len100": 0.635,
        "solvers/steps100-len100": 0.634,
        "scribble_resnet_potts/cd-16": 0.9,
        "scribble_resnet_potts/cd-12": 0.8,
        "potts/exact-entropy-len100": 0.6,
    }
    for place, one in enumerate(STATEMENTS):
        for rank, run in enumerate(run for run in one.runs if "/" in run):
            accuracies.setdefault(run, 0.6 - 0.05 * rank - place / 1000)
    segmented = make_runs(accuracies, seeds)
    noise = {
        LABEL_NOISE_RUNS[name].format(digits): value
        for name, value in (("H_CE", 0.5), ("H_RCE", 0.6), ("H_CCE", 0.7))
        for digits in ("00", "50")
    }
    return pd.concat([segmented, make_runs(noise, seeds, "accuracy_val", dataset="scenes", network="resnet18")])


@pytest.fixture
def runs():
    return make()


def row(frame, name):
    return frame[frame["id"] == name].iloc[0]


def test_claims_have_names_of_their_own():
    assert len({one.id for one in STATEMENTS}) == len(STATEMENTS)


def test_every_claim_is_compared_in_a_known_way():
    assert {one.kind for one in STATEMENTS} <= set(KINDS)


def test_numbers_of_a_claim_are_as_many_as_its_runs_or_their_difference():
    assert all(len(one.printed) in (0, 1, len(one.runs)) for one in STATEMENTS)


def test_every_claim_holds_where_it_is_true(runs, published):
    frame = compute(runs, published)
    assert frame.loc[frame["verdict"] != "holds", "id"].tolist() == []


@pytest.mark.parametrize(
    ("name", "runs_of_it"),
    [
        ("hard", ("cross_entropies/hard-len100",)),
        ("noise", ("label_noise/ce-eta00", "label_noise/ce-eta50")),
        ("full", ("scribble_resnet/full-12",)),
        ("ade20k", ("blocks/ade20k-densecrf",)),
        ("steps", ("solvers/steps100-len100",)),
    ],
)
def test_a_claim_does_not_hold_where_it_is_wrong(runs, published, name, runs_of_it):
    runs.loc[list(runs_of_it), ["mIoU_val", "accuracy_val"]] += 0.4
    assert row(compute(runs, published), name)["verdict"] == "does not hold"


def test_one_seed_decides_nothing_but_shows_the_difference(published):
    frame = compute(make(seeds=1), published)
    assert set(frame["verdict"]) == {"not decided (1 seed)"}
    assert row(frame, "entropy")["difference_points"] == pytest.approx(5, abs=0.5)
    assert frame["low_points"].isna().all()


def test_means_are_taken_over_all_lengths(runs, published):
    frame = compute(runs, published)
    assert row(frame, "reverse")["difference_points"] == pytest.approx(10)
    logarithmic = (0.525 + 0.615 + 0.635) / 3
    others = (0.505 + 0.625 + (0.60 + 0.635) / 2) / 3
    assert row(frame, "logarithm")["difference_points"] == pytest.approx(100 * (logarithmic - others))


def test_lengths_are_not_compared_where_there_is_only_one(runs, published):
    made = set(compute(runs[~runs.index.str.contains("len0")], published, made_only=True)["id"])
    assert "length" not in made
    assert "logarithm" in made


def test_printed_numbers_stand_in_the_order_of_the_runs(runs, published):
    frame = compute(runs, published)
    assert row(frame, "nearest")["published"] == "71.10 against 67.90"
    assert row(frame, "cityscapes")["published"] == "72.40 against 69.50 against 69.30"
    assert row(frame, "steps")["published"] == "-0.72"
    assert row(frame, "noise")["published"] == ""


def test_printed_numbers_of_groups_are_means_of_table_3(runs, published):
    table = published.query("artefact == 'b-tab3' and row.str.startswith('P_')").groupby("row")["value"].mean()
    normalised, others = table[["P_NQ", "P_CD"]].mean(), table[["P_BL", "P_Q", "P_CCE", "P_LQ"]].mean()
    assert row(compute(runs, published), "normalised")["published"] == f"{normalised:.2f} against {others:.2f}"


def test_printed_numbers_that_are_not_there_are_an_error(runs, published):
    with pytest.raises(ValueError, match="claim nearest"):
        compute(runs, published[published["artefact"] != "b-sec33"])


@pytest.mark.parametrize("run", ["methods/gd-nn-len100", "label_noise/rce-eta50", "blocks/ade20k-cd"])
def test_a_missing_run_is_named(runs, published, run):
    with pytest.raises(ValueError, match=f"b-claims.*{run}"):
        compute(runs.drop(run), published)


def test_runs_must_have_the_same_seeds(runs, published):
    gap = (runs.index == "scribble_resnet/full-12") & (runs["seed"] == 2)
    with pytest.raises(ValueError, match="scribble_resnet/full-12, seed 2"):
        compute(runs[~gap], published)


def test_the_table_has_a_row_per_claim(runs, published):
    table = tabulate(compute(runs, published))
    assert list(table) == ["claim", "paper", "where", "published", "ours", "difference", "n", "verdict"]
    assert len(table) == len(STATEMENTS)
    assert "[" in table["difference"].iloc[0]


def test_every_claim_is_a_line_of_the_figure(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [one.sentence for one in STATEMENTS]
    assert "points" in axes.get_xlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published):
    frame = compute(runs, published)
    for stem in ("one", "two"):
        save_figure(draw(frame, runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
