"""A site's seat in a batch: its private memory, and the only hands that may touch it.

A sum with recovery, from the site's side:

    seat, deposit = prepare(batch, site=..., pair_secrets=..., entropy=...)      # once for all slots of the batch
    seat.accept(packets, pair_secrets=...)                                       # of all partners who deposited
    masked = seat.contribute(plan, vector=..., persons_here=..., pair_secrets=..., entropy=...)
    digest = seat.confirm(plan, survivors)                                       # the site signs this digest
    shares = seat.reveal(plan, survivors=survivors, confirmed_by=...)            # names with verified signatures

Save `seat.to_bytes()` privately before anything it returned leaves the ward; it is all that remembers.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from numpy.typing import ArrayLike

from wardgate.entropy import Entropy
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid, Refused
from wardgate.sums.batch import Batch
from wardgate.sums.deposit import (
    SALT_BYTES,
    Deposit,
    Held,
    all_slots,
    commitment,
    lock,
    pair_seed,
    seal,
    self_key,
    unseal,
    write_deposit,
)
from wardgate.sums.mask import add_masks, add_stream
from wardgate.sums.plan import SumPlan, check_site, partners, signal
from wardgate.sums.reveal import Reveal, write_reveal
from wardgate.sums.ring import Ring
from wardgate.sums.shamir import elements, from_bytes, split, to_bytes
from wardgate.sums.survivors import Survivors, check_confirmed, check_survivors, slot_of, survivors_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """How far one slot has gone. What is no longer needed is None and gone for good.

    Attributes:
        self_seed: Until the site contributes.
        plan: Digest of the plan it contributed under.
        survivors: Digest of the list it confirmed.
        revealed: What it reveals for that list, chosen when it confirmed.
    """

    self_seed: bytes | None
    plan: bytes | None = None
    survivors: bytes | None = None
    revealed: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Seat:
    """One site's private state in one batch.

    Attributes:
        batch: Public terms.
        site: Whose seat.
        slots: How far each slot has gone.
        held: By partner, its shares for each slot; None in a slot from which the site has chosen.
        heard: Digest of the packet of each partner.
    """

    batch: Batch
    site: str
    slots: list[Used]
    held: dict[str, list[Held | None]] = field(default_factory=dict)
    heard: dict[str, bytes] = field(default_factory=dict)

    def accept(self, packets: Mapping[str, bytes], *, pair_secrets: Mapping[str, bytes]) -> None:
        """Take the packets that partners deposited for this site.

        Raises:
            Broken: a packet does not open; its sender, or the hub, used another key, batch or roster.
            Refused: a partner sent two different packets.
            Invalid: a sender who is no partner, or no secret with it.
        """
        around = self.batch.partners(self.site)
        for sender, packet in packets.items():
            digest = hashlib.sha256(packet).digest()
            if self.heard.get(sender) == digest:
                continue
            if sender in self.heard:
                raise Refused(f"'{sender}' sent two different sets of shares in one batch; leave it out")
            if sender not in around or sender not in pair_secrets:
                raise Invalid(f"'{sender}' is no mask partner of '{self.site}', or has no secret with it")
            shares = unseal(packet, secret=pair_secrets[sender], batch=self.batch, sender=sender, recipient=self.site)
            self.held[sender] = list(shares)
            self.heard[sender] = digest

    def contribute(
        self,
        plan: SumPlan,
        *,
        vector: ArrayLike,
        persons_here: int,
        pair_secrets: Mapping[str, bytes],
        entropy: Entropy,
    ) -> Ring:
        """Return the masked vector: rounded, with a share of the noise, pair masks with all partners, and a self mask.

        Until t partners give back the self seed, the result is uniform to everybody, also to who knows all pairs.
        The slot is spent, also if the answer is lost on its way.

        Args:
            vector: Sums over the site's persons, each clipped to the plan's bound and l2; shape (entries,).
            persons_here: Persons in `vector`.
            pair_secrets: At least the secrets with the site's partners.
            entropy: For the noise.

        Returns:
            Shape (plan.length,), of the plan's dtype.

        Raises:
            Refused: the slot was used.
            Invalid: another batch, a partner whose packet never came, or a vector that breaks the plan.
        """
        index = self._index(plan)
        used = self.slots[index]
        if used.self_seed is None:
            raise Refused(f"slot {index} was used; a slot hides one vector, so ask with the next one")
        around = partners(plan, site=self.site)
        missing = [other for other in around if other not in self.held or other not in pair_secrets]
        if missing:
            raise Invalid(
                f"'{self.site}' has no shares or no secret of {len(missing)} partners, first '{missing[0]}';"
                " leave them out of the roster"
            )
        masked = signal(plan, site=self.site, vector=vector, persons_here=persons_here, entropy=entropy)
        slot = slot_of(plan).name
        seeds = {other: pair_seed(pair_secrets[other], slot=slot) for other in around}
        add_masks(masked, site=self.site, pair_secrets=seeds, context=plan.digest)
        add_stream(masked, self_key(used.self_seed, site=self.site, context=plan.digest))
        self.slots[index] = replace(used, self_seed=None, plan=plan.digest)
        return masked

    def confirm(self, plan: SumPlan, survivors: Survivors) -> bytes:
        """Return the digest of the list of survivors, for the site to sign.

        From here on the slot knows this list only: of each partner the share that the list calls for is kept, and the
        other one is deleted. So no question, however often it comes, gets both.

        Args:
            survivors: Sites whose masked vectors the hub holds, as it says; sorted.

        Raises:
            Refused: the site did not contribute under this plan, is not on the list, confirmed another list, or the
                list does not hold (`check_survivors`).
            Invalid: the list is malformed.
        """
        index = self._index(plan)
        used = self.slots[index]
        digest = survivors_digest(plan, survivors)
        if used.plan != plan.digest:
            raise Refused(f"'{self.site}' contributed nothing under this plan, so it confirms nobody")
        if used.survivors is not None:
            if used.survivors != digest:
                raise Refused("the list of survivors changed after it was confirmed; nothing more is said in this slot")
            return digest
        check_survivors(plan, survivors)
        if self.site not in survivors:
            raise Refused(f"'{self.site}' is said to have dropped out and is here; it stays out of this sum")
        shares: dict[str, bytes] = {}
        for other in partners(plan, site=self.site):
            held = self.held[other][index]
            if held is None:
                raise RuntimeError("shares were deleted before a list was confirmed")
            shares[other] = to_bytes(held.self_share if other in survivors else held.lock_share)
        revealed = write_reveal(Reveal(plan=plan.digest, survivors=digest, shares=shares))
        self.slots[index] = replace(used, survivors=digest, revealed=revealed)
        for kept in self.held.values():
            kept[index] = None
        return digest

    def reveal(self, plan: SumPlan, *, survivors: Survivors, confirmed_by: Collection[str]) -> bytes:
        """Return, for each partner, the share of its self seed if it survived, of its lock key if it dropped out.

        Args:
            survivors: The list this site confirmed.
            confirmed_by: Sites whose signatures over the same digest the caller verified.

        Raises:
            Refused: the site confirmed another list or none, or too few partners confirmed this one.
        """
        used = self.slots[self._index(plan)]
        digest = survivors_digest(plan, survivors)
        if used.revealed is None or used.survivors != digest:
            raise Refused(f"'{self.site}' did not confirm this list of survivors under this plan; it reveals nothing")
        check_confirmed(plan, survivors, site=self.site, confirmed_by=confirmed_by)
        return used.revealed

    def _index(self, plan: SumPlan) -> int:
        slot = slot_of(plan)
        check_site(plan, self.site)
        if slot.batch.digest != self.batch.digest:
            raise Invalid("the plan's slot is of another batch than this seat")
        return slot.index

    def to_bytes(self) -> bytes:
        """Write the state for the ward's private storage. It holds secrets."""
        return canonical(
            {
                "schema": "wardgate/seat/1",
                "batch": self.batch.digest.hex(),
                "site": self.site,
                "slots": [
                    [
                        None if part is None else part.hex()
                        for part in (one.self_seed, one.plan, one.survivors, one.revealed)
                    ]
                    for one in self.slots
                ],
                "held": {
                    other: [
                        None if one is None else [to_bytes(one.self_share).hex(), to_bytes(one.lock_share).hex()]
                        for one in shares
                    ]
                    for other, shares in self.held.items()
                },
                "heard": {other: digest.hex() for other, digest in self.heard.items()},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, batch: Batch) -> "Seat":
        """Read what `to_bytes` wrote.

        Raises:
            Invalid: it is none, or of another batch.
        """
        try:
            said = json.loads(data)
            if said["schema"] != "wardgate/seat/1" or said["batch"] != batch.digest.hex():
                raise Invalid("the stored seat is of another batch")
            slots = [Used(**dict(zip(Used.__slots__, map(_bytes, one), strict=True))) for one in said["slots"]]
            held = {other: [_held(one) for one in shares] for other, shares in said["held"].items()}
            heard = {other: bytes.fromhex(digest) for other, digest in said["heard"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid("the stored seat cannot be read") from error
        return cls(batch=batch, site=said["site"], slots=slots, held=held, heard=heard)


def prepare(batch: Batch, *, site: str, pair_secrets: Mapping[str, bytes], entropy: Entropy) -> tuple[Seat, bytes]:
    """Draw the secrets of all slots of a batch; return the site's seat and its deposit for the hub.

    For each slot: a self seed and a lock key, both shared t of k among the site's partners, each share sealed to its
    holder; the site's pair seeds, sealed under the lock key; and a commitment to the self seed. The hub can read none
    of it. Never prepare twice under one batch.

    Args:
        pair_secrets: At least the secrets with the site's partners (sums.keys).
        entropy: For all secrets.

    Raises:
        Invalid: a site outside the batch, or a missing secret.
    """
    around = batch.partners(site)
    missing = [other for other in around if other not in pair_secrets]
    if missing:
        raise Invalid(f"'{site}' has no secret with {len(missing)} of its partners, first '{missing[0]}'; enrol again")
    names = all_slots(batch)
    seeds = elements(batch.slots, entropy=entropy)
    keys = elements(batch.slots, entropy=entropy)
    salt = entropy.bytes(SALT_BYTES)
    shared = [
        (
            split(seed, holders=len(around), threshold=batch.threshold, entropy=entropy),
            split(key, holders=len(around), threshold=batch.threshold, entropy=entropy),
        )
        for seed, key in zip(seeds, keys, strict=True)
    ]
    packets = {}
    for place, other in enumerate(around):
        shares = [Held(self_share=of_seed[place], lock_share=of_key[place]) for of_seed, of_key in shared]
        packets[other] = seal(shares, secret=pair_secrets[other], salt=salt, batch=batch, sender=site, recipient=other)
    deposit = Deposit(
        salt=salt,
        commitments=tuple(
            commitment(to_bytes(seed), site=site, slot=name) for seed, name in zip(seeds, names, strict=True)
        ),
        locks=tuple(
            lock(
                [pair_seed(pair_secrets[other], slot=name) for other in around], key=to_bytes(key), site=site, slot=name
            )
            for key, name in zip(keys, names, strict=True)
        ),
        packets=packets,
    )
    seat = Seat(batch=batch, site=site, slots=[Used(self_seed=to_bytes(seed)) for seed in seeds])
    return seat, write_deposit(batch, deposit, site=site)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _held(pair: list[str] | None) -> Held | None:
    if pair is None:
        return None
    first, second = pair
    return Held(self_share=from_bytes(bytes.fromhex(first)), lock_share=from_bytes(bytes.fromhex(second)))
