"""Noisy pairs along a spanning tree: its claim, what it keeps, and bad input to all three private generators."""

from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.generators import AdaptiveMarginals, MarginalTree, SpanningTree
from wardgate.marginals.domain import domain_of
from wardgate.marginals.equals import rounds as equals
from wardgate.marginals.workload import count_codes
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule, Feature

PRIVATE = (MarginalTree(), AdaptiveMarginals(), SpanningTree())


def fit(table: pl.DataFrame, dictionary: Dictionary, generator: Any = None, **changes: Any) -> Any:
    given = {"epsilon": 1.0, "delta": 1e-6, "entropy": UnsafeEntropy("fit"), "rng": np.random.default_rng(0)} | changes
    return (generator or SpanningTree()).fit(table, dictionary, **given)


def unlabelled(*features: Feature, **more: Any) -> Dictionary:
    return Dictionary(schema="wardgate/dictionary/1", features=features, **more)


def test_the_claim_costs_what_was_promised(study: Any, table: pl.DataFrame) -> None:
    promise = SpanningTree().promise(study.dictionary, epsilon=1.0, delta=1e-6, noise_source="unsafe-test")
    claim = fit(table, study.dictionary).claim
    assert claim == promise
    assert 0.99 < claim.epsilon <= 1.0
    assert claim.epsilon == epsilon_of(gaussian=claim.gaussian, exponential=claim.exponential, delta=1e-6)
    assert claim.exponential[0].count == len(study.features)
    assert "merging of rare categories" in claim.covers


@pytest.mark.parametrize(("factor", "honest"), [(1.0, True), (0.5, False)])
def test_its_noise_has_the_claimed_scale_and_half_of_it_is_caught(
    study: Any, table: pl.DataFrame, factor: float, honest: bool
) -> None:
    found, real = [], equals.gaussian_release

    def release(values: Any, *, l2: float, noise_multiplier: float, entropy: Any) -> Any:
        noisy = real(values, l2=l2, noise_multiplier=factor * noise_multiplier, entropy=entropy)
        found.append((noisy - np.asarray(values)) / (l2 * noise_multiplier))
        return noisy

    with patch.object(equals, "gaussian_release", release):
        fit(table, study.dictionary)
    noise = np.concatenate(found)
    low, high = chi2.ppf(5e-7, noise.size), chi2.isf(5e-7, noise.size)
    assert bool(low < np.sum(noise**2) < high) is honest


def test_the_strongest_pairs_are_kept(study: Any, table: pl.DataFrame) -> None:
    fitted = fit(table, study.dictionary, epsilon=3.0)
    rows = fitted.sample(fitted.persons, rng=np.random.default_rng(0))
    assert rows.schema == table.schema
    smokers, real = (one.filter(pl.col("smoker") == 1)["stage"].eq("IV").mean() for one in (rows, table))
    assert smokers == pytest.approx(real, abs=0.06)
    old, really = (one.filter(pl.col("age") > 75)["label"].mean() for one in (rows, table))
    assert old == pytest.approx(really, abs=0.1)
    only = fitted.sample(300, rng=np.random.default_rng(1), where={"smoker": 1, "age": (50, 60)})
    assert only["smoker"].eq(1).all()
    assert only["age"].is_between(50, 60).all()


def test_no_person_moves_its_counts_by_more_than_stated(study: Any, table: pl.DataFrame) -> None:
    asked, real = [], equals.noisy_counts

    def counts(question: Any, codes: Any, *, entropy: Any) -> Any:
        asked.append((question.workload, codes[:40]))
        return real(question, codes, entropy=entropy)

    with patch.object(equals, "noisy_counts", counts):
        fit(table, study.dictionary)
    assert len(asked[0][0].queries) == len(domain_of(study.features).columns) + 1
    for workload, codes in asked:
        for person in range(len(codes)):
            moved = count_codes(workload, codes) - count_codes(workload, np.delete(codes, person, axis=0))
            assert np.linalg.norm(moved) <= workload.l2 * (1 + 1e-12)


def test_one_column_alone_is_enough(table: pl.DataFrame) -> None:
    alone = unlabelled(Feature(name="sex", type="category", values=("F", "M"), missing="refused"))
    for generator in (SpanningTree(), AdaptiveMarginals()):
        rows = fit(table.select("sex"), alone, generator).sample(1_000, rng=np.random.default_rng(0))
        assert rows.columns == ["sex"]
        assert rows["sex"].eq("F").mean() == pytest.approx(table["sex"].eq("F").mean(), abs=0.05)


def test_rare_categories_are_taken_together_and_come_back_as_categories(table: pl.DataFrame) -> None:
    values = ("common", "other", *(f"rare{number}" for number in range(20)))
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(values), p=[0.6, 0.38, *[0.001] * 20], size=table.height)
    odd = table.select("smoker").with_columns(pl.Series("kind", [values[place] for place in drawn]))
    dictionary = unlabelled(
        Feature(name="smoker", type="boolean", missing="refused"),
        Feature(name="kind", type="category", values=values, missing="refused"),
    )
    fitted = fit(odd, dictionary)
    assert fitted.model.inside[1].shape[0] < 6
    rows = fitted.sample(5_000, rng=rng)
    assert set(rows["kind"]) <= set(values)
    assert rows["kind"].eq("common").mean() == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("generator", PRIVATE)
def test_columns_that_say_nothing_do_not_hurt_the_others(study: Any, table: pl.DataFrame, generator: Any) -> None:
    odd = table.with_columns(pl.lit(None, dtype=pl.Float64).alias("glucose"), pl.lit("M").alias("sex"))
    rows = fit(odd, study.dictionary, generator, epsilon=3.0).sample(3_000, rng=np.random.default_rng(0))
    assert rows["glucose"].null_count() > 0.95 * rows.height
    assert (rows["sex"] == "M").mean() > 0.95
    assert (rows["smoker"] == 1).mean() == pytest.approx((odd["smoker"] == 1).mean(), abs=0.05)


@pytest.mark.parametrize("generator", PRIVATE)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop("sex"), "column 'sex' is missing"),
        (lambda table: table.with_columns(pl.lit("CANARY").alias("sex")), "does not name"),
        (lambda table: table.with_columns(pl.lit("CANARY words").alias("glucose")), "free text"),
        (lambda table: table.with_columns(pl.lit(None, dtype=pl.String).alias("sex")), "lacks values"),
        (lambda table: table.with_columns(pl.lit(2.5).alias("smoker")), "boolean"),
        (lambda table: table.drop("label"), "label"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_without_quoting_it(
    study: Any, table: pl.DataFrame, generator: Any, change: Any, message: str
) -> None:
    with pytest.raises(Invalid, match=message) as error:
        fit(change(table), study.dictionary, generator)
    assert "CANARY" not in str(error.value)


@pytest.mark.parametrize("generator", PRIVATE)
@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_refused_before_anybody_is_looked_at(
    study: Any, table: pl.DataFrame, generator: Any, epsilon: float
) -> None:
    with pytest.raises(Invalid, match="epsilon"):
        generator.promise(study.dictionary, epsilon=epsilon, delta=1e-6)
    with pytest.raises(Invalid, match="epsilon"):
        fit(table, study.dictionary, generator, epsilon=epsilon)


@pytest.mark.parametrize("generator", PRIVATE)
@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, float("nan")])
def test_a_delta_that_is_no_probability_is_refused(study: Any, generator: Any, delta: float) -> None:
    with pytest.raises(Invalid, match="delta"):
        generator.promise(study.dictionary, epsilon=1.0, delta=delta)


@pytest.mark.parametrize("generator", PRIVATE)
def test_a_budget_too_small_for_one_marginal_is_refused(study: Any, table: pl.DataFrame, generator: Any) -> None:
    with pytest.raises(Refused, match="larger epsilon"):
        fit(table.head(500), study.dictionary, generator, epsilon=0.01)


@pytest.mark.parametrize("generator", PRIVATE)
def test_more_columns_than_persons_are_refused(generator: Any) -> None:
    features = tuple(Feature(name=f"c{number}", type="boolean", missing="refused") for number in range(50))
    wide = pl.DataFrame({feature.name: [0.0, 1.0] * 10 for feature in features} | {"label": [0, 1] * 10})
    dictionary = unlabelled(*features, label="label")
    with pytest.raises(Refused, match="joint corpus"):
        fit(wide, dictionary, generator)


@pytest.mark.parametrize("generator", PRIVATE)
def test_a_category_of_100000_levels_is_to_be_grouped_first(generator: Any) -> None:
    code = Feature(name="code", type="category", values=tuple(f"v{number}" for number in range(100_000)))
    with pytest.raises(Invalid, match="group them"):
        generator.promise(unlabelled(code, label="label"), epsilon=1.0, delta=1e-6)


def test_a_rule_that_nothing_satisfies_is_named(make_study: Any, study: Any, table: pl.DataFrame) -> None:
    none = ClinicalRule(name="nobody-this-old", left="age", op=">", right="200")
    ruled = make_study(*study.features, rules=(none,))
    with pytest.raises(Invalid, match="nobody-this-old"):
        fit(table, ruled.dictionary).sample(20, rng=np.random.default_rng(0))


def test_a_tree_that_hangs_on_the_outcome_says_what_needs_none(study: Any) -> None:
    with pytest.raises(Invalid, match="adaptive-marginals"):
        MarginalTree().promise(unlabelled(*study.features), epsilon=1.0, delta=1e-6)


def test_noise_of_unknown_source_is_refused(study: Any, table: pl.DataFrame) -> None:
    class Odd(UnsafeEntropy):
        name = "dice"

    for generator in PRIVATE:
        with pytest.raises(Invalid, match="dice"):
            fit(table, study.dictionary, generator, entropy=Odd("x"))
