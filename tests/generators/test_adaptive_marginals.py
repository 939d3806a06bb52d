"""Tables chosen one after the other: its claim, what it keeps, and what an attacker and a broken twin show."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from wardgate.entropy import SystemEntropy, UnsafeEntropy
from wardgate.hospital.ward.generators import AdaptiveMarginals
from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.equals import rounds as equals
from wardgate.marginals.workload import count_codes
from wardgate.measures.study_rules import rule_breakers
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule


def fit(table: pl.DataFrame, dictionary: Dictionary, *, epsilon: float = 1.0, entropy: Any = None) -> Any:
    return AdaptiveMarginals().fit(
        table,
        dictionary,
        epsilon=epsilon,
        delta=1e-6,
        entropy=entropy or UnsafeEntropy("fit"),
        rng=np.random.default_rng(0),
    )


def unlabelled(dictionary: Dictionary) -> Dictionary:
    return Dictionary(schema="wardgate/dictionary/1", features=dictionary.features)


@pytest.fixture(scope="module")
def fitted(study: Any, table: pl.DataFrame) -> Any:
    return fit(table, study.dictionary, epsilon=3.0)


@contextmanager
def watched(factor: float = 1.0) -> Iterator[list[tuple[float, float, Any]]]:
    """Record of every round its multiplier, its sensitivity and its noise over the promised scale."""
    found: list[tuple[float, float, Any]] = []
    real_release, real_counts = equals.gaussian_release, equals.noisy_counts

    def release(values: Any, *, l2: float, noise_multiplier: float, entropy: Any) -> Any:
        return real_release(values, l2=l2, noise_multiplier=factor * noise_multiplier, entropy=entropy)

    def counts(question: Any, codes: Any, *, entropy: Any) -> Any:
        noisy = real_counts(question, codes, entropy=entropy)
        exact = count_codes(question.workload, codes)
        scale = question.noise_multiplier * question.workload.l2
        found.append((question.noise_multiplier, question.workload.l2, (noisy - exact) / scale))
        return noisy

    with patch.object(equals, "gaussian_release", release), patch.object(equals, "noisy_counts", counts):
        yield found


def test_the_claim_costs_what_was_promised_and_no_round_is_left_out(study: Any, table: pl.DataFrame) -> None:
    promise = AdaptiveMarginals().promise(study.dictionary, epsilon=1.0, delta=1e-6, noise_source="unsafe-test")
    with watched() as rounds:
        claim = fit(table, study.dictionary).claim
    assert claim == promise
    assert 0.99 < claim.epsilon <= 1.0
    assert claim.epsilon == epsilon_of(gaussian=claim.gaussian, exponential=claim.exponential, delta=1e-6)
    claimed = sum(event.count / event.noise_multiplier**2 for event in claim.gaussian)
    assert sum(1 / multiplier**2 for multiplier, _, _ in rounds) <= claimed * (1 + 1e-9)
    assert len(rounds) - 2 <= claim.exponential[0].count == len(study.features) - 1
    assert fit(table, study.dictionary, entropy=SystemEntropy()).claim.noise_source == "system"


def test_the_noise_of_a_fit_has_the_claimed_scale_and_a_twin_with_half_of_it_is_caught(
    study: Any, table: pl.DataFrame
) -> None:
    for factor, honest in ((1.0, True), (0.5, False)):
        with watched(factor) as rounds:
            fit(table, study.dictionary)
        noise = np.concatenate([one for _, _, one in rounds])
        low, high = chi2.ppf(5e-7, noise.size), chi2.isf(5e-7, noise.size)
        assert bool(low < np.sum(noise**2) < high) is honest


def test_no_person_moves_a_round_by_more_than_its_stated_sensitivity(study: Any, table: pl.DataFrame) -> None:
    domain, asked = domain_of(study.features), []
    real = equals.noisy_counts

    def counts(question: Any, codes: Any, *, entropy: Any) -> Any:
        asked.append(question.workload)
        return real(question, codes, entropy=entropy)

    with patch.object(equals, "noisy_counts", counts):
        fit(table, study.dictionary)
    codes = encode(domain, table[:60])
    for workload in asked:
        whole = count_codes(workload, codes)
        for person in range(len(codes)):
            moved = whole - count_codes(workload, np.delete(codes, person, axis=0))
            assert np.linalg.norm(moved) <= workload.l2 * (1 + 1e-12)


def test_no_person_moves_the_score_of_a_choice_by_more_than_one(study: Any, table: pl.DataFrame) -> None:
    """Scores of the first choice, with the same noisy counts, with and without each of some persons."""
    domain = domain_of(study.features)
    plan = AdaptiveMarginals()._plan(domain, epsilon=1.0, delta=1e-6)

    def scores(codes: Any) -> Any:
        class Enough(Exception):
            pass

        seen = []

        def choose(found: Any) -> int:
            seen.append(found)
            raise Enough

        road = equals.closest_tables(domain, plan, codes, rules=(), choose=choose, rng=np.random.default_rng(0))
        question = next(road)
        try:
            while True:
                question = road.send(count_codes(question.workload, everybody).astype(float))
        except Enough:
            return seen[0]

    everybody = encode(domain, table[:500])
    whole = scores(everybody)
    for person in range(5):
        assert np.max(np.abs(whole - scores(np.delete(everybody, person, axis=0)))) <= 1 + 1e-6


def test_relations_survive_and_rows_have_the_form_of_the_table(fitted: Any, table: pl.DataFrame) -> None:
    rows = fitted.sample(6_000, rng=np.random.default_rng(1))
    assert rows.schema == table.schema
    assert rows.columns == table.columns
    assert (rows["age"] % 1 == 0).all()
    for name in ("label", "smoker", "cough", "age"):
        assert rows[name].mean() == pytest.approx(table[name].mean(), rel=0.1)
    for one in ("smoker", "label"):
        real, found = (part.filter(pl.col(one) == 1)["stage"].eq("IV").mean() for part in (table, rows))
        assert found == pytest.approx(real, abs=0.06)
    assert rows["glucose"].null_count() / rows.height == pytest.approx(0.15, abs=0.03)


def test_conditions_hold_exactly_and_shift_what_depends_on_them(fitted: Any, table: pl.DataFrame) -> None:
    where = {"label": 1, "sex": "F", "age": (70, 99), "glucose": None}
    rows = fitted.sample(400, rng=np.random.default_rng(0), where=where)
    assert rows.height == 400
    assert rows["label"].eq(1).all()
    assert rows["sex"].eq("F").all()
    assert rows["age"].is_between(70, 99).all()
    assert rows["glucose"].is_null().all()
    free = fitted.sample(20_000, rng=np.random.default_rng(1))
    kept = fitted.sample(8_000, rng=np.random.default_rng(2), where={"stage": "IV"})
    for name in ("smoker", "label", "cough"):
        filtered = free.filter(pl.col("stage") == "IV")[name].mean()
        assert kept[name].mean() == pytest.approx(filtered, abs=0.05)


@pytest.mark.parametrize("where", [{"name": "x"}, {"sex": "X"}, {"age": (200, 300)}, {"sex": None}])
def test_conditions_that_nobody_meets_are_refused(fitted: Any, where: Any) -> None:
    with pytest.raises(Invalid):
        fitted.sample(5, rng=np.random.default_rng(0), where=where)
    with pytest.raises(Invalid, match="from 0 up"):
        fitted.sample(-1, rng=np.random.default_rng(0))


def test_it_works_without_an_outcome(study: Any, table: pl.DataFrame) -> None:
    found = fit(table.drop("label"), unlabelled(study.dictionary), epsilon=3.0)
    rows = found.sample(6_000, rng=np.random.default_rng(0))
    assert rows.schema == table.drop("label").schema
    smokers, real = (one.filter(pl.col("smoker") == 1)["stage"].eq("IV").mean() for one in (rows, table))
    assert smokers == pytest.approx(real, abs=0.06)
    assert [event.what for event in found.claim.gaussian if "label" in event.what] == []


def test_clinical_rules_hold_in_every_row(make_study: Any, study: Any, table: pl.DataFrame) -> None:
    rule = ClinicalRule(name="iv-coughs", left="cough", op="==", right="true", when={"stage": ("IV",)})
    ruled = make_study(*study.features, rules=(rule,))
    rows = fit(table, ruled.dictionary).sample(1_000, rng=np.random.default_rng(0))
    assert rows.height == 1_000
    assert not rule_breakers(ruled.rules, ruled.features, rows).any()


@pytest.mark.parametrize("persons", [0, 3, 40])
def test_few_persons_are_sent_to_the_joint_corpus(study: Any, table: pl.DataFrame, persons: int) -> None:
    with pytest.raises(Refused, match="joint corpus"):
        fit(table.head(persons), study.dictionary)


def test_a_label_of_one_class_is_refused(study: Any, table: pl.DataFrame) -> None:
    with pytest.raises(Refused, match="class"):
        fit(table.with_columns(pl.lit(1, dtype=pl.Int8).alias("label")), study.dictionary)
