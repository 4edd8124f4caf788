"""What is special to single artifacts of [SSL]; `test_artifacts` has what all share."""

import pandas as pd
import pytest
from conftest import solutions, write_frame
from report_runs import NAN, changed, names, percent, without

from pipeline import paths
from pipeline.report.artifacts import b_appb2, b_tab5
from pipeline.report.points import CITED, TRAINED
from pipeline.report.style import RELAXATION_STYLE

SOFT = "potts/q-len100"


class TestFig3d:
    def test_every_cross_entropy_has_its_own_runs(self, made):
        frame = made("b-fig3d").frame.query("corrupted_percent == 50").set_index("series")
        assert frame["run"].to_dict() == {f"H_{key}": f"label_noise/{key.lower()}-eta50" for key in ("CE", "RCE", "CCE")}


class TestFig4:
    def test_every_cross_entropy_has_its_own_runs_and_hard_labels_stand_at_full_length(self, made):
        full = made("b-fig4").frame.query("length_ratio == 1").set_index("series")["run"]
        hard = "cross_entropies/hard-len100"
        assert full.tolist() == ["cross_entropies/ce-len100", "cross_entropies/rce-len100", SOFT, hard]

    def test_printed_numbers_are_those_of_table_3_and_of_hard_labels(self, made):
        drawing = made("b-fig4")
        assert drawing.frame["published_percent"].dropna().tolist() == [58.92, 67.81, 71.05, 69.8]
        hollow = [line for line in drawing.figure.axes[0].lines if line.get_markerfacecolor() == "none"]
        assert [line.get_ydata().tolist() for line in hollow] == [[58.92, 67.81, 71.05], [69.8]]

    def test_three_curves_and_a_point_are_drawn(self, made):
        lines = [line for line in made("b-fig4").figure.axes[0].lines if line.get_linestyle() != "None"]
        assert [len(line.get_xdata()) for line in lines] == [3, 3, 3, 1]


class TestFig6:
    def test_ends_of_the_curves_are_the_runs_of_table_4(self, made):
        frame = made("b-fig6").frame.query("length_ratio == 1")
        assert frame["run"].tolist() == made("b-tab4").frame["run"].tolist()
        others = float("nan")  # the table's 63.1 is of another network, whose curve is not drawn
        assert frame["published_percent"].tolist() == pytest.approx([67.0, 69.5, 69.6, others, 71.1, 67.9], nan_ok=True)

    def test_a_curve_is_in_the_panel_of_its_neighbourhood(self, made, results):
        nearest, dense = made("b-fig6").figure.axes
        assert (nearest.get_title(), dense.get_title()) == ("nearest neighbours", "dense neighbourhood")
        for axes, runs in ((nearest, ("methods/gd-nn", "methods/hard-nn", "potts/q")), (dense, ("methods/gd-dn",))):
            joined = [line for line in axes.lines if line.get_linestyle() != "None"]
            ends = [percent(results, f"{run}-len100") for run in runs]
            assert [line.get_ydata()[-1] for line in joined][: len(runs)] == pytest.approx(ends)


class TestTab3:
    def test_rows_follow_the_paper(self, made):
        order = ["P_BL", "P_NQ", "P_Q", "P_CCE", "P_CD", "P_LQ", "H_Q+P_Q", "H_Q+P_Q+entropy"]
        assert made("b-tab3").table["relaxation"].tolist() == order

    @pytest.mark.parametrize(
        ("series", "length", "run"),
        [
            ("P_BL", 0.0, "bl-len000"),
            ("P_LQ", 0.5, "lq-len050"),
            ("P_CD", 1.0, "cd-len100"),
            ("H_Q+P_Q", 1.0, "exact-len100"),
            ("H_Q+P_Q+entropy", 1.0, "exact-entropy-len100"),
        ],
    )
    def test_numbers_equal_the_runs_given(self, made, results, series, length, run):
        row = made("b-tab3").frame.set_index(["series", "length_ratio"]).loc[(series, length)]
        assert row["ours_percent"] == pytest.approx(percent(results, f"potts/{run}"))

    def test_published_numbers_and_differences_stand_beside(self, made, results):
        line = made("b-tab3").table.set_index("relaxation").loc["P_CD"]
        assert line["1 published"] == 71.22
        assert line["1 difference"] == pytest.approx(percent(results, "potts/cd-len100") - 71.22)

    def test_fewer_lengths_may_have_been_trained(self, made, results):
        kept = results[results["length_ratio"] != 0.5]
        assert sorted(set(made("b-tab3", kept).frame["length_ratio"])) == [0, 1]

    def test_columns_follow_the_length_where_a_row_has_more_of_them(self, made, results):
        more = results[names(results) == "potts/exact-len100"].assign(run="exact-len080", length_ratio=0.8)
        table = made("b-tab3", pd.concat([results, more])).table
        assert [name for name in table if name.endswith("difference")] == [f"{length} difference" for length in (0, 0.5, 0.8, 1)]

    def test_the_quadratic_rows_may_be_absent(self, made, results):
        assert len(made("b-tab3", results[results["cross_entropy"] != "quadratic"]).frame) == 18

    def test_no_run_at_all_is_an_error(self, made, results):
        with pytest.raises(ValueError, match="family=potts"):
            made("b-tab3", results[results["family"] != "potts"])

    def test_published_and_ours_have_axes_of_their_own_and_their_differences_below(self, made, results):
        left, right, below, _ = made("b-tab3", changed(results, "potts/nq-len050", by=0.02)).figure.axes
        assert (left.get_title(), right.get_title()) == ("published", "ours")
        assert left.lines[2].get_ydata().tolist() == [58.92, 67.81, 71.05]
        normalised = next(line for line in below.lines if line.get_color() == RELAXATION_STYLE["nq"].color)
        assert normalised.get_ydata() == pytest.approx([0.09, -0.01, 0.07])

    def test_the_closed_form_is_a_point_in_both_panels(self, made):
        published, ours = made("b-tab3").figure.axes[:2]
        assert [sum(list(line.get_xdata()) == [1.0] for line in axes.lines) for axes in (published, ours)] == [2, 2]
        assert [line.get_ydata().tolist() for line in made("b-tab3").figure.axes[0].lines[-2:]] == [[67.8], [68.97]]


class TestTab4:
    def test_every_cell_has_its_own_run_and_printed_number(self, made):
        frame = made("b-tab4").frame
        runs = ["gd-nn", "gd-dn", "hard-nn", "hard-dn", SOFT, "soft-dn"]
        assert frame["run"].tolist() == [run if "/" in run else f"methods/{run}-len100" for run in runs]
        assert frame["published_percent"].tolist() == [67.0, 69.5, 69.6, 63.1, 71.1, 67.9]

    def test_the_table_is_three_by_two(self, made):
        table = made("b-tab4").table
        assert table["method"].tolist() == ["gradient descent", "hard self-labelling", "soft self-labelling"]
        assert table["DN published"].tolist() == [69.5, 63.1, 67.9]

    def test_every_cell_is_a_line_of_dots(self, made):
        axes = made("b-tab4").figure.axes[0]
        assert [tick.get_text() for tick in axes.get_yticklabels()][:2] == [
            "gradient descent, nearest",
            "gradient descent, dense*",
        ]
        assert len(axes.containers) == 6


class TestTab5:
    def test_rows_are_those_of_the_paper_with_every_printed_number(self, made, published):
        frame, printed = made("b-tab5").frame, published.query("artifact == 'b-tab5' and column == 'mIoU'")
        assert frame["series"].tolist() == list(b_tab5.ROWS) == printed["row"].tolist()
        assert frame["published_percent"].tolist() == printed["value"].tolist()

    def test_every_trained_row_has_its_own_run(self, made):
        frame = made("b-tab5").frame
        one, two = "scribble_resnet", "scribble_resnet_potts"
        expected = [f"{one}/full-16", f"{one}/full-12", f"{two}/densecrf-12", f"{two}/gridcrf-12", f"{two}/nonlocalcrf-12"]
        expected += [f"{two}/q-12", f"{two}/cd-12", f"{one}/cd-12-single", f"{two}/cd-16", f"{one}/cd-16-single"]
        assert frame.loc[frame["source"] == TRAINED, "run"].tolist() == expected

    def test_rows_said_to_be_cited_are_those_of_other_authors(self, made, published):
        notes = published.query("artifact == 'b-tab5' and column == 'mIoU'").set_index("row")["note"]
        cited = made("b-tab5").frame.query("source == @CITED")
        assert cited["ours_percent"].isna().all()
        assert all("reported by its authors" in notes[series] for series in cited["series"])

    def test_the_table_says_how_each_row_was_trained(self, made):
        line = made("b-tab5").table.set_index("method").loc["GridCRF loss"]
        described = line[["batch size (paper)", "optimisation", "neighbourhood", "source"]].tolist()
        assert described == ["12", "SL hard", "NN", TRAINED]

    def test_every_row_is_a_line_of_dots(self, made):
        axes = made("b-tab5").figure.axes[0]
        assert len(axes.get_yticklabels()) == len(b_tab5.ROWS)
        assert len(axes.containers) == 10
        assert sum(line.get_markerfacecolor() == "none" for line in axes.lines) == len(b_tab5.ROWS)

    def test_results_that_do_not_tell_batches_apart_are_an_error(self, made, results):
        with pytest.raises(ValueError, match="b-tab5: expected the columns \\['training'\\]"):
            made("b-tab5", results.drop(columns="training"))


class TestTab6:
    def test_every_data_set_has_its_own_runs_and_printed_numbers(self, made):
        drawing = made("b-tab6")
        runs = drawing.frame.set_index(["series", "column"])["run"]
        assert runs["GridCRF loss", "Cityscapes"] == "blocks/cityscapes-gridcrf"
        assert runs["H_CCE+P_CD", "ADE20K"] == "blocks/ade20k-cd"
        assert drawing.table["Cityscapes published"].tolist() == [80.2, 69.3, 69.5, 71.5, 72.4]
        assert drawing.table["ADE20K published"].tolist() == [44.6, 37.4, 37.7, 39.2, 39.7]

    def test_the_row_of_others_has_no_number_of_ours(self, made):
        table = made("b-tab6").table.set_index("method")
        assert table.loc["TEL", ["source", "supervision"]].tolist() == [CITED, "blocks, 50 %"]
        assert pd.isna(table.loc["TEL", "ADE20K ours"])
        assert table.loc["Deeplab V3+", "supervision"] == "full masks"


class TestAppendixB1:
    def test_numbers_equal_the_rows_given(self, made):
        line = made("b-appb1").table.iloc[0]
        assert line[["soft Jaccard (%) ours", "soft Jaccard (%) worst image"]].tolist() == pytest.approx([97, 95])
        assert line[["energy gap (%) mean", "energy gap (%) worst image"]].tolist() == pytest.approx([2, 3])
        assert line[["soft Jaccard (%) published", "soft Jaccard difference"]].tolist() == pytest.approx([99.2, -2.2])

    def test_the_published_mean_stands_beside_200_gradient_steps_of_the_quadratic_case_only(self, made):
        table = made("b-appb1").table
        assert table["solver"].tolist() == ["gradient, 200 steps", "random walker", "gradient, 200 steps", "fast, 12 steps"]
        assert table["soft Jaccard (%) published"].notna().tolist() == [True, False, False, False]

    def test_energies_are_compared_within_their_case(self, made):
        table = made("b-appb1").table
        assert table["energy"].tolist() == ["H_Q+P_Q", "H_Q+P_Q", "H_CCE+P_CD", "H_CCE+P_CD"]
        assert table["energy gap (%) mean"].tolist() == pytest.approx([2, 0, 5, -1])
        assert table["milliseconds per image"].tolist() == [2000, 1000, 2000, 500]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda rows: rows.drop(index=[7]), r"'fast, 12 steps' of H_CCE\+P_CD.*'b'"),
            (lambda rows: rows.iloc[:0], "at least one"),
            (lambda rows: rows.drop(columns="energy"), "energy"),
        ],
    )
    def test_what_is_missing_is_named(self, made, change, message):
        write_frame(paths.solver_check("seeds"), change(solutions()))
        with pytest.raises(ValueError, match=f"b-appb1.*{message}"):
            made("b-appb1")

    def test_the_share_of_converged_images_is_told(self, made):
        write_frame(paths.solver_check("seeds"), solutions().assign(converged=[True, True, True, True, False, True, True, True]))
        assert made("b-appb1").table["converged (%)"].tolist() == [50, 100, 100, 100]

    def test_a_gap_relative_to_nothing_is_empty_and_a_cross_entropy_may_be_given(self, made):
        write_frame(paths.solver_check("seeds"), solutions().assign(reference_energy=0.0, cross_entropy="cce"))
        frame = made("b-appb1").frame
        assert frame["energy_gap_percent"].isna().all()
        assert set(frame["case"]) == {"H_CCE+P_Q", "H_CCE+P_CD"}

    def test_a_dot_per_image_and_a_diamond_per_solver(self, made):
        jaccard, gap = made("b-appb1").figure.axes
        assert [len(line.get_xdata()) for line in jaccard.lines if line.get_marker() == "o"] == [2, 2]
        assert [line.get_xdata()[0] for line in jaccard.lines if line.get_marker() == "D"] == pytest.approx([97, 100])
        assert [line.get_xdata()[0] for line in gap.lines if line.get_marker() == "D"] == pytest.approx([5, -1])


class TestAppendixB2:
    RUNS = (SOFT, "solvers/steps100-len100", "solvers/fast-len100", "solvers/fast-tuned-len100", "methods/gd-dn-len100")

    def timed(self, results):
        """Results with the objectives of all rows, and their times: a step takes 8, 4, 3, 2 and 1 times a plain one."""
        known = {"soft-q": "gradient, 20 steps", "soft-q-half": "gradient, 10 steps", "soft-q-fast": "fast, 3 steps"}
        known |= {"soft-q-fast-tuned": "fast", "dense-crf": ""}
        times = pd.DataFrame({"objective": list(known), "solver": list(known.values()), "ratio": [8, 4, 3, 2, 1]})
        write_frame(b_appb2.STEP_TIMES, times)
        rows = results.copy()
        for run, objective in zip(self.RUNS, known, strict=True):
            rows.loc[names(rows) == run, "objective"] = objective
        rows.loc[names(rows) == self.RUNS[2], "solver_steps"] = 3
        rows.loc[names(rows) == self.RUNS[3], "solver_steps"] = NAN
        return rows

    def test_every_row_has_its_own_run_and_the_time_of_its_own_solver(self, made, results):
        drawing = made("b-appb2", self.timed(results))
        assert drawing.frame["run"].tolist() == list(self.RUNS)
        assert drawing.frame["time_ratio"].tolist() == [8, 4, 3, 2, 1]
        assert drawing.frame["time_ratio_published"].dropna().tolist() == [3]
        assert [axes.get_xlabel() for axes in drawing.figure.axes][1] == "time of a training step (last row = 1)"

    def test_steps_that_were_not_timed_have_no_time(self, made, results):
        rows = self.timed(results)
        rows.loc[names(rows) == self.RUNS[0], "solver_steps"] = 77
        assert pd.isna(made("b-appb2", rows).frame["time_ratio"].iloc[0])

    def test_a_change_is_taken_seed_by_seed_against_the_full_number_of_steps(self, made, results_of_three_seeds):
        rows, run = results_of_three_seeds.copy(), names(results_of_three_seeds) == self.RUNS[1]
        rows.loc[run, "mIoU_val"] = rows.loc[names(rows) == SOFT, "mIoU_val"].to_numpy() - [0, 0, 0.03]
        row = made("b-appb2", rows).frame.iloc[1]
        assert (row["change_points"], row["change_std_points"]) == pytest.approx((-1, 3**0.5))
        assert row["change_published_points"] == -0.72
        assert pd.isna(made("b-appb2", rows).frame["change_points"].iloc[0])

    def test_the_number_of_steps_of_ours_is_in_table_and_figure(self, made):
        drawing = made("b-appb2")
        assert drawing.table["steps of ours"].tolist() == ["20", "10", "20", "20", "-"]
        labels = [tick.get_text() for tick in drawing.figure.axes[0].get_yticklabels()]
        assert (labels[0], labels[-1]) == ("200 steps (ours: 20)", "gradient descent, dense")


def test_soft_labels_on_nearest_neighbours_are_one_run_everywhere(made):
    assert made("b-sec33").frame["run"].tolist() == [SOFT, "methods/soft-dn-len100"]
    assert made("b-sec33").table["published"].tolist() == [71.1, 67.9]


def test_a_run_that_two_fit_is_told_apart(made, results):
    twin = results[names(results) == SOFT].assign(run="q-again")
    with pytest.raises(ValueError, match=r"expected one run with .*, got potts/q-again, potts/q-len100; tell them apart"):
        made("b-sec33", pd.concat([results, twin]))
    assert len(made("b-sec33", without(changed(results, SOFT, by=0.1), "cross/soft-len000")).frame) == 2
