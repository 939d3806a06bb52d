"""The command line over marked patients: what is printed and what is written is searched, also when wards misbehave."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import commands
import faults
import leaks
import made_up

from wardgate.hospital.app.isolated import check_isolation
from wardgate.records.errors import Unsupported

TEXTS = [text for one in made_up.ALL_MARKED for text in one.texts]
NUMBERS = [number for one in made_up.ALL_MARKED for number in one.numbers]


def _search(done: subprocess.CompletedProcess[str], out: Path, *, texts=TEXTS, numbers=NUMBERS) -> list[str]:
    found = [leaks.Piece("stdout", done.stdout.encode()), leaks.Piece("stderr", done.stderr.encode())]
    return leaks.leaks([*found, *(leaks.of_folder(out) if out.exists() else ())], texts=texts, numbers=numbers)


def _victim(done: subprocess.CompletedProcess[str], out: Path) -> list[str]:
    return _search(done, out, texts=faults.VICTIM.texts, numbers=faults.VICTIM.numbers)


@pytest.mark.parametrize(
    "file",
    ["p.csv.gz", pytest.param("p.csv", marks=pytest.mark.slow), pytest.param("p.parquet", marks=pytest.mark.slow)],
)
def test_no_marked_patient_leaves_by_the_command_line(file: str, tmp_path: Path) -> None:
    given, out = made_up.data_set(tmp_path / "set", file=file), tmp_path / "out"
    done = commands.wardgate(*given.arguments(out, "--reference"))
    assert done.returncode == 0, done.stderr
    assert (out / "commons" / "joint.parquet").exists()
    assert done.stderr == ""
    assert _search(done, out) == []


@pytest.mark.slow
def test_wards_that_print_warn_and_log_are_not_heard(tmp_path: Path) -> None:
    given, out, private = made_up.data_set(tmp_path / "set"), tmp_path / "out", tmp_path / "private"
    noisy = commands.noisy(tmp_path / "noisy", faults.SECRET)
    done = commands.wardgate(*given.arguments(out, "--private", str(private)), environment=noisy)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert _victim(done, out) == []
    assert (private / "printed.log").read_text().count(faults.SECRET) > 20
    assert private.stat().st_mode & 0o077 == 0


def test_wards_that_print_are_not_heard_on_a_terminal_either(tmp_path: Path) -> None:
    """There a progress display is shown, which likes to show what is printed as well."""
    given, out = made_up.data_set(tmp_path / "set"), tmp_path / "out"
    environment = commands.environment_of(commands.noisy(tmp_path / "noisy", faults.SECRET)) | {"TERM": "xterm"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(commands.command(*given.arguments(out)), stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 120)
        try:
            more = os.read(ours, 65536) if ready else b""
        except OSError:
            more = b""
        if not more:
            break
        said += more
    os.close(ours)
    assert process.wait(timeout=60) == 0, said
    assert b"own corpora" in said, "no progress was shown"
    found = leaks.leaks([leaks.Piece("terminal", said)], texts=faults.VICTIM.texts, numbers=faults.VICTIM.numbers)
    assert found == []


def test_a_failing_step_is_told_by_reference_and_found_in_the_private_log(tmp_path: Path) -> None:
    given, out, private = made_up.data_set(tmp_path / "set"), tmp_path / "out", tmp_path / "private"
    failing = commands.failing(tmp_path / "failing", "wardgate.hospital.ward.answering.ward.read_cohort", faults.SECRET)
    done = commands.wardgate(*given.arguments(out, "--private", str(private)), environment=failing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert _victim(done, out) == []
    references = re.findall(r"under reference ([0-9a-f]{12})", done.stderr)
    assert len(references) == 4
    for site, reference in zip(made_up.SITES, references, strict=True):
        log = (private / site / "private.log").read_text()
        assert log.startswith(f"{reference} review\n")
        assert faults.SECRET in log


@pytest.mark.parametrize("path", ["wardgate.federation.local.pooled_fit", "wardgate.cli.demo.divide"])
def test_a_failure_that_nobody_foresaw_is_told_by_its_place_alone(path: str, tmp_path: Path) -> None:
    given, out = made_up.data_set(tmp_path / "set"), tmp_path / "out"
    failing = commands.failing(tmp_path / "failing", path, faults.SECRET)
    done = commands.wardgate(*given.arguments(out, "--reference"), environment=failing)
    assert done.returncode == 6
    assert done.stdout == ""
    assert re.fullmatch(r"wardgate: ValueError in wardgate/\S+\.py, line \d+, .* report the place\n", done.stderr)
    assert _victim(done, out) == []


@pytest.mark.slow
def test_no_marked_patient_leaves_isolated_wards_by_the_command_line(tmp_path: Path) -> None:
    try:
        check_isolation()
    except Unsupported as reason:
        pytest.skip(str(reason))
    given, out, private = made_up.data_set(tmp_path / "set"), tmp_path / "out", tmp_path / "private"
    noisy = commands.noisy(tmp_path / "noisy", faults.SECRET)
    done = commands.wardgate(*given.arguments(out, "--isolate", "--private", str(private)), environment=noisy)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert _search(done, out) == []
    for site in made_up.SITES:
        assert faults.SECRET in (private / site / "stderr.log").read_text()
