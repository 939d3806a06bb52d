"""A consortium of small made-up hospitals, and a hub that may say whatever it likes: it holds the hub's key."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from smallest import STUDY, write_hospital

from wardgate.entropy import SystemEntropy
from wardgate.hospital.spool import MemorySpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.hospital.wire.courier import Courier
from wardgate.hub.chain import Run
from wardgate.hub.exchange import Exchange
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import CheckFailed
from wardgate.records.mapping import parse_hospital
from wardgate.records.messages import QUESTION, Answer, Question, Roster, RosterEntry, SumTerms, open_answer
from wardgate.records.parcel import Parcel, VectorRef, pack_bytes
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.sums.graph import neighbours


@dataclass(slots=True, kw_only=True)
class Consortium:
    """Wards behind their couriers, and the hub's key in the test's hands."""

    study: Study
    hub: Signer
    wards: dict[str, Ward]
    couriers: dict[str, Courier]
    number: int = 1000
    reviews: dict[str, bytes] = field(default_factory=dict)
    roster: str = ""

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites."""
        return tuple(sorted(self.wards))

    @property
    def keys(self) -> dict[str, bytes]:
        """Long-term public keys of the sites."""
        return {site: ward.signer.public_key for site, ward in self.wards.items()}

    @property
    def digest(self) -> str:
        """The study's digest."""
        return sha256(self.study.to_bytes())

    def exchange(self) -> Exchange:
        """An honest hub's desk with the hub's key."""
        return Exchange(study=self.study, study_sha256=self.digest, signer=self.hub, site_keys=self.keys)

    def question(
        self, packed: Sequence[tuple[VectorRef, bytes]] = (), *, signer: Signer | None = None, **fields: Any
    ) -> tuple[Question, Parcel]:
        """Sign any question at all."""
        self.number += 1
        plain: dict[str, Any] = {
            "study_sha256": self.digest,
            "number": self.number,
            "vectors": tuple(ref for ref, _ in packed),
        }
        question = Question.model_validate(plain | fields)
        subjects = tuple((ref.name, ref.sha256) for ref, _ in packed) or (("study", self.digest),)
        statement = Statement(predicate_type=QUESTION, predicate=question.plain(), subjects=subjects)
        return question, Parcel(seal(statement, signer or self.hub), tuple(data for _, data in packed))

    def carry(self, site: str, parcel: Parcel) -> Parcel:
        """Bring a parcel to a ward and fetch its answer."""
        courier = self.couriers[site]
        return courier.fetch(self.wards[site].answer(courier.bring(parcel)))

    def say(self, site: str, packed: Sequence[tuple[VectorRef, bytes]] = (), **fields: Any) -> Answer:
        """Ask one ward and open its answer."""
        parcel = self.carry(site, self.question(packed, **fields)[1])
        return open_answer(parcel.envelope, site_key=self.keys[site])

    def review(self) -> None:
        """Let every site review the study."""
        for site in self.sites:
            _, parcel = self.question([pack_bytes("study", self.study.to_bytes())], computation="review")
            self.reviews[site] = self.carry(site, parcel).envelope

    def entries(self, sites: Sequence[str], **changes: Mapping[str, Any]) -> list[RosterEntry]:
        """Roster entries as the sites signed them, with some fields of some sites changed."""
        found = []
        for site in sites:
            answer = open_answer(self.reviews[site], site_key=self.keys[site])
            plain = {
                "site": site,
                "public_key": self.keys[site].hex(),
                "exchange_key": answer.statement["exchange_key"],
                "enrolment_sha256": sha256(self.reviews[site]),
                "persons_band": answer.statement["persons_band"],
            }
            found.append(RosterEntry.model_validate(plain | dict(changes.get(site, {}))))
        return found

    def introduce(
        self,
        sites: Sequence[str] | None = None,
        *,
        to: Sequence[str] | None = None,
        enrolments: Mapping[str, bytes] | None = None,
        **changes: Mapping[str, Any],
    ) -> dict[str, Answer]:
        """Send a roster with the enrolments of each site's partners; honest where nothing is changed."""
        chosen = tuple(sorted(sites or self.sites))
        entries = self.entries([site for site in chosen if site in self.reviews], **changes)
        blob = pack_bytes("roster", Roster(entries=tuple(entries)).to_bytes())
        around = neighbours(chosen, coin=bytes.fromhex(self.exchange().coin))
        answers = {}
        for site in to or chosen:
            sent = enrolments if enrolments is not None else {other: self.reviews[other] for other in around[site]}
            packed = [blob, *(pack_bytes(f"enrolment:{other}", data) for other, data in sent.items())]
            answers[site] = self.say(site, packed, computation="roster")
        if not changes:
            self.roster = blob[0].sha256
        return answers

    def terms(self, sites: Sequence[str], entries: int, **fields: Any) -> SumTerms:
        """Terms of a sum, honest where nothing is changed."""
        plain: dict[str, Any] = {
            "roster": tuple(sorted(sites)),
            "entries": entries,
            "persons": 500 * len(sites),
            "coin": self.exchange().coin,
            "roster_sha256": self.roster,
        }
        return SumTerms.model_validate(plain | fields)

    def ask(self, ask: Ask, exchange: Exchange) -> Told:
        """Carry an ask as an honest hub does."""
        asked = exchange.questions(ask)
        return exchange.take(ask, asked, {site: self.carry(site, asked[site][1]) for site in ask.sites})

    def drive(self, steps: Any, exchange: Exchange) -> Any:
        """Carry a driver's asks until it ends, and return what it found. Closed sums are told to the driver."""
        try:
            ask = next(steps)
            while True:
                try:
                    told = self.ask(ask, exchange)
                except CheckFailed as failed:
                    ask = steps.throw(failed)
                else:
                    ask = steps.send(told)
        except StopIteration as end:
            return end.value

    def desk(self) -> Exchange:
        """An honest hub's desk that goes on where the conversation is."""
        exchange = self.exchange()
        exchange._number = self.number = self.number + 10_000
        exchange._rosters.append((frozenset(self.sites), self.roster))
        exchange.persons_bands.update(dict.fromkeys(self.sites, "200-499"))
        return exchange

    def run(self, **fields: Any) -> tuple[Run, Exchange]:
        """Run the whole chain."""
        exchange = self.exchange()
        run = Run(study=self.study, study_sha256=self.digest, site_keys=self.keys, coin=exchange.coin, seed=3, **fields)
        self.drive(run.steps(), exchange)
        return run, exchange


@pytest.fixture(scope="session")
def make_consortium(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Consortium]:
    """Makes consortia: persons by site; `inverted` and `notes` say which site is odd; `change` edits the study."""

    def make(
        persons: Mapping[str, int],
        *,
        inverted: Sequence[str] = (),
        notes: Mapping[str, str] | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
        enrolled: bool = True,
        seed: int = 7,
        durable: bool = False,
    ) -> Consortium:
        folder = tmp_path_factory.mktemp("hospitals")
        plain = parse(STUDY.replace("SITES", ", ".join(persons)), name="study.yaml").plain()
        if change is not None:
            change(plain)
        study = Study.from_plain(plain)
        hub, book = Signer(SystemEntropy().bytes(32)), {}
        wards: dict[str, Ward] = {}
        couriers: dict[str, Courier] = {}
        for place, (site, count) in enumerate(persons.items()):
            write_hospital(
                folder / site, count, [seed, place], inverted=site in inverted, note=(notes or {}).get(site, "")
            )
            spool = MemorySpool()
            home = folder / f"private-{site}"
            home.mkdir()
            wards[site] = Ward(
                hospital=parse_hospital((folder / site / "hospital.yaml").read_text(), name="hospital.yaml"),
                folder=folder / site,
                study_sha256=sha256(study.to_bytes()),
                hub_key=hub.public_key,
                phone_book=lambda: book,
                spool=spool,
                entropy=SystemEntropy(),
                seed=seed,
                salt=sha256(f"{seed}/{site}".encode()).encode(),
                issued_on="2026-01-02",
                private=home,
                durable=durable,
            )
            book[site] = wards[site].signer.public_key
            couriers[site] = Courier(
                site=site,
                study_sha256=sha256(study.to_bytes()),
                hub_key=hub.public_key,
                ward_key=book[site],
                spool=spool,
            )
        made = Consortium(study=study, hub=hub, wards=wards, couriers=couriers)
        if enrolled:
            made.review()
            assert all(answer.outcome == "released" for answer in made.introduce().values())
        return made

    return make


@pytest.fixture
def six(make_consortium: Callable[..., Consortium]) -> Consortium:
    """Six hospitals of 230 persons, fresh for each test, introduced to each other."""
    return make_consortium({f"h{place}": 230 for place in range(6)})


@pytest.fixture(scope="module")
def shared(make_consortium: Callable[..., Consortium]) -> Consortium:
    """Six such hospitals for all tests of a file that leave nothing behind but spent rations."""
    return make_consortium({f"h{place}": 230 for place in range(6)})
