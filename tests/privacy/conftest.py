"""Lets tests of this room share the audit of noise."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
