"""What all tests share: the folder of real data, and examples that are the same in every run."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("wardgate", deadline=None, derandomize=True)
settings.load_profile("wardgate")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, WARDGATE_DATA or `../shared/data` beside the project.

    Skips where it is missing, unless WARDGATE_REQUIRE_DATA=1: then a missing folder fails.
    """
    folder = (ROOT / os.environ.get("WARDGATE_DATA", "../shared/data")).resolve()
    if not folder.is_dir():
        reason = f"no real data: WARDGATE_DATA names {folder}, which is no folder"
        if os.environ.get("WARDGATE_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
