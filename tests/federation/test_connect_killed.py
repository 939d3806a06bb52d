"""A hub that is killed at any write of its journal, and run again: the same questions, the same result."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_road import MadeRoad, make_road, now

from wardgate.federation.connect import run_connected
from wardgate.federation.local import Finished
from wardgate.hub import layout
from wardgate.hub.chain import Run, Steps
from wardgate.hub.commons.directory import write_run
from wardgate.hub.home import Home
from wardgate.hub.intake.audit import audit
from wardgate.hub.study import journal
from wardgate.hub.telling import results_of
from wardgate.papers.report import render
from wardgate.records.errors import Invalid

Append = Callable[..., None]


class Killed(BaseException):
    """What `kill -9` looks like from inside."""


def only_fit(run: Run) -> Steps:
    """Review, introduce, fit once, close."""
    yield from run.review()
    yield from run.introduce(run.sites)
    run.commons_reason = "not trained here"
    yield from run.fit()
    yield from run.close()


def drive(road: MadeRoad, course: Callable[[Run], Steps] = only_fit) -> Finished:
    """Run the study, or go on with it."""
    return run_connected(hub=road.home.root, study="attacked", now=now, wait=road.wait(), course=course)


def told(finished: Finished) -> tuple[bytes, list[bytes], str]:
    """Everything that must not depend on how often the hub was killed."""
    results = results_of(finished.run, finished.exchange, simulated=False, isolated=True)
    envelopes = [kept.parcel.envelope for kept in finished.exchange.store]
    return layout.results_bytes(results), envelopes, finished.exchange.log.checkpoint()


def killed_all_along(road: MadeRoad, course: Callable[[Run], Steps], monkeypatch: pytest.MonkeyPatch) -> int:
    """Let every driver write one line of the journal and kill it at the next, in three ways; return their number."""
    real: Append = journal.append
    drivers = 0
    while True:
        writes, manner = 0, ("before", "half", "after")[drivers % 3]

        def dying(path: Path, data: bytes, *, at: int, manner: str = manner) -> None:
            nonlocal writes
            writes += 1
            if writes == 1 or manner == "after":
                real(path, data, at=at)
            elif manner == "half":
                real(path, data[: len(data) // 2], at=at)
            if writes > 1:
                raise Killed

        drivers += 1
        with monkeypatch.context() as patch:
            patch.setattr(journal, "append", dying)
            try:
                drive(road, course)
            except Killed:
                continue
        return drivers


def _elsewhere(road: MadeRoad, fresh: Path) -> MadeRoad:
    """The same hospitals behind a hub that was never killed; asked the same, they say the same."""
    again = MadeRoad(home=Home(fresh), proposed=road.proposed, links={}, given=road.given)
    again.links = road.links
    return again


def _same_as_never_killed(
    tmp_path: Path, course: Callable[[Run], Steps], monkeypatch: pytest.MonkeyPatch, *, least: int
) -> Finished:
    road = make_road(tmp_path)
    road.sign_all()
    shutil.copytree(road.home.root, tmp_path / "fresh")
    drivers = killed_all_along(road, course, monkeypatch)
    assert drivers > least
    asked = {site: len({digest for where, digest in road.given if where == site}) for site in road.links}
    finished = drive(road, course)
    answers = len(road.given)
    other = drive(_elsewhere(road, tmp_path / "fresh"), course)
    assert told(finished) == told(other)
    assert len(road.given) == answers, "a hospital was asked something that the killed hub had not asked"
    assert len(set(asked.values())) == 1
    return finished


def test_a_hub_killed_at_every_journal_write_goes_on_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = _same_as_never_killed(tmp_path, only_fit, monkeypatch, least=10)
    assert finished.run.federated is not None


@pytest.mark.slow
def test_the_whole_chain_killed_at_every_journal_write_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = _same_as_never_killed(tmp_path, Run.steps, monkeypatch, least=30)
    _verifies(finished, tmp_path)


@pytest.mark.slow
def test_the_whole_chain_over_the_road_verifies_with_real_keys(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    _verifies(drive(road, Run.steps), tmp_path)


def _verifies(finished: Finished, tmp_path: Path) -> None:
    results = results_of(finished.run, finished.exchange, simulated=False, isolated=True)
    out = tmp_path / "out"
    write_run(
        out,
        exchange=finished.exchange,
        run=finished.run,
        results=results,
        report_html=render(results),
        study_text=(tmp_path / "fresh" if (tmp_path / "fresh").exists() else tmp_path / "hub")
        .joinpath("studies", finished.exchange.study_sha256, "study.yaml")
        .read_text(),
        replace=False,
        issued_on=finished.issued_on,
    )
    report = audit(out)
    assert not report.findings
    assert b'"simulated":true' not in (out / layout.ROSTER).read_bytes()


@pytest.mark.slow
def test_a_full_disk_at_any_journal_write_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    real: Append = journal.append
    failing = 0
    for after in (0, 1, 4, 7):
        left = after

        def full(path: Path, data: bytes, *, at: int) -> None:
            nonlocal left
            if left == 0:
                real(path, data[:7], at=at)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left -= 1
            real(path, data, at=at)

        with monkeypatch.context() as patch:
            patch.setattr(journal, "append", full)
            with pytest.raises(Invalid, match=r"No space left on device.*nothing is lost"):
                drive(road)
        failing += 1
    finished = drive(road)
    assert failing == 4 and finished.run.federated is not None
    assert told(finished) == told(drive(road))
