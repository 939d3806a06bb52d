"""The simulated corpora lie beside these tests; benchmarks use them too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
