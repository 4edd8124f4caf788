"""Puts this folder on the path, so that tests can import the naive loops of `reference`, and says how many inputs are tried."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("plain", max_examples=25, derandomize=True, database=None, **COMMON)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **COMMON)  # pytest --hypothesis-profile=thorough
settings.load_profile("plain")
