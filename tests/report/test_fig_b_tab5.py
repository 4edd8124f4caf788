import pytest
from pipeline.report.fig_b_tab5 import CITED, ROWS, TRAINED, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure

ACCURACIES = {row.run: 0.5 + place / 100 for place, row in enumerate(ROWS.values()) if row.run}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_rows_are_those_of_the_paper_in_its_order(runs, published):
    assert list(ROWS) == published.query("artefact == 'b-tab5'")["row"].tolist()
    assert compute(runs, published)["series"].tolist() == list(ROWS)


def test_every_printed_number_is_there(runs, published):
    assert compute(runs, published)["published_percent"].tolist() == published.query("artefact == 'b-tab5'")["value"].tolist()


def test_numbers_equal_the_runs_given(runs, published):
    frame = compute(runs, published).set_index("run")
    assert frame.loc["scribble_resnet/full-16", "ours_percent"] == pytest.approx(50)
    assert frame.loc["scribble_resnet/cd-16-single", "ours_percent"] == pytest.approx(67)
    assert frame.loc["scribble_resnet/cd-16-single", "difference_points"] == pytest.approx(67 - 77.6)


def test_no_run_stands_in_two_rows():
    assert len(ACCURACIES) == sum(bool(row.run) for row in ROWS.values()) == 10


def test_rows_of_others_have_no_number_of_ours(runs, published):
    frame = compute(runs, published)
    cited = frame[frame["source"] == CITED]
    assert cited["ours_percent"].isna().all()
    assert cited["run"].eq("").all()
    assert frame[frame["source"] == TRAINED]["ours_percent"].notna().all()


def test_rows_said_to_be_cited_are_those_of_other_authors(runs, published):
    notes = published.query("artefact == 'b-tab5'").set_index("row")["note"]
    cited = compute(runs, published).query("source == @CITED")["series"]
    assert all("reported by its authors" in notes[series] for series in cited)


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="b-tab5: 1 of 10 runs missing: scribble_resnet_potts/cd-12"):
        compute(runs.drop("scribble_resnet_potts/cd-12"), published)


def test_the_table_says_how_each_row_was_trained(runs, published):
    line = tabulate(compute(runs, published)).set_index("method").loc["GridCRF loss"]
    assert line[["batch size (paper)", "optimisation", "neighbourhood", "source"]].tolist() == ["12", "SL hard", "NN", TRAINED]


def test_every_row_is_a_line_of_dots(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    assert len(axes.get_yticklabels()) == len(ROWS)
    assert len(axes.containers) == 10
    assert sum(line.get_markerfacecolor() == "none" for line in axes.lines) == len(ROWS)


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
