import numpy as np
import pandas as pd
import pytest
from pipeline.report.fig_a_fig5a import BIN_PERCENT, compute, draw, tabulate

from pipeline.report.style import save_figure


@pytest.fixture
def errors():
    """Four cats: 2, 7, -7 and 200 % off; two dogs: 12 % off."""
    off = [("cat", 0.02), ("cat", 0.07), ("cat", -0.07), ("cat", 2.0), ("dog", 0.12), ("dog", 0.12)]
    rows = [
        {"image_id": str(place), "class": name, "size_fraction": 0.2 * (1 + error), "exact": 0.2, "relative_error": error}
        for place, (name, error) in enumerate(off)
    ]
    return pd.DataFrame(rows).assign(seconds=10.0, annotator="anyone", source="simulated")


def share(frame, series, start):
    return frame[(frame["series"] == series) & (frame["error_percent"] == start)]["share_percent"].item()


def test_histograms_are_shares_of_the_sizes_of_the_class(errors, published):
    frame = compute(errors, published)
    assert share(frame, "cat", 0) == pytest.approx(25)
    assert share(frame, "dog", 10) == pytest.approx(100)


def test_too_small_and_too_large_count_alike(errors, published):
    assert share(compute(errors, published), "cat", 5) == pytest.approx(50)


def test_gross_errors_are_counted_in_the_last_bin(errors, published):
    frame = compute(errors, published)
    assert share(frame, "cat", 80) == pytest.approx(25)
    assert frame.groupby("series")["share_percent"].sum().tolist() == pytest.approx([100, 100, 100])


def test_normal_noise_has_the_published_mean_error(errors, published):
    noise = compute(errors, published).query("source == ''")
    middles = noise["error_percent"] + BIN_PERCENT / 2
    assert np.average(middles, weights=noise["share_percent"]) == pytest.approx(20 * np.sqrt(2 / np.pi), abs=0.3)


def test_a_size_of_an_absent_class_has_no_relative_error(errors, published):
    absent = errors.iloc[:1].assign(exact=0.0, relative_error=float("inf"))
    assert compute(pd.concat([errors, absent]), published).equals(compute(errors, published))


def test_mean_errors_stand_beside_the_published_ones(errors, published):
    table = tabulate(errors, published)
    assert table["class"].tolist() == ["cat", "dog", "all"]
    assert table["mRE ours"].tolist() == pytest.approx([54, 12, 40])
    assert table["mRE published"].tolist() == [12.3, 16.6, 15.9]


def test_the_share_of_small_errors_is_given(errors, published):
    assert tabulate(errors, published)["below 10 %"].tolist() == pytest.approx([75, 0, 50])


def test_people_and_models_are_not_mixed(errors, published):
    errors.loc[0, "source"] = "annotated"
    with pytest.raises(ValueError, match="one source"):
        compute(errors, published)


def test_an_error_that_is_no_number_is_a_mistake(errors, published):
    errors.loc[0, "relative_error"] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        compute(errors, published)


def test_a_missing_column_is_named(errors, published):
    with pytest.raises(ValueError, match="exact"):
        compute(errors.drop(columns="exact"), published)


@pytest.mark.parametrize(("source", "title"), [("simulated", "simulated annotator"), ("annotated", "annotated by people")])
def test_the_title_says_who_annotated(errors, published, source, title):
    errors = errors.assign(source=source)
    assert draw(compute(errors, published), tabulate(errors, published)).axes[0].get_title() == title


def test_the_legend_gives_the_mean_errors(errors, published):
    texts = [text.get_text() for text in draw(compute(errors, published), tabulate(errors, published)).legends[0].get_texts()]
    assert texts[0] == "cat: mRE 54.0 % (published 12.3 %)"
    assert texts[-1] == r"Normal noise, $\sigma$ = 20 %"


def test_drawing_again_gives_the_same_bytes(tmp_path, errors, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(errors, published), tabulate(errors, published)), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
