"""The hub's half of a sum that survives drop-outs: from masked vectors and revealed shares to the survivors' sum."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Broken, Invalid, NotEvaluable
from wardgate.sums import ring
from wardgate.sums.deposit import Deposit, commitment, read_deposit, self_key, unlock
from wardgate.sums.keys import sum_key
from wardgate.sums.mask import add_stream
from wardgate.sums.plan import SumPlan, add_up, partners
from wardgate.sums.reveal import read_reveal
from wardgate.sums.shamir import combine, to_bytes
from wardgate.sums.survivors import Survivors, check_survivors, slot_of, survivors_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """An opened sum.

    Attributes:
        total: Exact sum over the survivors, shape (entries,).
        survivors: Whose sum it is.
        dropped: Sites of the roster that are not in it.
        wrong: Sites that revealed a share which does not fit; the sum was opened without it.
    """

    total: NDArray[np.float64]
    survivors: Survivors
    dropped: tuple[str, ...]
    wrong: tuple[str, ...] = ()


def recover_total(
    plan: SumPlan,
    *,
    survivors: Survivors,
    deposits: Mapping[str, bytes],
    masked: Mapping[str, ring.Ring],
    reveals: Mapping[str, bytes],
) -> Recovered:
    """Open a sum over the survivors. Anyone with the transcript can do it again and must find the same.

    The survivors' self masks come off by their self seeds, and what the dropped sites' pair masks left behind by
    the pair seeds under their lock keys. A reconstructed seed is checked against its commitment, a lock key by the
    lock it opens, and the whole by 8 bytes whose total must be 0.

    Args:
        survivors: The list that the sites confirmed.
        deposits: At least of every site of the roster, as they were handed in.
        masked: Of exactly the survivors.
        reveals: Of as many survivors as answered; of each site's partners at least the batch's threshold.

    Raises:
        NotEvaluable: too few shares of a site; names the site, how many are missing and who has not revealed.
        Broken: shares that fit nobody's commitment, a lock that holds other seeds, a reveal or deposit that is
            malformed, or masks that do not cancel. Never a wrong number.
        Refused, Invalid: the list does not hold, see `check_survivors`; a vector is missing, of a site that is said
            to have dropped out, or of another shape or dtype.
    """
    slot = slot_of(plan)
    check_survivors(plan, survivors)
    lost = sorted(set(survivors) - set(masked))
    if lost:
        raise Invalid(f"{len(lost)} survivors have no masked vector, first '{lost[0]}'; name the survivors anew")
    absent = sorted(set(plan.roster) - set(deposits))
    if absent:
        raise Invalid(f"{len(absent)} sites of the roster have no deposit, first '{absent[0]}'")
    strangers = sorted(set(reveals) - set(survivors))
    if strangers:
        raise Invalid(f"'{strangers[0]}' revealed but is no survivor; leave it out")
    summed = add_up(plan, masked, sites=survivors)
    shares = _shares(plan, reveals, survivors=survivors)
    alive = set(survivors)
    wrong: set[str] = set()
    for site in plan.roster:
        around = [other for other in partners(plan, site=site) if other in alive]
        if not around:
            continue
        deposit = read_deposit(slot.batch, deposits[site], site=site)
        opened = _Opening(plan=plan, site=site, deposit=deposit, survived=site in alive)
        secret = opened.secret(shares.get(site, {}), around=around, wrong=wrong)
        if site in alive:
            add_stream(summed, self_key(secret, site=site, context=plan.digest), negative=True)
            continue
        seeds = dict(zip(slot.batch.partners(site), opened.seeds(secret), strict=True))
        for other in around:
            add_stream(summed, sum_key(seeds[other], context=plan.digest), negative=other < site)
    if summed[plan.entries :].any():
        raise Broken("the masks do not cancel: a site masked with another key or under another plan; ask all again")
    return Recovered(
        total=ring.decode(summed[: plan.entries], exponents=plan.exponents),
        survivors=survivors,
        dropped=tuple(site for site in plan.roster if site not in alive),
        wrong=tuple(sorted(wrong)),
    )


def _shares(plan: SumPlan, reveals: Mapping[str, bytes], *, survivors: Survivors) -> dict[str, dict[str, int]]:
    """Return the revealed shares by the site they are of, then by the site that revealed them."""
    digest = survivors_digest(plan, survivors)
    found: dict[str, dict[str, int]] = {}
    for holder, data in reveals.items():
        for site, share in read_reveal(plan, data, site=holder, survivors=digest).items():
            found.setdefault(site, {})[holder] = share
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """One site's secret in one slot, as far as its deposit says what it must be."""

    plan: SumPlan
    site: str
    deposit: Deposit
    survived: bool

    def secret(self, shares: Mapping[str, int], *, around: list[str], wrong: set[str]) -> bytes:
        """Return the self seed, or the lock key; note who gave a wrong share of it."""
        slot = slot_of(self.plan)
        threshold = slot.batch.threshold
        if len(shares) < threshold:
            silent = [other for other in around if other not in shares]
            raise NotEvaluable(
                f"{len(shares)} shares of the {'self seed' if self.survived else 'lock key'} of '{self.site}', which"
                f" {'survived' if self.survived else 'dropped out'}, were revealed, expected {threshold};"
                f" not revealed by {', '.join(silent)}; the sum stays closed, ask again in another slot"
            )
        places = {other: place for place, other in enumerate(slot.batch.partners(self.site), start=1)}
        given = {places[other]: share for other, share in sorted(shares.items())}
        for number, chosen in enumerate(_choices(tuple(given), threshold)):
            points = {place: given[place] for place in chosen}
            found = to_bytes(combine(points))
            if self._fits(found):
                if number:
                    wrong.update(other for other in shares if combine(points, at=places[other]) != given[places[other]])
                return found
        raise Broken(
            f"the {len(shares)} revealed shares of '{self.site}' do not fit its deposit: it dealt wrong shares, or"
            " more sites revealed wrong ones than can be told apart; leave it out and ask again in another slot"
        )

    def seeds(self, key: bytes) -> list[bytes]:
        """Return the pair seeds under the lock key of a site that dropped out, in the order of its partners."""
        found = self._unlock(key)
        if found is None:
            raise Broken(f"the lock of '{self.site}' does not open")
        return found

    def _fits(self, secret: bytes) -> bool:
        slot = slot_of(self.plan)
        if self.survived:
            said = self.deposit.commitments[slot.index]
            return commitment(secret, site=self.site, slot=slot.name) == said
        return self._unlock(secret) is not None

    def _unlock(self, key: bytes) -> list[bytes] | None:
        slot = slot_of(self.plan)
        return unlock(self.deposit.locks[slot.index], key=key, site=self.site, slot=slot.name)


def _choices(places: tuple[int, ...], threshold: int) -> Iterator[tuple[int, ...]]:
    """Yield the first `threshold` places, then the other runs around the circle: some run avoids any one liar."""
    for start in range(len(places)):
        turned = places[start:] + places[:start]
        yield turned[:threshold]
        if len(places) == threshold:
            return
