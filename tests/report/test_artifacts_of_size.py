"""What is special to single artifacts of [SIZE] and to those beyond both papers; `test_artifacts` has what all share."""

import pytest
from report_runs import changed, names, percent, without

from pipeline import paths
from pipeline.report.artifacts import a_fig1, a_fig4a, x_cost
from pipeline.report.artifacts.a_tab2 import OPEN, REALISED, load_scores
from pipeline.report.points import CITED, TRAINED
from pipeline.report.style import METHOD_STYLE


def named(frame, *columns):
    return frame.set_index(list(columns))["run"].to_dict()


class TestFig1:
    def test_seconds_follow_the_rule_and_our_statistics(self, made):
        frame = made("a-fig1").frame
        assert frame["kind"].tolist() == ["tag", "point", "size", "box", "full"]
        assert frame["seconds_voc"].tolist() == pytest.approx([20.0, 22.1, 36.95, 38.1, 239.7])
        assert frame["seconds_ours"].tolist() == pytest.approx([4, 2 + 2 * 2.4, 2 + 2 * 12.3, 2 + 2.8 * 7, 2 + 2.8 * 79])

    def test_accuracies_are_runs_or_cited(self, made):
        frame = made("a-fig1").frame
        runs = ["", "scribble_sizes/pce-crf-len000", "size_noise/size-crf-mre08", "", "size_noise/full"]
        assert frame["run"].tolist() == runs
        assert frame["published_percent"].dropna().tolist() == [62.7, 66.6, 71.9, 78.2]
        assert made("a-fig1").table["accuracy"].tolist() == [CITED, TRAINED, TRAINED, "printed in the picture only", TRAINED]

    def test_ours_stand_at_the_cost_of_our_data_set(self, made, results):
        axes = made("a-fig1").figure.axes[0]
        assert axes.get_xscale() == "log"
        ours = [container.lines[0].get_xydata()[0] for container in axes.containers]
        assert [x for x, _ in ours] == pytest.approx([6.8, 26.6, 223.2])
        assert ours[2][1] == pytest.approx(percent(results, "size_noise/full"))

    def test_every_kind_stands_on_a_picture_with_its_seconds_by_the_rule(self, made):
        titles = [axes.get_title() for axes in made("a-fig1").figure.axes if axes.images]
        assert [title.split(",")[0] for title in titles] == list(a_fig1.KINDS)
        seconds = [float(title.split(", ")[1].removesuffix(" s")) for title in titles]
        assert seconds[0] == 20
        assert seconds[1] == pytest.approx(18 + 2 * 2.4, abs=0.5)  # two classes
        assert (seconds[3] - 18) / 7 == pytest.approx((seconds[4] - 18) / 79, abs=0.05)  # as many objects

    def test_boxes_without_a_number_keep_their_place_on_the_axis_of_time(self, made):
        figure = made("a-fig1").figure
        assert "boxes, 38 s\n(accuracy printed in the picture only)" in [
            text.get_text() for text in figure.legends[0].get_texts()
        ]
        boxes = [line for line in figure.axes[0].lines if line.get_color() == METHOD_STYLE["box"].color and len(line.get_xdata())]
        assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in boxes] == [(pytest.approx(38.1), 0)]


class TestFig3x:
    def test_every_loss_is_its_own_run(self, made):
        kinds = {"loss alone": "", "with suppression": "-suppression"}
        found = named(made("a-fig3x").frame, "series", "added")
        for loss in ("reverse-kl", "log-barrier", "flat-barrier"):
            for added, ending in kinds.items():
                assert found[loss.replace("-kl", "-KL").replace("-", " "), added] == f"size_losses/{loss}{ending}"
        assert found["forward KL", "with suppression"] == "size_losses/forward-suppression"
        assert found["forward KL", "with CRF"] == "size_noise/size-crf-mre00"

    def test_a_trivial_solution_shows_as_background(self, made, results):
        frame = made("a-fig3x", changed(results, "size_losses/reverse-kl", background_share=1.0)).frame.set_index("run")
        assert frame.loc["size_losses/reverse-kl", "background_percent"] == 100

    def test_bars_of_one_loss_stand_together_with_the_level_of_full_masks(self, made, results):
        accuracy, background = made("a-fig3x").figure.axes
        losses = [text.get_text() for text in accuracy.get_yticklabels()]
        assert losses == ["forward KL", "reverse KL", "log barrier", "flat barrier"]
        middles = [patch.get_y() + patch.get_height() / 2 for patch in accuracy.patches]
        assert middles[:4] == pytest.approx([0, 1, 2, 3.5])
        assert len(background.patches) == 10
        assert accuracy.lines[0].get_xdata()[0] == pytest.approx(percent(results, "size_noise/full"))

    def test_several_seeds_have_error_bars(self, made, results_of_three_seeds):
        assert not made("a-fig3x").figure.axes[0].collections
        assert made("a-fig3x", results_of_three_seeds).figure.axes[0].collections


class TestFig4a:
    def points(self, frame, method, split, default=False):
        return frame[(frame["method"] == method) & (frame["split"] == split) & (frame["noise_default"] == default)]

    def test_points_equal_the_runs_given(self, made, results):
        frame = made("a-fig4a").frame
        for split, metric in a_fig4a.SPLITS.items():
            curve = self.points(frame, "size_crf", split)
            runs = [f"size_noise/size-crf-mre{digits}" for digits in ("00", "04", "08", "16", "32")]
            assert curve["mre_percent"].tolist() == pytest.approx([0, 4, 8, 16, 32])
            assert curve["mIoU_percent"].tolist() == pytest.approx([percent(results, run, metric) for run in runs])

    def test_realised_errors_are_kept(self, made, results):
        drawing = made("a-fig4a", changed(results, "size_noise/size-mre08", mre_all=0.056, mre_foreground=0.0824))
        row = self.points(drawing.frame, "size", "validation").iloc[2]
        assert row[["mre_all_percent", "mre_foreground_percent"]].tolist() == pytest.approx([5.6, 8.24])

    @pytest.mark.parametrize("name", ["a-fig4a", "a-fig5b", "a-fig6a"])
    def test_realised_errors_of_objects_stand_below_the_nominal_ones(self, made, results, name):
        runs = ["size_noise/size-mre08", "size_noise/size-crf-mre08", "annotated/animals-size-mre08", "acdc/size-mre08"]
        axes = made(name, changed(results, runs, mre_foreground=0.13)).figure.axes[0]
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8\n13"]
        assert axes.get_xlabel().endswith("second line: realised, of the objects")

    def test_the_run_at_noise_sigma_is_apart_from_the_curve(self, made):
        point = self.points(made("a-fig4a").frame, "size", "validation", default=True)
        assert point["series"].item() == "size targets, validation, noise.sigma"
        assert point["mre_percent"].item() == pytest.approx(7.97885)

    def test_full_masks_are_level_over_the_whole_axis_on_validation_images(self, made):
        full = made("a-fig4a").frame.query("method == 'full'")
        assert full["mre_percent"].tolist() == pytest.approx([0, 32])
        assert set(full["split"]) == {"validation"}

    def test_a_method_without_any_run_is_left_out(self, made, results):
        assert set(made("a-fig4a", results[results["method"] != "size_crf"]).frame["method"]) == {"size", "full"}
        assert "full" not in set(made("a-fig4a", without(results, "size_noise/full")).frame["method"])

    def test_no_size_run_at_all_is_an_error(self, made, results):
        with pytest.raises(ValueError, match="size_crf"):
            made("a-fig4a", results[results["method"] == "full"])

    def test_the_legend_explains_colours_lines_and_diamond(self, made):
        figure = made("a-fig4a").figure
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert texts == ["size targets", "size targets + CRF", "full masks", "validation", "training", "noise of params.yaml"]
        lines = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "^")]
        assert [line.get_linestyle() for line in lines] == ["-", "--", "-", "--"]
        assert [line.get_color() for line in lines] == [
            METHOD_STYLE[key].color for key in ("size", "size", "size_crf", "size_crf")
        ]

    def test_several_seeds_have_bands(self, made, results_of_three_seeds):
        assert not made("a-fig4a").figure.axes[0].collections
        assert len(made("a-fig4a", results_of_three_seeds).figure.axes[0].collections) >= 4


class TestFig4b:
    def test_every_curve_has_its_own_runs(self, made):
        found = named(made("a-fig4b").frame, "series", "length_ratio")
        assert found["without size targets", 0.5] == "scribble_sizes/pce-crf-len050"
        for error in (0, 8, 16):
            assert found[f"mRE {error} %", 0.0] == f"scribble_sizes/size-mre{error:02d}-len000"
        assert found["full masks", 0.0] == found["full masks", 1.0] == "size_noise/full"

    def test_the_two_printed_numbers_stand_at_length_zero(self, made):
        printed = made("a-fig4b").frame.dropna(subset="published_percent")
        places = printed[["series", "length_ratio", "published_percent"]].values.tolist()
        assert places == [["without size targets", 0, 66.6], ["mRE 0 %", 0, 74]]

    def test_errors_differ_by_the_line_of_one_colour(self, made):
        lines = [line for line in made("a-fig4b").figure.axes[0].lines if line.get_marker() == "D"]
        joined = [line for line in lines if line.get_linestyle() != "None"]
        assert [line.get_linestyle() for line in joined] == ["-", "--", ":"]
        assert len({line.get_color() for line in joined}) == 1

    def test_networks_are_not_mixed(self, made, results):
        with pytest.raises(ValueError, match="one network"):
            made("a-fig4b", changed(results, "size_noise/full", network="vit"))

    def test_the_legend_says_what_error_sizes_came_to(self, made, results):
        realised = results["mre"].map({0.0: 0.0, 0.08: 0.114, 0.16: 0.2})
        figure = made("a-fig4b", results.assign(mre_foreground=realised)).figure
        labels = {text.get_text() for text in figure.legends[0].get_texts()}
        assert {"sizes, mRE 0 %", "mRE 8 % (objects 11 %)", "mRE 16 % (objects 20 %)"} <= labels


class TestFig5b:
    def test_the_star_stands_at_the_error_of_our_annotator_beside_the_printed_one(self, made, results):
        frame = made("a-fig5b").frame.set_index("series")
        star = frame.loc["annotated"]
        assert star[["mre_percent", "mre_published_percent", "published_percent"]].tolist() == pytest.approx([15, 15.9, 89.6])
        share = 100 * percent(results, "annotated/animals-annotated") / percent(results, "annotated/animals-full")
        assert star[["share_of_full_percent", "share_of_full_published_percent"]].tolist() == pytest.approx([share, 97.2])

    def test_curve_and_level_have_their_runs(self, made):
        frame = made("a-fig5b").frame
        assert frame.query("series == 'size targets'")["run"].iloc[2] == "annotated/animals-size-mre08"
        full = frame.query("series == 'full masks'")
        assert full["mre_percent"].tolist() == [0, 32]
        assert full["published_percent"].tolist() == [92.2, 92.2]

    @pytest.mark.parametrize(("annotation", "words"), [("simulated", "simulated annotator"), ("annotated", "people")])
    def test_figures_and_tables_say_who_annotated(self, made, results, annotation, words):
        rows = results.assign(annotation=results["annotation"].where(results["annotation"].isna(), annotation))
        assert f"sizes by {words}" in [text.get_text() for text in made("a-fig5b", rows).figure.legends[0].get_texts()]
        assert set(made("a-tab1", rows).table["annotator of ours"]) == {words}
        assert words in made("a-tab1", rows).figure.legends[0].get_title().get_text()


class TestFig6a:
    def test_methods_have_their_runs_and_names(self, made):
        drawing = made("a-fig6a")
        runs = named(drawing.frame, "method", "mre_percent")
        assert runs["size", 8.0] == "acdc/size-mre08"
        assert runs["mean_size", 0.0] == runs["mean_size", 32.0] == "acdc/mean-size"
        assert (runs["full", 0.0], runs["barrier", 0.0], runs["pce", 0.0]) == ("acdc/full", "acdc/barrier", "acdc/pce")
        texts = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
        assert texts == ["size targets", "full masks", "mean size target", "size barrier", "seeds only"]

    def test_levels_are_told_apart(self, made):
        lines = [line for line in made("a-fig6a").figure.axes[0].lines if line.get_marker() == "None"]
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 4

    def test_several_seeds_have_bands(self, made, results_of_three_seeds):
        assert len(made("a-fig6a", results_of_three_seeds).figure.axes[0].patches) == 4


class TestTab1:
    def test_every_cell_has_its_run_and_its_printed_number(self, made):
        dog = made("a-tab1").frame.query("series == 'dog'")
        assert dog["run"].tolist() == ["annotated/dog-full", "annotated/dog-size", "annotated/dog-annotated"]
        assert dog["published_percent"].tolist() == [88.1, 84.3, 84.5]

    def test_time_and_error_of_the_annotators_stand_beside(self, made):
        bird = made("a-tab1").table.set_index("class").loc["bird"]
        assert bird[["seconds per image published", "seconds per image ours"]].tolist() == [15.2, 11.5]
        assert bird[["mRE published", "mRE ours"]].tolist() == pytest.approx([20.1, 15])

    def test_a_class_of_which_nothing_was_trained_is_left_out(self, made, results):
        assert list(made("a-tab1", results[results["classes"] != "bird"]).table["class"]) == ["cat", "dog"]

    def test_nothing_trained_is_an_error(self, made, results):
        with pytest.raises(ValueError, match="a-tab1: 9 of 9 runs missing"):
            made("a-tab1", results[~results["classes"].isin(["cat", "dog", "bird"])])

    def test_annotations_without_time_are_an_error(self, made, results):
        with pytest.raises(ValueError, match="annotated_seconds"):
            made("a-tab1", results.drop(columns="annotated_seconds"))


class TestTab2:
    ENTERED = "run,score,url,date\nbackbones/vit-size,61.5,http://host/anonymous/X.html,2025-01-31\n"

    def test_every_cell_has_its_run(self, made):
        found = named(made("a-tab2").frame, "series", "column")
        sizes, full = "R101-DeepLabV3+ size (8%)", "R101-DeepLabV3+ full"
        assert found[sizes, "PASCAL val mIoU"] == found[sizes, "PASCAL test mIoU"] == "size_noise/size-crf-mre08"
        assert (found[sizes, "COCO val mIoU"], found[full, "COCO val mIoU"]) == (
            "backbones/coco-resnet101-size",
            "backbones/coco-resnet101-full",
        )
        assert found["WR38-DeepLabV3+ size (8%)", "PASCAL val mIoU"] == "backbones/wideresnet38-size"
        assert found["ViT-B-Linear size (8%)", "COCO val mIoU"] == "backbones/coco-vit-size"
        assert found["SeCo (ViT-B-Conv tags)", "PASCAL val mIoU"] == ""

    def test_the_test_column_is_open_until_a_score_is_entered(self, made):
        rows = made("a-tab2").frame.query("column == 'PASCAL test mIoU'").set_index("series")
        assert rows.loc["ViT-B-Linear size (8%)", ["published_percent", "source"]].tolist() == [78.2, OPEN]
        paths.TEST_SCORES.write_text(self.ENTERED)
        row = made("a-tab2").frame.query("column == 'PASCAL test mIoU'").set_index("series").loc["ViT-B-Linear size (8%)"]
        assert (row["ours_percent"], row["source"]) == (61.5, "http://host/anonymous/X.html (2025-01-31)")
        assert row["difference_points"] == pytest.approx(61.5 - 78.2)

    def test_the_table_says_whose_number_it_is(self, made):
        table = made("a-tab2").table.set_index("method")
        assert table.loc["R101-DeepLabV3+ full", ["source", "test server"]].tolist() == [TRAINED, OPEN]
        assert table.loc["SeCo (ViT-B-Conv tags)", ["source", "test server", "stages"]].tolist()[:2] == [CITED, ""]
        assert set(table["stages"]) == {"multi-stage", "single-stage"}
        assert table.loc["ViT-B-Linear full", ["COCO val mIoU published", "COCO val mIoU ours"]].isna().all()

    def test_the_table_says_what_error_sizes_came_to(self, made, results):
        realised = results["mre"].map({0.08: 0.114})
        table = made("a-tab2", results.assign(mre_foreground=realised)).table.set_index("method")
        assert table.loc["R101-DeepLabV3+ size (8%)", REALISED].startswith("PASCAL 11.4 %")
        assert table.loc["R101-DeepLabV3+ full", REALISED] == ""

    @pytest.mark.parametrize("rows", ["", "a/b,,u,d\n", "a/b,0.7e3,u,d\n", "a/b,70,u,d\na/b,71,u,d\n"])
    def test_a_bad_file_of_scores_is_rejected(self, folder, rows):
        path = folder / "scores.csv"
        path.write_text(f"run,score,url,date\n{rows}" if rows else "run,score\n")
        with pytest.raises(ValueError, match="expected"):
            load_scores(path)

    def test_a_panel_per_column_with_a_line_per_method(self, made):
        panels = made("a-tab2").figure.axes
        assert [axes.get_title().split("\n")[0] for axes in panels] == ["PASCAL val", "PASCAL test", "COCO val"]
        assert len(panels[0].get_yticks()) == 16
        assert [len(axes.containers) for axes in panels] == [5, 0, 3]


class TestCost:
    def test_two_annotations_go_through_absent_classes_once(self, made):
        seconds = made("x-cost").frame.set_index("series")["seconds_voc"]
        assert seconds["points and size targets"] == pytest.approx(18.5 + 1.5 * (2.4 + 12.3))
        assert seconds["scribbles and size targets"] == pytest.approx(18.5 + 1.5 * (10.9 + 12.3))
        assert seconds.is_monotonic_increasing
        assert made("x-cost").frame.set_index("series").loc["points", "seconds_ours"] == pytest.approx(2 + 2 * 2.4)

    def test_runs_and_printed_accuracies_stand_beside(self, made):
        frame = made("x-cost").frame.set_index("series")
        assert frame.loc["scribbles, dense CRF loss", "run"] == "scribble_resnet_potts/densecrf-12"
        assert frame.loc["scribbles, soft self-labelling", "run"] == "scribble_resnet_potts/cd-12"
        assert frame.loc["scribbles and size targets", "run"] == "scribble_sizes/size-mre08-len100"
        assert frame["published_percent"].dropna().tolist() == [62.7, 66.6, 75.8, 77.7, 71.9, 74.0, 78.2]
        assert frame["source"].value_counts().to_dict() == {TRAINED: 7, CITED: 1, x_cost.NONE: 1}

    def test_seconds_that_people_took_stand_in_place_of_the_rule(self, made, results):
        drawn = results["run"].eq("cd-12") & results["family"].eq("scribble_resnet_potts")
        before, after = (
            made("x-cost", table).frame.set_index("series")["seconds_ours"]
            for table in (results, results.assign(drawn_seconds=drawn.map({True: 40.0, False: float("nan")})))
        )
        changed = after[after != before]
        assert changed.to_dict() == {"scribbles, soft self-labelling": pytest.approx(40 + 2)}

    def test_seconds_of_sizes_that_people_gave_stand_in_place_of_the_rule(self, made, results):
        rows = results["run"].eq("cat-annotated")
        with_sizes = {"points and size targets", "scribbles and size targets", "size targets"}
        for who, expected in (("simulated", set()), ("annotated", with_sizes)):
            given = results.assign(
                annotation=results["annotation"].mask(rows, who), annotated_seconds=results["annotated_seconds"].mask(rows, 40.0)
            )
            before, after = (made("x-cost", table).frame.set_index("series")["seconds_ours"] for table in (results, given))
            assert set(after.index[after != before]) == expected
        assert after["size targets"] == pytest.approx(2 + 2 * 40)

    def test_measured_points_are_filled_and_printed_ones_hollow(self, made):
        figure = made("x-cost").figure
        assert sum(line.get_markerfacecolor() == "none" for line in figure.axes[0].lines) == len(figure.axes[0].containers) == 7
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert texts[0] == "tags, 20 s\n(reported by its authors)"
        assert not any(text.startswith("boxes") for text in texts)


class TestCross:
    def test_a_gain_is_against_soft_labels_of_the_same_length(self, made, results):
        drawing = made("x-cross", changed(results, "cross/soft-size-len050", by=0.1))
        frame = drawing.frame.set_index(["series", "length_ratio"])
        assert frame.loc[("scribbles", 0.5), "run"] == "cross_seeds/pce-len050"
        gain = frame.loc[("soft self-labelling + size targets", 0.5), "gain_points"]
        both = drawing.data.runs.rows.assign(name=lambda rows: names(rows)).set_index("name")["mIoU_val"]
        assert gain == pytest.approx(100 * (both["cross/soft-size-len050"] - both["cross/soft-len050"]))
        table = drawing.table.set_index("supervision")["0.5 difference"]
        assert table.isna().tolist() == [False, True, False]
        assert table.iloc[2] == pytest.approx(gain)
