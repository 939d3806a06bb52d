"""Two ends of a road in a folder of the test."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_ends import Ends


@pytest.fixture
def make_ends(tmp_path: Path) -> Callable[..., Ends]:
    """Make two ends."""

    def make(**how: object) -> Ends:
        folder = tmp_path / f"ends{sum(1 for _ in tmp_path.iterdir())}"
        folder.mkdir()
        return Ends(folder=folder, **how)  # type: ignore[arg-type]

    return make
