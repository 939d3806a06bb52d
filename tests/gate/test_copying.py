"""The veto: crowds around one person, small shares of noised copies, and policies signed before a rule existed."""

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery import copying, sample
from wardgate.hospital.ward.gate.battery.tables import checked
from wardgate.policy import decide
from wardgate.policy.copies import RULES
from wardgate.records.claim import Claim
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Evidence

STUDY = corpora.study()


def found(site: corpora.Hospital, candidate: pl.DataFrame) -> dict[str, Measured]:
    given = checked(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=STUDY.dictionary,
        policy=STUDY.gate,
        attempt=1,
        rng=np.random.default_rng(0),
    )
    drawn = sample.draw(given)
    assert drawn is not None
    parts = list(copying.measures(given, drawn))
    assert tuple(part.name for part in parts) == copying.NAMES
    return {part.name: part for part in parts if isinstance(part, Measured)}


def outcomes(parts: dict[str, Measured], policy: GatePolicy = STUDY.gate) -> dict[str, str]:
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=tuple(parts.values()),
    )
    return {ruling.rule: ruling.outcome for ruling in decide(evidence, policy, rules=RULES).rulings}


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(1), train=2750, tuning=250, holdout=1000)


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_forty_noisy_copies_of_one_person_are_seen_by_their_crowd_alone(site: corpora.Hospital, noise: float) -> None:
    parts = found(site, corpora.one_person(40, noise=noise)(site.train, np.random.default_rng(2)))
    assert outcomes(parts) == {name: "fail" if name == "copies.crowded" else "pass" for name in copying.NAMES}


def test_a_policy_signed_before_crowds_were_looked_at_sets_no_such_limit(site: corpora.Hospital) -> None:
    parts = found(site, corpora.one_person(40)(site.train, np.random.default_rng(2)))
    proximity = STUDY.gate.proximity.model_copy(update={"crowded_level": None})
    old = STUDY.gate.model_copy(update={"proximity": proximity})
    assert "copies.crowded" not in outcomes(parts, old)
    assert (
        outcomes({name: part for name, part in parts.items() if name != "copies.crowded"})["copies.crowded"] == "fail"
    )


def test_one_noised_copy_in_a_hundred_rows_is_seen_by_the_nearest_rows(site: corpora.Hospital) -> None:
    caught = [
        outcomes(found(site, corpora.jittered(0.01)(site.train, np.random.default_rng(seed))))["copies.near"] == "fail"
        for seed in range(4)
    ]
    assert sum(caught) >= 3


@pytest.mark.parametrize("generator", corpora.SAFE.values(), ids=corpora.SAFE)
def test_safe_generators_pass(site: corpora.Hospital, generator: corpora.Generator) -> None:
    parts = found(site, generator(site.train, np.random.default_rng(3)))
    assert set(outcomes(parts).values()) == {"pass"}
    assert all(size % 50 == 0 for part in parts.values() for size in part.n)
