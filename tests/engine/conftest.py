"""One consortium of three sites, founded and served once for all tests of a file that do not end it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "consortium"))

from made_consortium import Founded, founded
from running import Running, free_port, running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Founded, Running]]:
    """A hub and two of its three sites over mutual TLS on loopback, as real processes."""
    folder = tmp_path_factory.mktemp("served")
    made = founded(folder, sites=("uk", "it", "ch"), port=free_port())
    log = folder / "log"
    log.mkdir()
    with running(made.home, made.sites, log=log, wires=("uk", "it")) as run:
        run.until_connected("uk", "it")
        yield made, run


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Founded, Running]]:
    """One site that serves under a hub which allows itself everything."""
    folder = tmp_path_factory.mktemp("evil")
    made = founded(folder, sites=("uk",), port=free_port(), consortium="evil")
    log = folder / "log"
    log.mkdir()
    with running(made.home, made.sites, log=log, evil=True) as run:
        run.until_connected("uk")
        yield made, run
