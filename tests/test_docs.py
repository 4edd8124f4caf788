"""Documentation: links lead to files, and commands that it shows exist."""

import re

import pytest

from pipeline.import_graph import REPOSITORY, module_file

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


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
