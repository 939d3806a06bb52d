"""Noisy random batches count everywhere: in a ledger, in the population's book, and in a claim."""

import pytest

from wardgate.policy.claims import claim_fault
from wardgate.privacy.accountant import dp_claim, epsilon_of
from wardgate.privacy.budget import Ledger, Spending, afford, cost
from wardgate.privacy.population import START, Entry, joint_epsilon
from wardgate.records.claim import Claim, SampledGaussianEvent
from wardgate.records.errors import Refused

DELTA = 1e-6
TRAINING = SampledGaussianEvent(noise_multiplier=1.5, probability=0.02, count=300, what="batches")


def training(split: str = "train") -> Spending:
    return Spending(population="north", split=split, what="private-gan", kind="corpus", sampled=(TRAINING,))


def claim() -> Claim:
    return dp_claim(sampled=(TRAINING,), delta=DELTA, covers=(), excludes=(), noise_source="system")


def test_a_ledger_recomposes_batches_and_refuses_what_passes_the_total() -> None:
    limits = {"epsilon_total": 1.5 * claim().epsilon, "delta": DELTA, "exact_ration": 0}
    ledger = afford(Ledger(), training(), **limits)
    assert cost(ledger, population="north", split="train", delta=DELTA) == claim().epsilon
    again = epsilon_of(sampled=(TRAINING, TRAINING), delta=DELTA)
    assert claim().epsilon < again < 2 * claim().epsilon
    ledger = afford(ledger, training(), **limits)
    with pytest.raises(Refused, match="exhausted"):
        while True:
            ledger = afford(ledger, training(), **limits)


def test_the_population_s_book_counts_batches_over_studies() -> None:
    entries = [
        Entry(number=n + 1, before=START, on="2026-01-02", population="north", run=f"run-{n}", spending=training())
        for n in range(2)
    ]
    assert joint_epsilon(entries, delta=DELTA) == epsilon_of(sampled=(TRAINING, TRAINING), delta=DELTA)


def test_a_claim_that_understates_its_batches_is_found_out() -> None:
    assert claim_fault(claim(), accept_test_noise=False) == ""
    understated = claim().model_copy(update={"epsilon": claim().epsilon * 0.9})
    assert "the events cost" in claim_fault(understated, accept_test_noise=False)
    bare = claim().model_copy(update={"sampled_": (TRAINING.model_copy(update={"noise_multiplier": 0.0}),)})
    assert "sampled Gaussian" in claim_fault(bare, accept_test_noise=False)
    none = Claim(kind="none", sampled=(TRAINING,))
    assert "neither epsilon nor noise" in claim_fault(none, accept_test_noise=False)


def test_a_claim_without_batches_travels_as_before() -> None:
    assert "sampled" not in Claim(kind="none").plain()
    assert Claim.from_plain(claim().plain()) == claim()
