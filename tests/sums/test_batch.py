"""Batches, slots and lists of survivors: what is safe is found, and what is not is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from wardgate.records.errors import Invalid, Refused, Unsupported
from wardgate.sums import ring
from wardgate.sums.batch import Batch, Slot, batch_for, most_nearby
from wardgate.sums.plan import SumPlan
from wardgate.sums.survivors import check_survivors

Make = Callable[..., Any]
KNOWN_DIGEST = "bc483661a2af0c2a0fcb34bd683dd9d2154492518143d544d4a040dd0def356c"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), lost=st.integers(0, 40), runs=st.booleans())
def test_a_list_that_passes_hangs_together_by_its_masks(batch_of: Make, seed: int, lost: int, runs: bool) -> None:
    batch = replace(batch_of(70), degree=8, threshold=5)
    rng = np.random.default_rng(seed)
    circle = walk(batch)
    assert set(batch.partners(circle[0])) == {*circle[1:5], *circle[-4:]}
    # Losing whole runs of neighbours is what could cut the circle.
    starts = rng.integers(0, 70, lost // 4) if runs else rng.integers(0, 70, lost)
    gone = {circle[(start + step) % 70] for start in starts for step in range(4 if runs else 1)}
    survivors = tuple(site for site in batch.roster if site not in gone)
    slot = Slot(batch=batch, index=0)
    plan = SumPlan(roster=batch.roster, entries=1, persons=70, bound=1.0, context=b"sum", coin=batch.coin, slot=slot)
    try:
        check_survivors(plan, survivors)
    except Refused:
        return
    assert reached(batch, survivors) == set(survivors)


def test_a_gap_that_cuts_the_circle_is_refused(batch_of: Make) -> None:
    batch = replace(batch_of(70), degree=8, threshold=5)
    circle = walk(batch)
    survivors = tuple(sorted([*circle[4:30], *circle[34:]]))
    assert reached(batch, survivors) < set(survivors)
    slot = Slot(batch=batch, index=0)
    plan = SumPlan(roster=batch.roster, entries=1, persons=70, bound=1.0, context=b"sum", coin=batch.coin, slot=slot)
    with pytest.raises(Refused, match="fewer than the threshold"):
        check_survivors(plan, survivors)


def walk(batch: Batch) -> list[str]:
    """The circle, from its first site in either direction: the next site shares most partners with the last."""
    walked = [batch.roster[0]]
    while len(walked) < len(batch.roster):
        last = set(batch.partners(walked[-1]))
        ahead = [site for site in last if site not in walked]
        walked.append(max(ahead, key=lambda site: (len({*batch.partners(site), site} & last), site)))
    return walked


def reached(batch: Batch, survivors: tuple[str, ...]) -> set[str]:
    seen, ahead = {survivors[0]}, [survivors[0]]
    while ahead:
        new = {other for other in batch.partners(ahead.pop()) if other in set(survivors)} - seen
        seen |= new
        ahead += new
    return seen


@pytest.mark.parametrize(("count", "degree", "marked"), [(466, 32, 46), (466, 144, 139), (60, 32, 6), (120, 32, 119)])
def test_the_partners_that_chance_marks_stay_within_the_stated_probability(
    count: int, degree: int, marked: int
) -> None:
    for bits in (10, 20, 40):
        most = most_nearby(sites=count, degree=degree, marked=marked, failure_bits=bits)
        chance = stats.hypergeom(count - 1, min(marked, count - 1), degree)
        assert count * chance.sf(most) < 2.0**-bits * (1 + 1e-9)
        assert most == 0 or count * chance.sf(most - 1) >= 2.0**-bits * (1 - 1e-9)


@pytest.mark.parametrize(
    "bad",
    [
        {"roster": ("a", "b")},
        {"roster": ("b", "a", "c", "d", "e")},
        {"context": b""},
        {"slots": 0},
        {"slots": 1025},
        {"threshold": 2},
        {"threshold": 5},
        {"colluders": 2},
        {"colluders": 4},
        {"colluders": -1},
        {"degree": 7},
        {"roster": tuple(f"{index:03d}" for index in range(51))},
    ],
)
def test_a_batch_that_cannot_be_safe_is_refused(bad: dict[str, Any]) -> None:
    good = {"roster": ("a", "b", "c", "d", "e"), "context": b"batch", "slots": 1, "threshold": 3}
    Batch(**good)
    with pytest.raises(Invalid):
        Batch(**{**good, **bad})


def test_drop_outs_and_colluders_share_one_room() -> None:
    names = tuple(f"{index:02d}" for index in range(10))
    found = [
        batch_for(names, context=b"b", slots=1, coin=b"", dropouts=dropouts, colluders=colluders).threshold
        for dropouts, colluders in ((4, 0), (3, 1), (3, 2), (2, 3), (0, 7))
    ]
    assert found == [5, 6, 6, 7, 9]
    for dropouts, colluders in ((5, 0), (4, 1), (2, 5), (1, 8)):
        with pytest.raises((Unsupported, Invalid)):
            batch_for(names, context=b"b", slots=1, coin=b"", dropouts=dropouts, colluders=colluders)


@pytest.mark.parametrize("bad", [{"index": -1}, {"index": 1}, {"least": 2}])
def test_a_slot_outside_the_batch_is_refused(batch_of: Make, bad: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        Slot(**{"batch": batch_of(4), "index": 0, **bad})


def test_a_plan_outside_its_batch_is_refused(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, dropouts=1))
    for bad in ({"roster": ("a", "b", "c")}, {"roster": rehearsal.roster[:3]}, {"least": 7}):
        with pytest.raises(Invalid):
            rehearsal.plan(**bad)


def test_without_recovery_the_plan_says_what_it_always_said() -> None:
    plan = SumPlan(roster=("a", "b", "c"), entries=4, persons=10, bound=1.0, context=b"sum")
    assert plan.length == plan.entries
    assert plan.dtype == np.uint64
    assert plan.digest.hex() == KNOWN_DIGEST
    assert ring.encode(np.zeros(4), exponents=plan.exponents, bound=1.0, persons_here=1).dtype == np.uint64
