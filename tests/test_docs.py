"""Documentation: links lead to files, and commands that it shows exist."""

import re
import sys
from importlib import import_module
from statistics import fmean

import pandas as pd
import pytest

from pipeline.__main__ import COMMANDS
from pipeline.bench import estimate
from pipeline.files import read_json, split_block
from pipeline.import_graph import REPOSITORY, module_file
from pipeline.report import evidence, pages

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BOOKS = [page for page in PAGES if page.parent.name == "docs"]
MODULES = [module for modules in COMMANDS.values() for module in modules]
GUARD = 'if __name__ == "__main__":'


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_in_commands_exist(page):
    modules = re.findall(r"python -m (pipeline[\w.]*)", page.read_text())
    assert [module for module in modules if module_file(module) is None] == []


def sentences(text):
    """Return the sentences of a page without code, tables, headings and what other modules write."""
    text = re.sub(r"```.*?```|<!-- (\w+).*?-->.*?<!-- [/\w]+:?.*?-->", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"^\s*(\||#|!\[).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*([-*]|\d+\.)\s", "\n\n", text, flags=re.MULTILINE)
    return [part for part in re.split(r"(?<=[.!?])\s+|\n{2,}", text) if len(part.split()) > 1]


@pytest.mark.parametrize("page", BOOKS, ids=lambda page: page.name)
def test_a_page_begins_with_what_its_reader_can_do_afterwards(page):
    assert page.read_text().split("\n\n")[1].startswith("After this page you ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_are_short(page):
    words = {sentence: len(sentence.split()) for sentence in sentences(page.read_text())}
    assert [sentence for sentence, count in words.items() if count > 30] == []
    assert fmean(words.values()) < 18


@pytest.mark.parametrize("command", MODULES)
def test_the_help_of_a_command_ends_with_an_example_that_it_takes(command, monkeypatch, capsys):
    is_package = (REPOSITORY / command.replace(".", "/")).is_dir()
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit):
        import_module(f"{command}.__main__" if is_package else command).main()
    usage, _, example = capsys.readouterr().out.rpartition("example:")
    assert re.fullmatch(rf"\s+python -m {re.escape(command)}( .*)?\s+", example)
    assert set(re.findall(r"--[\w-]+", example)) <= set(re.findall(r"--[\w-]+", usage))


def test_make_help_lists_every_target():
    rules = (REPOSITORY / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", rules, re.MULTILINE)[1].split())
    assert set(re.findall(r"^([a-z-]+):.*## ", rules, re.MULTILINE)) == targets


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", (REPOSITORY / "README.md").read_text(), re.MULTILINE))
    assert shown <= targets


def test_the_page_on_python_runs_as_it_stands():
    page = (REPOSITORY / "docs" / "library.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    exec("\n".join(blocks), names)
    free = names["seeds"] == 255
    assert names["loss"].item() > 0
    assert names["logits"].grad.isfinite().all()
    assert names["solution"].labels.sum(1).allclose(names["valid"].float().new_ones(free.shape), atol=1e-4)


def test_the_list_of_commands_is_complete():
    sources = {path: path.read_text() for path in (REPOSITORY / "pipeline").rglob("*.py") if "stages" not in path.parts}
    modules = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path, text in sources.items() if GUARD in text}
    assert {module.removesuffix(".__main__") for module in modules} - {"pipeline", "pipeline.launch.worker"} == set(MODULES)


def test_pages_say_what_the_records_say():
    for (page, mark), block in pages.blocks().items():
        assert split_block((REPOSITORY / page).read_text(), mark, page)[1] == block


def test_the_record_is_summed_up_for_the_report_page():
    told = read_json(REPOSITORY / pages.RECORD / evidence.SUMMARY, "run python -m pipeline.report.pages")
    assert told == evidence.evidence(REPOSITORY / pages.RECORD)


def test_numbers_of_own_photos_are_those_of_the_record():
    page = (REPOSITORY / "docs/annotate.md").read_text(encoding="utf-8")
    record = pd.read_csv(REPOSITORY / "reports/recorded/own/session.csv")
    assert len(record) == 21
    for (given, scored), rows in record.groupby(["given", "scored"]):
        values = [f"{value:.1f}" for value in rows.sort_values("draw")["mIoU_percent"]]
        if scored == "100 other photos":
            assert f"| {given} | {', '.join(values)}: mean {rows['mIoU_percent'].mean():.1f} |" in page
        else:
            assert f"{values[0]}, {values[1]} and {values[2]} %" in page


def test_seconds_of_the_page_are_those_of_the_record():
    page = " ".join((REPOSITORY / "docs/annotate.md").read_text(encoding="utf-8").split())
    first, least, most = pd.read_csv(REPOSITORY / "reports/recorded/own/page.csv")["seconds"]
    assert f"seen {first:.1f} s after Train is pressed, each of the next six after {least:.1f} to {most:.1f} s" in page


def test_spread_over_seeds_is_that_of_the_record():
    page = (REPOSITORY / "docs/choices.md").read_text(encoding="utf-8")
    for settings, rows in pd.read_csv(REPOSITORY / "reports/recorded/own/spread.csv").groupby("settings"):
        cells = [f"{row.mIoU_percent:.1f}, deviation {row.deviation_points:.1f}" for row in rows.itertuples()]
        assert f"| {settings} | {' | '.join(cells)}" in page


def test_hours_at_paper_scale_are_those_of_the_estimate():
    tables = [REPOSITORY / f"reports/recorded/bench/{name}.csv" for name in ("steps", "steps-published-networks-cpu")]
    text = estimate.report(estimate.read_params("paper"), estimate.read_steps(tables), {"": 300.0}, {})
    families = text.split("\n\n")[2].splitlines()
    shown = split_block((REPOSITORY / "docs/cost.md").read_text(), "estimate", "docs/cost.md")[1].splitlines()
    lines = ["|".join(line.split("|")[:7]) + "|" for line in families]
    assert set(shown[:-1]) <= set(lines)
    assert shown == lines or len(lines) > len(shown)  # with families of one's own there are more, and another sum
