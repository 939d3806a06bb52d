"""Sums that survive drop-outs, from the hub's side: prepare a batch of slots, then ask, confirm, reveal, open.

Once a batch, the sites deposit what others need should they vanish, and get what their partners deposited for them.
Then each sum takes one slot: sites answer; those whose answers came confirm the list of them; and against that list
they reveal one share of each partner. A site may vanish before any of these steps.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardgate.hub.intake.admit import Admitted, masked_of
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.canonical import canonical, sha256
from wardgate.records.errors import Broken, CheckFailed, Invalid, NotEvaluable, Refused, Vanished
from wardgate.records.messages import Question, SlotTerms, SumTerms
from wardgate.records.parcel import Parcel, VectorRef, pack_bytes, pack_vector
from wardgate.records.study import Study
from wardgate.sums.agreed import agreed_batch, agreed_plan, least_survivors, noise_of
from wardgate.sums.batch import Batch
from wardgate.sums.deposit import packet_for
from wardgate.sums.plan import SumPlan
from wardgate.sums.recovery import recover_total

Packed = list[tuple[VectorRef, bytes]]


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A batch of slots that sites prepared.

    Attributes:
        question_sha256: Digest of the question that asked for it.
        deposits: Of the sites that prepared.
        ready: Those of them that also took their partners' shares, sorted.
        used: Slots that were given to a sum.
    """

    batch: Batch
    question_sha256: str
    deposits: dict[str, bytes]
    ready: tuple[str, ...]
    used: int = 0


class Taken(Protocol):
    """Admitted answers, and the bytes that left and entered hospitals for them."""

    @property
    def admitted(self) -> Mapping[str, Admitted]: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...


class Desk(Protocol):
    """The hub's desk, as far as a sum needs it."""

    study: Study
    dropped: set[str]
    batches: dict[frozenset[str], Prepared]

    @property
    def coin(self) -> str: ...
    def sign(self, ask: Ask, packed: Packed, terms: SumTerms | None) -> tuple[Question, Parcel]: ...
    def terms(self, ask: Ask, *, slot: SlotTerms | None = None, batch: Batch | None = None) -> SumTerms | None: ...
    def admit(self, ask: Ask, asked: Mapping[str, tuple[Question, Parcel]], answers: Mapping[str, Parcel]) -> Taken: ...
    def record_sum(
        self,
        question_sha256: str,
        opened: NDArray[np.float64],
        *,
        answers: Mapping[str, Admitted],
        reveals: Mapping[str, Admitted] | None = None,
    ) -> None: ...


@dataclass(slots=True, kw_only=True)
class _Round:
    """What came of the rounds of one sum: bytes, and why sites are missing."""

    bytes_out: int = 0
    bytes_in: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)

    def closed(self, why: str) -> CheckFailed:
        """Return the error of a sum that stays closed, with the first reasons."""
        because = "".join(f"; {site}: {reason}" for site, reason in sorted(self.reasons.items())[:3])
        words = f"{why}, so the sum stays closed{because}"
        return Vanished(words, sites=tuple(sorted(self.absent))) if self.absent else CheckFailed(words)


Carried = Generator[dict[str, Parcel], Mapping[str, Parcel], dict[str, Admitted]]


def recoverable(desk: Desk, ask: Ask) -> Generator[dict[str, Parcel], Mapping[str, Parcel], Told]:
    """Ask for one sum that opens although some sites vanish.

    Sites that are missing in an opened sum stay out of all later ones: an exact sum with them would differ from this
    one by them alone.

    Raises:
        CheckFailed: too few sites survive, confirm or reveal, or their gates refuse; says who and why.
    """
    if ask.shape is None:
        raise Broken("a sited answer is no sum")
    seen = _Round()
    sites = tuple(sorted(set(ask.sites) - desk.dropped))
    prepared = desk.batches.get(frozenset(sites))
    if prepared is None or prepared.used >= prepared.batch.slots or prepared.ready != sites:
        prepared = yield from _prepare(desk, ask, sites, seen)
        desk.batches[frozenset(sites)] = prepared
    slot = SlotTerms(
        batch_sha256=prepared.question_sha256,
        index=prepared.used,
        least=least_survivors(len(sites), desk.study.drop_out or 0.0, minimum=desk.study.gate.min_sites_in_sum),
    )
    prepared.used += 1
    _enough(ask, prepared.ready, slot.least, len(ask.sites), seen)
    inner = replace(ask, sites=prepared.ready)
    terms = desk.terms(inner, slot=slot, batch=prepared.batch)
    if terms is None:
        raise Broken("the question asks for no sum")
    packed = [pack_vector(name, array) for name, array in ask.arrays]
    packed += [pack_bytes(name, data) for name, data in ask.blobs]
    question, parcel = desk.sign(inner, packed, terms)
    digest = sha256(parcel.envelope)
    plan = agreed_plan(terms, ask.shape, question_sha256=digest, batch=prepared.batch)
    given = yield from _carry(desk, inner, dict.fromkeys(prepared.ready, (question, parcel)), seen)
    masked = {site: vector for site, one in given.items() if (vector := _vector(one, plan, seen)) is not None}
    survivors = tuple(sorted(masked))
    _enough(ask, survivors, slot.least, len(ask.sites), seen)
    said = {"sum": digest, "survivors": list(survivors)}
    confirm = Ask(what=f"{ask.what}: who is in it", computation="confirm", sites=survivors, parameters=said)
    confirmed = yield from _same(desk, confirm, [], seen)
    if len(confirmed) <= prepared.batch.threshold:
        raise seen.closed(
            f"{ask.what}: {len(confirmed)} sites confirm that the sum is over {len(survivors)} of"
            f" {len(ask.sites)} sites. An exact sum that lacks sites of earlier ones gives them away by the difference;"
            " ask again when they are back, or with noise"
        )
    signatures = {site: str(one.answer.statement["signature"]) for site, one in confirmed.items()}
    reveal = Ask(what=f"{ask.what}: open it", computation="reveal", sites=tuple(sorted(confirmed)), parameters=said)
    revealed = yield from _same(desk, reveal, [pack_bytes("confirmations", canonical(signatures))], seen)
    try:
        found = recover_total(
            plan,
            survivors=survivors,
            deposits={site: prepared.deposits[site] for site in prepared.ready},
            masked=masked,
            reveals={site: one.blob("shares") for site, one in revealed.items()},
        )
    except (NotEvaluable, Refused, Invalid, Broken) as error:
        raise seen.closed(f"{ask.what}: {error}") from error
    desk.record_sum(digest, found.total, answers={site: given[site] for site in survivors}, reveals=revealed)
    desk.dropped |= set(ask.sites) - set(survivors)
    return Told(
        total=found.total,
        noise=noise_of(terms, l2=ask.shape.l2, survivors=len(survivors)),
        bytes_out=seen.bytes_out,
        bytes_in=seen.bytes_in,
        sites=survivors,
        said={site: given[site].answer.statement for site in survivors if given[site].answer.statement},
    )


def _prepare(
    desk: Desk, ask: Ask, sites: tuple[str, ...], seen: _Round
) -> Generator[dict[str, Parcel], Mapping[str, Parcel], Prepared]:
    """Let the sites deposit for a batch of slots, and hand out what they deposited for each other."""
    minimum = desk.study.gate.min_sites_in_sum
    drop_out = desk.study.drop_out or 0.0
    if len(sites) < minimum:
        raise seen.closed(f"{ask.what}: {len(sites)} sites are left, expected at least {minimum}")
    asked = Ask(what="slots for sums", computation="prepare", sites=sites, parameters={"sites": list(sites)})
    question, parcel = desk.sign(asked, [], None)
    digest = sha256(parcel.envelope)
    batch = agreed_batch(sites, drop_out=drop_out, question_sha256=digest, coin=desk.coin)
    prepared = yield from _carry(desk, asked, dict.fromkeys(sites, (question, parcel)), seen)
    deposits: dict[str, bytes] = {}
    packets: dict[str, Packed] = {site: [] for site in prepared}
    for sender, one in sorted(prepared.items()):
        try:
            data = one.blob("deposit")
            for recipient in batch.partners(sender):
                if recipient in packets:
                    packet = packet_for(batch, data, sender=sender, recipient=recipient)
                    packets[recipient].append(pack_bytes(f"shares:{sender}", packet))
        except Broken as error:
            seen.reasons[sender] = str(error)
            continue
        deposits[sender] = data
    handed = Ask(
        what="shares for each other",
        computation="shares",
        sites=tuple(sorted(deposits)),
        parameters={"batch": digest},
    )
    sent = {
        site: desk.sign(handed, [one for one in packets[site] if one[0].name.removeprefix("shares:") in deposits], None)
        for site in handed.sites
    }
    took = yield from _carry(desk, handed, sent, seen)
    return Prepared(batch=batch, question_sha256=digest, deposits=deposits, ready=tuple(sorted(took)))


def _same(desk: Desk, ask: Ask, packed: Packed, seen: _Round) -> Carried:
    """Ask all sites of an ask the same."""
    return (yield from _carry(desk, ask, dict.fromkeys(ask.sites, desk.sign(ask, packed, None)), seen))


def _carry(desk: Desk, ask: Ask, asked: Mapping[str, tuple[Question, Parcel]], seen: _Round) -> Carried:
    """Carry one round; return the released answers, and note why the others are missing."""
    answers = yield {site: parcel for site, (_, parcel) in asked.items()}
    released: dict[str, Admitted] = {}
    for site in ask.sites:
        if site not in answers:
            seen.reasons[site] = f"did not answer '{ask.computation}'"
            seen.absent.add(site)
            continue
        try:
            taken = desk.admit(replace(ask, sites=(site,)), asked, answers)
        except Broken as error:
            seen.reasons[site] = str(error)
            continue
        seen.bytes_out, seen.bytes_in = seen.bytes_out + taken.bytes_out, seen.bytes_in + taken.bytes_in
        one = taken.admitted[site]
        if one.answer.outcome == "released":
            released[site] = one
        else:
            seen.reasons[site] = one.answer.refusal
    return released


def _vector(one: Admitted, plan: SumPlan, seen: _Round) -> NDArray[np.uint64] | NDArray[np.uint32] | None:
    try:
        return masked_of(one, plan)
    except Broken as error:
        seen.reasons[one.answer.site] = str(error)
        return None


def _enough(ask: Ask, sites: tuple[str, ...], least: int, of: int, seen: _Round) -> None:
    if len(sites) < least:
        raise seen.closed(f"{ask.what}: {len(sites)} of {of} sites are in it, expected at least {least}")
