"""Puts the made-up players where the tests of this folder find them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
