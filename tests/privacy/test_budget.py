"""One budget: joint, check then commit, nothing half spent."""

import pytest

from wardgate.privacy.accountant import epsilon_of
from wardgate.privacy.budget import Ledger, Spending, afford, cost, exact_answers
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Invalid, Refused

DELTA = 1e-6
LIMITS = {"epsilon_total": 2.0, "delta": DELTA, "exact_ration": 5}


def spending(multiplier: float = 4.3, *, split: str = "train", exact: int = 0, population: str = "north") -> Spending:
    return Spending(
        population=population,
        split=split,
        what="marginals",
        gaussian=(GaussianEvent(noise_multiplier=multiplier, count=1, what="marginals"),),
        exact=exact,
    )


def exact(count: int, *, split: str = "train") -> Spending:
    return Spending(population="north", split=split, what="newton", exact=count)


def test_costs_are_recomposed_and_not_added() -> None:
    ledger = afford(afford(Ledger(), spending(), **LIMITS), spending(), **LIMITS)
    found = cost(ledger, population="north", split="train", delta=DELTA)
    assert found == epsilon_of(gaussian=[*spending().gaussian, *spending().gaussian], delta=DELTA)
    assert found < 2 * cost(afford(Ledger(), spending(), **LIMITS), population="north", split="train", delta=DELTA)


def test_an_exhausted_budget_refuses_and_changes_nothing() -> None:
    ledger = Ledger()
    given = 0
    with pytest.raises(Refused, match="exhausted"):
        for _ in range(20):
            ledger = afford(ledger, spending(), **LIMITS)
            given += 1
    assert len(ledger.entries) == given == 3
    assert cost(ledger, population="north", split="train", delta=DELTA) <= 2.0


def test_splits_and_populations_compose_in_parallel() -> None:
    ledger = Ledger()
    for split in ("train", "tuning", "holdout", "locked_test"):
        for population in ("north", "south"):
            ledger = afford(ledger, spending(split=split, population=population), **LIMITS)
    alone = afford(Ledger(), spending(), **LIMITS)
    assert cost(ledger, population="north", split="train", delta=DELTA) == cost(
        alone, population="north", split="train", delta=DELTA
    )


def test_a_release_on_all_splits_costs_in_each() -> None:
    ledger = afford(Ledger(), spending(split="all"), **LIMITS)
    for split in ("train", "locked_test"):
        assert cost(ledger, population="north", split=split, delta=DELTA) > 0.9
    tight = afford(Ledger(), spending(2.3, split="holdout"), **LIMITS)
    with pytest.raises(Refused, match="holdout"):
        afford(tight, spending(3.0, split="all"), **LIMITS)


def test_exact_answers_have_a_ration_of_their_own() -> None:
    ledger = afford(Ledger(), exact(4), **LIMITS)
    assert exact_answers(ledger, population="north", split="train") == 4
    assert cost(ledger, population="north", split="train", delta=DELTA) == 0.0
    with pytest.raises(Refused, match="ration"):
        afford(ledger, exact(2), **LIMITS)
    assert exact_answers(afford(ledger, exact(1), **LIMITS), population="north", split="train") == 5
    assert afford(ledger, exact(5, split="holdout"), **LIMITS)


def test_a_spent_ration_does_not_stop_noisy_releases() -> None:
    ledger = afford(Ledger(), exact(5), **LIMITS)
    assert afford(ledger, spending(), **LIMITS)


def test_a_mixed_spending_is_refused_whole() -> None:
    with pytest.raises(Refused):
        afford(Ledger(), spending(exact=6), **LIMITS)
    with pytest.raises(Refused):
        afford(Ledger(), spending(0.5, exact=1), **LIMITS)


def test_choices_cost_too() -> None:
    choose = Spending(
        population="north",
        split="train",
        what="tree",
        exponential=(ExponentialEvent(epsilon=0.7, count=3, what="edge"),),
    )
    with pytest.raises(Refused):
        afford(Ledger(), choose, **LIMITS)


@pytest.mark.parametrize(
    "plain",
    [
        {"exact": 0},
        {"exact": -1},
        {"gaussian": [{"noise_multiplier": "0", "count": 1, "what": "x"}]},
        {"gaussian": [{"noise_multiplier": "4", "count": 0, "what": "x"}]},
        {"exponential": [{"epsilon": "-1", "count": 1, "what": "x"}]},
        {"exact": 1, "split": "everything"},
        {"exact": 1, "free": True},
    ],
)
def test_a_spending_that_spends_nothing_sensible_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        Spending.from_plain({"population": "north", "split": "train", "what": "x", **plain})


@pytest.mark.parametrize("bad", [{"epsilon_total": 0.0}, {"epsilon_total": float("inf")}, {"exact_ration": -1}])
def test_unusable_limits_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        afford(Ledger(), spending(), **{**LIMITS, **bad})


def test_a_ledger_reads_back() -> None:
    ledger = afford(afford(Ledger(), spending(), **LIMITS), exact(2), **LIMITS)
    assert Ledger.from_plain(ledger.plain()) == ledger
