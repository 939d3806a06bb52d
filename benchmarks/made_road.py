"""Many hospitals and their hub in one process, on the whole road but for the engine: a call takes the engine's place.

Everything else is what runs in a consortium: the hub's journal, shelf, post room and lanes, frames and partial files,
the spools and borders of the hospitals, and their wards. Time is booked to whoever spends it.
"""

import datetime
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import ROOT

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "federation"))

from smallest import STUDY, write_hospital

from made_hub import HUB_SEED, enlist, found_hub
from wardgate.federation.connect import Wait
from wardgate.federation.local import Settings, _local, find_hospitals
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.wire.courier import kind_of
from wardgate.hospital.wire.known import Known
from wardgate.hospital.wire.roads import Roads, open_roads
from wardgate.hub.engine.lane import SiteLane
from wardgate.hub.home import Home
from wardgate.hub.study.proposal import Proposed, propose
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import SiteResponse
from wardgate.records.envelope import Signer
from wardgate.records.mail import Decision, seal_mail
from wardgate.records.messages import QUESTION
from wardgate.records.parcel import Parcel
from wardgate.records.study_file import parse

NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
PERSONS = 60


@dataclass(slots=True)
class Meter:
    """Books seconds to the hub, the wires or the wards, whoever is at work. All work in one thread, one at a time.

    Attributes:
        waits: How often somebody waited for the disk (fsync).
    """

    wall: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    cpu: Counter[str] = field(default_factory=Counter)
    _who: list[str] = field(default_factory=lambda: ["hub"])
    _mark: tuple[float, float] = field(default_factory=lambda: (time.perf_counter(), time.process_time()))

    @contextmanager
    def at(self, who: str) -> Iterator[None]:
        """Book what happens inside to somebody."""
        self._book()
        self._who.append(who)
        try:
            yield
        finally:
            self._book()
            self._who.pop()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count waits for the disk."""
        wait = os.fsync

        def counted(handle: int) -> None:
            self.waits[self._who[-1]] += 1
            wait(handle)

        os.fsync = counted  # type: ignore[assignment]
        try:
            yield
        finally:
            os.fsync = wait

    def read(self) -> dict[str, tuple[float, float, int]]:
        """Return (wall, processor) seconds and waits for the disk so far."""
        self._book()
        return {who: (self.wall[who], self.cpu[who], self.waits[who]) for who in ("hub", "wire", "ward")}

    def _book(self) -> None:
        now = (time.perf_counter(), time.process_time())
        self.wall[self._who[-1]] += now[0] - self._mark[0]
        self.cpu[self._who[-1]] += now[1] - self._mark[1]
        self._mark = now


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One hospital: its ward behind a link, its wire, and the hub's lane to it."""

    name: str
    link: object
    spool: FolderSpool
    roads: Roads
    lane: SiteLane

    @property
    def signer(self) -> Signer:
        """The ward's key."""
        signer: Signer = self.link._ward.signer  # type: ignore[attr-defined]
        return signer

    def answer(self, parcel: Parcel) -> Parcel:
        """Let the ward answer."""
        self.link.send(parcel)  # type: ignore[attr-defined]
        answer: Parcel = self.link.receive()  # type: ignore[attr-defined]
        return answer


@dataclass(slots=True, kw_only=True)
class Consortium:
    """All of it.

    Attributes:
        made: Answers in place of the wards; None lets the wards answer.
        calls: Requests over the stub so far.
    """

    home: Home
    proposed: Proposed
    meter: Meter
    sites: Mapping[str, Site]
    made: Callable[[Site, Parcel], Parcel] | None = None
    calls: Counter[str] = field(default_factory=Counter)

    def wait(self) -> Wait:
        """How the hub's driver waits: whenever it sleeps, the mail moves."""
        return Wait(pause=self.pause)

    def pause(self, seconds: float) -> None:
        """Move all mail that there is, once both ways."""
        for site in self.sites.values():
            site.lane.push(lambda: False)
        for site in self.sites.values():
            with self.meter.at("ward"):
                self._answer(site)
        for site in self.sites.values():
            with self.meter.at("wire"):
                site.roads.lane.push(stop=lambda: False)

    def sign(self) -> None:
        """Every hospital signs the study, by mail."""
        for site in self.sites.values():
            decision = Decision(
                proposal_sha256=self.proposed.sha256,
                study_sha256=self.proposed.study_sha256,
                site=site.name,
                outcome="signed",
                number=1,
                code=self.proposed.code,
                at="2026-01-02T11:00:00Z",
            )
            site.spool.put("answers", Parcel(seal_mail(decision, site.signer)))

    def bytes(self) -> tuple[int, int]:
        """Return bytes to and from all sites so far, frames and all."""
        states = [site.lane.state(0.0) for site in self.sites.values()]
        return sum(state.bytes_out for state in states), sum(state.bytes_in for state in states)

    def _answer(self, site: Site) -> None:
        box = site.spool.box("questions")
        for name in box.names():
            parcel = box.read(name)
            if kind_of(parcel.envelope) == QUESTION:
                site.spool.put("answers", self.made(site, parcel) if self.made else site.answer(parcel))
            box.remove(name)


@contextmanager
def consortium(folder: Path, *, sites: int, seed: int) -> Iterator[Consortium]:
    """Make a hub and so many hospitals of 60 made-up persons, and propose the tests' smallest study to them.

    Args:
        folder: Empty; removed at the end.
    """
    names = tuple(f"s{place:03d}" for place in range(sites))
    text = STUDY.replace("SITES", ", ".join(names))
    study = parse(text, name="study.yaml")
    for place, name in enumerate(names):
        write_hospital(folder / "hospitals" / name, PERSONS, [seed, place], inverted=False, note="")
    home = found_hub(folder / "hub")
    (folder / "wards").mkdir()
    salts = {name: bytes.fromhex(sha256(f"{seed}/{name}".encode())) for name in names}
    settings = Settings(seed=seed, issued_on="2026-01-02", salts=salts)
    hub_key = Signer(bytes.fromhex(HUB_SEED)).public_key
    hospitals = find_hospitals(folder / "hospitals", study)
    links = _local(hospitals, sha256(study.to_bytes()), hub_key, settings, folder / "wards")
    for name, link in links.items():
        enlist(home, name, link.public_key)
    meter = Meter()
    calls: Counter[str] = Counter()
    made = {name: _site(folder, home, name, link, hub_key, meter, calls) for name, link in links.items()}
    proposed = propose(home, study, text, seed=seed)
    try:
        with meter.counting():
            yield Consortium(home=home, proposed=proposed, meter=meter, sites=made, calls=calls)
    finally:
        shutil.rmtree(folder)


def _site(folder: Path, home: Home, name: str, link: object, hub_key: bytes, meter: Meter, calls: Counter[str]) -> Site:
    premises = Premises(folder / "premises" / name)
    for place in (premises.root, premises.wire, premises.spool):
        place.mkdir(parents=True)
    public_key: bytes = link.public_key  # type: ignore[attr-defined]
    response = SiteResponse(
        request_sha256="0" * 64,
        site=name,
        consortium="many",
        hub_key=hub_key.hex(),
        host="hub",
        port=443,
        identity="hub",
        certificate="",
        root="",
        wardgate="0",
    )

    def down(message: bytes) -> bytes:
        calls["down"] += 1
        with meter.at("wire"):
            return roads.receiver.take(message)

    def up(message: bytes) -> bytes:
        calls["up"] += 1
        with meter.at("hub"):
            return lane.take(message)

    roads = open_roads(
        premises, Known(response=response, ward_key=public_key), call=up, wall=lambda: 0.0, told=_complain
    )
    lane = SiteLane(
        home,
        name,
        site_key=public_key,
        call=down,
        standing=lambda: None,
        before=None,
        wall=lambda: 0.0,
        told=_complain,
    )
    return Site(name=name, link=link, spool=FolderSpool(premises.spool), roads=roads, lane=lane)


def _complain(words: str) -> None:
    raise RuntimeError(f"on this road everything should pass: {words}")
