import pandas as pd
import pytest
from pipeline.report.fig_b_tab6 import CITED, ROWS, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure


def make(seeds=1):
    frames = []
    for key, base in (("cityscapes", 0.5), ("ade20k", 0.3)):
        names = ("full", "densecrf", "gridcrf", "cd")
        accuracies = {f"blocks/{key}-{name}": base + place / 100 for place, name in enumerate(names)}
        frames.append(make_runs(accuracies, seeds, dataset=key))
    return pd.concat(frames)


@pytest.fixture
def runs():
    return make()


def test_every_data_set_has_its_own_runs(runs, published):
    frame = compute(runs, published).set_index(["series", "column"])["ours_percent"]
    assert frame["GridCRF loss", "Cityscapes"] == pytest.approx(52)
    assert frame["H_CCE+P_CD", "ADE20K"] == pytest.approx(33)


def test_printed_numbers_stand_beside(runs, published):
    table = tabulate(compute(runs, published))
    assert table["Cityscapes published"].tolist() == [80.2, 69.3, 69.5, 71.5, 72.4]
    assert table["ADE20K published"].tolist() == [44.6, 37.4, 37.7, 39.2, 39.7]
    assert table["ADE20K difference"].iloc[-1] == pytest.approx(33 - 39.7)


def test_the_row_of_others_has_no_number_of_ours(runs, published):
    rows = compute(runs, published).query("series == 'TEL'")
    assert rows["ours_percent"].isna().all()
    assert rows["source"].tolist() == [CITED, CITED]


def test_full_masks_are_told_from_blocks(runs, published):
    assert tabulate(compute(runs, published))["supervision"].tolist() == ["full masks", *["blocks, 50 %"] * 4]


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="b-tab6: 1 of 8 runs missing: blocks/ade20k-cd"):
        compute(runs.drop("blocks/ade20k-cd"), published)


def test_a_column_has_one_data_set(runs, published):
    runs.loc["blocks/ade20k-cd", "dataset"] = "cityscapes"
    with pytest.raises(ValueError, match="one dataset"):
        compute(runs, published)


def test_a_panel_per_data_set_is_drawn(runs, published):
    figure = draw(compute(runs, published), runs)
    assert [axes.get_title() for axes in figure.axes] == ["Cityscapes", "ADE20K"]
    assert all(len(axes.containers) == 4 for axes in figure.axes)
    assert len(figure.axes[0].get_yticklabels()) == len(ROWS)


def test_drawing_again_gives_the_same_bytes(tmp_path, published):
    runs = make(seeds=3)
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
