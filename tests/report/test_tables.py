import pandas as pd
import pytest

from pipeline.report.tables import write_points, write_table

NAN = float("nan")


def markdown(tmp_path, frame, **options):
    write_table(frame, tmp_path / "table", **options)
    return (tmp_path / "table.md").read_text()


def latex(tmp_path, frame, **options):
    write_table(frame, tmp_path / "table", **options)
    return (tmp_path / "table.tex").read_text()


def test_numbers_are_rounded_in_markdown_and_have_six_digits_in_csv(tmp_path):
    text = markdown(tmp_path, pd.DataFrame({"method": ["a"], "mIoU": [71.234567]}))
    assert text == "| method | mIoU |\n| --- | ---: |\n| a | 71.23 |\n"
    assert (tmp_path / "table.csv").read_text() == "method,mIoU\na,71.2346\n"


def test_the_standard_deviation_joins_its_mean(tmp_path):
    frame = pd.DataFrame({"mIoU": [50.0, 40.0], "mIoU std": [1.1, NAN]})
    assert markdown(tmp_path, frame, decimals=1).splitlines()[2:] == ["| 50.0 ± 1.1 |", "| 40.0 |"]


def test_the_highest_value_is_bold(tmp_path):
    text = markdown(tmp_path, pd.DataFrame({"m": [1.0, 3.0, 2.0]}), highest=["m"])
    assert text.splitlines()[2:] == ["| 1.00 |", "| **3.00** |", "| 2.00 |"]


def test_the_lowest_value_is_bold(tmp_path):
    assert "**1.00**" in markdown(tmp_path, pd.DataFrame({"m": [1.0, 3.0]}), lowest=["m"])


def test_values_equal_at_the_shown_precision_are_all_bold(tmp_path):
    assert markdown(tmp_path, pd.DataFrame({"m": [1.001, 1.002]}), highest=["m"]).count("**1.00**") == 2


def test_what_came_of_a_failed_training_is_marked_and_never_the_best(tmp_path):
    frame = pd.DataFrame({"m": [1.0, 3.0], "m std": [0.1, 0.2], "m failed": [False, True]})
    assert markdown(tmp_path, frame, highest=["m"]).splitlines()[2:] == ["| **1.00 ± 0.10** |", "| 3.00 ± 0.20 (failed) |"]


def test_a_difference_has_its_sign(tmp_path):
    text = markdown(tmp_path, pd.DataFrame({"difference": [1.0, -2.0]}))
    assert text.splitlines()[2:] == ["| +1.00 |", "| -2.00 |"]


def test_a_missing_number_is_a_dash_and_an_empty_cell(tmp_path):
    text = markdown(tmp_path, pd.DataFrame({"m": [NAN], "n": [1]}), highest=["m"])
    assert text.splitlines()[2] == "| - | 1 |"
    assert (tmp_path / "table.csv").read_text() == "m,n\n,1\n"


def test_a_bar_in_a_text_does_not_end_the_cell(tmp_path):
    assert "KL(v \\|\\| S)" in markdown(tmp_path, pd.DataFrame({"loss": ["KL(v || S)"]}))


def test_the_note_stands_below_the_table(tmp_path):
    assert markdown(tmp_path, pd.DataFrame({"m": [1]}), note="small").endswith("| 1 |\n\nsmall\n")


def test_points_have_six_significant_digits_and_no_negative_zero(tmp_path):
    write_points(pd.DataFrame({"series": ["a", "b", "c"], "y": [1 / 3, -0.0, NAN]}), tmp_path / "deep" / "points.csv")
    assert (tmp_path / "deep" / "points.csv").read_text() == "series,y\na,0.333333\nb,0\nc,\n"


def test_latex_is_a_tabular_with_the_rules_of_booktabs(tmp_path):
    text = latex(tmp_path, pd.DataFrame({"method": ["a", "b"], "mIoU": [70.0, 50.0]}), decimals=1)
    assert text.splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"method & mIoU \\",
        r"\midrule",
        r"a & 70.0 \\",
        r"b & 50.0 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_the_best_is_bold_in_latex(tmp_path):
    text = latex(tmp_path, pd.DataFrame({"m": [1.0, 3.0, 2.0], "n": [2, 1, 3]}), highest=["m"], lowest=["n"])
    assert text.splitlines()[4:7] == [r"1.00 & 2 \\", r"\textbf{3.00} & \textbf{1} \\", r"2.00 & 3 \\"]


@pytest.mark.parametrize("character", "&%$#_{}")
def test_a_character_with_a_meaning_in_latex_is_escaped(tmp_path, character):
    text = latex(tmp_path, pd.DataFrame({f"a{character}b": [f"c{character}d"]}))
    assert f"a\\{character}b \\\\" in text
    assert f"c\\{character}d \\\\" in text


def test_a_backslash_and_a_bar_are_words_in_latex(tmp_path):
    assert r"a\textbackslash{}b\textbar{}c" in latex(tmp_path, pd.DataFrame({"m": ["a\\b|c"]}))


def test_signs_are_mathematics_in_latex_and_a_missing_number_is_a_dash(tmp_path):
    text = latex(tmp_path, pd.DataFrame({"difference": [1.0, -2.0, NAN]}))
    assert text.splitlines()[4:7] == [r"$+$1.00 \\", r"$-$2.00 \\", r"-- \\"]


def test_a_hyphen_in_a_word_stays_one_in_latex(tmp_path):
    assert r"ResNet-101 \\" in latex(tmp_path, pd.DataFrame({"network": ["ResNet-101"]}))


def test_the_standard_deviation_joins_its_mean_in_latex(tmp_path):
    text = latex(tmp_path, pd.DataFrame({"mIoU": [50.0], "mIoU std": [1.1]}), decimals=1)
    assert r"50.0 $\pm$ 1.1 \\" in text


def test_the_note_is_a_comment_in_latex(tmp_path):
    assert latex(tmp_path, pd.DataFrame({"m": [1]}), note="small").startswith("% small\n\\begin{tabular}")
