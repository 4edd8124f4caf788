from pathlib import Path

import pytest
from pipeline.report.fig_a_tab2 import CITED, OPEN, RUNS, TRAINED, compute, draw, load_scores, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure

HEADER = "run,score,url,date\n"
IDS = [run for runs in RUNS.values() for run in runs.values()]
ACCURACIES = {run: 0.4 + 0.05 * place for place, run in enumerate(IDS)}
ENTERED = HEADER + "backbones/vit-size,61.5,http://host/anonymous/X.html,2025-01-31\n"


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def scores_of(tmp_path: Path, text: str = HEADER):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    return load_scores(path)


@pytest.fixture
def no_scores(tmp_path):
    return scores_of(tmp_path)


def cell(frame, series, column):
    return frame[(frame["series"] == series) & (frame["column"] == column)].iloc[0]


def test_numbers_equal_the_runs_given(runs, published, no_scores):
    frame = compute(runs, published, no_scores)
    assert cell(frame, "R101-DeepLabV3+ size (8%)", "PASCAL val mIoU")["ours_percent"] == pytest.approx(40)
    assert cell(frame, "ViT-B-Linear full", "PASCAL val mIoU")["ours_percent"] == pytest.approx(75)
    assert cell(frame, "ViT-B-Linear size (8%)", "COCO val mIoU")["ours_percent"] == pytest.approx(70)


def test_a_cell_names_its_own_run(runs, published, no_scores):
    row = cell(compute(runs, published, no_scores), "R101-DeepLabV3+ full", "COCO val mIoU")
    assert row["run"] == "backbones/coco-resnet101-full"


def test_printed_numbers_and_differences_stand_beside(runs, published, no_scores):
    row = cell(compute(runs, published, no_scores), "R101-DeepLabV3+ full", "COCO val mIoU")
    assert row["published_percent"] == 60.4
    assert row["difference_points"] == pytest.approx(55 - 60.4)


def test_rows_follow_the_paper(runs, published, no_scores):
    table = tabulate(compute(runs, published, no_scores))
    assert len(table) == 16
    assert table["method"].iloc[0].startswith("MARS")
    assert table["method"].iloc[-1] == "ViT-B-Linear full"
    assert table["stages"].tolist() == ["multi-stage"] * 6 + ["single-stage"] * 10


def test_rows_of_others_are_cited_and_have_no_run(runs, published, no_scores):
    row = cell(compute(runs, published, no_scores), "CoSA (ViT-B-LargeFOV tags)", "PASCAL test mIoU")
    assert (row["published_percent"], row["source"], row["run"], row["seeds"]) == (75.1, CITED, "", 0)


def test_a_score_that_is_not_there_yet_is_said_to_be_open(runs, published, no_scores):
    row = cell(compute(runs, published, no_scores), "ViT-B-Linear size (8%)", "PASCAL test mIoU")
    assert (row["published_percent"], row["source"], row["run"]) == (78.2, OPEN, "backbones/vit-size")
    assert row[["ours_percent"]].isna().all()


def test_an_entered_score_stands_with_its_address(runs, published, tmp_path):
    frame = compute(runs, published, scores_of(tmp_path, ENTERED))
    row = cell(frame, "ViT-B-Linear size (8%)", "PASCAL test mIoU")
    assert (row["ours_percent"], row["source"]) == (61.5, "http://host/anonymous/X.html (2025-01-31)")
    assert row["difference_points"] == pytest.approx(61.5 - 78.2)


def test_the_table_says_whose_number_it_is(runs, published, no_scores):
    table = tabulate(compute(runs, published, no_scores)).set_index("method")
    assert table.loc["R101-DeepLabV3+ full", ["source", "test server"]].tolist() == [TRAINED, OPEN]
    assert table.loc["SeCo (ViT-B-Conv tags)", ["source", "test server"]].tolist() == [CITED, ""]


def test_cells_nobody_fills_are_empty(runs, published, no_scores):
    table = tabulate(compute(runs, published, no_scores)).set_index("method")
    assert table.loc["ViT-B-Linear full", ["COCO val mIoU published", "COCO val mIoU ours"]].isna().all()


def test_a_missing_run_is_named(runs, published, no_scores):
    with pytest.raises(ValueError, match=r"a-tab2: 1 of 8 runs missing: backbones/coco-vit-size"):
        compute(runs.drop("backbones/coco-vit-size"), published, no_scores)


def test_profiles_are_not_mixed(runs, published, no_scores):
    runs.loc["size_noise/full", "profile"] = "paper"
    with pytest.raises(ValueError, match="one profile"):
        compute(runs, published, no_scores)


@pytest.mark.parametrize(
    "text", ["run,score\n", HEADER + "a/b,,u,d\n", HEADER + "a/b,0.7e3,u,d\n", HEADER + "a/b,70,u,d\na/b,71,u,d\n"]
)
def test_a_bad_file_of_scores_is_rejected(tmp_path, text):
    with pytest.raises(ValueError, match="expected"):
        scores_of(tmp_path, text)


def test_the_file_of_scores_in_the_repository_is_valid():
    load_scores(Path(__file__).parents[2] / "reports/voc_test_scores.csv")


def test_a_panel_per_column_with_a_line_per_method(runs, published, no_scores):
    panels = draw(compute(runs, published, no_scores), runs).axes
    assert [axes.get_title().split("\n")[0] for axes in panels] == ["PASCAL val", "PASCAL test", "COCO val"]
    assert len(panels[0].get_yticks()) == 16
    assert [len(axes.containers) for axes in panels] == [5, 0, 3]


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published, no_scores):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published, no_scores), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
