"""A hub's folder, real wards, and a road between them that moves the mail whenever the hub's driver sleeps."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smallest import STUDY, write_hospital

from made_hub import HUB_SEED, enlist, found_hub
from wardgate.federation.connect import Wait
from wardgate.federation.local import Settings, _local, find_hospitals
from wardgate.hub import layout
from wardgate.hub.home import Home
from wardgate.hub.study.proposal import Proposed, propose
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.mail import Decision, Standing, seal_mail
from wardgate.records.messages import QUESTION
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.road.box import Box

SITES = ("h0", "h1", "h2", "h3")
NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


def now() -> datetime.datetime:
    """The tests' time."""
    return NOW


def study_text(sites: tuple[str, ...] = SITES, more: str = "") -> str:
    """The smallest study over some sites."""
    return STUDY.replace("SITES", ", ".join(sites)) + more


def salts_of(sites: tuple[str, ...]) -> dict[str, bytes]:
    """Each hospital's secret of its splits."""
    return {site: bytes.fromhex(sha256(f"salt of {site}".encode())) for site in sites}


def write_hospitals(folder: Path, sites: tuple[str, ...] = SITES, persons: int = 230) -> Path:
    """Write the hospitals' folders."""
    for place, site in enumerate(sites):
        write_hospital(folder / site, persons, [7, place], inverted=False, note="")
    return folder


@dataclass(slots=True, kw_only=True)
class MadeRoad:
    """Hospitals behind their couriers, and the mail between them and the hub.

    Attributes:
        links: The hospitals.
        given: What each site answered, by question: asked again, a hospital gives the same.
        asked: Computations that reached each site, in their order, repeats among them.
        silent: Says of which question (site, computation) a site keeps its mouth shut.
        held: Answers that a silent site made all the same; `release` sends them.
        seconds: The road's clock; every sleep adds to it.
    """

    home: Home
    proposed: Proposed
    links: Mapping[str, Any]
    given: dict[tuple[str, str], Parcel] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)
    silent: Callable[[str, str], bool] = lambda _site, _computation: False
    on_move: Callable[[], None] = lambda: None
    held: list[tuple[str, Parcel]] = field(default_factory=list)
    got: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def wait(self, *, patience: float = 5.0, needed: int | None = None) -> Wait:
        """How a driver waits on this road."""
        return Wait(patience_seconds=patience, sites_needed=needed, pause=self.pause, clock=lambda: self.seconds)

    def pause(self, seconds: float) -> None:
        """Move the mail, and let time pass: much where nothing moved."""
        self.on_move()
        self.seconds += seconds if self.move() else 1.0

    def move(self) -> int:
        """Bring everybody their mail and the answers back; return how many parcels moved."""
        count = 0
        for site in self.links:
            box = Box(self.home.out(site))
            for name in box.names():
                parcel = box.read(name)
                kind = layout.peek(parcel.envelope).predicate_type
                self.got.setdefault(site, []).append(kind)
                if kind == QUESTION:
                    self._ask(site, parcel)
                box.remove(name)
                count += 1
        return count

    def _ask(self, site: str, parcel: Parcel) -> None:
        computation = layout.peek(parcel.envelope).predicate["computation"]
        self.asked.setdefault(site, []).append(computation)
        key = (site, sha256(parcel.envelope))
        if key not in self.given:
            self.links[site].send(parcel)
            self.given[key] = self.links[site].receive()
        if self.silent(site, computation):
            self.held.append((site, self.given[key]))
        else:
            self.send(site, self.given[key])

    def send(self, site: str, parcel: Parcel) -> None:
        """Bring a parcel of a site to the hub."""
        self.home.inbox(site).parent.mkdir(parents=True, exist_ok=True)
        Box(self.home.inbox(site)).put(parcel)

    def release(self) -> None:
        """Send what silent sites held back."""
        for site, parcel in self.held:
            self.send(site, parcel)
        self.held.clear()

    def decide(self, site: str, outcome: str = "signed", /, *, number: int = 1, **changes: Any) -> None:
        """Send a site's decision."""
        plain = {
            "proposal_sha256": self.proposed.sha256,
            "study_sha256": self.proposed.study_sha256,
            "site": site,
            "outcome": outcome,
            "reason": "" if outcome == "signed" else "the board said so",
            "number": number,
            "code": self.proposed.code,
            "at": "2026-01-02T11:00:00Z",
        }
        decision = Decision.model_validate(plain | changes)
        self.send(site, Parcel(seal_mail(decision, self.links[site]._ward.signer)))

    def stand(self, site: str, state: str, question_sha256: str, words: str = "") -> None:
        """Send why a site is not answering."""
        standing = Standing.model_validate(
            {
                "study_sha256": self.proposed.study_sha256,
                "site": site,
                "state": state,
                "question_sha256": question_sha256,
                "words": words,
            }
        )
        self.send(site, Parcel(seal_mail(standing, self.links[site]._ward.signer)))

    def sign_all(self) -> None:
        """Every site signs."""
        for site in self.links:
            self.decide(site)


def make_road(
    folder: Path,
    *,
    sites: tuple[str, ...] = SITES,
    more: str = "",
    seed: int = 3,
    unsafe_entropy_seed: str | None = None,
    hospitals: Path | None = None,
) -> MadeRoad:
    """Make a hub and its hospitals, and propose the smallest study to them."""
    homes = hospitals or write_hospitals(folder / "hospitals", sites)
    text = study_text(sites, more)
    study: Study = parse(text, name="study.yaml")
    home = found_hub(folder / "hub")
    work = folder / "wards"
    work.mkdir()
    settings = Settings(
        seed=seed, issued_on="2026-01-02", salts=salts_of(sites), unsafe_entropy_seed=unsafe_entropy_seed
    )
    hub_key = Signer(bytes.fromhex(HUB_SEED)).public_key
    links = _local(find_hospitals(homes, study), sha256(study.to_bytes()), hub_key, settings, work)
    for site, link in links.items():
        enlist(home, site, link.public_key)
    return MadeRoad(home=home, proposed=propose(home, study, text, seed=seed), links=links)
