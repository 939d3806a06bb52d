"""A consortium of three, founded once for all tests that only read it, and afresh for those that change it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_consortium import NOW, Founded, founded


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A consortium that nobody changes."""
    return founded(tmp_path_factory.mktemp("standing"), now=NOW)


@pytest.fixture
def fresh(tmp_path: Path) -> Founded:
    """A consortium of two sites for one test."""
    return founded(tmp_path, sites=("uk", "it"), now=NOW)
