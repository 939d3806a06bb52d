"""Lets tests of checks share their made-up studies and records."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
