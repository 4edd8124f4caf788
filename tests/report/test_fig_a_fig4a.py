import pytest
from pipeline.report.fig_a_fig4a import compute, draw

from pipeline.report.style import METHOD_STYLE, save_figure


def points(frame, method, split, default=False):
    return frame[(frame["method"] == method) & (frame["split"] == split) & (frame["noise_default"] == default)]


def test_points_equal_the_rows_given(results):
    curve = points(compute(results), "size_crf", "validation")
    assert curve["mre_percent"].tolist() == pytest.approx([0, 8, 16])
    assert curve["mIoU_percent"].tolist() == pytest.approx([55, 53, 51])


def test_training_accuracy_is_its_own_series(results):
    assert points(compute(results), "size", "training")["mIoU_percent"].tolist() == pytest.approx([65, 57, 49])


def test_realised_errors_are_kept(results):
    curve = points(compute(results), "size", "validation")
    assert curve["mre_all_percent"].tolist() == pytest.approx([0, 5.6, 11.2])
    assert curve["mre_foreground_percent"].tolist() == pytest.approx([0, 8.24, 16.48])


def test_the_run_at_noise_sigma_is_apart_from_the_curve(results):
    point = points(compute(results), "size", "validation", default=True)
    assert point["series"].item() == "size targets, validation, noise.sigma"
    assert point["mre_percent"].item() == pytest.approx(7.97885)


def test_full_masks_are_level_over_the_whole_axis(results):
    level = points(compute(results), "full", "validation")
    assert level["mre_percent"].tolist() == pytest.approx([0, 16])
    assert level["mIoU_percent"].tolist() == pytest.approx([60, 60])


def test_seeds_are_averaged_with_their_deviation(results_of_two_seeds):
    point = points(compute(results_of_two_seeds), "size", "validation").iloc[0]
    assert point["mIoU_percent"] == pytest.approx(50.05)
    assert point["mIoU_std_percent"] == pytest.approx(0.1 / 2**0.5)
    assert point["seeds"] == 2


def test_a_missing_run_is_named(results):
    with pytest.raises(ValueError, match=r"a-fig4a: 1 of 6 runs missing: method=size_crf, mre=0.08, seed=0"):
        compute(results[results["run"] != "size_crf-0.08-0"])


def test_a_run_without_accuracy_is_named(results):
    with pytest.raises(ValueError, match="size-0-0"):
        compute(results.assign(mIoU_val=results["mIoU_val"].where(results["run"] != "size-0-0")))


def test_a_method_without_any_run_is_left_out(results):
    assert set(compute(results[results["method"] != "size_crf"])["method"]) == {"size", "full"}


def test_no_size_run_at_all_is_an_error(results):
    with pytest.raises(ValueError, match="size_crf"):
        compute(results[results["method"] == "full"])


def test_axes_have_labels_and_units(results):
    axes = draw(compute(results), results).axes[0]
    assert axes.get_xlabel().endswith("(%)")
    assert axes.get_ylabel() == "mIoU (%)"


def test_the_legend_explains_colours_lines_and_diamond(results):
    texts = [text.get_text() for text in draw(compute(results), results).legends[0].get_texts()]
    assert texts == ["size targets", "size targets + CRF", "full masks", "validation", "training", "noise.sigma"]


def test_training_is_dashed_in_the_colour_of_its_method(results):
    lines = [line for line in draw(compute(results), results).axes[0].lines if line.get_marker() in ("o", "^")]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-", "--"]
    assert [line.get_color() for line in lines] == [METHOD_STYLE[key].color for key in ("size", "size", "size_crf", "size_crf")]


def test_several_seeds_have_bands(results, results_of_two_seeds):
    assert len(draw(compute(results), results).axes[0].collections) == 0
    assert len(draw(compute(results_of_two_seeds), results_of_two_seeds).axes[0].collections) >= 4


def test_the_scale_is_noted_in_the_figure(results):
    assert "embedded scale" in draw(compute(results), results).get_supxlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path, results_of_two_seeds):
    for stem in ("one", "two"):
        save_figure(draw(compute(results_of_two_seeds), results_of_two_seeds), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
