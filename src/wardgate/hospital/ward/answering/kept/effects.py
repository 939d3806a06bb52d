"""What one question changed in a ward: written beside its answer, and done again by a ward that came back.

Patients are not in it, but for a fitted generator, whose second fit would cost its privacy again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.answering.synthesis.kinds import kinds
from wardgate.hospital.ward.answering.synthesis.saved import pack, unpack
from wardgate.hospital.ward.gate.candidate import Pending
from wardgate.hospital.ward.gate.door import Door
from wardgate.hospital.ward.generators import Fitted
from wardgate.records.canonical import canonical, sha256
from wardgate.records.claim import Claim
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import Question, RosterEntry
from wardgate.records.verdict import Evidence, Verdict
from wardgate.sums.agreed import agreed_batch
from wardgate.sums.batch import Slot
from wardgate.sums.keys import pair_secret
from wardgate.sums.plan import SumPlan
from wardgate.sums.seat import Seat

Effect = dict[str, Any]
Thing = Callable[[str], bytes]
"""Returns what an effect names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How a ward stood before a question."""

    leaves: int = 0
    door: bool = False
    bench: bool = False
    met: frozenset[str] = frozenset()
    rosters: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    attempts: int = 0
    verdicts: int = 0
    fitted: Fitted | None = None
    own: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))


def before(leaves: int, door: Door | None, bench: Bench | None) -> Before:
    """Return how a ward stands now."""
    if door is None or bench is None:
        return Before(leaves=leaves, door=door is not None)
    return Before(
        leaves=leaves,
        door=True,
        bench=True,
        met=frozenset(bench.met),
        rosters=frozenset(bench.rosters),
        pending=frozenset(door.pending),
        attempts=bench.attempts,
        verdicts=len(bench.verdicts),
        fitted=bench.generator,
        own=dict(bench.own),
    )


def changed(
    was: Before, question: Question, question_sha256: str, *, door: Door, bench: Bench | None
) -> tuple[Effect, list[bytes]]:
    """Return what a question changed, and the things that it names by their SHA-256."""
    effect: Effect = {}
    things: list[bytes] = []

    def name(thing: bytes) -> str:
        things.append(thing)
        return sha256(thing)

    if not was.door:
        effect["study"] = name(door.study.to_bytes())
    if bench is None:
        return effect, things
    if not was.bench:
        effect["joined"] = {
            "persons": bench.persons,
            "commitments": door.commitments,
            "cohort_sha256": bench.cohort_sha256,
        }
    if question.computation == "roster":
        effect["roster"] = _roster(was, bench)
    if touched := _seat(question, question_sha256, door):
        effect["seats"] = {batch: name(_seat_bytes(seat)) for batch, seat in touched.items()}
    if new := door.pending.keys() - was.pending:
        effect["pending"] = {digest: name(_pending_bytes(door.pending[digest])) for digest in sorted(new)}
    if bench.attempts != was.attempts:
        verdicts = [[one.plain(), verdict.plain()] for one, verdict in bench.verdicts[was.verdicts :]]
        effect["corpus"] = {"attempts": bench.attempts, "verdicts": verdicts}
        if bench.generator is not None and bench.generator is not was.fitted:
            effect["corpus"]["generator"] = bench.generator_name
            effect["corpus"]["fit"] = name(pack(bench.generator, types=kinds(bench.generator_name)))
    changed_own = {key for key in bench.own.keys() | was.own.keys() if bench.own.get(key) != was.own.get(key)}
    if changed_own:
        effect["own"] = {key: name(bench.own[key]) if key in bench.own else "" for key in sorted(changed_own)}
    return effect, things


def enact(effect: Effect, *, bench: Bench) -> None:
    """Do again what a question changed on the bench.

    Raises:
        Broken: it cannot be read, or was written by a version whose sums are made otherwise.
    """
    try:
        if "roster" in effect:
            _meet(effect["roster"], bench)
        if "corpus" in effect:
            said = effect["corpus"]
            bench.attempts = int(said["attempts"])
            bench.verdicts += [
                (Evidence.from_plain(one), Verdict.from_plain(verdict)) for one, verdict in said["verdicts"]
            ]
            if "fit" in said:
                bench.generator, bench.kept_fit = None, (said["generator"], said["fit"])
    except (ValueError, KeyError, TypeError, AttributeError, Invalid) as error:
        raise Broken("the ward's memory of this study cannot be read; restore it") from error


def take_seats(seats: dict[str, str], pending: dict[str, str], *, bench: Bench, thing: Thing) -> None:
    """Take every seat as it was left, and the sums that it may still help to open.

    Raises:
        Broken: one cannot be read, or was written by a version whose sums are made otherwise.
    """
    try:
        for batch, name in seats.items():
            bench.door.seats[batch] = _seat_again(thing(name), batch, bench)
        for digest, name in pending.items():
            bench.door.pending[digest] = _pending_again(thing(name), bench)
    except (ValueError, KeyError, TypeError, AttributeError, Invalid) as error:
        raise Broken("the ward's memory of this study cannot be read; restore it") from error


def take_own(own: dict[str, str], *, bench: Bench, thing: Thing) -> None:
    """Take what computations keep over a restart, as it was left.

    Raises:
        Broken: it was altered or is gone.
    """
    bench.own.update({key: thing(name) for key, name in own.items()})


def take_fit(bench: Bench, thing: Thing) -> None:
    """Take the fitted generator that was kept, if there is one; it is not fitted again.

    Raises:
        Broken: it cannot be read.
    """
    if bench.generator is None and bench.kept_fit is not None:
        generator, name = bench.kept_fit
        bench.generator = unpack(thing(name), types=kinds(generator))


def _roster(was: Before, bench: Bench) -> Effect:
    return {
        "coin": bench.coin,
        "met": [bench.met[site].plain() for site in sorted(bench.met.keys() - was.met)],
        "rosters": {digest: bench.rosters[digest] for digest in sorted(bench.rosters.keys() - was.rosters)},
    }


def _meet(said: Effect, bench: Bench) -> None:
    bench.coin = str(said["coin"])
    for plain in said["met"]:
        entry = RosterEntry.from_plain(plain)
        bench.met[entry.site] = entry
        bench.pair_secrets[entry.site] = pair_secret(
            bench.exchange_key,
            site=bench.hospital.id,
            other=entry.site,
            other_public=bytes.fromhex(entry.exchange_key),
            study_sha256=bench.study_sha256,
        )
    for digest, persons in said["rosters"].items():
        bench.rosters[digest] = {str(site): int(least) for site, least in persons.items()}
        bench.least |= bench.rosters[digest]


def _seat(question: Question, question_sha256: str, door: Door) -> dict[str, Seat]:
    """Return the seat that a question may have touched, by the question that prepared its batch."""
    match question.computation:
        case "prepare":
            batch = question_sha256
        case "shares":
            batch = str(question.parameters.get("batch"))
        case "confirm" | "reveal":
            pending = door.pending.get(str(question.parameters.get("sum")))
            batch = "" if pending is None else pending.seat.batch.context.hex()
        case _:
            slot = None if question.sum is None else question.sum.slot
            batch = "" if slot is None else slot.batch_sha256
    return {batch: door.seats[batch]} if batch in door.seats else {}


def _seat_bytes(seat: Seat) -> bytes:
    return canonical({"roster": list(seat.batch.roster), "seat": json.loads(seat.to_bytes())})


def _seat_again(data: bytes, batch: str, bench: Bench) -> Seat:
    said = json.loads(data)
    if bench.study.drop_out is None:
        raise Broken("a seat was kept in a study that lets nobody drop out")
    agreed = agreed_batch(tuple(said["roster"]), drop_out=bench.study.drop_out, question_sha256=batch, coin=bench.coin)
    return Seat.from_bytes(canonical(said["seat"]), batch=agreed)


def _pending_bytes(pending: Pending) -> bytes:
    plan = pending.plan
    if plan.slot is None:
        raise RuntimeError("a sum without a slot waits for nobody")
    return json.dumps(
        {
            "roster": plan.roster,
            "entries": plan.entries,
            "persons": plan.persons,
            "bound": plan.bound,
            "context": plan.context.hex(),
            "l2": plan.l2,
            "noise_multiplier": plan.noise_multiplier,
            "tolerated": plan.tolerated,
            "coin": plan.coin.hex(),
            "bits": plan.bits,
            "slot": [plan.slot.batch.context.hex(), plan.slot.index, plan.slot.least],
            "digest": plan.digest.hex(),
            "split": pending.split,
            "claim": pending.claim.plain(),
            "share": pending.share,
        },
        allow_nan=False,
    ).encode()


def _pending_again(data: bytes, bench: Bench) -> Pending:
    said = json.loads(data)
    batch, index, least = said["slot"]
    seat = bench.door.seats[batch]
    bound = said["bound"]
    plan = SumPlan(
        roster=tuple(said["roster"]),
        entries=said["entries"],
        persons=said["persons"],
        bound=tuple(bound) if isinstance(bound, list) else bound,
        context=bytes.fromhex(said["context"]),
        l2=said["l2"],
        noise_multiplier=said["noise_multiplier"],
        tolerated=said["tolerated"],
        coin=bytes.fromhex(said["coin"]),
        bits=said["bits"],
        slot=Slot(batch=seat.batch, index=index, least=least),
    )
    if plan.digest.hex() != said["digest"]:
        raise Broken("a sum that was begun is planned otherwise by this version; end the study with the version before")
    return Pending(
        plan=plan, seat=seat, split=said["split"], claim=Claim.from_plain(said["claim"]), share=said["share"]
    )
