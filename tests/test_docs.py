"""Documentation: links lead to files, and commands that it shows exist."""

import re

import pytest

from pipeline.__main__ import COMMANDS
from pipeline.files import split_block
from pipeline.import_graph import REPOSITORY, module_file
from pipeline.report import pages

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
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
    listed = {module for modules in COMMANDS.values() for module in modules}
    assert {module.removesuffix(".__main__") for module in modules} - {"pipeline", "pipeline.launch.worker"} == listed


def test_pages_say_what_the_records_say():
    for page, block in pages.blocks().items():
        assert split_block((REPOSITORY / page).read_text(), pages.MARK, page)[1] == block
