import matplotlib
import pandas as pd
import pytest

from pipeline.report.style import METHOD_STYLE, RELAXATION_STYLE, journal_style, new_figure, note_below, save_figure, scale_text


def runs(**columns):
    return pd.DataFrame([{"profile": "embedded", "device": "cpu", "seed": 0, **columns}])


def drawing():
    with journal_style():
        figure = new_figure(2, 2)
        figure.add_subplot().fill_between([0, 1], [0, 1], label="x")
        figure.axes[0].imshow([[0, 1], [1, 0]])
    return figure


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_saving_again_gives_the_same_bytes(tmp_path, suffix):
    for stem in ("one", "two"):
        save_figure(drawing(), tmp_path / stem)
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_files_carry_no_version_and_no_date(tmp_path):
    save_figure(drawing(), tmp_path / "figure")
    svg, png = (tmp_path / "figure.svg").read_text(), (tmp_path / "figure.png").read_bytes()
    assert "<dc:date>" not in svg
    assert matplotlib.__version__ not in svg
    assert b"Software" not in png


def test_saving_leaves_only_the_two_files(tmp_path):
    save_figure(drawing(), tmp_path / "new" / "figure")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure.png", "figure.svg"]


def test_a_dot_in_the_name_is_kept(tmp_path):
    save_figure(drawing(), tmp_path / "noise-0.1")
    assert (tmp_path / "noise-0.1.svg").exists()


def test_the_style_does_not_leak():
    before = dict(matplotlib.rcParams)
    drawing()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("styles", [METHOD_STYLE, RELAXATION_STYLE])
def test_no_two_entries_look_the_same(styles):
    assert len({(style.color, style.marker, style.line) for style in styles.values()}) == len(styles)


def test_small_scale_says_it_is_not_comparable():
    assert scale_text(runs()) == "embedded scale, cpu, seed 0 - not comparable with published numbers"


def test_paper_scale_names_its_seeds_only():
    rows = pd.concat([runs(profile="paper", device="cuda"), runs(profile="paper", device="cuda", seed=1)])
    assert scale_text(rows) == "paper scale, cuda, seeds 0, 1"


def test_the_note_is_part_of_the_figure():
    figure = drawing()
    note_below(figure, scale_text(runs()))
    assert "not comparable" in figure.get_supxlabel().replace("\n", " ")


def test_no_note_leaves_the_figure_as_it_is():
    figure = drawing()
    note_below(figure, "")
    assert figure.get_supxlabel() == ""


@pytest.mark.parametrize(
    ("kinds", "words"),
    [(["erosion", None], "eroded seeds"), (["blocks", None], "blocks"), (["scribbles", "erosion"], "scribbles and eroded seeds")],
)
def test_generated_seeds_are_called_what_they_are(kinds, words):
    rows = pd.DataFrame({"profile": "paper", "device": "cpu", "seed": 0, "seed_kind": kinds})
    generated = rows.assign(seeds_generated=[kind is not None for kind in kinds])
    assert scale_text(generated).endswith(f"seed 0, {words} generated from masks")


def test_trainings_that_failed_are_named():
    rows = pd.DataFrame({"profile": "paper", "device": "cpu", "seed": [0, 1], "family": "acdc", "run": ["full", "barrier"]})
    assert scale_text(rows.assign(failed=[False, True])).endswith("; training failed by its loss: acdc/barrier")
    assert "failed" not in scale_text(rows.assign(failed=False))
