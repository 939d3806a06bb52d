"""A consortium in which one hospital's ward may be killed at any step towards its disk, and comes back."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from smallest import STUDY, write_hospital

from wardgate.entropy import SystemEntropy
from wardgate.federation.session import Federation
from wardgate.hospital.spool import FolderSpool, MemorySpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.hospital.wire.courier import Courier
from wardgate.hub.exchange import Exchange
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.mapping import parse_hospital
from wardgate.records.messages import Answer, open_answer
from wardgate.records.parcel import Parcel
from wardgate.records.study_file import parse

MORTAL = "h0"
DAY = "2026-01-02"


class Killed(KeyboardInterrupt):
    """The process is gone. No handler of the product stops it, as none stops SIGKILL."""


@dataclass(slots=True)
class Fate:
    """Counts the steps of a process towards its disk, and ends it at one of them.

    Attributes:
        at: The step that kills, from 1; 0 for none.
        fails: Instead of killing, this and every later step fails for want of room.
        seen: Steps so far.
    """

    at: int = 0
    fails: bool = False
    seen: int = 0

    def step(self) -> None:
        """One more step; whoever is dead takes none."""
        self.seen += 1
        if self.at and self.seen >= self.at:
            if self.fails:
                raise OSError(28, "No space left on device")
            raise Killed

    @contextmanager
    def upon(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let every write, sync, rename and removal be a step; a write that kills has written half."""
        write = os.write

        def torn(handle: int, data: Any) -> int:
            try:
                self.step()
            except BaseException:
                if self.seen == self.at:
                    write(handle, bytes(data)[: len(data) // 2])
                raise
            return write(handle, data)

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def stepped(*given: Any, **named: Any) -> Any:
                self.step()
                done = real(*given, **named)
                self.step()
                return done

            return stepped

        with patch.context() as here:
            here.setattr(os, "write", torn)
            here.setattr(os, "fsync", counted(os.fsync))
            for name in ("replace", "rename", "unlink"):
                here.setattr(Path, name, counted(getattr(Path, name)))
            yield


@dataclass(slots=True, kw_only=True)
class World:
    """Hospitals of one study, the hub's side of it, and the road between.

    What a process wrote outlives its death, so nobody waits for the disk here; that one waits in the right order is a
    test of its own.

    Attributes:
        root: Everything lies below.
        fate: Of the mortal ward, for each question anew.
        plan: Says at which steps the ward is killed while it works on a question: for each try the step, until None.
        deaths: How often it was killed.
        sent: Every parcel that left the mortal ward, by question.
        asked: Every question that it was asked, in order.
    """

    root: Path
    patch: pytest.MonkeyPatch
    more: str = ""
    sites: tuple[str, ...] = ("h0", "h1", "h2", "h3")
    persons: int = 230
    plan: Callable[[int], int | None] = lambda _: None
    day: str = DAY
    note: str = ""
    entropy: Any = field(default_factory=SystemEntropy)
    text: str = field(init=False)
    federation: Federation = field(init=False)
    wards: dict[str, Ward] = field(init=False, default_factory=dict)
    couriers: dict[str, Courier] = field(init=False, default_factory=dict)
    book: dict[str, bytes] = field(init=False, default_factory=dict)
    key: bytes = field(init=False)
    signer: Signer = field(init=False)
    spool: FolderSpool = field(init=False)
    deaths: int = field(init=False, default=0)
    steps: int = field(init=False, default=0)
    sent: dict[str, list[Parcel]] = field(init=False, default_factory=dict)
    asked: list[Parcel] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.patch.setattr(os, "fsync", lambda _: None)
        self.text = STUDY.replace("SITES", ", ".join(self.sites)) + self.more
        study = parse(self.text, name="study.yaml")
        hub = Signer(SystemEntropy().bytes(32))
        self.key = SystemEntropy().bytes(32)
        self.signer = Signer(self.key)
        (self.root / "spool").mkdir(parents=True)
        self.spool = FolderSpool(self.root / "spool")
        for name in ("home", "memory"):
            (self.root / name).mkdir(mode=0o700)
        self.federation = Federation(
            exchange=Exchange(study=study, study_sha256=sha256(study.to_bytes()), signer=hub, site_keys=self.book),
            carrier=self,
        )
        for place, site in enumerate(self.sites):
            write_hospital(self.root / "data" / site, self.persons, [7, place], inverted=False, note=self.note)
            spool = self.spool if site == MORTAL else MemorySpool()
            ward = self.wards[site] = self.ward(site, spool)
            self.book[site] = ward.signer.public_key
            self.couriers[site] = Courier(
                site=site,
                study_sha256=sha256(study.to_bytes()),
                hub_key=hub.public_key,
                ward_key=ward.signer.public_key,
                spool=spool,
            )

    def ward(self, site: str = MORTAL, spool: Any = None, **changes: Any) -> Ward:
        """Start a ward: the mortal one goes on from its folder."""
        folder = self.root / "data" / site
        mortal = (
            {}
            if site != MORTAL
            else {
                "signer": self.signer,
                "state": self.root / "home" / "state",
                "private": self.root / "home",
                "memory": self.root / "memory",
            }
        )
        given: dict[str, Any] = {
            "hospital": parse_hospital((folder / "hospital.yaml").read_text(), name="hospital.yaml"),
            "folder": folder,
            "study_sha256": self.federation.exchange.study_sha256,
            "hub_key": self.federation.exchange.signer.public_key,
            "phone_book": lambda: self.book,
            "spool": spool or self.spool,
            "entropy": self.entropy,
            "seed": 7,
            "salt": sha256(f"7/{site}".encode()).encode(),
            "issued_on": self.day,
            "durable": False,
        }
        return Ward(**(given | mortal | changes))

    def restart(self, **changes: Any) -> Ward:
        """End the mortal ward without a word, and start another on its folder."""
        self.wards[MORTAL].close()
        self.wards[MORTAL] = self.ward(**changes)
        return self.wards[MORTAL]

    @property
    def mortal(self) -> Ward:
        """The ward that is killed."""
        return self.wards[MORTAL]

    @property
    def gone(self) -> frozenset[str]:
        """Nobody leaves."""
        return frozenset()

    def carry(self, questions: Mapping[str, Parcel], *, computation: str) -> dict[str, Parcel]:
        """Bring every site its question; the mortal one is killed and started as often as the plan says."""
        return {site: self.bring(site, parcel) for site, parcel in questions.items()}

    def bring(self, site: str, parcel: Parcel) -> Parcel:
        """Bring one question and return the answer."""
        courier = self.couriers[site]
        if site != MORTAL:
            return courier.fetch(self.wards[site].answer(courier.bring(parcel)))
        self.asked.append(parcel)
        name = courier.bring(parcel)
        tries = 0
        while (at := self.plan(tries)) is not None and self.once(at):
            tries += 1
        if name in self.spool.box("questions").names():
            self.mortal.answer(name)
        (waiting,) = self.spool.box("answers").names()
        self.sent.setdefault(sha256(parcel.envelope), []).append(self.spool.box("answers").read(waiting))
        return courier.fetch(waiting)

    def once(self, at: int) -> bool:
        """Start a ward and let it answer what lies in the spool until it is killed at a step; whether it was."""
        self.wards[MORTAL].close()
        fate = Fate(at=at)
        killed = False
        with fate.upon(self.patch):
            try:
                self.wards[MORTAL] = self.ward()
                for name in self.spool.box("questions").names():
                    self.mortal.answer(name)
            except Killed:
                killed = True
        self.steps = max(self.steps, fate.seen)
        if killed:
            self.deaths += 1
            self.restart()
        return killed

    def again(self, parcel: Parcel) -> Parcel:
        """Bring the mortal ward a question, whether it had it before or not, and return what it says."""
        name = self.spool.put("questions", parcel)
        return self.spool.take("answers", self.mortal.answer(name))

    def opened(self, parcel: Parcel) -> Answer:
        """Open an answer of the mortal ward."""
        return open_answer(parcel.envelope, site_key=self.signer.public_key)
