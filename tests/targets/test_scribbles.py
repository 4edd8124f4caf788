"""Scribbles: made from masks, shortened, drawn, stored."""

import tracemalloc

import numpy as np
import pytest
from reference import rasterize_loop

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.raw_files import DatasetError
from pipeline.targets import scribbles
from pipeline.targets.scribbles import generate_scribbles, rasterize, read_scribbles, shorten, write_scribbles


def ring_and_bars():
    """A mask of 120x160 with two cats, a dog and void borders; the background surrounds them."""
    labels = np.zeros((120, 160), np.uint8)
    labels[20:50, 20:80] = 1
    labels[70:110, 30:60] = 1
    labels[30:100, 100:140] = 2
    labels[28:30, 100:140] = VOID
    return labels


def noise(seed=0):
    return np.random.default_rng(seed)


def generate(labels, **kwargs):
    return generate_scribbles(labels, **{"min_area_px": 20, "generator": noise(), **kwargs})


def length(scribble):
    return float(np.hypot(*np.diff(np.array(scribble.points), axis=0).T).sum())


class TestGenerate:
    def test_every_region_of_every_class_gets_one_stroke(self):
        assert [stroke.class_index for stroke in generate(ring_and_bars())] == [0, 1, 1, 2]

    def test_every_vertex_lies_in_its_class(self):
        labels = ring_and_bars()
        for stroke in generate(labels, waviness=1.0):
            assert all(labels[int(y), int(x)] == stroke.class_index for x, y in stroke.points)

    def test_drawn_strokes_stay_in_their_class_almost_everywhere(self):
        labels = ring_and_bars()
        seeds = rasterize(generate(labels), (160, 120), (160, 120))
        drawn = seeds != VOID
        assert (seeds[drawn] == labels[drawn]).mean() > 0.99

    def test_strokes_are_long_and_thin(self):
        labels = ring_and_bars()
        assert length(generate(labels)[0]) > 120
        share = (rasterize(generate(labels), (160, 120), (160, 120), width_px=3) != VOID).mean()
        assert 0.02 < share < 0.12

    def test_share_of_a_photo_with_three_objects_is_a_few_per_cent(self):
        labels = np.zeros((375, 500), np.uint8)
        labels[200:, 40:220] = 11
        labels[60:190, 90:150] = 15
        labels[120:300, 280:440] = 8
        share = (rasterize(generate(labels), (500, 375), (500, 375), width_px=3) != VOID).mean()
        assert 0.01 < share < 0.04  # 3 % is the mean over real masks, which are more ragged

    def test_small_regions_get_no_stroke(self):
        labels = np.zeros((40, 40), np.uint8)
        labels[5:9, 5:9] = 3
        assert [stroke.class_index for stroke in generate(labels, min_area_px=17)] == [0]
        assert [stroke.class_index for stroke in generate(labels, min_area_px=16)] == [0, 3]

    def test_single_pixel_gets_a_click(self):
        labels = np.full((9, 9), VOID, np.uint8)
        labels[4, 6] = 5
        assert generate(labels, min_area_px=1) == [Scribble(5, ((6.5, 4.5),))]

    def test_thin_line_gets_a_stroke_on_it(self):
        labels = np.full((9, 30), VOID, np.uint8)
        labels[4, 3:28] = 5
        (stroke,) = generate(labels, min_area_px=1)
        assert {y for _, y in stroke.points} == {4.5}
        assert length(stroke) > 15

    def test_void_gets_no_stroke(self):
        assert generate(np.full((20, 20), VOID, np.uint8), min_area_px=1) == []

    def test_image_without_background_gets_no_background_stroke(self):
        assert [stroke.class_index for stroke in generate(np.full((20, 20), 7, np.uint8))] == [7]

    def test_same_generator_state_gives_same_strokes(self):
        assert generate(ring_and_bars()) == generate(ring_and_bars())

    def test_another_state_gives_other_strokes(self):
        assert generate(ring_and_bars()) != generate(ring_and_bars(), generator=noise(1))

    def test_stroke_follows_the_long_axis(self):
        labels = np.full((40, 120), VOID, np.uint8)
        labels[10:30, 10:110] = 1
        (stroke,) = generate(labels)
        x = [point[0] for point in stroke.points]
        assert max(x) - min(x) > 65


class TestShorten:
    BENT = Scribble(2, ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (30.0, 10.0)))

    @pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.8, 1.0])
    def test_length_is_the_given_fraction(self, ratio):
        assert length(shorten(self.BENT, ratio)) == pytest.approx(40 * ratio)

    def test_the_centre_is_kept(self):
        assert shorten(self.BENT, 0.5).points == ((10.0, 0.0), (10.0, 10.0), (20.0, 10.0))

    def test_full_length_changes_nothing(self):
        assert shorten(self.BENT, 1) is self.BENT

    def test_zero_is_the_vertex_nearest_to_the_middle(self):
        assert shorten(self.BENT, 0).points == ((10.0, 10.0),)

    def test_shorter_ones_lie_within_longer_ones(self):
        x_full = np.array(shorten(self.BENT, 0.8).points)[:, 0]
        x_half = np.array(shorten(self.BENT, 0.3).points)[:, 0]
        assert x_full.min() <= x_half.min() <= x_half.max() <= x_full.max()

    def test_class_is_kept(self):
        assert shorten(self.BENT, 0.3).class_index == shorten(self.BENT, 0).class_index == 2

    def test_click_stays_a_click(self):
        click = Scribble(1, ((3.0, 4.0),))
        assert shorten(click, 0.5) == shorten(click, 0) == click

    def test_stroke_without_length_becomes_a_click(self):
        assert len(shorten(Scribble(1, ((3.0, 4.0), (3.0, 4.0))), 0.5).points) == 1

    @pytest.mark.parametrize("ratio", [-0.1, 1.1])
    def test_ratio_out_of_range_is_refused(self, ratio):
        with pytest.raises(ValueError, match=r"expected 0\.\.1"):
            shorten(self.BENT, ratio)


class TestRasterize:
    @pytest.mark.parametrize("width_px", [1, 2, 3, 5])
    def test_equals_the_naive_loop(self, width_px):
        points = tuple((float(x), float(y)) for x, y in noise(4).uniform(-4, 40, (7, 2)))
        strokes = [Scribble(3, points), Scribble(1, ((2.2, 7.9), (30.0, 7.9))), Scribble(2, ((11.2, 5.1),))]
        drawn = rasterize(strokes, (36, 24), (18, 36), width_px, 4)
        assert np.array_equal(drawn, rasterize_loop(strokes, (36, 24), (18, 36), width_px, 4))

    @pytest.mark.parametrize("end", [(13.5, 10.5), (5.5, 2.5), (13.4, 18.4), (29.0, 10.5), (5.6, 10.5)])
    def test_both_ends_of_a_wide_stroke_are_round(self, end):
        strokes = [Scribble(1, ((5.5, 10.5), end))]
        assert np.array_equal(rasterize(strokes, (36, 24), (36, 24), 9), rasterize_loop(strokes, (36, 24), (36, 24), 9, 3))

    @pytest.mark.parametrize("width_px", [9, 25, 80])
    @pytest.mark.parametrize("at_once", [40, 2**20])
    def test_brush_wider_than_the_picture_draws_what_the_naive_loop_does(self, monkeypatch, width_px, at_once):
        monkeypatch.setattr(scribbles, "BOX_PIXELS", at_once)
        strokes = [Scribble(1, ((-20.0, 10.5), (3.0, 2.0), (50.0, 30.0))), Scribble(2, ((30.0, 30.0), (33.0, 20.0)))]
        drawn = rasterize(strokes, (36, 24), (36, 24), width_px)
        assert np.array_equal(drawn, rasterize_loop(strokes, (36, 24), (36, 24), width_px, 3))

    def test_wide_brush_on_a_large_picture_needs_little_memory(self):
        tracemalloc.start()
        drawn = rasterize([Scribble(1, ((0.0, 0.0), (3999.0, 2999.0)))], (4000, 3000), (4000, 3000), 2000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (drawn == 1).mean() > 0.4
        assert peak < 200e6

    def test_horizontal_stroke_is_as_wide_as_asked(self):
        for width_px in (1, 3, 5):
            drawn = rasterize([Scribble(1, ((5.5, 10.5), (15.5, 10.5)))], (30, 20), (30, 20), width_px)
            assert (drawn[:, 10] == 1).sum() == width_px

    def test_poly_line_is_scaled_before_it_is_drawn(self):
        stroke = Scribble(1, ((20.0, 20.0), (480.0, 300.0)))
        drawn = rasterize([stroke], (500, 375), (50, 50), 1)
        columns = np.flatnonzero((drawn == 1).any(0))
        assert columns.tolist() == list(range(2, 49))  # no gap: a thin line drawn first and shrunk then would have some

    def test_click_is_a_disc_of_the_given_diameter(self):
        click = [Scribble(4, ((7.9, 5.1),))]
        assert (rasterize(click, (20, 20), (20, 20), 3, 1) == 4).sum() == 1
        drawn = rasterize(click, (20, 20), (20, 20), 3, 3)
        assert np.argwhere(drawn == 4).tolist() == [[y, x] for y in (4, 5, 6) for x in (6, 7, 8)]

    def test_click_lands_in_the_pixel_of_the_original_position(self):
        drawn = rasterize([Scribble(4, ((99.9, 0.0),))], (100, 50), (10, 10), 1, 1)
        assert np.argwhere(drawn == 4).tolist() == [[0, 9]]

    def test_later_strokes_overwrite_earlier_ones(self):
        cross = [Scribble(1, ((0.0, 5.5), (11.0, 5.5))), Scribble(2, ((5.5, 0.0), (5.5, 11.0)))]
        drawn = rasterize(cross, (11, 11), (11, 11), 1)
        assert drawn[5, 5] == 2
        assert drawn[5, 0] == 1

    def test_everything_else_is_void(self):
        assert (rasterize([], (11, 11), (7, 5)) == VOID).all()
        assert rasterize([], (11, 11), (7, 5)).shape == (5, 7)

    def test_what_lies_outside_is_cut_off(self):
        inside, click, far = ((-50.0, 2.5), (60.0, 2.5)), ((-3.0, -3.0),), ((40.0, 40.0), (50.0, 50.0))
        drawn = rasterize([Scribble(1, inside), Scribble(2, click), Scribble(3, far)], (10, 6), (10, 6), 1)
        assert (drawn[2] == 1).all()
        assert set(np.unique(drawn).tolist()) == {1, VOID}

    def test_background_strokes_are_drawn_as_class_zero(self):
        assert 0 in rasterize([Scribble(0, ((1.0, 1.0), (8.0, 8.0)))], (10, 10), (10, 10))

    @pytest.mark.parametrize("bad", [{"width_px": 0}, {"target_size": (0, 5)}, {"click_width_px": 0}])
    def test_size_or_width_below_one_is_refused(self, bad):
        with pytest.raises(ValueError, match="expected at least 1"):
            rasterize([], **{"original_size": (5, 5), "target_size": (5, 5), **bad})


def test_file_is_read_back(tmp_path):
    strokes = {"b": [Scribble(0, ((1.25, 2.0), (3.0, 4.5)))], "a": []}
    write_scribbles(tmp_path / "s.json", strokes)
    assert read_scribbles(tmp_path / "s.json") == strokes


def test_file_does_not_depend_on_the_order_of_images(tmp_path):
    write_scribbles(tmp_path / "a.json", {"x": [], "y": []})
    write_scribbles(tmp_path / "b.json", {"y": [], "x": []})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("content", ["[", '{"a": [{"class": 1}]}', '{"a": 3}', '{"a": [{"class": 1, "points": [[1]]}]}'])
def test_broken_file_is_named(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(DatasetError, match=r"s\.json: is not of the form"):
        read_scribbles(tmp_path / "s.json")
