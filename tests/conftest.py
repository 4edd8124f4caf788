"""Lets tests import what lies beside them, says how many inputs are tried, and puts slow tests first."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("plain", max_examples=25, derandomize=True, database=None, **COMMON)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **COMMON)  # pytest --hypothesis-profile=thorough
settings.load_profile("plain")


@pytest.fixture(autouse=True)
def usual_numbers():
    """Let numbers near 0 be what they are again after a test whose code has the processor flush them, as stages do."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


def pytest_collection_modifyitems(items):
    """Put slow tests first: what is made once for a module would be made again by a process that took over half of its tests."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
