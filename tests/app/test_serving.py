"""A hospital in operation: processes are started again, given up when they cannot stay, and ended together."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wardgate.hospital.app import serving
from wardgate.hospital.app.serving import Served, Side, serve
from wardgate.hospital.premises import FINAL, Premises
from wardgate.records.errors import Invalid, StepFailed


def runs(tmp_path: Path, code: str, side: Side = "wire") -> Served:
    """One side whose process runs a line of Python."""
    return Served(side=side, command=[sys.executable, "-c", code], log=tmp_path / "process.log")


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def ended(one: Served) -> bool:
    return one.process is not None and one.process.poll() is not None


def test_a_process_that_ends_is_started_again_after_a_pause(tmp_path: Path) -> None:
    one = runs(tmp_path, "pass")
    one.watch(0.0)
    first = one.process
    wait_for(lambda: ended(one))
    one.watch(100.0)
    assert one.process is None
    one.watch(100.5)
    assert one.process is None, "the pause is not over"
    one.watch(101.0)
    assert one.process is not None
    assert one.process is not first
    one.stop()


def test_pauses_grow_while_it_keeps_ending(tmp_path: Path) -> None:
    one = runs(tmp_path, "pass")
    now, pauses = 0.0, []
    for _ in range(4):
        one.watch(now)
        wait_for(lambda: ended(one))
        now += 10.0
        one.watch(now)
        pauses.append(one.next_start - now)
        now = one.next_start
    assert pauses == [1.0, 2.0, 5.0, 15.0]


def test_a_process_that_does_not_even_start_is_given_up_with_the_place_of_its_log(tmp_path: Path) -> None:
    one = runs(tmp_path, "import sys; print('words of a patient'); sys.exit(3)")
    with pytest.raises(StepFailed) as failed:
        for at in range(40):
            one.watch(float(at))
            if one.process is not None:
                wait_for(lambda: ended(one))
    assert "exit 3" in str(failed.value)
    assert "process.log" in str(failed.value)
    assert "patient" not in str(failed.value)
    assert (tmp_path / "process.log").stat().st_mode & 0o777 == 0o600


def test_a_side_may_say_that_starting_again_is_no_use(tmp_path: Path) -> None:
    one = runs(tmp_path, f"raise SystemExit({FINAL})")
    one.watch(0.0)
    wait_for(lambda: ended(one))
    with pytest.raises(StepFailed, match=str(FINAL)):
        one.watch(50.0)


def test_a_ward_gets_no_proxy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    show = "import os; print(os.environ.get('https_proxy', 'none'))"
    for side in ("ward", "wire"):
        one = Served(side=side, command=[sys.executable, "-c", show], log=tmp_path / side)
        one.watch(0.0)
        wait_for(lambda one=one: ended(one))
    assert (tmp_path / "ward").read_text().strip() == "none"
    assert (tmp_path / "wire").read_text().strip() == "http://proxy.example:3128"


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    """A folder that looks enrolled."""
    found = Premises(tmp_path / "site")
    for folder in (found.root, found.ward, found.wire):
        folder.mkdir(mode=0o700)
    found.site_file.write_text("site: uk\n")
    found.response.write_bytes(b"{}")
    return found


def test_what_is_no_hospitals_folder_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"site\.yaml is missing"):
        serve(Premises(tmp_path), clock=time.monotonic, pause=lambda: True)


def test_who_is_not_enrolled_is_told_what_to_do(premises: Premises) -> None:
    premises.response.unlink()
    with pytest.raises(Invalid, match=r"site\.request"):
        serve(premises, clock=time.monotonic, pause=lambda: True)


def test_both_sides_end_with_the_serving(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(serving, "command_of", lambda side, premises, alone: sleep)
    monkeypatch.setattr(serving, "check_isolation", lambda: None)
    pids: dict[str, int] = {}
    serve(premises, clock=time.monotonic, pause=lambda: len(pids) == 2, on_start=pids.__setitem__)
    assert set(pids) == {"ward", "wire"}
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_one_side_alone_is_served_where_the_other_runs_elsewhere(
    premises: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "command_of", lambda side, premises, alone: [sys.executable, "-c", "input()"])
    monkeypatch.setattr(serving, "check_isolation", lambda: pytest.fail("a wire alone needs no namespace"))
    started: list[str] = []
    serve(
        premises,
        sides=("wire",),
        clock=time.monotonic,
        pause=lambda: bool(started),
        on_start=lambda side, _: started.append(side),
    )
    assert started == ["wire"]


def test_the_command_of_a_ward_takes_its_network_away(premises: Premises) -> None:
    assert serving.command_of("ward", premises)[:3] == ["unshare", "--map-root-user", "--net"]
    assert "unshare" not in serving.command_of("wire", premises)


def test_a_wire_whose_ward_is_elsewhere_refuses_to_see_it(premises: Premises) -> None:
    assert "--strict" in serving.command_of("wire", premises, alone=True)
    assert "--strict" not in serving.command_of("wire", premises)


def test_a_side_ends_when_whoever_served_it_was_killed(premises: Premises) -> None:
    for side in ("ward", "wire"):
        words = serving.command_of(side, premises)
        assert words[words.index("--served-by") + 1] == str(os.getpid())
