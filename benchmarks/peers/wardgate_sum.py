"""Our own secure sum, run whole in one process, each party's CPU seconds apart; used by benchmarks/sums.py."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.entropy import SystemEntropy, UnsafeEntropy
from wardgate.sums.batch import Batch, Slot, batch_for
from wardgate.sums.deposit import read_deposit
from wardgate.sums.keys import pair_secrets, private_key, public_bytes
from wardgate.sums.plan import SumPlan, signal
from wardgate.sums.recovery import recover_total
from wardgate.sums.seat import prepare

COIN = b"a public coin of the study"
STUDY = "5" * 64
PERSONS = 100
HUB = "the hub"


def vector(seed: int, index: int, entries: int) -> NDArray[np.float64]:
    """One site's vector; peers draw the same."""
    return np.random.default_rng([seed, index]).uniform(-8, 8, entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One sum to run.

    Attributes:
        lost: How many sites vanish at each of the four phases.
        bits: Of the ring; in that of 32 the plan has noise.
        bound: Of one person's entry. Above 2^31 a total has at most 53 bits, so that each unit of the ring shows in it.
        streamed: The hub adds each masked vector as it comes and keeps the sum alone, for cells beyond memory.
    """

    sites: int
    entries: int
    lost: tuple[int, int, int, int] = (0, 0, 0, 0)
    seed: int = 1
    bits: int = 64
    bound: float = 1.0
    streamed: bool = False

    @property
    def roster(self) -> tuple[str, ...]:
        return tuple(f"site-{index:03d}" for index in range(self.sites))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run gave."""

    exact: bool
    client: float
    hub: float
    sent: int
    moved: int


class Clock:
    """CPU seconds of each party of one sum."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, party: str) -> Iterator[None]:
        """Charge a block to a party."""
        begin = time.process_time()
        yield
        self.seconds[party] = self.seconds.get(party, 0.0) + time.process_time() - begin


@lru_cache(maxsize=6)
def enrolled(partners: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[dict[str, dict[str, bytes]], dict[str, float]]:
    """Agree on the secret of every pair of mask partners; return them by site, and each site's CPU seconds."""
    keys = {site: private_key(entropy=SystemEntropy()) for site, _ in partners}
    publics = {site: public_bytes(key) for site, key in keys.items()}
    clock = Clock()
    secrets = {}
    for site, around in partners:
        known = {other: publics[other] for other in around}
        with clock.of(site):
            secrets[site] = pair_secrets(keys[site], site=site, publics=known, study_sha256=STUDY)
    return secrets, clock.seconds


def run(cell: Cell) -> Cost:
    """Run one sum whole, and compare its total with plain integers."""
    batch = batch_for(cell.roster, context=b"batch", slots=1, coin=COIN, dropouts=sum(cell.lost))
    secrets, agreement = enrolled(tuple((site, batch.partners(site)) for site in batch.roster))
    clock = Clock()
    clock.seconds.update(agreement)
    leaving = iter(np.random.default_rng(cell.seed).permutation(cell.roster).tolist())
    absent, silent, mute, shy = ({next(leaving) for _ in range(count)} for count in cell.lost)

    seats, deposits = {}, {}
    for site in cell.roster:
        if site not in absent:
            with clock.of(site):
                given = {"site": site, "pair_secrets": secrets[site], "entropy": SystemEntropy()}
                seats[site], deposits[site] = prepare(batch, **given)
    with clock.of(HUB):
        read = {site: read_deposit(batch, data, site=site) for site, data in deposits.items()}
        inbox = {
            site: {o: read[o].salt + read[o].packets[site] for o in batch.partners(site) if o in read} for site in seats
        }
    for site, packets in inbox.items():
        with clock.of(site):
            seats[site].accept(packets, pair_secrets=secrets[site])

    plan = plan_of(cell, batch, tuple(sorted(seats)))
    survivors = tuple(site for site in plan.roster if site not in silent)
    masked: dict[str, Any] = {}
    expected = np.zeros(cell.entries, dtype=np.int64)
    for site in survivors:
        own = vector(cell.seed, cell.roster.index(site), cell.entries)
        expected += rounded(plan, site, own)
        with clock.of(site):
            sent = seats[site].contribute(
                plan, vector=own, persons_here=PERSONS, pair_secrets=secrets[site], entropy=UnsafeEntropy(site)
            )
        if not cell.streamed or not masked:
            masked[site] = sent
            continue
        with clock.of(HUB):
            np.add(masked[survivors[0]], sent, out=masked[survivors[0]])
    if cell.streamed:
        nothing = np.zeros_like(sent)
        masked = {site: masked.get(site, nothing) for site in survivors}

    confirmed = [site for site in survivors if site not in mute]
    for site in confirmed:
        with clock.of(site):
            seats[site].confirm(plan, survivors)
    reveals = {}
    for site in confirmed:
        if site not in shy:
            with clock.of(site):
                reveals[site] = seats[site].reveal(plan, survivors=survivors, confirmed_by=confirmed)
    with clock.of(HUB):
        found = recover_total(plan, survivors=survivors, deposits=deposits, masked=masked, reveals=reveals)
    stayed = next(iter(reveals))
    upload = len(deposits[stayed]) + sent.nbytes + 32 + len(reveals[stayed])
    download = sum(map(len, inbox[stayed].values())) + sum(len(site) + 3 for site in survivors)
    return Cost(
        exact=found.total.tobytes() == np.ldexp(expected.astype(np.float64), -plan.exponents).tobytes(),
        client=statistics.median(clock.seconds[site] for site in reveals),
        hub=clock.seconds[HUB],
        sent=upload,
        moved=upload + download,
    )


def plan_of(cell: Cell, batch: Batch, roster: tuple[str, ...]) -> SumPlan:
    """The plan over the sites that prepared."""
    noise: dict[str, Any] = {}
    least = 3
    if cell.bits == 32:
        tolerated = sum(cell.lost)
        noise = {"l2": float(cell.entries) ** 0.5, "noise_multiplier": 4.0, "bits": 32, "tolerated": tolerated}
        least = cell.sites - tolerated
    return SumPlan(
        roster=roster,
        entries=cell.entries,
        persons=PERSONS * cell.sites,
        bound=cell.bound,
        context=b"benchmark",
        coin=COIN,
        slot=Slot(batch=batch, index=0, least=least),
        **noise,
    )


def rounded(plan: SumPlan, site: str, own: NDArray[np.float64]) -> NDArray[np.int64]:
    """The plain integers that a site adds: its vector on the grid, with its share of the noise if there is noise."""
    if plan.noise_multiplier is None:
        return np.rint(np.ldexp(own, plan.exponents)).astype(np.int64)
    steps = signal(plan, site=site, vector=own, persons_here=PERSONS, entropy=UnsafeEntropy(site))
    return steps[: plan.entries].view(np.int32).astype(np.int64)
