"""Sites with keys, as a study would enrol them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.sums.batch import Batch, Slot, batch_for
from wardgate.sums.deposit import packet_for
from wardgate.sums.graph import neighbours
from wardgate.sums.keys import pair_secrets, private_key, public_bytes
from wardgate.sums.plan import SumPlan
from wardgate.sums.recovery import Recovered, recover_total
from wardgate.sums.seat import Seat, prepare

STUDY = "5" * 64
COIN = b"a public coin of the study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    roster: tuple[str, ...]
    publics: dict[str, bytes]
    secrets: dict[str, dict[str, bytes]]


def enrol(count: int) -> Enrolled:
    roster = tuple(f"site-{index:03d}" for index in range(count))
    privates = {site: private_key(entropy=UnsafeEntropy(site)) for site in roster}
    publics = {site: public_bytes(private) for site, private in privates.items()}
    around = neighbours(roster, coin=COIN)
    secrets = {
        site: pair_secrets(
            privates[site],
            site=site,
            publics={other: publics[other] for other in around[site]},
            study_sha256=STUDY,
        )
        for site in roster
    }
    return Enrolled(roster=roster, publics=publics, secrets=secrets)


@pytest.fixture(scope="session")
def enrolled() -> Callable[[int], Enrolled]:
    known: dict[int, Enrolled] = {}

    def of(count: int) -> Enrolled:
        if count not in known:
            known[count] = enrol(count)
        return known[count]

    return of


def fast_secrets(batch: Batch) -> dict[str, dict[str, bytes]]:
    """Pair secrets as after enrolment, without the price of the key agreement."""

    def secret(one: str, other: str) -> bytes:
        return hashlib.sha256("|".join(sorted((one, other))).encode()).digest()

    return {site: {other: secret(site, other) for other in batch.partners(site)} for site in batch.roster}


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """A prepared batch: every site with its seat, and a hub that holds the deposits."""

    batch: Batch
    secrets: dict[str, dict[str, bytes]]
    seats: dict[str, Seat]
    deposits: dict[str, bytes]

    @property
    def roster(self) -> tuple[str, ...]:
        return tuple(sorted(self.deposits))

    def plan(self, *, index: int = 0, least: int = 3, roster: tuple[str, ...] | None = None, **changes: Any) -> SumPlan:
        given = {"entries": 4, "persons": 20 * len(self.batch.roster), "bound": 1.0, "context": b"sum", **changes}
        slot = Slot(batch=self.batch, index=index, least=least)
        return SumPlan(roster=roster or self.roster, slot=slot, coin=self.batch.coin, **given)

    def contribute(self, plan: SumPlan, vectors: Mapping[str, Any], *, persons_here: int = 20) -> dict[str, Any]:
        return {
            site: self.seats[site].contribute(
                plan,
                vector=vector,
                persons_here=persons_here,
                pair_secrets=self.secrets[site],
                entropy=UnsafeEntropy(site),
            )
            for site, vector in vectors.items()
        }

    def reveal(self, plan: SumPlan, survivors: tuple[str, ...], *, by: Iterable[str]) -> dict[str, bytes]:
        voices = list(by)
        assert len({self.seats[site].confirm(plan, survivors) for site in voices}) <= 1
        return {site: self.seats[site].reveal(plan, survivors=survivors, confirmed_by=voices) for site in voices}

    def whole(self, plan: SumPlan, vectors: Mapping[str, Any], *, mute: Iterable[str] = ()) -> Recovered:
        """The sum over the sites of `vectors`, of whom those in `mute` say nothing afterwards."""
        masked = self.contribute(plan, vectors)
        survivors = tuple(sorted(vectors))
        reveals = self.reveal(plan, survivors, by=[site for site in survivors if site not in set(mute)])
        return recover_total(plan, survivors=survivors, deposits=self.deposits, masked=masked, reveals=reveals)


def rehearse(batch: Batch, *, absent: Iterable[str] = (), secrets: Any = None, seed: str = "seat") -> Rehearsal:
    """Prepare a batch; the sites in `absent` vanish before they deposit."""
    secrets = secrets or fast_secrets(batch)
    gone = set(absent)
    made = {
        site: prepare(batch, site=site, pair_secrets=secrets[site], entropy=UnsafeEntropy(seed + site))
        for site in batch.roster
        if site not in gone
    }
    seats = {site: seat for site, (seat, _) in made.items()}
    deposits = {site: deposit for site, (_, deposit) in made.items()}
    for site, seat in seats.items():
        packets = {
            other: packet_for(batch, deposits[other], sender=other, recipient=site)
            for other in batch.partners(site)
            if other in deposits
        }
        seat.accept(packets, pair_secrets=secrets[site])
    return Rehearsal(batch=batch, secrets=secrets, seats=seats, deposits=deposits)


def sites(count: int) -> tuple[str, ...]:
    return tuple(f"site-{index:03d}" for index in range(count))


def batch_of(count: int, *, dropouts: int = 0, colluders: int = 0, slots: int = 1) -> Batch:
    return batch_for(sites(count), context=b"batch", slots=slots, coin=COIN, dropouts=dropouts, colluders=colluders)


@pytest.fixture(name="rehearse", scope="session")
def _rehearse() -> Callable[..., Rehearsal]:
    return rehearse


@pytest.fixture(name="batch_of", scope="session")
def _batch_of() -> Callable[..., Batch]:
    return batch_of
