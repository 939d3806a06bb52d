"""Sums under CKKS encryption: an alternative to masks, in which the hub adds ciphertexts and holds no secret key.

The sites of a study share one secret key. Each encrypts its rounded vector; the hub adds; at least three sites check
that the total holds every site's signed addend exactly once, decrypt, and must agree. The price and the weaknesses
(one colluding site and the hub read every addend) are in docs/homomorphic.md. Needs the extra `he`.

CKKS is approximate. Here it carries integers on a grid of at most 2^40, its error stays below 2^-8 of a grid step, and
a site hands out the rounded integers alone: the exact sum, which says nothing of key or encryption noise.

References: Cheon, Kim, Kim, Song (2017), Homomorphic Encryption for Arithmetic of Approximate Numbers, ASIACRYPT '17;
    Li, Micciancio (2021), On the Security of Homomorphic Encryption on Approximate Numbers, IACR ePrint 2020/1533.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import ArrayLike, NDArray

from wardgate.entropy import Entropy
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported
from wardgate.sums import ckks, ring
from wardgate.sums.ckks import Grid
from wardgate.sums.plan import SumPlan, check_site, signal

COARSER = ring.SUM_BITS - ckks.GRID_BITS
"""An exact sum has its ring's scale, 2^22 times coarser."""

LEAST_OPENERS = 3
STATEMENT = "encrypted-addend/v1"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyKey:
    """What the sites of a study hold and the hub never does.

    Attributes:
        secret: The parameters with the secret key, as TenSEAL writes them.
        key_id: Names the key in public: a labelled SHA-256 of `secret`. Not an argument.
    """

    secret: bytes = field(repr=False)
    key_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_id", hashlib.sha256(b"wardgate/he-key-id/1\x00" + self.secret).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Addend:
    """One site's ciphertext, and its signed statement that this is what it adds to this plan."""

    envelope: bytes
    blob: bytes


def make_key() -> StudyKey:
    """Make the key of a study, at one of its sites.

    Unlike all else in Wardgate its randomness, and that of encryption, comes from the library's own generator
    (seeded by the operating system): TenSEAL lets nobody hand one in.

    Raises:
        Unsupported: the extra `he` is not installed.
    """
    return StudyKey(secret=ckks.context_bytes(ckks.new_context(), secret=True))


def evaluation_context(key: StudyKey) -> bytes:
    """Return what the hub may hold: parameters to add ciphertexts, and no key at all, not even to encrypt."""
    return ckks.context_bytes(ckks.read_context(key.secret), secret=False)


def deal_key(
    key: StudyKey, *, site: str, pair_secrets: Mapping[str, bytes], study_sha256: str, entropy: Entropy
) -> dict[str, bytes]:
    """Seal the study's key for every other site, under the secret this site shares with it (sums.keys).

    Args:
        site: Who made the key.
        pair_secrets: The secret with each other site.
        study_sha256: Digest of the locked study, in hexadecimal.
        entropy: For the nonces.

    Returns:
        By site, bytes that the hub may carry: ChaCha20-Poly1305, bound to study, key, sender and recipient.
    """
    sealed = {}
    for other, secret in pair_secrets.items():
        label = _label(study_sha256, site, other)
        nonce = entropy.bytes(_NONCE_BYTES)
        sealed[other] = nonce + ChaCha20Poly1305(_sealing_key(secret, label)).encrypt(nonce, key.secret, label)
    return sealed


def open_key(sealed: bytes, *, site: str, dealer: str, pair_secret: bytes, study_sha256: str) -> StudyKey:
    """Open the key that `dealer` sealed for `site`.

    Raises:
        Broken: altered on the way, or sealed for another site, by another dealer or for another study.
        Unsupported: the extra `he` is not installed.
    """
    label = _label(study_sha256, dealer, site)
    nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        secret = ChaCha20Poly1305(_sealing_key(pair_secret, label)).decrypt(nonce, body, label)
    except (InvalidTag, ValueError):
        raise Broken(f"the study's key from '{dealer}' does not open at '{site}'; have it dealt again") from None
    if not ckks.read_context(secret).is_private():
        raise Broken(f"what '{dealer}' dealt holds no secret key; have it dealt again")
    return StudyKey(secret=secret)


def contribute_encrypted(
    plan: SumPlan, *, site: str, vector: ArrayLike, persons_here: int, key: StudyKey, signer: Signer, entropy: Entropy
) -> Addend:
    """Return the site's encrypted vector: rounded to the grid, with its share of the noise if the plan has noise.

    As in `plan.contribute`, a site must never contribute two vectors under one plan, nor one plan by both ways.

    Args:
        vector: Sums over the site's persons, each clipped to the plan's bound and l2; shape (entries,).
        persons_here: Persons in `vector`.
        signer: The site's long-term key.
        entropy: For the noise.

    Raises:
        Invalid: as in `plan.contribute`.
        Unsupported: a plan with a slot, one with noise in the ring of 64 bits, or the extra is not installed.
    """
    check_plan(plan)
    steps = signal(plan, site=site, vector=vector, persons_here=persons_here, entropy=entropy)
    blob = ckks.encrypt(ckks.read_context(key.secret), _on_grid(plan, steps))
    return Addend(envelope=seal(_statement(plan, site=site, key_id=key.key_id, blob=blob), signer), blob=blob)


def total_encrypted(plan: SumPlan, addends: Mapping[str, Addend], *, evaluation: bytes) -> bytes:
    """Add all sites' ciphertexts, at the hub.

    Raises:
        Refused: `evaluation` holds a secret key, which the hub must not have.
        Invalid: a site is missing, a stranger answered, or a ciphertext cannot be read.
    """
    context = ckks.read_context(evaluation)
    if context.is_private():
        raise Refused("the evaluation context holds a secret key; the hub must not have it, so make a new study key")
    return _add(plan, context, addends)


def decrypt_total(
    plan: SumPlan,
    *,
    site: str,
    key: StudyKey,
    addends: Mapping[str, Addend],
    own_sha256: str,
    total: bytes,
    public_keys: Mapping[str, bytes],
) -> Grid:
    """Decrypt a total at one of the sites, if it is one.

    The site adds the addends again by itself. A digest beside a total would not do: nobody can tell by looking
    whether a ciphertext holds a sum or a single site.

    Args:
        site: Who decrypts.
        addends: What every site of the roster signed for this plan.
        own_sha256: Digest of the ciphertext that this site sent for this plan, from its own memory.
        total: What the hub says they add up to.
        public_keys: Ed25519 keys of the sites, from their enrolment.

    Returns:
        Exact sums in grid steps, shape (entries,); `agreed_total` reads them.

    Raises:
        Refused: the addends are not one from each site, this site's own among them, or do not add up to the total.
        Broken: a statement is not signed by its site, or speaks of another plan, key or ciphertext.
        Invalid: a ciphertext cannot be read.
    """
    check_plan(plan)
    check_site(plan, site)
    if set(addends) != set(plan.roster):
        raise Refused(f"expected an addend of each of {len(plan.roster)} sites, found {len(addends)}; ask for the sum")
    for name, addend in addends.items():
        said = unseal(addend.envelope, keys=[public_keys[name]] if name in public_keys else [])
        expected = _statement(plan, site=name, key_id=key.key_id, blob=addend.blob)
        if (said.predicate_type, said.predicate, said.subjects) != (STATEMENT, expected.predicate, expected.subjects):
            raise Broken(f"what '{name}' signed is not this ciphertext for this plan and key")
    if hashlib.sha256(addends[site].blob).hexdigest() != own_sha256:
        raise Refused(f"the sum does not hold what '{site}' sent for this plan; nothing is decrypted")
    context = ckks.read_context(key.secret)
    again = _add(plan, context, addends)
    if not hmac.compare_digest(again, total):
        raise Refused("the total is not the sum of the sites' addends; nothing is decrypted")
    return ckks.decrypt(context, again, entries=plan.entries)


def agreed_total(plan: SumPlan, openings: Mapping[str, Grid]) -> NDArray[np.float64]:
    """Read the total, at the hub, from what at least three sites decrypted.

    Raises:
        Refused: fewer than three sites of the roster opened it.
        Broken: two of them disagree: one of them, or the site that dealt the key, is wrong.
    """
    check_plan(plan)
    openers = sorted(set(openings) & set(plan.roster))
    if len(openers) < LEAST_OPENERS:
        raise Refused(f"expected at least {LEAST_OPENERS} sites to decrypt the total, found {len(openers)}; ask more")
    first = openings[openers[0]]
    for site in openers:
        if openings[site].shape != (plan.entries,) or not np.array_equal(openings[site], first):
            raise Broken(f"'{openers[0]}' and '{site}' decrypt different totals; take neither, and find out why")
    exponents = plan.exponents - (COARSER if plan.noise_multiplier is None else 0)
    return np.asarray(np.ldexp(first.astype(np.float64), -exponents), dtype=np.float64)


def check_plan(plan: SumPlan) -> None:
    """Raise Unsupported where a plan cannot go under encryption."""
    if plan.slot is not None:
        raise Unsupported("an encrypted sum needs every site of its roster; plan it without a slot for drop-outs")
    if plan.noise_multiplier is not None and plan.bits != 32:
        raise Unsupported("an encrypted sum carries 2^40 grid steps; with noise, plan it in the ring of 32 bits")


def _on_grid(plan: SumPlan, steps: ring.Ring) -> Grid:
    """Return ring elements as integers that stay within 2^40 in the total; nearest where the grid is coarser."""
    if plan.bits == 32:
        return steps.view(np.int32).astype(np.int64)
    return np.asarray((steps.view(np.int64) + 2 ** (COARSER - 1)) >> COARSER, dtype=np.int64)


def _statement(plan: SumPlan, *, site: str, key_id: str, blob: bytes) -> Statement:
    return Statement(
        predicate_type=STATEMENT,
        predicate={"plan": plan.digest.hex(), "site": site, "key": key_id},
        subjects=(("addend", hashlib.sha256(blob).hexdigest()),),
    )


def _label(study_sha256: str, dealer: str, site: str) -> bytes:
    parts = (b"wardgate/he-key/1", study_sha256.encode(), dealer.encode(), site.encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _sealing_key(pair_secret: bytes, label: bytes) -> bytes:
    return hmac.digest(pair_secret, label, hashlib.sha256)


def _add(plan: SumPlan, context: Any, addends: Mapping[str, Addend]) -> bytes:
    missing = set(plan.roster) - set(addends)
    strangers = set(addends) - set(plan.roster)
    if missing or strangers:
        raise Invalid(f"{len(missing)} sites of the roster did not contribute, {len(strangers)} outside it did")
    return ckks.add(context, [addends[site].blob for site in plan.roster], entries=plan.entries)
