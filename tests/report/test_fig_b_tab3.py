import pandas as pd
import pytest
from pipeline.report.fig_b_tab3 import compute, draw, tabulate

from pipeline.report.style import save_figure


def cell(frame, series, length):
    return frame[(frame["series"] == series) & (frame["length_ratio"] == length)].iloc[0]


def test_numbers_equal_the_rows_given(results, published):
    frame = compute(results, published)
    assert cell(frame, "P_BL", 0.0)["ours_percent"] == pytest.approx(30)
    assert cell(frame, "P_LQ", 0.8)["ours_percent"] == pytest.approx(43)


def test_published_numbers_and_differences_stand_beside(results, published):
    row = cell(compute(results, published), "P_CD", 1.0)
    assert row["published_percent"] == 71.22
    assert row["difference_points"] == pytest.approx(44 - 71.22)


def test_rows_follow_the_paper(results, published):
    order = ["P_BL", "P_NQ", "P_Q", "P_CCE", "P_CD", "P_LQ", "H_Q+P_Q", "H_Q+P_Q+entropy"]
    assert tabulate(compute(results, published))["relaxation"].tolist() == order


def test_the_quadratic_rows_differ_by_the_entropy_term(results, published):
    frame = compute(results, published)
    assert cell(frame, "H_Q+P_Q", 1.0)["ours_percent"] == pytest.approx(41)
    assert cell(frame, "H_Q+P_Q+entropy", 1.0)["ours_percent"] == pytest.approx(43)


def test_runs_of_other_experiments_are_ignored(results, published):
    other = results[results["method"] == "soft"].assign(cross_entropy="ce", run="other")
    dense = results[results["method"] == "soft"].assign(neighborhood="grid8", run="dense")
    both = compute(pd.concat([results, other, dense]), published)
    assert both.equals(compute(results, published))


def test_lengths_ascend_from_left_to_right(results, published):
    columns = tabulate(compute(results, published)).columns
    assert [name for name in columns if name.endswith("difference")] == [
        "0 difference",
        "0.3 difference",
        "0.5 difference",
        "0.8 difference",
        "1 difference",
    ]


def test_the_best_epoch_gets_a_column_only_where_tracked(results, published):
    assert not any("best" in name for name in tabulate(compute(results, published)).columns)
    table = tabulate(compute(results.assign(mIoU_val_best=0.5), published))
    assert table["1 ours, best epoch"].tolist() == pytest.approx([50] * 8)


def test_a_missing_run_is_named(results, published):
    with pytest.raises(ValueError, match=r"b-tab3: 1 of 30 runs missing: series=P_CD, length_ratio=0.5, seed=0"):
        compute(results[results["run"] != "cd-0.5-0"], published)


def test_fewer_lengths_may_be_asked_for(results, published):
    kept = results[results["length_ratio"].isna() | results["length_ratio"].isin([0, 1])]
    assert sorted(set(compute(kept, published, length_ratios=(0, 1))["length_ratio"])) == [0, 1]


def test_the_quadratic_rows_may_be_absent(results, published):
    frame = compute(results[results["cross_entropy"] != "quadratic"], published)
    assert len(frame) == 30


def test_no_run_at_all_is_an_error(results, published):
    with pytest.raises(ValueError, match="soft"):
        compute(results[results["method"] == "full"], published)


def test_seeds_are_averaged_with_their_deviation(results_of_two_seeds, published):
    row = cell(compute(results_of_two_seeds, published), "P_BL", 0.0)
    assert row["ours_percent"] == pytest.approx(30.05)
    assert row["ours_std_percent"] == pytest.approx(0.1 / 2**0.5)


def test_published_and_ours_have_axes_of_their_own(results, published):
    left, right = draw(compute(results, published), results).axes
    assert (left.get_title(), right.get_title()) == ("published", "ours")
    assert len(left.containers) == len(right.containers) == 6
    assert all("fraction" in axes.get_xlabel() and "%" in axes.get_ylabel() for axes in (left, right))


def test_drawing_again_gives_the_same_bytes(tmp_path, results_of_two_seeds, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(results_of_two_seeds, published), results_of_two_seeds), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
