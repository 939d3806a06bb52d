"""Hospitals as `site init` and `site enrol` leave them, without an engine: their mail is in the test's hands."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "consortium"))

from made_consortium import founded
from smallest import STUDY, write_hospital

from wardgate.entropy import SystemEntropy
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.porter.book import VisitorsBook
from wardgate.hospital.ward.porter.decide import sign
from wardgate.hospital.ward.porter.house import open_house
from wardgate.hospital.ward.porter.porter import Porter
from wardgate.hospital.ward.porter.register import Proposed, Register
from wardgate.hospital.wire.courier import Border, Seen
from wardgate.hub.home import Home
from wardgate.hub.study.proposal import hub_signer
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.mail import Member, Proposal, seal_mail
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.road.box import Box

AT = "2026-01-02T00:00:00Z"
SIX = tuple(f"h{place}" for place in range(6))


@dataclass(slots=True, kw_only=True)
class Hospital:
    """One hospital's machines: what is between the line and its patients."""

    premises: Premises
    border: Border
    porter: Porter
    signer: Signer
    data: Path
    trusting: bool = False
    """Whether its wire is in the attacker's hands and lets everything in."""

    @property
    def answers(self) -> Box:
        return FolderSpool(self.premises.spool).box("answers")

    def bring(self, parcel: Parcel) -> str:
        """What its wire does with a parcel from the hub."""
        if not self.trusting:
            self.border.inwards(parcel)
        return FolderSpool(self.premises.spool).put("questions", parcel)

    def answer(self, _: str) -> str:
        """What its ward does; the name of the last parcel in the box, if any."""
        while self.porter.step():
            pass
        names = self.answers.names()
        return names[-1] if names else ""

    def fetch(self, name: str) -> Parcel:
        """What its wire does with a parcel from the ward."""
        parcel = self.answers.read(name)
        if not self.trusting:
            self.border.outwards(parcel)
        self.answers.remove(name)
        return parcel

    def say(self, parcel: Parcel) -> list[Parcel]:
        """Bring a parcel, let the ward work, and return all that leaves."""
        self.answer(self.bring(parcel))
        return [self.fetch(name) for name in self.answers.names()]

    def restarted(self) -> None:
        """The ward's machine is switched off and on again."""
        self.porter.close()
        self.porter = porter_of(self.premises)

    @property
    def proposed(self) -> Proposed:
        (study,) = Register(self.premises).all()
        return study

    def sign(self, *, code: str | None = None) -> list[Parcel]:
        """A person signs, by default with the code that stands on the own screen; return what leaves."""
        study = self.proposed
        sign(self.porter.house, study, code=study.proposal.code if code is None else code, at=AT)
        return [self.fetch(name) for name in self.answers.names()]

    @property
    def broken(self) -> list[str]:
        """What the visitors' book says of parcels that did not hold."""
        return [entry.words for entry in VisitorsBook(self.premises.ward).entries() if entry.event == "broken"]


def porter_of(premises: Premises) -> Porter:
    return Porter(house=open_house(premises), clock=lambda: AT, ticks=time.monotonic, entropy=SystemEntropy())


@dataclass(slots=True, kw_only=True)
class Town:
    """Hospitals that joined one consortium, and its hub's key."""

    home: Home
    hub: Signer
    study: Study
    text: str
    hospitals: dict[str, Hospital]

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(sorted(self.hospitals))

    @property
    def keys(self) -> dict[str, bytes]:
        return {site: hospital.signer.public_key for site, hospital in self.hospitals.items()}

    def proposal(
        self, *, study: Study | None = None, text: str = "", signer: Signer | None = None, **keys: str
    ) -> Parcel:
        """The hub's proposal, with other keys for the sites named."""
        study = study or self.study
        blobs = (study.to_bytes(), (text or self.text).encode())
        known = {site: key.hex() for site, key in self.keys.items()} | keys
        proposal = Proposal(
            study_sha256=sha256(blobs[0]),
            hub_key=self.hub.public_key.hex(),
            members=tuple(Member(site=site, public_key=known[site]) for site in sorted(study.sites)),
            seed=7,
            wardgate="0",
        )
        subjects = (("study", sha256(blobs[0])), ("text", sha256(blobs[1])))
        return Parcel(seal_mail(proposal, signer or self.hub, subjects=subjects), blobs)


def town(folder: Path, sites: tuple[str, ...], *, persons: int) -> Town:
    """Hospitals join a consortium in a folder."""
    data = folder / "data"
    for place, site in enumerate(sites):
        write_hospital(data / site, persons, [7, place], inverted=False, note="")
    founded(folder, sites=sites, sources={site: data / site for site in sites})
    return opened_town(folder, sites)


def opened_town(folder: Path, sites: tuple[str, ...]) -> Town:
    """Open the hospitals of a folder."""
    home, text = Home(folder / "hub"), STUDY.replace("SITES", ", ".join(sites))
    hub, hospitals = hub_signer(home), {}
    for site in sites:
        premises = Premises(folder / site)
        porter = porter_of(premises)
        key = porter.house.signer
        seen = Seen(premises.wire / "seen")
        border = Border(site=site, hub_key=hub.public_key, ward_key=key.public_key, seen=seen)
        hospitals[site] = Hospital(
            premises=premises, border=border, porter=porter, signer=key, data=porter.house.source
        )
    return Town(home=home, hub=hub, study=parse(text, name="study.yaml"), text=text, hospitals=hospitals)
