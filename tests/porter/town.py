"""Hospitals of three made-up villages with their porters, and a hub's key in the test's hands."""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from smallest import STUDY, write_hospital

from wardgate.entropy import SystemEntropy
from wardgate.federation import site as people
from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.porter.house import open_house
from wardgate.hospital.ward.porter.porter import Porter
from wardgate.hub.chain import Run
from wardgate.hub.exchange import Exchange
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import SiteResponse, seal_response
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import CheckFailed
from wardgate.records.keyring import KeyFile
from wardgate.records.mail import Decision, Mail, Member, Notice, Proposal, Standing, open_mail, seal_mail
from wardgate.records.messages import QUESTION, Answer, Question, open_answer
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.road.box import Box

PERSONS = 120
NOW = "2026-02-03T04:05:06Z"


@dataclass(slots=True)
class Clock:
    """Time that moves when a test says so."""

    now: str = NOW
    ticks: float = 0.0


@dataclass(slots=True, kw_only=True)
class Town:
    """Hospitals, and the hub that asks them."""

    root: Path
    hub: Signer
    clock: Clock = field(default_factory=Clock)
    premises: dict[str, Premises] = field(default_factory=dict)
    keys: dict[str, Signer] = field(default_factory=dict)
    porters: dict[str, Porter] = field(default_factory=dict)
    heard: dict[str, list[Parcel]] = field(default_factory=dict)
    number: int = 1000

    def build(self, site: str, *, seed: int, persons: int = PERSONS, source: Path | None = None, **extra: str) -> None:
        """Found a hospital, as `site init` and `site enrol` do."""
        root = self.root / site
        premises = self.premises[site] = Premises(root)
        for folder in (root, premises.ward, premises.wire, premises.spool):
            folder.mkdir(mode=0o700)
        if source is None:
            write_hospital(root / "data", persons, [7, seed], inverted=False, note="")
            (root / "data" / "hospital.yaml").write_text(f"id: {site}\n")
        rows = {"schema": "wardgate/site/1", "site": site, "source": str(source or "data"), **extra}
        premises.site_file.write_text("".join(f"{name}: {value}\n" for name, value in rows.items()))
        secret = sha256(f"ward of {site}".encode())
        self.keys[site] = Signer(bytes.fromhex(secret))
        premises.ward_key.write_bytes(KeyFile(name=site, role="site", seed=secret).to_bytes())
        premises.salt.write_bytes(sha256(f"salt of {site}".encode()).encode())
        self.enrol(site, self.hub)
        self.open(site)

    def enrol(self, site: str, hub: Signer) -> None:
        """Lay the hub's response there."""
        response = SiteResponse(
            request_sha256="0" * 64,
            site=site,
            consortium="villages",
            hub_key=hub.public_key.hex(),
            host="127.0.0.1",
            port=1,
            identity="hub",
            certificate="none",
            root="none",
            wardgate="0",
        )
        self.premises[site].response.write_bytes(seal_response(response, hub))

    def open(self, site: str) -> Porter:
        """Start a porter, or a new one where one was killed."""
        self.porters[site] = Porter(
            house=open_house(self.premises[site]),
            clock=lambda: self.clock.now,
            ticks=lambda: self.clock.ticks,
            entropy=SystemEntropy(),
        )
        return self.porters[site]

    def kill(self, site: str) -> None:
        """End a porter without a word; only what the system gives back is given back."""
        self.porters.pop(site).close()

    def study(self, change: Callable[[dict[str, Any]], None] | None = None, *, sites: tuple[str, ...] = ()) -> Study:
        """A study of all hospitals here."""
        plain = parse(STUDY.replace("SITES", ", ".join(sites or sorted(self.premises))), name="study.yaml").plain()
        if change is not None:
            change(plain)
        return Study.from_plain(plain)

    def proposal(
        self,
        study: Study,
        *,
        keys: Mapping[str, bytes] | None = None,
        signer: Signer | None = None,
        hub_key: bytes | None = None,
        **fields: Any,
    ) -> tuple[Proposal, Parcel]:
        """An honest proposal where nothing is changed."""
        known = (
            {site: self.keys[site].public_key for site in study.sites if site in self.keys} if keys is None else keys
        )
        plain = {
            "study_sha256": sha256(study.to_bytes()),
            "hub_key": (hub_key or self.hub.public_key).hex(),
            "members": tuple(Member(site=site, public_key=key.hex()) for site, key in sorted(known.items())),
            "seed": 3,
            "wardgate": "0",
        }
        proposal = Proposal.model_validate(plain | fields)
        blobs = (study.to_bytes(), b"id: attacked\n")
        subjects = (("study", sha256(blobs[0])), ("text", sha256(blobs[1])))
        return proposal, Parcel(seal_mail(proposal, signer or self.hub, subjects=subjects), blobs)

    def bring(self, site: str, parcel: Parcel) -> str:
        """Lay a parcel into a hospital's spool, as its wire does."""
        return self.box(site, "questions").put(parcel)

    def box(self, site: str, name: str) -> Box:
        """One of the two boxes."""
        return Box(self.premises[site].spool / name)

    def work(self, site: str) -> list[Parcel]:
        """Let the porter work until it waits, and take what it laid out."""
        while self.porters[site].step():
            pass
        return self.fetch(site)

    def fetch(self, site: str) -> list[Parcel]:
        """Take what lies in a hospital's box of answers, as its wire does."""
        box = self.box(site, "answers")
        found = [box.read(name) for name in box.names()]
        for name in box.names():
            box.remove(name)
        self.heard.setdefault(site, []).extend(found)
        return found

    def say(self, site: str, parcel: Parcel) -> list[Answer | Mail]:
        """Bring a parcel and open what comes back."""
        self.bring(site, parcel)
        return [self.opened(site, one) for one in self.work(site)]

    def opened(self, site: str, parcel: Parcel) -> Answer | Mail:
        """Open a parcel of a hospital."""
        key = self.keys[site].public_key
        said = json.loads(base64.b64decode(json.loads(parcel.envelope)["payload"]))
        if said["predicateType"].endswith("answer/v1"):
            return open_answer(parcel.envelope, site_key=key)
        return open_mail(parcel.envelope, key=key)[0]

    def standings(self, site: str) -> list[Standing]:
        """Every standing that a hospital ever sent."""
        every = [self.opened(site, one) for one in self.heard.get(site, [])]
        return [one for one in every if isinstance(one, Standing)]

    def propose(self, study: Study, **fields: Any) -> Proposal:
        """Propose a study to every hospital here."""
        proposal, parcel = self.proposal(study, **fields)
        for site in self.premises:
            self.bring(site, parcel)
            self.work(site)
        return proposal

    def sign(self, study: Study, proposal: Proposal, *sites: str) -> list[Decision]:
        """Let the officers sign."""
        chosen = sites or tuple(self.premises)
        return [
            people.sign(self.premises[site], proposal.study_sha256, code=proposal.code, now=self.clock.now)
            for site in chosen
        ]

    def agreed(self, change: Callable[[dict[str, Any]], None] | None = None) -> Study:
        """A study that all hospitals signed."""
        study = self.study(change)
        self.sign(study, self.propose(study))
        for site in self.premises:
            self.work(site)
        return study

    def question(self, study: Study, packed: Any = (), *, signer: Signer | None = None, **fields: Any) -> Parcel:
        """Sign any question at all."""
        self.number += 1
        plain: dict[str, Any] = {
            "study_sha256": sha256(study.to_bytes()),
            "number": self.number,
            "vectors": tuple(ref for ref, _ in packed),
        }
        question = Question.model_validate(plain | fields)
        subjects = tuple((ref.name, ref.sha256) for ref, _ in packed) or (("study", question.study_sha256),)
        statement = Statement(predicate_type=QUESTION, predicate=question.plain(), subjects=subjects)
        return Parcel(seal(statement, signer or self.hub), tuple(data for _, data in packed))

    def notice(self, study: Study, event: str, **fields: Any) -> Parcel:
        """Sign a notice."""
        notice = Notice.model_validate({"study_sha256": sha256(study.to_bytes()), "event": event} | fields)
        return Parcel(seal_mail(notice, self.hub))

    def exchange(self, study: Study) -> Exchange:
        """An honest hub's desk."""
        return Exchange(
            study=study,
            study_sha256=sha256(study.to_bytes()),
            signer=self.hub,
            site_keys={site: self.keys[site].public_key for site in study.sites},
        )

    def run(self, study: Study, exchange: Exchange | None = None) -> Run:
        """A run of a study that has not begun."""
        desk = exchange or self.exchange(study)
        return Run(study=study, study_sha256=desk.study_sha256, site_keys=desk.site_keys, coin=desk.coin, seed=3)

    def drive(self, steps: Any, exchange: Exchange, *, carry: Callable[..., dict[str, Parcel]] | None = None) -> Any:
        """Carry a driver's asks to the porters until it ends, and return what it found."""
        try:
            ask = next(steps)
            while True:
                try:
                    conversation = exchange.converse(ask)
                    asked = next(conversation)
                    while True:
                        asked = conversation.send((carry or self.carry)(asked))
                except StopIteration as end:
                    ask = steps.send(end.value)
                except CheckFailed as failed:
                    ask = steps.throw(failed)
        except StopIteration as end:
            return end.value

    def carry(self, asked: Mapping[str, Parcel]) -> dict[str, Parcel]:
        """Bring questions, let porters work, and bring answers back; whoever gives none is left out."""
        answers = {}
        for site, parcel in asked.items():
            self.bring(site, parcel)
            wanted = sha256(parcel.envelope)
            for one in self.work(site):
                said = self.opened(site, one)
                if isinstance(said, Answer) and said.question_sha256 == wanted:
                    answers[site] = one
        return answers


def course(run: Run) -> Any:
    """A small part of the chain: review, meet, compare definitions, fit, end."""
    yield from run.review()
    yield from run.introduce(run.sites)
    yield from run.check_definitions()
    yield from run.fit()
    yield from run.close()
