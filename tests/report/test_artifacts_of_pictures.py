"""Artifacts that are made of pictures, and the histogram of annotated sizes."""

import numpy as np
import pandas as pd
import pytest
from conftest import annotation_errors, neighborhood_panels, relaxation_panels, write_frame, write_panels
from report_runs import make_panels, pictures_of

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.report.artifacts import a_fig6b, a_fig7, load
from pipeline.report.overlay import OBJECT_COLORS, tint_objects
from pipeline.report.panels import load_archive, run_names

NAMES = ["background", "bird"]


def titles(figure, count=None):
    return [axes.get_title() for axes in figure.axes[:count]]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", ["a-fig2", "a-fig6b", "x-look"])
def test_a_missing_run_is_named(made, name):
    first, *others = run_names(load(name).behind)
    write_panels(name, make_panels(others, NAMES, [(8, 8)]))
    with pytest.raises(ValueError, match=f"{name}.*missing .*{first}"):
        made(name)


@pytest.mark.parametrize("name", ["b-fig5", "b-fig7"])
def test_a_missing_array_is_named(made, name):
    arrays = dict(load_archive(name))
    del arrays["class_names"]
    write_panels(name, arrays)
    with pytest.raises(ValueError, match=f"{name}.*class_names"):
        made(name)


class TestThreeSupervisions:
    @pytest.mark.parametrize("name", ["a-fig2", "x-look"])
    def test_predictions_stand_under_their_titles(self, made, name):
        drawing = made(name)
        assert titles(drawing.figure, 5) == ["image", *drawing.frame["series"].unique(), "ground truth"]
        assert drawing.frame["run"].unique().tolist() == run_names(load(name).behind)
        arrays = load_archive(name)
        palette = [tuple(color) for color in arrays["palette"].tolist()]
        expected = tint_objects(arrays["image_0"], arrays["prediction_1_0"], palette)
        np.testing.assert_array_equal(pictures_of(drawing.figure)[2], expected)
        assert legend(drawing.figure) == NAMES[1:]

    def test_the_background_keeps_the_photo(self, made):
        picture = pictures_of(made("a-fig2").figure)[1]
        assert picture[0, -1].tolist() == [100, 100, 100] != picture[0, 0].tolist()

    @pytest.mark.parametrize("name", ["a-fig2", "a-fig6b"])
    def test_a_training_that_failed_is_named_below(self, made, name):
        arrays = load_archive(name)
        write_panels(name, {**arrays, "failed": np.array([True, *[False] * (len(arrays["runs"]) - 1)])})
        assert f"failed by its loss: {arrays['runs'][0]}" in made(name).figure.get_supxlabel().replace("\n", " ")


class TestErrors:
    def test_found_is_yellow_invented_green_missed_red(self):
        labels, prediction = np.array([[1, 0, 1, 0]], np.uint8), np.array([[1, 1, 0, 0]], np.uint8)
        tinted = a_fig6b.error_colors(np.full((1, 4, 3), 50, np.uint8), labels, prediction)
        np.testing.assert_allclose(tinted[0, :3], 0.4 * 50 + 0.6 * np.array(list(a_fig6b.COLORS.values())), atol=0.5)
        assert tinted[0, 3].tolist() == [50, 50, 50]
        yellow, green, red = a_fig6b.COLORS.values()
        assert min(yellow[:2]) > 200 > yellow[2]
        assert np.argmax(green) == 1
        assert np.argmax(red) == 0

    def test_void_is_not_tinted(self):
        image, void = np.full((1, 1, 3), 50, np.uint8), np.full((1, 1), VOID, np.uint8)
        np.testing.assert_array_equal(a_fig6b.error_colors(image, void, np.ones((1, 1), np.uint8)), image)

    def test_numbers_equal_hand_counts(self, made):
        row = made("a-fig6b").frame.query("run == 'acdc/size-mre08'").iloc[0]
        # 8 x 8 pixels, one void: 31 of the object, all found, and a column of 8 too much
        assert row[["true_positive_px", "false_positive_px", "false_negative_px"]].tolist() == [31, 8, 0]
        assert row["DSC_percent"] == pytest.approx(100 * 62 / 70)

    def test_overlays_stand_under_the_name_of_their_run(self, made):
        figure, arrays = made("a-fig6b").figure, load_archive("a-fig6b")
        assert titles(figure, 3) == ["slice", "size barrier", "size targets (8 %)"]
        expected = a_fig6b.error_colors(arrays["image_0"], arrays["labels_0"], arrays["prediction_1_0"])
        np.testing.assert_array_equal(pictures_of(figure)[2], expected)
        assert legend(figure) == list(a_fig6b.COLORS)


class TestNetworks:
    def write(self, **changes):
        for dataset, name in a_fig7.ARCHIVES.items():
            names = ["background", "bird" if dataset == "PASCAL" else "zebra"]
            arrays = make_panels(run_names(a_fig7.RUNS[dataset].values()), names, [(12, 16)])
            write_panels(name, {**arrays, **({"palette": changes[dataset]} if dataset in changes else {})})

    def test_pascal_stands_above_coco_each_with_its_own_networks(self, made):
        figure = made("a-fig7").figure
        assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["PASCAL", "COCO"]
        assert titles(figure, 5) == ["image", "ResNet-101", "WideResNet-38", "ViT-B/16", "ground truth"]
        assert titles(figure, 10)[5:] == ["image", "ResNet-101", "ViT-B/16", "ground truth", ""]
        assert [len(axes.images) for axes in figure.axes] == [1] * 9 + [0]

    def test_predictions_stand_under_the_name_of_their_network(self, made):
        arrays = load_archive("a-fig7-coco")
        palette = [tuple(color) for color in arrays["palette"].tolist()]
        expected = tint_objects(arrays["image_0"], arrays["prediction_1_0"], palette)
        np.testing.assert_array_equal(pictures_of(made("a-fig7").figure)[7], expected)
        assert made("a-fig7").frame["run"].tolist()[-1] == "backbones/coco-vit-size"

    def test_a_class_of_both_data_sets_is_listed_once(self, made):
        same = np.array([[0, 0, 0], [1, 2, 3]], np.uint8)
        self.write(PASCAL=same, COCO=same)
        assert legend(made("a-fig7").figure) == ["bird", "zebra"]

    def test_a_class_of_both_has_one_colour_and_others_have_another(self, made):
        pascal = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
        self.write(PASCAL=pascal, COCO=np.array([[200, 200, 200], [7, 8, 9]], np.uint8))
        arrays, figure = load_archive("a-fig7-coco"), made("a-fig7").figure
        expected = tint_objects(arrays["image_0"], arrays["labels_0"], [(1, 2, 3), OBJECT_COLORS[1]])
        np.testing.assert_array_equal(pictures_of(figure)[8], expected)
        assert legend(figure) == ["bird", "zebra"]


class TestNeighborhoods:
    def frame(self, made, **changes):
        write_panels("b-fig5", {**neighborhood_panels(), **changes})
        return made("b-fig5").frame.set_index(["series", "image"])

    def test_all_measured_pictures_stand_in_the_table_and_some_are_drawn(self, made):
        frame = self.frame(made)
        assert frame.loc["nearest", "correct_percent"].to_dict() == {"x": 100, "y": 100, "z": 100}
        assert frame.loc["dense", "mean_entropy_bits"].tolist() == [1, 1, 1]
        assert frame.loc[("network", "z")].tolist() == [0, 48]
        assert len(pictures_of(made("b-fig5").figure)) == 2 * 6

    def test_labels_stand_under_their_own_name(self, made):
        figure = made("b-fig5").figure
        assert titles(figure, 3) + titles(figure, 6)[4:] == ["image", "scribbles", "truth", "nearest", "dense"]
        pictures = pictures_of(figure)[6:]
        np.testing.assert_array_equal(pictures[4], pictures[2])
        np.testing.assert_array_equal(pictures[5][0, 0], np.array(OBJECT_COLORS[0]) // 2)
        assert not pictures[3].any()
        assert legend(figure) == NAMES

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"nearest_1": np.zeros((2, 4, 6), np.float16)}, r"nearest_1 of shape \(2, 5, 4\)"),
            ({"ids": np.array([], str)}, "at least one picture"),
            ({"ids": np.array(["x", "y", "z"])}, "image_2"),
            ({"correct_percent": np.zeros((3, 2))}, r"correct_percent of shape \(3, 3\)"),
        ],
    )
    def test_arrays_must_fit_together(self, made, changes, message):
        with pytest.raises(ValueError, match=message):
            self.frame(made, **changes)


class TestRelaxations:
    def test_decided_labels_have_no_entropy_and_even_ones_one_bit(self, made):
        frame = made("b-fig7").frame.set_index(["series", "image"])
        assert frame.loc[("P_BL", 0)].tolist() == pytest.approx([0, 100], abs=1e-6)
        assert frame.loc[("P_CD", 1)].tolist() == pytest.approx([1, 0])

    def test_pixels_with_a_seed_do_not_count(self, made):
        arrays = relaxation_panels()
        arrays["pseudo_labels"][0, :, :, 1, 1:3] = 0.5
        write_panels("b-fig7", arrays)
        assert made("b-fig7").frame.query("series == 'P_BL'")["decided_percent"].tolist() == [100, 100]

    def test_pseudo_labels_stand_under_their_own_name(self, made):
        figure = made("b-fig7").figure
        assert titles(figure, 3) == ["image", "scribbles", "truth"]
        assert "BL" in titles(figure)[4]
        pictures = pictures_of(figure)
        np.testing.assert_array_equal(pictures[4], pictures[2])
        np.testing.assert_allclose(pictures[15][0, 0], np.array(OBJECT_COLORS[0]) / 2, atol=1)
        np.testing.assert_array_equal(pictures[1][1, 1], OBJECT_COLORS[0])
        assert (len(pictures), legend(figure)) == (20, NAMES)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"relaxation": np.array(["bl", "nq", "q", "cce", "cd", "lx"])}, "lq"),
            ({"seeds": np.zeros((2, 4, 5), np.uint8)}, "seeds"),
        ],
    )
    def test_arrays_must_fit_together(self, made, changes, message):
        write_panels("b-fig7", {**relaxation_panels(), **changes})
        with pytest.raises(ValueError, match=message):
            made("b-fig7")


class TestAnnotatedSizes:
    def errors(self, made, rows):
        write_frame(paths.annotation_errors("voc/animals-annotated"), rows)
        return made("a-fig5a")

    def test_histograms_are_shares_of_the_sizes_of_the_class_with_gross_errors_in_the_last_bin(self, made):
        frame = made("a-fig5a").frame.set_index(["series", "error_percent"])["share_percent"]
        assert [frame["cat", start] for start in (0, 5, 80)] == pytest.approx([25, 50, 25])
        assert frame["dog", 10] == pytest.approx(100)
        assert frame.groupby("series").sum().tolist() == pytest.approx([100, 100, 100])

    def test_normal_noise_has_the_published_mean_error(self, made):
        noise = made("a-fig5a").frame.query("source == ''")
        mean = np.average(noise["error_percent"] + 2.5, weights=noise["share_percent"])
        assert mean == pytest.approx(20 * np.sqrt(2 / np.pi), abs=0.3)

    def test_a_size_of_an_absent_class_has_no_relative_error(self, made):
        before = made("a-fig5a").frame
        absent = annotation_errors().iloc[:1].assign(exact=0.0, relative_error=float("inf"))
        assert self.errors(made, pd.concat([annotation_errors(), absent])).frame.equals(before)

    def test_classes_stand_in_the_order_of_the_paper(self, made):
        rows = annotation_errors()
        rows["class"] = ["zebra", "bird", "dog", "cat", "ant", "cat"]
        assert self.errors(made, rows).table["class"].tolist() == ["cat", "dog", "bird", "ant", "zebra", "all"]

    def test_the_table_says_who_annotated(self, made):
        drawing = made("a-fig5a")
        assert "ours: simulated annotator" in drawing.artifact.table_note(drawing.frame)

    def test_mean_errors_stand_beside_the_published_ones(self, made):
        table = made("a-fig5a").table
        assert table["class"].tolist() == ["cat", "dog", "all"]
        assert table["mRE ours"].tolist() == pytest.approx([54, 12, 40])
        assert table["mRE published"].tolist() == [12.3, 16.6, 15.9]
        assert table["below 10 %"].tolist() == pytest.approx([75, 0, 50])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda rows: rows.assign(source=["annotated"] + ["simulated"] * 5), "one source"),
            (lambda rows: rows.assign(relative_error=rows["relative_error"].where(rows.index > 0)), "finite"),
            (lambda rows: rows.drop(columns="exact"), "exact"),
        ],
    )
    def test_a_bad_file_is_a_mistake(self, made, change, message):
        with pytest.raises(ValueError, match=message):
            self.errors(made, change(annotation_errors()))

    @pytest.mark.parametrize(("source", "title"), [("simulated", "simulated annotator"), ("annotated", "annotated by people")])
    def test_the_title_says_who_annotated(self, made, source, title):
        figure = self.errors(made, annotation_errors().assign(source=source)).figure
        assert titles(figure) == [title]
        assert legend(figure)[0] == "cat: mRE 54.0 % (published 12.3 %)"
        assert legend(figure)[-2:] == [r"Normal noise, $\sigma$ = 20 %", "all: mRE 40.0 % (published 15.9 %)"]
