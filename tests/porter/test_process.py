"""The ward as a process of its own: it serves until told to end, prints nothing outside, and says what is wrong."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from town import Town

from wardgate.federation import site as people
from wardgate.records.messages import Answer
from wardgate.records.parcel import pack_bytes


@contextmanager
def served(root: Path, log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A ward process, ended whatever happens."""
    command = [sys.executable, "-m", "wardgate.hospital.ward", "--premises", str(root)]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", **environment}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=quiet, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def until(found, process: "subprocess.Popen[bytes]", *, seconds: float = 120.0) -> None:
    """Wait for something that a process does."""
    end = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, "the ward's process ended"
        assert time.monotonic() < end, "the ward's process does nothing"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_ward_process_answers_is_alone_and_ends_when_told(town: Town, tmp_path: Path) -> None:
    study = town.agreed()
    town.kill("north")
    parcel = town.question(study, [pack_bytes("study", study.to_bytes())], computation="review")
    town.bring("north", parcel)
    root = town.premises["north"].root
    with served(root, tmp_path / "first.log") as first:
        until(lambda: town.box("north", "answers").names(), first)
        (answer,) = [town.opened("north", one) for one in town.fetch("north")]
        assert isinstance(answer, Answer) and answer.outcome == "released"
        with served(root, tmp_path / "second.log") as second:
            assert second.wait(timeout=120) == 78
        assert "another process serves the ward" in (tmp_path / "second.log").read_text()
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 0
        assert first.stdout is not None and first.stdout.read() == b""
    assert town.box("north", "questions").names() == []
    assert [one.event for one in people.book(town.premises["north"])][-2:] == ["question", "answer"]


@pytest.mark.slow
def test_a_folder_that_is_no_hospital_ends_with_a_clear_word(tmp_path: Path) -> None:
    with served(tmp_path, tmp_path / "log") as process:
        assert process.wait(timeout=120) == 78
    assert "site.yaml cannot be read" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
