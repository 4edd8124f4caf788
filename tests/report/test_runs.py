import math

import pandas as pd
import pytest

from pipeline.report.runs import Runs, Where, load_results

NAN = float("nan")


def row(run, seed, accuracy, family="f", **columns):
    return {"run": run, "family": family, "seed": seed, "profile": "embedded", "mIoU_val": accuracy, **columns}


EVERYTHING = (Where(),)


def make(*rows, wanted=EVERYTHING):
    return Runs(pd.DataFrame(rows), "a-tab1", wanted)


A, B = Where(family="f", method="a"), Where(family="f", method="b")


@pytest.fixture
def runs():
    return make(
        row("x", 1, 0.7, method="a"), row("x", 0, 0.5, method="a"), row("y", 0, 0.4, method="b"), row("y", 1, 0.4, method="b")
    )


class TestFields:
    @pytest.mark.parametrize(
        ("value", "wanted", "fits"),
        [
            ("grid4", "grid4", True),
            ("grid4", "grid8", False),
            (NAN, "grid4", False),
            (NAN, None, True),
            ("", None, True),
            ("grid4", None, False),
            (0.3, 0.3, True),
            ("0.30", 0.3, True),
            (0.0800278, 0.08, False),
            (0, 0.0, True),
            (NAN, 0.0, False),
            ("True", True, True),
            (False, True, False),
            (NAN, False, True),
            (1, True, True),
        ],
    )
    def test_a_value_fits_or_does_not(self, value, wanted, fits):
        assert Where(field=wanted).matches({"field": value}) == fits
        assert make(row("x", 0, 0.5, field=value)).has(Where(field=wanted)) == fits

    def test_fields_are_added_and_replaced(self):
        assert str(Where(family="potts", relaxation="q").but(relaxation="cd", length_ratio=1.0)) == (
            "family=potts, relaxation=cd, length_ratio=1"
        )

    def test_a_field_that_is_no_column_is_named(self, runs):
        with pytest.raises(ValueError, match=r"a-tab1: expected the columns \['training'\]"):
            runs.has(Where(training="seeds"))


class TestFiles:
    def test_families_are_joined_and_columns_of_one_are_empty_in_the_other(self, tmp_path):
        for family, columns in (("one", {}), ("two", {"DSC_val": 0.9})):
            pd.DataFrame([row("a", 0, 0.5, family, **columns)]).to_csv(tmp_path / f"{family}.csv", index=False)
        joined = load_results([tmp_path / "one.csv", tmp_path / "two.csv"])
        assert joined["family"].tolist() == ["one", "two"]
        assert joined["DSC_val"].isna().tolist() == [True, False]

    def test_a_file_without_runs_is_named(self, tmp_path):
        (tmp_path / "results.csv").write_text("name\nx\n")
        with pytest.raises(ValueError, match=r"results\.csv.*run, family and seed"):
            load_results([tmp_path / "results.csv"])

    def test_the_same_run_and_seed_twice_is_an_error(self, tmp_path):
        pd.DataFrame([row("a", 0, 0.5), row("a", 0, 0.6)]).to_csv(tmp_path / "results.csv", index=False)
        with pytest.raises(ValueError, match="f/a, seed 0"):
            load_results([tmp_path / "results.csv"])


class TestRuns:
    def test_a_run_is_selected_by_its_fields(self, runs):
        assert runs.select(family="f", method="a")["seed"].tolist() == [0, 1]
        assert runs.select(A).equals(runs.select(family="f", method="a"))

    def test_runs_of_other_artifacts_are_left_out(self):
        kept = make(row("x", 0, 0.5, method="a"), row("y", 0, 0.5, method="b"), wanted=[A])
        assert kept.rows["run"].tolist() == ["x"]

    def test_several_runs_with_the_same_fields_are_an_error(self, runs):
        with pytest.raises(ValueError, match="expected one run with family=f, got f/x, f/y"):
            runs.select(family="f")

    def test_missing_runs_are_named_by_their_fields(self, runs):
        missing = r"a-tab1: 2 of 3 runs missing: \(family=f, method=c\), \(family=f, method=d\)"
        with pytest.raises(ValueError, match=missing):
            runs.require([A, A.but(method="c"), A.but(method="d")], ())
        with pytest.raises(ValueError, match=r"1 of 1 runs missing: \(family=f, method=c\)"):
            runs.cell(A.but(method="c"), "mIoU_val")

    def test_a_seed_that_only_others_have_is_missing(self, runs):
        with pytest.raises(ValueError, match=r"same seeds.*method=b\), seed 1"):
            make(*runs.rows.iloc[:3].to_dict("records")).require([A, B], ())

    @pytest.mark.parametrize("column", ["profile", "dataset"])
    def test_runs_of_two_settings_do_not_share_a_figure(self, runs, column):
        runs.rows[column] = ["one", "one", "two", "two"]
        with pytest.raises(ValueError, match=f"one {column}"):
            runs.require([A, B], [column])


class TestNumbers:
    def test_a_cell_is_mean_and_sample_deviation_over_seeds(self, runs):
        found = runs.cell(A, "mIoU_val")
        assert (found.mean, found.std) == pytest.approx((0.6, 0.2 / 2**0.5))
        assert found.values == {0: 0.5, 1: 0.7}

    def test_one_seed_has_no_deviation(self):
        assert math.isnan(make(row("x", 0, 0.5)).cell(Where(family="f"), "mIoU_val").std)

    def test_a_missing_value_is_named_with_its_seed(self, runs):
        runs.rows.loc[runs.rows["seed"] == 1, "mIoU_val"] = NAN
        with pytest.raises(
            ValueError, match="expected a value of mIoU_val of the run with family=f, method=a, got none for seed 1"
        ):
            runs.cell(A, "mIoU_val")
        with pytest.raises(ValueError, match="DSC_val"):
            runs.cell(A, "DSC_val")

    def test_published_stands_beside_ours(self, runs):
        numbers = runs.compare(A, "mIoU_val", 70.0)
        assert numbers["run"] == "f/x"
        assert (numbers["ours_percent"], numbers["difference_points"], numbers["seeds"]) == pytest.approx((60, -10, 2))
        assert math.isnan(runs.compare(A, "mIoU_val")["difference_points"])

    def test_the_best_epoch_is_kept_where_tracked(self, runs):
        assert math.isnan(runs.compare(A, "mIoU_val")["ours_best_percent"])
        tracked = make(*runs.rows.assign(mIoU_val_best=0.8).to_dict("records"))
        assert tracked.compare(A, "mIoU_val")["ours_best_percent"] == pytest.approx(80)

    def test_a_cited_number_rests_on_no_run(self, runs):
        cited = runs.compare(None, "mIoU_val", 77.7)
        assert cited.keys() == runs.compare(A, "mIoU_val").keys()
        assert (cited["run"], cited["published_percent"], cited["seeds"]) == ("", 77.7, 0)

    def test_a_number_that_need_not_be_there_is_empty(self, runs):
        assert math.isnan(runs.mean(A, "train_seconds"))
        assert runs.mean(A, "mIoU_val") == pytest.approx(0.6)


class TestLevels:
    runs = make(
        *(row(f"x-{level}", 0, 0.5, method="a", length_ratio=level) for level in (1.0, 0.0, 0.3)),
        *(row(f"y-{level}", 0, 0.5, method="b", length_ratio=level) for level in (0.0, 1.0)),
    )

    def test_levels_ascend_and_lead_to_their_runs(self):
        found = self.runs.levels({"x": A}, "length_ratio")["x"]
        assert [(level, self.runs.name(run)) for level, run in found.items()] == [
            (0, "f/x-0.0"),
            (0.3, "f/x-0.3"),
            (1, "f/x-1.0"),
        ]

    def test_a_level_that_another_curve_has_is_missing(self):
        with pytest.raises(ValueError, match=r"1 of 6 runs missing: \(family=f, method=b, length_ratio=0.3\)"):
            self.runs.levels({"x": A, "y": B}, "length_ratio")

    def test_no_run_of_any_curve_is_an_error(self):
        with pytest.raises(ValueError, match=r"expected runs with \(family=f, method=c\), got none"):
            self.runs.levels({"z": A.but(method="c")}, "length_ratio")

    def test_a_curve_that_lacks_a_run_has_no_levels_where_runs_may_be_missing(self):
        curves = {"x": A, "y": B, "z": A.but(method="c")}
        found = self.runs.levels(curves, "length_ratio", made_only=True)
        assert [list(of) for of in found.values()] == [[0, 0.3, 1], [], []]
