"""The made-up hospitals and the command line in a process of its own lie with the canary tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "wall" / "canary"))

import commands
import made_up


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, made by the command line. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("finished")
    given = made_up.data_set(folder / "set", canaries=False)
    done = commands.wardgate(*given.arguments(folder / "out"))
    assert done.returncode == 0, done.stderr
    return folder / "out"
