"""Models learned from the corpus and from patients: equal for a fresh sample, worse where the outcome was lost."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures import logistic
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.realism import usefulness
from wardgate.measures.realism.coding import narrowed, values
from wardgate.measures.realism.detection import detection
from wardgate.measures.realism.usefulness import Models, models, slope, trts_loss, tstr_loss
from wardgate.records.dictionary import OUTCOME
from wardgate.records.feature import Feature

FEATURES = (
    Feature(name="x", type="number", unit="1", range=(-6, 6)),
    Feature(name="y", type="number", unit="1", range=(-6, 6)),
    Feature(name="kind", type="category", values=("a", "b", "c")),
)


def _table(count: int, rng: np.random.Generator, *, strength: float = 1.0) -> pl.DataFrame:
    x, y = rng.normal(size=(2, count))
    risk = 1 / (1 + np.exp(-strength * (x + 0.5 * y - 0.5)))
    return pl.DataFrame(
        {
            "x": x,
            "y": y,
            "kind": rng.choice(list("abc"), size=count),
            "label": (rng.random(count) < risk).astype(np.int8),
        }
    )


def _models(rng: np.random.Generator, corpus: pl.DataFrame) -> Models:
    found = models(FEATURES, _table(3000, rng), corpus, _table(1500, rng), ridge=1.0)
    assert found is not None
    return found


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_fresh_sample_loses_nothing(rng: np.random.Generator) -> None:
    found = _models(rng, _table(3000, rng))
    assert abs(tstr_loss(found, level=0.9).value) < 0.01
    assert abs(trts_loss(found, level=0.9).value) < 0.04
    steep = slope(found, level=0.9)
    assert steep is not None
    assert 0.8 < steep.low <= steep.value <= steep.high < 1.25


def test_a_shuffled_outcome_loses_the_auroc_both_ways(rng: np.random.Generator) -> None:
    corpus = _table(3000, rng)
    found = _models(rng, corpus.with_columns(corpus["label"].shuffle(seed=1)))
    assert tstr_loss(found, level=0.9).high > 0.2
    assert trts_loss(found, level=0.9).low > 0.15


@pytest.mark.parametrize(("strength", "expected"), [(0.4, 2.5), (2.5, 0.4)])
def test_the_slope_tells_risks_too_timid_from_too_extreme(
    strength: float, expected: float, rng: np.random.Generator
) -> None:
    found = slope(_models(rng, _table(20_000, rng, strength=strength)), level=0.9)
    assert found is not None
    assert found.value == pytest.approx(expected, rel=0.15)


def test_the_interval_of_the_slope_is_that_of_resampled_persons(rng: np.random.Generator) -> None:
    found = _models(rng, _table(800, rng, strength=0.7))
    assert found.corpus_on_holdout is not None
    whole = slope(found, level=0.9)
    assert whole is not None
    again = []
    for _ in range(100):
        drawn = rng.integers(len(found.truth), size=len(found.truth))
        parts = {
            "truth": found.truth[drawn],
            "patients_on_holdout": found.patients_on_holdout[drawn],
            "corpus_on_holdout": found.corpus_on_holdout[drawn],
        }
        part = slope(
            Models(outcome=found.outcome, patients_on_corpus=found.patients_on_corpus, note="", **parts), level=0.9
        )
        assert part is not None
        again.append(np.log(part.value))
    assert np.std(again) == pytest.approx(np.log(whole.high / whole.low) / 2 / 1.645, rel=0.3)


def test_a_corpus_with_one_outcome_fails_and_is_said_to(rng: np.random.Generator) -> None:
    found = _models(rng, _table(500, rng).with_columns(label=pl.lit(0, dtype=pl.Int8)))
    steep = slope(found, level=0.9)
    assert steep is not None
    assert steep.high == 0
    for part in (tstr_loss(found, level=0.9), trts_loss(found, level=0.9), steep):
        assert "one outcome only" in part.note
    assert tstr_loss(found, level=0.9).value > 0.2


def test_one_outcome_in_reality_is_not_evaluable(rng: np.random.Generator) -> None:
    table = _table(200, rng)
    one = table.with_columns(label=pl.lit(1, dtype=pl.Int8))
    assert models(FEATURES, one, table, table, ridge=1.0) is None
    assert models(FEATURES, table, table, one, ridge=1.0) is None


def test_an_outcome_that_nothing_explains_has_no_slope(rng: np.random.Generator) -> None:
    tables = [_table(600, rng, strength=0.0) for _ in range(3)]
    found = models(FEATURES, tables[0], tables[1], tables[2], ridge=1.0)
    assert found is not None
    assert slope(found, level=0.99) is None


def test_the_fit_with_some_rows_hessian_is_the_fit(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    table = _table(4000, rng)
    x, y = design_matrix(FEATURES, table), labels(table)
    monkeypatch.setattr(usefulness, "SAMPLE", 400)
    np.testing.assert_allclose(usefulness._fitted(x, y, ridge=1.0), logistic.fit(x, y, ridge=1.0), atol=1e-6)
    rare = np.column_stack((x, np.arange(4000) == 7))  # a column that the sample never sees
    np.testing.assert_allclose(usefulness._fitted(rare, y, ridge=1.0), logistic.fit(rare, y, ridge=1.0), atol=1e-5)


def test_rare_categories_become_one(rng: np.random.Generator) -> None:
    wide = Feature(name="code", type="category", values=tuple(f"c{place}" for place in range(1000)))
    codes = pl.DataFrame({"code": [f"c{place}" for place in rng.geometric(0.05, size=2000) % 1000] + [None]})
    (short,), (found,), cut = narrowed((wide,), (codes,), most_levels=10)
    assert cut == 1
    assert len(short.values or ()) == 10
    assert found["code"].null_count() == 1
    assert set(found["code"].drop_nulls()) <= set(short.values or ())
    kept = codes["code"].is_in((short.values or ())[:-1])
    assert found["code"].filter(kept).to_list() == codes["code"].filter(kept).to_list()


def test_trees_tell_independent_columns_and_not_a_fresh_sample(rng: np.random.Generator) -> None:
    columns = (*FEATURES, OUTCOME)
    real, fresh = values(columns, _table(1200, rng)), values(columns, _table(2000, rng))
    same = detection(columns, real, fresh, level=0.9, rng=rng)
    assert same.low < 0.5 < same.high + 0.03
    for place in range(fresh.shape[1]):
        fresh[:, place] = rng.permutation(fresh[:, place])
    assert detection(columns, real, fresh, level=0.9, rng=rng).low > 0.51
    nothing = np.ones_like(real)
    assert detection(columns, nothing, nothing, level=0.9, rng=rng).value == 0.5
