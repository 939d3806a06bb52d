"""Realism: the same population scores near nothing, another one scores what was changed."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.realism import fidelity
from wardgate.records.dictionary import OUTCOME
from wardgate.records.feature import Feature

FEATURES = (
    Feature(name="sbp", type="number", unit="mm[Hg]", range=(40, 240)),
    Feature(name="dbp", type="number", unit="mm[Hg]", range=(20, 160)),
    Feature(name="sex", type="category", values=("f", "m")),
    Feature(name="pregnant", type="boolean"),
)


def _table(count: int, rng: np.random.Generator) -> pl.DataFrame:
    sbp = 130 + 20 * rng.normal(size=count)
    female = rng.random(count) < 0.5
    risk = 1 / (1 + np.exp(-(sbp - 130) / 15))
    return pl.DataFrame(
        {
            "sbp": sbp,
            "dbp": 0.6 * sbp,
            "sex": np.where(female, "f", "m"),
            "pregnant": (female & (rng.random(count) < 0.1)).astype(float),
            "label": (rng.random(count) < risk).astype(np.int8),
        }
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_same_population_scores_near_nothing(rng: np.random.Generator) -> None:
    real, corpus = _table(3000, rng), _table(3000, rng)
    for measure in (fidelity.marginal_error, fidelity.pairwise_error):
        found = measure(FEATURES, real, corpus, level=0.9, rng=rng)
        assert found.value < 0.06
        assert found.low <= found.value <= found.high


def test_what_moved_is_measured(rng: np.random.Generator) -> None:
    real = _table(3000, rng)
    corpus = real.with_columns(sex=pl.lit("f"))
    found = fidelity.marginal_error(FEATURES, real, corpus, level=0.9, rng=rng)
    assert found.value == pytest.approx(0.5 / 4, abs=0.01)
    shuffled = real.with_columns(real["dbp"].shuffle(seed=1))
    assert fidelity.marginal_error(FEATURES, real, shuffled, level=0.9, rng=rng).value == pytest.approx(0, abs=1e-6)
    assert fidelity.pairwise_error(FEATURES, real, shuffled, level=0.9, rng=rng).value > 0.04


def test_pairs_agree_with_a_count_pair_by_pair(rng: np.random.Generator) -> None:
    real, corpus = _table(400, rng), _table(300, rng)
    names = ("sex", "pregnant", "label")
    features = (*FEATURES[2:], OUTCOME)
    errors = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            keys = set(real.select(one, other).iter_rows()) | set(corpus.select(one, other).iter_rows())
            errors.append(
                sum(
                    abs(
                        real.filter((pl.col(one) == a) & (pl.col(other) == b)).height / real.height
                        - corpus.filter((pl.col(one) == a) & (pl.col(other) == b)).height / corpus.height
                    )
                    for a, b in keys
                )
                / 2
            )
    found = fidelity.pairwise_error(features, real, corpus, level=0.9, rng=rng)
    assert found.value == pytest.approx(np.mean(errors), abs=1e-6)


def test_missing_values_are_part_of_a_column(rng: np.random.Generator) -> None:
    real = _table(2000, rng)
    corpus = real.with_columns(sbp=pl.when(pl.int_range(2000) < 1000).then(None).otherwise(pl.col("sbp")))
    assert fidelity.marginal_error(FEATURES, real, corpus, level=0.9, rng=rng).value == pytest.approx(0.125, abs=0.02)
