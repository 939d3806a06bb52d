"""Planted records: a generator that brings them back is refused, one that does not passes, and silence fails."""

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.gate.battery.canaries import NAMES, Refit, measures
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.hospital.ward.generators.marginal_tree import MarginalTree
from wardgate.hospital.ward.generators.sequential_cart import SequentialCart
from wardgate.policy import canaries, decide
from wardgate.records.claim import Claim
from wardgate.records.errors import Refused
from wardgate.records.feature import ClinicalRule
from wardgate.records.gate_policy import Canaries, GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence

STUDY = corpora.study()
ROWS = 2000


def refit_of(generator: SequentialCart | MarginalTree) -> Refit:
    def refit(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        fitted = generator.fit(
            train, STUDY.dictionary, epsilon=1.0, delta=1e-6, entropy=UnsafeEntropy("canaries"), rng=rng
        )
        return fitted.sample(ROWS, rng=rng)

    return refit


def tables_of(train: pl.DataFrame, *, seed: int = 0, attempt: int = 1, policy: GatePolicy = STUDY.gate) -> Tables:
    return checked(
        train=train,
        tuning=train[:100],
        holdout=train[100:200],
        candidate=train[:50],
        dictionary=STUDY.dictionary,
        policy=policy,
        attempt=attempt,
        rng=np.random.default_rng(seed),
    )


def found(refit: Refit | None, *, attempt: int = 1, policy: GatePolicy = STUDY.gate) -> dict[str, Measured | Absent]:
    train = corpora.persons(ROWS, np.random.default_rng(2))
    return {part.name: part for part in measures(tables_of(train, attempt=attempt, policy=policy), refit)}


def outcomes(parts: dict[str, Measured | Absent], *, policy: GatePolicy = STUDY.gate) -> dict[str, str]:
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=tuple(part for part in parts.values() if isinstance(part, Measured)),
        absent=tuple(part for part in parts.values() if isinstance(part, Absent)),
    )
    return {
        ruling.rule: ruling.outcome
        for ruling in decide(evidence, policy, rules=canaries.RULES).rulings
        if ruling.rule in NAMES
    }


def test_trees_grown_to_single_persons_bring_canaries_back_and_are_refused() -> None:
    parts = found(refit_of(SequentialCart(min_leaf=1)))
    assert isinstance(parts["canaries.found"], Measured)
    assert parts["canaries.found"].value >= 5
    assert outcomes(parts) == {"canaries.planted": "pass", "canaries.found": "fail"}


def test_noisy_marginals_bring_none_back() -> None:
    parts = found(refit_of(MarginalTree()))
    assert outcomes(parts) == {"canaries.planted": "pass", "canaries.found": "pass"}


@pytest.mark.parametrize("generator", corpora.SAFE.values(), ids=corpora.SAFE)
def test_generators_that_leak_nobody_pass(generator: corpora.Generator) -> None:
    assert outcomes(found(generator)) == {"canaries.planted": "pass", "canaries.found": "pass"}


def test_a_replaying_generator_is_refused_at_every_attempt() -> None:
    for attempt in (1, 2, 3):
        parts = found(corpora.replayed, attempt=attempt)
        assert isinstance(parts["canaries.found"], Measured)
        assert parts["canaries.found"].value == 20


def test_a_corpus_without_its_generator_says_so_and_is_not_blocked() -> None:
    parts = found(None)
    assert set(parts) == set(NAMES)
    assert outcomes(parts) == {"canaries.planted": "pass"}


def _planted(value: float) -> Measured:
    return Measured(name="canaries.planted", value=value, low=value, high=value, level=0.9)


SILENT: dict[str, tuple[dict[str, Measured | Absent], set[str]]] = {
    "nothing at all": ({}, {"canaries.planted", "canaries.found"}),
    "found, but not planted": (
        {"found": Measured(name="canaries.found", value=0, low=0, high=0, level=0.9)},
        {"canaries.planted"},
    ),
    "planted, but not found": ({"planted": _planted(20)}, {"canaries.found"}),
    "none planted, nothing said of found": ({"planted": _planted(0)}, {"canaries.planted"}),
    "none planted, yet found measured": (
        {"planted": _planted(0), "found": Measured(name="canaries.found", value=0, low=0, high=0, level=0.9)},
        {"canaries.planted"},
    ),
    "fewer than asked for": (
        {"planted": _planted(3), "found": Measured(name="canaries.found", value=0, low=0, high=0, level=0.9)},
        {"canaries.planted"},
    ),
    "less than none": (
        {"planted": _planted(-1), "found": Absent(name="canaries.found", reason="none")},
        {"canaries.planted"},
    ),
    "not a number": (
        {"planted": _planted(float("nan")), "found": Absent(name="canaries.found", reason="none")},
        {"canaries.planted"},
    ),
}


@pytest.mark.parametrize(("parts", "failing"), SILENT.values(), ids=SILENT)
def test_evidence_that_is_silent_or_says_two_things_fails(
    parts: dict[str, Measured | Absent], failing: set[str]
) -> None:
    rulings = outcomes(parts)
    assert failing <= {rule for rule, outcome in rulings.items() if outcome == "fail"}


def test_a_generator_that_refuses_canaries_is_not_evaluable() -> None:
    def refusing(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        raise Refused("too few persons for this budget")

    assert outcomes(found(refusing))["canaries.found"] == "not_evaluable"
    assert outcomes(found(lambda train, rng: train[:0]))["canaries.found"] == "not_evaluable"


def test_rules_that_leave_no_room_for_canaries_are_not_evaluable() -> None:
    strict = STUDY.dictionary.model_copy(update={"rules": (ClinicalRule(name="no", left="sbp", op="<", right="0"),)})
    train = corpora.persons(ROWS, np.random.default_rng(3))
    tables = checked(
        train=train,
        tuning=train,
        holdout=train,
        candidate=train,
        dictionary=strict,
        policy=STUDY.gate,
        attempt=1,
        rng=np.random.default_rng(4),
    )
    parts = {part.name: part for part in measures(tables, corpora.fresh)}
    assert outcomes(parts)["canaries.found"] == "not_evaluable"


def test_an_older_policy_asks_for_none_and_a_stricter_one_for_more() -> None:
    older = STUDY.gate.model_copy(update={"canaries": None})
    assert outcomes(found(corpora.replayed, policy=older), policy=older) == {}
    more = STUDY.gate.model_copy(update={"canaries": Canaries(count=30)})
    parts = found(corpora.fresh, policy=more)
    assert outcomes(parts, policy=more) == {"canaries.planted": "pass", "canaries.found": "pass"}
    assert isinstance(parts["canaries.planted"], Measured)
    assert parts["canaries.planted"].value == 30


def test_a_limit_above_none_is_kept() -> None:
    loose = STUDY.gate.model_copy(update={"canaries": Canaries(found_max=20)})
    parts = found(corpora.replayed, policy=loose)
    assert outcomes(parts, policy=loose)["canaries.found"] == "pass"


def test_patients_shown_to_the_rehearsal_are_all_there_and_canaries_are_no_patients() -> None:
    train = corpora.persons(ROWS, np.random.default_rng(5))
    seen: list[pl.DataFrame] = []

    def refit(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        seen.append(table)
        return corpora.fresh(table, rng)

    list(measures(tables_of(train), refit))
    assert seen[0].height == ROWS + 20
    both = seen[0].join(tables_of(train).train, on=train.columns, how="anti", nulls_equal=True)
    assert both.height == 20


@pytest.mark.slow
def test_innocent_generators_seldom_alarm() -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(500 + seed)
        train = corpora.persons(1000, rng)
        generator = list(corpora.SAFE.values())[seed % 3]
        parts = {part.name: part for part in measures(tables_of(train, seed=seed), generator)}
        alarms += outcomes(parts)["canaries.found"] != "pass"
    # Binomial(60, 0.01): more than 7 has a chance below 1e-6.
    assert alarms <= 7
