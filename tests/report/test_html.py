import base64
import io
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from report_folder import SVG, ReportFolder

from pipeline import paths
from pipeline.import_graph import REPOSITORY
from pipeline.params import load_params
from pipeline.report.artifacts import IDS, a_claims, b_claims, load
from pipeline.report.html import (
    LARGEST_SVG_BYTES,
    LONGEST_PLOT_ROWS,
    inline_svg,
    pack_picture,
    read_markdown,
    read_plotted,
    read_run,
    report_page,
    run_lines,
    scale_of,
)
from pipeline.stages.report import written_out

PARAMS = load_params(REPOSITORY / paths.PARAMS, REPOSITORY / paths.EXPERIMENTS)
RUNS = [f"{family}/{name}" for family, runs in PARAMS.runs.items() for name in runs]


@pytest.fixture
def folder(tmp_path):
    return ReportFolder(tmp_path)


class Elements(HTMLParser):
    """All start tags of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.found if attribute in attrs]


def article(page, artifact):
    return re.search(rf'<article class="artifact" id="{artifact}".*?</article>', page, re.DOTALL)[0]


def words(markup):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_every_claim_stands_at_an_artifact():
    for letter, paper in (("a", a_claims.CLAIMS), ("b", b_claims.CLAIMS)):
        known = {place for name in IDS if name[0] == letter for place in load(name).places}
        places = [{part.strip().lower() for part in claim.where.split(",")} for claim in paper.claims]
        assert [place for place in places if not place & known] == []


def test_the_page_asks_for_nothing_from_elsewhere(folder):
    elements = Elements(folder.render())
    assert [value for value in elements.values("src") if not value.startswith("data:")] == []
    assert not {"link", "iframe", "object", "embed"} & {tag for tag, _ in elements.found}
    assert "default-src 'none'" in elements.values("content")[1]


def test_same_files_give_the_same_bytes(folder):
    assert folder.render() == folder.render()


def test_ids_are_unique_although_figures_share_theirs(folder):
    ids = Elements(folder.render()).values("id")
    assert len(ids) == len(set(ids))


def test_links_inside_the_page_lead_somewhere(folder):
    elements = Elements(folder.render())
    inside = [value[1:] for value in elements.values("href") if value.startswith("#")]
    assert set(inside) <= set(elements.values("id"))


def test_links_to_files_are_relative_to_the_page(folder):
    page = folder.render()
    addresses = set(Elements(page).values("href"))
    assert {"figures/a-fig4a.svg", "tables/b-tab3.tex", "plots/a-fig4a.csv", "metrics/potts/q-len100.json"} <= addresses
    assert {"potts/curves.csv", "potts/results.csv", "../params.yaml"} <= addresses


def test_the_scale_stands_at_the_top_and_at_the_numbers(folder):
    page = folder.render()
    top = words(page[: page.index("<article")])
    assert "Embedded scale, cpu, seeds 0, 1, scribbles generated from masks - not comparable with published numbers." in top
    assert "1 published papers' scale 1 ours embedded scale" in words(article(page, "b-tab3"))


def test_the_papers_scale_is_comparable(folder):
    for family, run in (("size_noise", "size-mre00"), ("size_noise", "full"), ("potts", "q-len100")):
        folder.write_run(family, run, profile="paper")
    assert "not comparable" not in words(folder.render().split("</style>")[1])


def test_scale_of_runs_of_two_profiles_is_not_comparable(folder):
    folder.write_run("size_noise", "full", profile="paper")
    assert scale_of(folder.runs()).startswith("embedded and paper scale, ")
    assert scale_of(folder.runs()).endswith("not comparable with published numbers")


def test_a_run_shows_its_mean_and_deviation(folder):
    run = next(run for run in folder.runs() if run.id == "size_noise/full")
    assert (run.score, run.seeds) == ("mIoU 75.00 ± 7.07", [0, 1])


def test_a_run_has_the_metric_that_was_measured(folder):
    folder.write_run("label_noise", "ce", repetitions=[{"seed": 0, "val": {"accuracy": 0.5}}])
    assert folder.runs()[0].score == "accuracy 50.00"


@pytest.mark.parametrize("artifact", ["b-tab3", "a-fig4a"])
def test_ours_carries_its_scale_at_every_artifact(folder, artifact):
    assert "Ours: embedded scale, cpu, seed" in words(article(folder.render(), artifact))


def test_an_artifact_lists_the_runs_behind_it_and_no_others(folder):
    text = words(article(folder.render(), "a-fig4a"))
    assert "Runs behind it (2)" in text
    assert "size_noise/size-mre00" in text
    assert "potts/q-len100" not in text


def test_a_run_leads_to_its_line_of_the_settings(folder):
    page = folder.render()
    line = re.search(r'<a href="#(L\d+)">', article(page, "b-tab3"))[1]
    assert re.search(rf'<span id="{line}">(.*)', page)[1] == "    q-len100: {objective: soft-q}"


def test_lines_of_runs_are_those_of_yaml():
    lines = written_out(PARAMS, (REPOSITORY / "params.yaml").read_text()).splitlines()
    found = run_lines("\n".join(lines))
    assert list(found) == RUNS
    assert all(lines[number - 1].startswith(f"    {run.split('/')[1]}:") for run, number in found.items())


def test_claims_stand_at_their_artifact_with_their_verdict(folder):
    text = words(article(folder.render(), "a-fig4a"))
    assert "✓ holds Sizes may be wrong." in text
    assert "? not decided (2 seeds) The CRF loss helps." in text
    assert "scribbles" not in text


def test_verdicts_are_counted_at_the_top(folder):
    page = folder.render()
    assert "✓ 1 holds ✗ 1 does not hold = 0 level ? 1 not decided" in words(page[: page.index("<article")])


def test_text_is_escaped(folder):
    assert "Sizes help &lt;short&gt; scribbles." in article(folder.render(), "a-claims")


def test_published_numbers_have_their_place(folder):
    assert "SSL, Table 3 P_Q 1 71.05 percent H_CCE" in words(article(folder.render(), "b-tab3"))


def test_what_is_not_made_says_how_to_make_it(folder):
    text = words(article(folder.render(), "b-fig1"))
    assert "Not made yet: dvc repro reports/dvc.yaml:b-fig1 makes it." in text


def test_a_large_figure_is_a_picture(folder):
    folder.path("figures", "b-tab3.svg").write_text(SVG + " " * LARGEST_SVG_BYTES)
    folder.path("figures", "b-tab3.png").write_bytes(folder.path("figures", "b-fig7.png").read_bytes())
    assert "data:image/" in article(folder.render(), "b-tab3")
    assert "<svg" not in article(folder.render(), "b-tab3")


def test_a_figure_without_vectors_is_a_picture_with_a_text(folder):
    assert '<img alt="Soft pseudo-labels of the six relaxations. ' in article(folder.render(), "b-fig7")


def test_ids_and_references_of_a_figure_get_a_prefix():
    markup = inline_svg(SVG, "a", "what", {})
    assert 'id="a-dot"' in markup
    assert 'href="#a-dot"' in markup
    assert "url(#a-box)" in markup


GLYPH = '<path id="DejaVuSans-41" d="M 1 2 z" transform="scale(0.015625)"/>'
LETTERS = SVG.replace("</svg>", f'<defs>{GLYPH}</defs><use xlink:href="#DejaVuSans-41"/></svg>')


def test_letters_of_all_figures_stand_once_for_the_page():
    glyphs = {}
    markup = [inline_svg(LETTERS, name, "what", glyphs) for name in "ab"]
    assert glyphs == {"DejaVuSans-41": GLYPH}
    assert all('href="#DejaVuSans-41"' in one and GLYPH not in one for one in markup)


def test_a_letter_with_two_outlines_is_a_mistake():
    with pytest.raises(ValueError, match="one outline of DejaVuSans-41"):
        inline_svg(LETTERS, "a", "what", {"DejaVuSans-41": GLYPH.replace("1 2", "1 3")})


def test_the_page_holds_the_letters_of_its_figures(folder):
    folder.path("figures", "b-tab3.svg").write_text(LETTERS)
    assert folder.render().count('id="DejaVuSans-41"') == 1


def test_coordinates_are_rounded_but_not_scales():
    markup = inline_svg(SVG.replace('d="M 0 0 L 9 9"', 'd="M 70.043744 -197.0 L 1.99996 0.015625"'), "a", "what", {})
    assert 'd="M 70.04 -197.0 L 2 0.015625"' in markup


def packed(pixels):
    """Return how many bytes a picture has as PNG and packed, and its pixels afterwards."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    content = base64.b64decode(pack_picture(data.getvalue()).split(",")[1])
    return len(data.getvalue()), len(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_packed_picture_of_labels_has_the_same_pixels():
    labels = np.random.default_rng(0).integers(0, 2, (8, 12)).repeat(20, 0).repeat(20, 1)
    pixels = np.array([[0, 0, 0], [213, 94, 0]], np.uint8)[labels]
    before, after, shown = packed(pixels)
    assert after <= before
    assert (shown == pixels).all()


def test_a_packed_photo_is_much_smaller_and_looks_the_same():
    y, x = np.mgrid[:96, :128]
    smooth = np.stack([x, y, 255 - x], -1) + np.random.default_rng(0).normal(0, 4, (96, 128, 3))
    pixels = smooth.clip(0, 255).astype(np.uint8)
    before, after, shown = packed(pixels)
    assert after < before / 3
    assert np.abs(shown.astype(int) - pixels).mean() < 5


def test_pictures_inside_a_figure_are_packed(folder):
    png = base64.b64encode(folder.path("figures", "b-fig7.png").read_bytes()).decode()
    picture = f'<image xlink:href="data:image/png;base64,\n{png}" width="9"/></svg>'
    expected = f'xlink:href="{pack_picture(base64.b64decode(png))}"'
    assert expected in inline_svg(SVG.replace("</svg>", picture), "a", "what", {})


def test_pictures_do_not_count_as_vectors(folder):
    png = base64.b64encode(folder.path("figures", "b-fig7.png").read_bytes()).decode()
    pictures = f'<image xlink:href="data:image/png;base64,{png}"/>' * (LARGEST_SVG_BYTES // len(png) + 1)
    folder.path("figures", "b-fig7.svg").write_text(SVG.replace("</svg>", f"{pictures}</svg>"))
    assert "<svg" in article(folder.render(), "b-fig7")


def test_only_columns_with_sentences_get_room():
    text = "| claim | n |\n| --- | ---: |\n| a sentence of more than a few words | 1 |\n"
    assert [column.words for column in read_markdown(text, "embedded").columns] == [True, False]


def test_a_figure_does_not_style_the_page():
    markup = inline_svg(SVG, "a", "what", {})
    assert "<style" not in markup
    assert "metadata" not in markup


def test_the_label_of_a_figure_is_escaped():
    assert 'aria-label="a &lt; b &#34;c&#34;"' in inline_svg(SVG, "a", 'a < b "c"', {})


def test_a_table_is_read_back_with_the_best_and_the_note(folder):
    table = read_markdown(folder.path("tables", "b-tab3.md").read_text(), "embedded")
    assert [column.numeric for column in table.columns] == [False, True, True]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["P_BL", "67.24", "9.50"],
        ["P_Q", "71.05", "71.00"],
        ["P_CD", "71.22", "-"],
    ]
    assert [cell.text for row in table.rows for cell in row if cell.best] == ["71.00", "71.22"]
    assert table.note == "mIoU in percent."


def test_an_escaped_bar_stays_in_its_cell():
    table = read_markdown("| loss | x |\n| --- | ---: |\n| KL(v \\|\\| S) | 1 |\n", "embedded")
    assert [cell.text for cell in table.rows[0]] == ["KL(v || S)", "1"]


def test_plotted_numbers_beside_published_ones_leave_out_the_rest():
    text = "series,published_percent,ours_percent,empty\na,66.6,50.12345,\nb,,40,\n"
    table = read_plotted(text, "smoke", beside=True)
    assert [column.name for column in table.columns] == ["series", "published_percent", "ours_percent"]
    assert [column.scale for column in table.columns] == ["", "papers' scale", "smoke scale"]
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "66.6", "50.12"]]


def test_many_plotted_numbers_are_linked_only(folder):
    folder.path("plots", "a-fig4a.csv").write_text("y\n" + "1\n" * (LONGEST_PLOT_ROWS + 1))
    text = article(folder.render(), "a-fig4a")
    assert "Plotted numbers (" not in text
    assert 'href="plots/a-fig4a.csv"' in text


def test_a_metrics_file_without_repetitions_is_a_mistake(folder):
    path = folder.path("metrics/potts", "old.json")
    path.write_text('{"family": "potts", "run": "old"}')
    with pytest.raises(ValueError, match=r"old\.json: expected the fields .*repetitions"):
        read_run(path, folder.page, path, path)


def test_a_page_without_runs_says_so(folder):
    page = report_page({}, folder.page, [], None, "", folder.settings, folder.record)
    assert "No runs have been evaluated." in page


def test_without_a_record_the_artifacts_are_unfolded(folder):
    page = folder.render()
    assert '<details id="embedded" open>' in page
    assert 'id="evidence"' not in page


def test_the_record_comes_before_the_artifacts_which_are_folded(folder):
    folder.write_record()
    page = folder.render()
    assert page.index('id="evidence"') < page.index('<details id="embedded">') < page.index("<article")
    assert "On real pictures: of 2 claims 1 hold." in words(page)


def test_recorded_claims_have_both_verdicts(folder):
    folder.write_record()
    text = words(folder.render().split('id="verdicts"')[1].split("</section>")[0])
    assert "✓ holds Sizes may be wrong. section 3.2 +1 corrected: not decided" in text


def test_recorded_curves_have_their_numbers(folder):
    folder.write_record()
    chart = re.search(r'<figure class="chart" id="curves-a".*?</figure>', folder.render(), re.DOTALL)[0]
    assert "A curve [SIZE] Fig. 4" in words(chart)
    assert 'id="curves-a-figure_1"' in chart
    assert 'href="recorded/real/curves-a.csv"' in chart
    assert "55" in words(chart)


def test_ids_of_a_page_with_a_record_are_unique_and_links_lead_there(folder):
    folder.write_record()
    elements = Elements(folder.render())
    ids = elements.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in elements.values("href") if value.startswith("#")} <= set(ids)
