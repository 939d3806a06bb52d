"""A consortium of three, founded once for all tests that only read it, and afresh for those that change it."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_consortium import NOW, Founded, Keys, founded

from wardgate.hospital.premises import Premises
from wardgate.hub.home import Home


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A consortium that nobody changes."""
    return founded(tmp_path_factory.mktemp("standing"), now=NOW)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A consortium of two, to be copied."""
    return founded(tmp_path_factory.mktemp("pair"), sites=("uk", "it"), now=NOW)


@pytest.fixture
def copied(pair: Founded) -> Callable[[Path], Founded]:
    """Copies of the pair, each with its own folder."""

    def copy(folder: Path) -> Founded:
        shutil.copytree(pair.home.root.parent, folder, dirs_exist_ok=True)
        sites = {site: Premises(folder / site) for site in pair.sites}
        asked = {site: replace(asking, request=folder / site / "site.request") for site, asking in pair.asked.items()}
        return replace(pair, home=Home(folder / "hub"), sites=sites, asked=asked, keys=Keys(made=20))

    return copy


@pytest.fixture
def fresh(copied: Callable[[Path], Founded], tmp_path: Path) -> Founded:
    """A consortium of two sites for one test."""
    return copied(tmp_path)
