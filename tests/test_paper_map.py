"""The map of the papers leads somewhere, and the modules it names cite the place."""

import importlib

import pytest

from pipeline import PAPER_MAP


@pytest.mark.parametrize(("place", "target"), PAPER_MAP.items())
def test_place_leads_to_code(place, target):
    module, name = target.split(":")
    assert hasattr(importlib.import_module(module), name), f"{place}: {target} does not exist"
