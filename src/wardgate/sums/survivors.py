"""Whose sum it becomes: the list of survivors that all of them must have confirmed alike before anybody reveals."""

import hashlib
from collections.abc import Collection
from functools import lru_cache

from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid, Refused
from wardgate.sums.batch import Batch, Slot
from wardgate.sums.plan import SumPlan

Survivors = tuple[str, ...]


def survivors_digest(plan: SumPlan, survivors: Survivors) -> bytes:
    """Return the 32 bytes that a survivor confirms: the list, and the plan with its slot."""
    said = {"schema": "wardgate/survivors/1", "plan": plan.digest.hex(), "survivors": list(survivors)}
    return hashlib.sha256(canonical(said)).digest()


def slot_of(plan: SumPlan) -> Slot:
    """Return the plan's slot.

    Raises:
        Invalid: it has none, so the sum needs every site.
    """
    if plan.slot is None:
        raise Invalid("the plan has no slot for drop-outs; every site of its roster must answer")
    return plan.slot


def check_survivors(plan: SumPlan, survivors: Survivors) -> None:
    """Check a list of survivors against the plan, at a site before it confirms and at the hub before it opens.

    A list that passes hangs together by its masks, so no smaller sum opens: the threshold is more than half of the
    partners, and a site beside a gap that cuts the circle would have lost half of them.

    Raises:
        Invalid: the list is not sorted, names a site twice, or one that is not in the roster.
        Refused: fewer survivors than the plan's least number; or a site that has fewer surviving partners than the
            threshold, so that its secret could not come back.
    """
    slot = slot_of(plan)
    if list(survivors) != sorted(set(survivors)):
        raise Invalid("expected the survivors sorted, each once")
    strangers = sorted(set(survivors) - set(plan.roster))
    if strangers:
        raise Invalid(f"'{strangers[0]}' is called a survivor but is not in the roster")
    if len(survivors) < slot.least:
        raise Refused(
            f"{len(survivors)} of {len(plan.roster)} sites survive, at least {slot.least} must; nothing opens"
        )
    site, around = _weakest(slot.batch, plan.roster, survivors)
    if around < slot.batch.threshold:
        raise Refused(
            f"'{site}' has {around} surviving partners, fewer than the threshold of {slot.batch.threshold};"
            " nothing opens"
        )


def check_confirmed(plan: SumPlan, survivors: Survivors, *, site: str, confirmed_by: Collection[str]) -> None:
    """Check that enough of a site's surviving partners confirmed this very list.

    The threshold that guards the shares guards the list too: in a full graph any two sites that are each shown
    threshold confirmations have an honest confirmer in common, and an honest site confirms one list a slot.

    Args:
        confirmed_by: Sites whose signature over `survivors_digest` was verified by the caller.

    Raises:
        Refused: too few.
    """
    batch = slot_of(plan).batch
    counted = set(batch.partners(site)) & set(survivors) & set(confirmed_by)
    if len(counted) < batch.threshold:
        raise Refused(
            f"{len(counted)} partners of '{site}' confirmed this list of survivors, at least {batch.threshold} must;"
            " nothing is revealed"
        )


@lru_cache(maxsize=64)
def _weakest(batch: Batch, roster: tuple[str, ...], survivors: Survivors) -> tuple[str, int]:
    """Return the site with the fewest surviving partners, and how many.

    A site that dropped out and has no surviving partner at all left no mask behind, and is not looked at.
    """
    alive = set(survivors)
    around = {site: sum(other in alive for other in batch.partners(site)) for site in roster}
    fewest = min((site for site in roster if site in alive or around[site]), key=lambda site: around[site])
    return fewest, around[fewest]
