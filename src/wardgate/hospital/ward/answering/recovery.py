"""The ward's side of sums that survive drop-outs: its seat in each batch, and the sums that it may help to open."""

import json
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.gate.candidate import Confirmation, Pending, Statement
from wardgate.records.confirmation import confirmed_bytes
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.parcel import Parcel
from wardgate.sums.agreed import agreed_batch
from wardgate.sums.seat import prepare
from wardgate.sums.survivors import survivors_digest


def deposit(bench: Bench, question: Question, question_sha256: str, *, entropy: Entropy) -> Statement:
    """Take a seat in a new batch of slots, and return the deposit for it.

    Raises:
        Refused: the study lets nobody drop out, or the batch names a site that was not introduced to this one.
    """
    drop_out = bench.study.drop_out
    if drop_out is None:
        raise Refused("the locked study lets no site drop out of a sum ('drop_out' is not set)")
    sites = tuple(question.parameters.get("sites", ()))
    if bench.hospital.id not in sites:
        raise Refused("the batch does not name this site")
    batch = agreed_batch(sites, drop_out=drop_out, question_sha256=question_sha256, coin=bench.coin)
    unknown = sorted(set(batch.partners(bench.hospital.id)) - bench.pair_secrets.keys())
    if unknown:
        raise Refused(f"{len(unknown)} partners in the batch were not introduced to this site, first '{unknown[0]}'")
    seat, data = prepare(batch, site=bench.hospital.id, pair_secrets=bench.pair_secrets, entropy=entropy)
    bench.door.seats[question_sha256] = seat
    return Statement(
        said={"slots": batch.slots, "threshold": batch.threshold},
        smallest_cell=bench.study.gate.small_cells.min_count,
        blobs=(("deposit", data),),
    )


def take_shares(bench: Bench, question: Question, parcel: Parcel) -> Statement:
    """Take what partners deposited for this site.

    Raises:
        Refused: no such batch here, or a partner sent two sets of shares.
        Broken: shares that do not open: somebody used another key, batch or roster.
    """
    seat = bench.door.seats.get(str(question.parameters.get("batch")))
    if seat is None:
        raise Refused("shares for a batch that this site did not prepare")
    packets = {
        ref.name.removeprefix("shares:"): blob
        for ref, blob in zip(question.vectors, parcel.blobs, strict=True)
        if ref.name.startswith("shares:")
    }
    seat.accept(packets, pair_secrets=bench.pair_secrets)
    return Statement(said={"taken": len(packets)}, smallest_cell=bench.study.gate.small_cells.min_count)


def confirm(bench: Bench, question: Question) -> Confirmation:
    """Return the list of survivors that the hub names, for the gate to judge before it is signed.

    Raises:
        Refused: a sum in which this site did not answer.
    """
    pending = _pending(bench, question)
    return Confirmation(
        pending=pending,
        survivors=tuple(question.parameters.get("survivors", ())),
        persons_of=bench.least,
    )


def reveal(bench: Bench, question: Question, parcel: Parcel, phone_book: Mapping[str, bytes]) -> Statement:
    """Reveal one share of each partner, against the list that enough partners confirmed.

    Raises:
        Refused: another list than this site confirmed, or too few partners signed it.
    """
    pending = _pending(bench, question)
    survivors = tuple(question.parameters.get("survivors", ()))
    digest = survivors_digest(pending.plan, survivors)
    confirmed = [
        site
        for site, signature in _signatures(parcel).items()
        if site in phone_book and _signed(phone_book[site], signature, confirmed_bytes(digest, site=site))
    ]
    shares = pending.seat.reveal(pending.plan, survivors=survivors, confirmed_by=confirmed)
    return Statement(
        said={"survivors_sha256": digest.hex()},
        smallest_cell=bench.study.gate.small_cells.min_count,
        blobs=(("shares", shares),),
    )


def _pending(bench: Bench, question: Question) -> Pending:
    pending = bench.door.pending.get(str(question.parameters.get("sum")))
    if pending is None:
        raise Refused("this site gave no answer to that sum, or it needs no recovery")
    return pending


def _signatures(parcel: Parcel) -> dict[str, str]:
    try:
        found = json.loads(parcel.blobs[0])
        return {str(site): str(signature) for site, signature in found.items()}
    except (IndexError, ValueError, AttributeError) as error:
        raise Refused("the question brings no confirmations of other sites") from error


@lru_cache(maxsize=4096)
def _signed(key: bytes, signature: str, data: bytes) -> bool:
    """Whether a site signed. Pure, so hospitals that share a process check it once."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True
