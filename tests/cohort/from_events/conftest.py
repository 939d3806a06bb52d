"""Makes the helpers of these tests importable, and leaves the checks of records to their own tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from wardgate.hospital.ward.cohort.from_events import build as built


@pytest.fixture(autouse=True)
def _entries_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They read every source once more, and have tests of their own."""
    monkeypatch.setattr(built, "check_records", lambda *_: ())
