"""A town of three hospitals for each test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from town import Town

from wardgate.entropy import SystemEntropy
from wardgate.records.envelope import Signer


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Three hospitals of 120 persons, enrolled; nothing is proposed yet."""
    made = Town(root=tmp_path, hub=Signer(SystemEntropy().bytes(32)))
    for place, site in enumerate(("north", "south", "west")):
        made.build(site, seed=place)
    yield made
    for porter in made.porters.values():
        porter.close()
