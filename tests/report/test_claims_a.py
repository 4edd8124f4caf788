import pandas as pd
import pytest
from pipeline.report.claims_a import compute, entries
from report_runs import make_runs

from pipeline.report.tables import write_table

CURVES = {
    "trained": {level: f"size_noise/size-crf-mre{round(100 * level):02d}" for level in (0.0, 0.04, 0.08, 0.16, 0.32)},
    "scribbles": {level: f"scribble_sizes/pce-crf-len{round(100 * level):03d}" for level in (0.0, 0.5, 1.0)},
    "acdc": {level: f"acdc/size-mre{round(100 * level):02d}" for level in (0.0, 0.08, 0.32)},
}
DERIVED = ("gain from sizes at length 0", "gain from sizes at full length", "acdc/size-mre.., lowest")
IDS = {run for entry in entries(CURVES) for run in entry.runs if run not in DERIVED} | {
    *CURVES["acdc"].values(),
    "scribble_sizes/size-mre00-len000",
    "scribble_sizes/size-mre00-len100",
}
METRICS = ("mIoU_val", "mIoU_train", "background_share", "DSC_val")


def results(seeds=3):
    """All runs at 0.5 in all metrics, seeds a hundredth apart."""
    frame = make_runs(dict.fromkeys(sorted(IDS), 0.5), seeds)
    return frame.assign(**dict.fromkeys(METRICS, frame["mIoU_val"]))


def raised(frame, run, metric, by=0.1):
    frame = frame.copy()
    frame.loc[run, metric] += by
    return frame


def verdict(frame, published, words):
    table = compute(frame, published)
    return table[table["claim"].str.contains(words, regex=False)].iloc[0]


def test_every_claim_has_a_row_with_a_place(published):
    table = compute(results(), published)
    assert len(table) == len(entries(CURVES)) == 26
    assert (table["where"] != "").all()
    assert set(table["paper"]) == {"SIZE"}


def test_claims_have_names_of_their_own():
    names = [entry.claim.id for entry in entries(CURVES)]
    assert len(set(names)) == len(names)


def test_one_seed_decides_nothing(published):
    assert set(compute(results(seeds=1), published)["verdict"]) == {"not decided (1 seed)"}


def test_a_clear_difference_holds(published):
    frame = raised(results(), "size_noise/size-mre00", "mIoU_val")
    assert verdict(frame, published, "forward KL trains better")["verdict"] == "holds"


def test_the_other_way_round_does_not_hold(published):
    frame = raised(results(), "size_losses/reverse-kl", "mIoU_val")
    assert verdict(frame, published, "forward KL trains better")["verdict"] == "does not hold"


def test_equal_runs_are_as_good(published):
    assert verdict(results(), published, "suppression of absent classes")["verdict"] == "holds"
    frame = raised(results(), "size_losses/forward-suppression", "mIoU_val")
    assert verdict(frame, published, "suppression of absent classes")["verdict"] == "does not hold"


def test_background_is_judged_by_the_share_of_pixels(published):
    frame = raised(results(), "size_losses/reverse-kl", "background_share")
    assert verdict(frame, published, "more pixels are predicted background")["verdict"] == "holds"


def test_training_accuracy_must_fall(published):
    frame = results()
    for level, run in CURVES["trained"].items():
        frame = raised(frame, run, "mIoU_train", -level / 2)
    assert verdict(frame, published, "training images falls")["verdict"] == "holds"


def test_the_gain_is_compared_between_lengths(published):
    frame = raised(results(), "scribble_sizes/size-mre00-len000", "mIoU_val")
    row = verdict(frame, published, "help more at length 0")
    assert row["verdict"] == "holds"
    assert row["difference"].startswith("+10.00")


def test_on_acdc_the_worst_error_counts(published):
    better = results()
    for run in CURVES["acdc"].values():
        better = raised(better, run, "DSC_val")
    assert verdict(better, published, "at every mRE")["verdict"] == "holds"
    worse = raised(better, "acdc/size-mre32", "DSC_val", -0.2)
    assert verdict(worse, published, "at every mRE")["verdict"] == "does not hold"


def test_shares_of_full_supervision_use_the_printed_ratio(published):
    frame = raised(results(), "size_noise/size-crf-mre08", "mIoU_val", -0.01)
    assert verdict(frame, published, "ResNet-101")["verdict"] == "holds"
    frame = raised(results(), "size_noise/size-crf-mre08", "mIoU_val", -0.1)
    assert verdict(frame, published, "ResNet-101")["verdict"] == "does not hold"


def test_printed_numbers_stand_beside(published):
    assert verdict(results(), published, "one point per object is labelled")["published"] == "74 against 66.6"


def test_a_missing_run_is_named(published):
    with pytest.raises(ValueError, match=r"a-claims: 1 of \d+ runs missing: backbones/vit-full"):
        compute(results().drop("backbones/vit-full"), published)


def test_a_published_number_that_vanished_is_an_error(published):
    with pytest.raises(ValueError, match="size-vit-share"):
        compute(results(), published[published["row"] != "ViT-B-Linear full"])


def test_runs_of_other_artefacts_are_ignored(published):
    other = make_runs({"potts/q-len100": 0.9}, 3)
    assert compute(pd.concat([results(), other]), published).equals(compute(results(), published))


def test_the_table_can_be_written(tmp_path, published):
    write_table(compute(results(), published), tmp_path / "claims")
    assert (tmp_path / "claims.md").read_text().count("\n") == 28
