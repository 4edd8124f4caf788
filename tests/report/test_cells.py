import pandas as pd
import pytest
from pipeline.report.cells import (
    best_cell,
    cell,
    cited,
    compare,
    index_runs,
    levels,
    load_results,
    require_ids,
    require_shared,
    rows_of,
)

NAN = float("nan")


def row(run, seed, accuracy, family="f", **columns):
    return {"run": run, "family": family, "seed": seed, "profile": "embedded", "mIoU_val": accuracy, **columns}


@pytest.fixture
def runs():
    rows = [row("a", 0, 0.5), row("a", 1, 0.7), row("b", 0, 0.4), row("b", 1, 0.4)]
    return index_runs(pd.DataFrame(rows))


def test_families_are_joined_under_family_and_run(tmp_path):
    for family in ("one", "two"):
        pd.DataFrame([row("a", 0, 0.5, family)]).to_csv(tmp_path / f"{family}.csv", index=False)
    joined = load_results([tmp_path / "one.csv", tmp_path / "two.csv"])
    assert joined.index.name == "id"
    assert list(joined.index) == ["one/a", "two/a"]


def test_columns_of_one_family_are_empty_in_the_other(tmp_path):
    pd.DataFrame([row("a", 0, 0.5, "one")]).to_csv(tmp_path / "one.csv", index=False)
    pd.DataFrame([row("a", 0, 0.5, "two", DSC_val=0.9)]).to_csv(tmp_path / "two.csv", index=False)
    joined = load_results([tmp_path / "one.csv", tmp_path / "two.csv"])
    assert joined["DSC_val"].isna().tolist() == [True, False]


def test_a_file_without_runs_is_named(tmp_path):
    (tmp_path / "results.csv").write_text("name\nx\n")
    with pytest.raises(ValueError, match=r"results\.csv.*run, family and seed"):
        load_results([tmp_path / "results.csv"])


def test_the_same_run_and_seed_twice_is_an_error():
    with pytest.raises(ValueError, match="f/a, seed 0"):
        index_runs(pd.DataFrame([row("a", 0, 0.5), row("a", 0, 0.6)]))


def test_a_cell_is_mean_and_sample_deviation_over_seeds(runs):
    found = cell(runs, "f/a", "mIoU_val", "a-tab1")
    assert found.mean == pytest.approx(0.6)
    assert found.std == pytest.approx(0.2 / 2**0.5)
    assert found.values == {0: 0.5, 1: 0.7}


def test_one_seed_has_no_deviation():
    assert pd.isna(cell(index_runs(pd.DataFrame([row("a", 0, 0.5)])), "f/a", "mIoU_val", "a-tab1").std)


def test_a_missing_run_is_named_with_its_artefact(runs):
    with pytest.raises(ValueError, match=r"a-tab1: 1 of 1 runs missing: f/c"):
        cell(runs, "f/c", "mIoU_val", "a-tab1")


def test_a_missing_value_is_named_with_its_seed(runs):
    runs.loc[runs["seed"] == 1, "mIoU_val"] = NAN
    with pytest.raises(ValueError, match=r"a-tab1: expected a value of mIoU_val for f/a, got none for seed 1"):
        cell(runs, "f/a", "mIoU_val", "a-tab1")


def test_a_metric_nobody_has_is_named(runs):
    with pytest.raises(ValueError, match="DSC_val"):
        cell(runs, "f/a", "DSC_val", "a-tab1")


def test_a_seed_that_only_others_have_is_missing(runs):
    with pytest.raises(ValueError, match=r"same seeds.*f/b, seed 1"):
        require_ids(runs.iloc[:3], "a-tab1", ["f/a", "f/b"])


def test_runs_of_two_profiles_do_not_share_a_figure(runs):
    runs.loc["f/b", "profile"] = "paper"
    with pytest.raises(ValueError, match="one profile"):
        require_shared(runs, "a-tab1", ["f/a", "f/b"], ["profile"])


def test_rows_of_other_runs_are_left_out(runs):
    assert set(rows_of(runs, ["f/b"]).index) == {"f/b"}


def test_published_stands_beside_ours(runs):
    numbers = compare(runs, "f/a", "mIoU_val", "a-tab1", 70.0)
    assert numbers["ours_percent"] == pytest.approx(60)
    assert numbers["difference_points"] == pytest.approx(-10)
    assert numbers["seeds"] == 2


def test_without_a_published_number_there_is_no_difference(runs):
    assert pd.isna(compare(runs, "f/a", "mIoU_val", "a-tab1", None)["difference_points"])


def test_the_best_epoch_is_kept_where_tracked(runs):
    assert best_cell(runs, "f/a", "mIoU_val", "a-tab1") is None
    assert compare(runs.assign(mIoU_val_best=0.8), "f/a", "mIoU_val", "a-tab1", None)["ours_best_percent"] == pytest.approx(80)


def test_a_cited_number_rests_on_no_run(runs):
    assert cited(77.7).keys() == compare(runs, "f/a", "mIoU_val", "a-tab1", None).keys()
    assert cited(77.7)["seeds"] == 0


def test_levels_are_read_from_the_names_in_hundredths():
    frame = index_runs(pd.DataFrame([row(f"x-len{digits}", 0, 0.5) for digits in ("100", "000", "030")]))
    assert levels(frame, "a-fig4b", {"x": "f/x-len{}"}) == {"x": {0.0: "f/x-len000", 0.3: "f/x-len030", 1.0: "f/x-len100"}}


def test_a_longer_name_is_another_run():
    frame = index_runs(pd.DataFrame([row("x-mre00", 0, 0.5), row("x-mre08-len000", 0, 0.5)]))
    assert list(levels(frame, "a-fig4b", {"x": "f/x-mre{}"})["x"]) == [0.0]


def test_a_level_that_another_curve_has_is_missing():
    frame = index_runs(pd.DataFrame([row("x-len000", 0, 0.5), row("y-len000", 0, 0.5), row("y-len030", 0, 0.5)]))
    with pytest.raises(ValueError, match=r"a-fig4b: 1 of 4 runs missing: f/x-len030"):
        levels(frame, "a-fig4b", {"x": "f/x-len{}", "y": "f/y-len{}"})


def test_no_run_of_any_curve_is_an_error(runs):
    with pytest.raises(ValueError, match="x-len"):
        levels(runs, "a-fig4b", {"x": "f/x-len{}"})


def test_curve_that_lacks_a_run_has_no_levels_where_runs_may_be_missing():
    runs = index_runs(pd.DataFrame([row("a-00", 0, 0.5), row("a-08", 0, 0.5), row("b-08", 0, 0.5)]))
    curves = {"one": "f/a-{}", "two": "f/b-{}", "none": "f/c-{}"}
    assert levels(runs, "a-tab1", curves, made_only=True) == {"one": {0.0: "f/a-00", 0.08: "f/a-08"}, "two": {}, "none": {}}
    with pytest.raises(ValueError, match="f/b-00"):
        levels(runs, "a-tab1", curves)
