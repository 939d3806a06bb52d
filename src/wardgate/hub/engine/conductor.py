"""Keeps exactly one carriage running, with every connected site in it.

A new carriage costs a few seconds in which mail waits in its boxes; nothing is lost by it. So whatever is wrong (a job
that died, a site that came late or lost its process, a hub that was killed) has one cure, a new carriage; and a site
that is not cured by it waits longer and longer, so that one broken site does not stop the others for ever.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.hub.engine.job import NAME
from wardgate.hub.engine.lanes import Lanes
from wardgate.hub.engine.session import Job, Session
from wardgate.records.errors import Absent

HEARD_SECONDS = 6
"""A site that the carriage has not heard of for so long is not in it; it greets every two."""

SILENT_SECONDS = 12.0
"""A site whose heart beat the server has not heard for so long is away, and no reason for a new carriage."""

START_SECONDS = (30.0, 60.0, 120.0, 240.0)
"""How long a carriage may take to begin: longer after each that did not, since a machine under load is not broken."""

SETTLE_SECONDS = 1.5
"""Sites come back in flocks: so long a new one is waited for, once."""

SPACING_SECONDS = (4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Between two carriages for the sake of the same site."""


@dataclass(slots=True)
class _Missing:
    """A connected site that is not in the carriage."""

    since: float
    tries: int = 0
    not_before: float = 0.0


@dataclass(slots=True, kw_only=True)
class Conductor:
    """Decides once in a while; everything it knows comes from the session and from what the carriage wrote.

    Attributes:
        session: The engine.
        job_folder: The carriage as a job.
        lanes: Reads what the carriage last wrote.
        put_out: Returns the sites that were revoked.
        clock: Seconds, monotonic; `wall`: seconds since 1970.
        told: Hears words for the log.
    """

    session: Session
    job_folder: Path
    lanes: Callable[[], Lanes | None]
    put_out: Callable[[], frozenset[str]]
    wall: Callable[[], float]
    clock: Callable[[], float] = time.monotonic
    told: Callable[[str], None] = lambda _: None
    _job: str = ""
    _submitted: float = 0.0
    _disabled: set[str] = field(default_factory=set)
    _missing: dict[str, _Missing] = field(default_factory=dict)
    _beats: dict[str, tuple[str, float]] = field(default_factory=dict)
    _seen: frozenset[str] = frozenset()
    _started: bool = False
    _whole: bool = False
    _failed: int = 0
    _grew: float = 0.0

    def step(self) -> None:
        """Look once, and do what is needed.

        Raises:
            Absent: the engine does not answer.
        """
        self._put_out()
        connected = self._alive(self.session.connected())
        jobs = {job.id: job for job in self.session.jobs() if job.name == NAME}
        self._tidy(jobs)
        current = jobs.get(self._job)
        if not connected:
            self._missing.clear()
            return
        if current is None or current.state == "over":
            self._start(connected, "there is none" if not self._job else "the last one ended")
            return
        now = self.clock()
        found = self.lanes()
        if found is None or found.job != self._job:
            if now - self._submitted > self._patience:
                self._replace(connected, "the last one did not begin")
            return
        heard = self._heard(found)
        if heard >= connected & frozenset(found.carried):
            self._whole, self._failed = True, 0
        self._missing = {site: self._missing.get(site, _Missing(since=now)) for site in connected if site not in heard}
        due = sorted(
            site
            for site, missing in self._missing.items()
            if now - missing.since > SETTLE_SECONDS and now >= missing.not_before
        )
        begun = self._whole or now - self._submitted > self._patience
        if due and begun and now - self._submitted > SPACING_SECONDS[0]:
            for site in due:
                missing = self._missing[site]
                missing.not_before = now + SPACING_SECONDS[min(missing.tries, len(SPACING_SECONDS) - 1)]
                missing.tries += 1
            self._replace(connected, f"{', '.join(due)} came")

    def stop(self) -> None:
        """Let the engine end what runs."""
        if self._job:
            self.session.abort(self._job)

    def _heard(self, found: Lanes) -> frozenset[str]:
        wall = self.wall()
        return frozenset(
            lane.site for lane in found.lanes if lane.site in found.carried and wall - lane.last_heard <= HEARD_SECONDS
        )

    @property
    def _patience(self) -> float:
        return START_SECONDS[min(self._failed, len(START_SECONDS) - 1)]

    def _alive(self, beats: Mapping[str, str]) -> frozenset[str]:
        now = self.clock()
        for site, beat in beats.items():
            if self._beats.get(site, ("", 0.0))[0] != beat:
                self._beats[site] = (beat, now)
        alive = frozenset(
            site for site in beats if now - self._beats[site][1] <= SILENT_SECONDS and site not in self._disabled
        )
        if alive - self._seen:
            self._grew = now
        self._seen = alive
        return alive

    def _tidy(self, jobs: Mapping[str, Job]) -> None:
        for job in jobs.values():
            if job.state == "over" and job.id != self._job:
                self._try(self.session.forget, job.id)
            elif job.state != "over" and job.id != self._job:
                self._try(self.session.abort, job.id)

    def _replace(self, connected: frozenset[str], why: str) -> None:
        self._try(self.session.abort, self._job)
        self._start(connected, why)

    def _start(self, connected: frozenset[str], why: str) -> None:
        now = self.clock()
        if self._job and now - self._submitted < SPACING_SECONDS[0]:
            return
        if not self._job and now - self._grew < SETTLE_SECONDS:
            return
        self._job = self.session.submit(self.job_folder)
        self._submitted = now
        self._failed += 0 if self._whole or not self._started else 1
        self._whole, self._started = False, True
        self.told(f"a new carriage for {', '.join(sorted(connected))}: {why}")

    def _put_out(self) -> None:
        out = self.put_out()
        for site in sorted(out - self._disabled):
            self.session.disable(site)
            self._disabled.add(site)
            self.told(f"{site} was put out: disabled in the engine")
        for site in sorted(self._disabled - out):
            self.session.enable(site)
            self._disabled.discard(site)

    def _try(self, call: Callable[[str], None], job: str) -> None:
        try:
            call(job)
        except Absent as error:
            self.told(f"job {job[:8]}: {error}")
