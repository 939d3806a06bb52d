"""A run appears whole or not at all: full disks, interrupts, kills, and folders that hold something else."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import commands
import made_up
import pytest

from wardgate import cli
from wardgate.hub.commons import directory
from wardgate.hub.intake.audit import audit

HELD = '''\
"""Read by the command's process before anything else: it says that it has come to a place, and waits there."""
import time
from pathlib import Path

import {module} as module

kept = module.{name}


def held(*args, **kwargs):
    mark = Path({mark!r})
    mark.with_suffix(".new").write_text("here")
    mark.with_suffix(".new").rename(mark)
    time.sleep(60)
    return kept(*args, **kwargs)


module.{name} = held
'''

COMPUTING = "wardgate.hub.chain.choose_ridge"
WRITING = "wardgate.hub.commons.directory._flush"


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return everything in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def beside(out: Path) -> list[str]:
    """Return what lies beside a run, hidden things too."""
    return sorted(path.name for path in out.parent.iterdir() if path != out)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> made_up.DataSet:
    return made_up.data_set(tmp_path_factory.mktemp("given") / "set", canaries=False)


@pytest.fixture
def earlier(finished: Path, tmp_path: Path) -> Path:
    """An earlier run in a folder of its own."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "out"))


def stopped(given: made_up.DataSet, out: Path, tmp_path: Path, *, at: str, by: signal.Signals) -> tuple[int, str]:
    """Run the command until it comes to a place, send it a signal there, and return its code and its words."""
    module, _, name = at.rpartition(".")
    mark = tmp_path / f"mark-{name}"
    text = HELD.format(module=module, name=name, mark=str(mark))
    environment = commands.environment_of(commands.sitecustomize(tmp_path / f"held-{name}", text))
    environment["TMPDIR"] = str(tmp_path)
    process = subprocess.Popen(
        commands.command(*given.arguments(out, "--replace")),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(1200):
        if mark.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    assert mark.exists(), process.communicate()[1]
    process.send_signal(by)
    said, words = process.communicate(timeout=60)
    assert said == ""
    return process.returncode, words


# Folders that hold something.


def test_an_earlier_run_is_kept_unless_it_may_be_replaced(given, earlier: Path, capfd) -> None:
    before = snapshot(earlier)
    assert cli.run(given.arguments(earlier)) == 5
    assert capfd.readouterr().err == f"wardgate: {earlier} exists; choose another --out, or add --replace\n"
    assert snapshot(earlier) == before
    assert cli.run(given.arguments(earlier, "--replace")) == 0
    assert snapshot(earlier) != before
    assert beside(earlier) == []


@pytest.mark.parametrize("what", ["a folder of holidays", "a run with a stranger", "a file", "an empty run's name"])
def test_replace_never_deletes_what_is_no_run(
    what: str, given, finished: Path, tmp_path: Path, capfd, monkeypatch
) -> None:
    out = tmp_path / "runs" / "out"
    if what == "a run with a stranger":
        shutil.copytree(finished, out)
        (out / "thesis.txt").write_text("ten years of work")
    elif what == "a file":
        out.parent.mkdir()
        out.write_text("ten years of work")
    else:
        (out / "photos").mkdir(parents=True)
        (out / "photos" / "sea.jpg").write_bytes(b"the sea")
        if what == "an empty run's name":
            (out / "manifest.json").write_text("{}")
    before = snapshot(out.parent)
    monkeypatch.setattr("wardgate.cli.demo.run_study", None)  # said before anything is computed
    assert cli.run(given.arguments(out, "--replace")) == 5
    words = capfd.readouterr().err
    assert "no run of Wardgate" in words or "is no folder" in words
    assert words.count("\n") == 1
    assert snapshot(out.parent) == before


# Interrupts.


@pytest.mark.parametrize("at", [COMPUTING, WRITING])
def test_an_interrupt_leaves_nothing_half_written_and_the_earlier_run(
    at: str, given, earlier: Path, tmp_path: Path
) -> None:
    before = snapshot(earlier)
    code, words = stopped(given, earlier, tmp_path, at=at, by=signal.SIGINT)
    assert code == 130
    assert words == "wardgate: interrupted; nothing half-written was left\n"
    assert snapshot(earlier) == before
    assert beside(earlier) == []
    assert not list(tmp_path.glob("wardgate-*")), "the hospitals' temporary folder was left"


def test_after_a_kill_in_the_middle_of_writing_the_next_run_starts_cleanly(given, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "out"
    code, words = stopped(given, out, tmp_path, at=WRITING, by=signal.SIGKILL)
    assert (code, words) == (-9, "")
    assert not out.exists()
    assert [name for name in beside(out) if "unfinished" in name]
    assert cli.run(given.arguments(out)) == 0
    assert beside(out) == []
    assert audit(out).findings == ()


def test_a_kill_between_the_renames_loses_neither_run(given, earlier: Path, tmp_path: Path) -> None:
    """The old run is set aside, the new one is not yet there: the old one comes back."""
    before = snapshot(earlier)
    earlier.rename(earlier.parent / ".out.replaced")
    (earlier.parent / ".out.unfinished-1").mkdir()
    directory._clear(earlier, earlier.parent / ".out.replaced")
    assert snapshot(earlier) == before
    assert beside(earlier) == []


# Full disks.


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB, where the system lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system lets nobody mount a small disk; the limit on file sizes stands for it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_nothing(given, tiny_disk: Path, capfd) -> None:
    assert cli.run(given.arguments(tiny_disk / "out")) == 5
    words = capfd.readouterr().err
    assert words.startswith(f"wardgate: no room for the run in {tiny_disk}: ")
    assert words.count("\n") == 1
    assert list(tiny_disk.iterdir()) == []


def test_a_limit_on_file_sizes_is_told_and_leaves_the_earlier_run(given, earlier: Path) -> None:
    before = snapshot(earlier)
    size = 60_000
    done = subprocess.run(
        commands.command(*given.arguments(earlier, "--replace")),
        env=commands.environment_of(None),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "no room for the run" in done.stderr
    assert snapshot(earlier) == before
    assert beside(earlier) == []


def test_a_folder_that_may_not_be_written_is_told(given, tmp_path: Path, capfd) -> None:
    if os.geteuid() == 0:
        out = Path("/proc/run")
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        out = tmp_path / "locked" / "run"
    assert cli.run(given.arguments(out)) == 5
    assert f"the run cannot be written to {out}" in capfd.readouterr().err


# Afterwards.


def test_verify_says_what_one_altered_byte_broke(earlier: Path) -> None:
    done = commands.wardgate("verify", str(earlier))
    assert done.returncode == 0, done.stderr
    assert "Everything holds." in done.stdout
    target = earlier / "evidence" / "vectors.bin"
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    done = commands.wardgate("verify", str(earlier), "--json")
    assert done.returncode == 4
    assert "vectors.bin" in done.stderr
    assert any("vectors.bin" in one["where"] for one in json.loads(done.stdout)["broken"])
