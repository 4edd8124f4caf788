from pathlib import Path

import pytest

from pipeline.report.artifacts import IDS
from pipeline.report.published import COLUMNS, KEY, load_published, published_value

HEADER = ",".join(COLUMNS) + "\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "published.csv"
    path.write_text(text)
    return path


def test_every_number_belongs_to_a_known_artifact(published):
    assert set(published["artifact"]) <= set(IDS)


def test_no_number_is_there_twice(published):
    assert not published.duplicated(KEY).any()


def test_the_artifact_belongs_to_the_paper(published):
    assert (published["artifact"].str[0] == published["paper"].map({"SIZE": "a", "SSL": "b"})).all()


def test_every_number_says_where_it_comes_from(published):
    assert (published[["place", "note"]] != "").all(axis=None)


def test_percentages_lie_between_0_and_100_except_changes(published):
    percent = published[(published["unit"] == "percent") & ~published["column"].str.startswith("change")]
    assert percent["value"].between(0, 100).all()


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("P_BL", (56.42, 61.74, 63.81, 65.73, 67.24)),
        ("P_NQ", (59.01, 65.53, 67.80, 70.63, 71.12)),
        ("P_Q", (58.92, 65.34, 67.81, 70.43, 71.05)),
        ("P_CCE", (56.40, 61.82, 63.81, 65.81, 67.41)),
        ("P_CD", (59.04, 65.52, 67.84, 70.93, 71.22)),
        ("P_LQ", (59.03, 65.44, 67.81, 70.80, 71.21)),
    ],
)
def test_table_3_is_complete(published, row, numbers):
    assert tuple(published_value(published, "b-tab3", row, length) for length in ("0", "0.3", "0.5", "0.8", "1")) == numbers


@pytest.mark.parametrize(
    ("artifact", "row", "column", "value"),
    [
        ("a-tab1", "bird", "mRE", 20.1),
        ("a-tab2", "R101-DeepLabV3+ size (8%)", "COCO val mIoU", 45.0),
        ("a-fig4b", "seeds+size", "0", 74.0),
        ("b-tab3", "H_Q+P_Q+entropy", "1", 68.97),
        ("b-tab4", "hard self-labelling", "DN", 63.1),
        ("b-tab5", "H_CCE+P_CD (V3+, batch 16)", "mIoU", 78.1),
        ("b-tab6", "TEL", "ADE20K", 39.2),
        ("b-appb1", "gradient, 200 steps", "soft Jaccard", 99.2),
    ],
)
def test_anchor_of_each_table(published, artifact, row, column, value):
    assert published_value(published, artifact, row, column) == value


def test_a_dash_in_a_table_has_no_value(published):
    assert published_value(published, "a-tab2", "ViT-B-Linear full", "COCO val mIoU") is None


def test_an_unknown_artifact_is_a_mistake(published):
    with pytest.raises(ValueError, match="b-tab33"):
        published_value(published, "b-tab33", "P_BL", "0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper,value\nSSL,1\n", "expected columns"),
        (HEADER + "SSL,Table 3,b-tab9,P_BL,0,56.42,percent,\n", "artifact"),
        (HEADER + "SSLX,Table 3,b-tab3,P_BL,0,56.42,percent,\n", "paper"),
        (HEADER + "SSL,Table 3,b-tab3,P_BL,0,56.42,fraction,\n", "unit"),
        (HEADER + "SSL,Table 3,b-tab3,P_BL,0,many,percent,\n", "number"),
        (HEADER + 2 * "SSL,Table 3,b-tab3,P_BL,0,56.42,percent,\n", "again"),
    ],
)
def test_a_bad_file_is_rejected(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_published(write(tmp_path, text))
