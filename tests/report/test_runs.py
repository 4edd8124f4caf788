import math

import pandas as pd
import pytest

from pipeline.report.runs import mean_over_seeds, require_columns, require_one_setting, require_runs, require_values

ROWS = pd.DataFrame(
    {
        "run": ["a0", "a1", "b0", "b1"],
        "method": ["a", "a", "b", "b"],
        "seed": [0, 1, 0, 1],
        "mIoU": [0.4, 0.6, 0.5, 0.5],
        "profile": "embedded",
        "dataset": "voc",
        "network": "small",
    }
)


def test_mean_and_deviation_over_seeds_are_in_percent():
    point = mean_over_seeds(ROWS, ["method"], ["mIoU"]).iloc[0]
    assert point["mIoU_percent"] == pytest.approx(50)
    assert point["mIoU_std_percent"] == pytest.approx(10 * math.sqrt(2))
    assert point["seeds"] == 2


def test_one_seed_has_no_deviation():
    assert mean_over_seeds(ROWS[ROWS["seed"] == 0], ["method"], ["mIoU"])["mIoU_std_percent"].isna().all()


def test_a_missing_run_is_named():
    with pytest.raises(ValueError, match="1 of 4 runs missing: method=b, seed=1"):
        require_runs(ROWS.iloc[:3], "b-tab3", {"method": ["a", "b"]})


def test_a_run_that_is_there_twice_is_named():
    with pytest.raises(ValueError, match="more than once: method=a, seed=0"):
        require_runs(pd.concat([ROWS, ROWS.iloc[:1]]), "b-tab3", {"method": ["a", "b"]})


def test_complete_runs_pass():
    require_runs(ROWS, "b-tab3", {"method": ["a", "b"]})


@pytest.mark.parametrize("column", ["profile", "dataset", "network"])
def test_settings_must_not_be_mixed(column):
    with pytest.raises(ValueError, match=f"one {column}"):
        require_one_setting(ROWS.assign(**{column: ["x", "x", "y", "y"]}), "b-tab3")


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="sigma"):
        require_columns(ROWS, "a-fig4a", ["mIoU", "sigma"])


def test_a_run_without_a_value_is_named():
    with pytest.raises(ValueError, match="a1"):
        require_values(ROWS.assign(mIoU=ROWS["mIoU"].where(ROWS["run"] != "a1")), "a-fig4a", ["mIoU"])
