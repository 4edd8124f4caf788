"""Puts this folder on the path, so that tests can import the naive loops of `reference`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
