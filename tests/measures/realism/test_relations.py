"""Known relations: shown, turned round, too weak to ask; and columns that cannot be compared."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import spearmanr

from wardgate.measures.realism.relations import relations, size
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature, Relation
from wardgate.records.measured import Measured

FEATURES = (
    Feature(name="x", type="number", unit="1", range=(-10, 10)),
    Feature(name="y", type="number", unit="1", range=(-10, 10)),
    Feature(name="ill", type="boolean"),
    Feature(name="sex", type="category", values=("f", "m")),
    Feature(name="kind", type="category", values=("a", "b", "c")),
)
RISES = Relation(name="rises", between=("x", "y"), sign="+", size=(0.4, 0.8))
ILL = Relation(name="ill-high", between=("ill", "x"), kind="difference", sign="+")
MEN = Relation(name="men", between=("sex", "ill"), kind="log_odds_ratio", sign="-")
WEAK = Relation(name="weak", between=("sex", "y"), kind="difference", sign="+")


def _persons(count: int, rng: np.random.Generator, *, sign: float = 1.0) -> np.ndarray:
    x = rng.normal(size=count)
    sex = rng.integers(2, size=count).astype(float)
    ill = rng.random(count) < 1 / (1 + np.exp(-(x - sex)))
    y = sign * 0.8 * x + rng.normal(size=count) + 0.01 * sex
    y[rng.random(count) < 0.1] = np.nan
    return np.column_stack((x, y, ill, sex, rng.integers(3, size=count)))


def _found(real: np.ndarray, corpus: np.ndarray, *known: Relation) -> Measured:
    found = relations(known, FEATURES, real, corpus, level=0.9)
    assert found is not None
    return found


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_sizes_agree_with_statistics_books(rng: np.random.Generator) -> None:
    table = _persons(2000, rng)
    both = ~np.isnan(table[:, 1])
    rank = size(RISES, FEATURES, table)
    assert math.tanh(rank.value) == pytest.approx(spearmanr(table[both, 0], table[both, 1]).statistic)
    mean = size(ILL, FEATURES, table)
    sick = table[:, 2] == 1
    assert mean.value == pytest.approx(table[sick, 0].mean() - table[~sick, 0].mean())
    odds = size(MEN, FEATURES, table)
    cells = sm.stats.Table2x2(np.histogram2d(1 - table[:, 3], 1 - table[:, 2], bins=2)[0])
    assert -odds.value == pytest.approx(cells.log_oddsratio, abs=0.02)
    assert odds.deviation == pytest.approx(cells.log_oddsratio_se, abs=0.002)


def test_a_fresh_sample_shows_what_real_persons_show(rng: np.random.Generator) -> None:
    for _ in range(20):
        found = _found(_persons(1500, rng), _persons(1000, rng), RISES, ILL, MEN)
        assert (found.low, found.value, found.high) == (1, 1, 1)


def test_a_relation_turned_round_lost_or_exaggerated_is_missed(rng: np.random.Generator) -> None:
    real, turned = _persons(1500, rng), _persons(1000, rng, sign=-1)
    assert _found(real, turned, RISES, ILL).low == 0.5
    alone = _persons(1000, rng)
    alone[:, 1] = rng.permutation(alone[:, 1])
    assert _found(real, alone, RISES, ILL).low == 0.5
    copied = _persons(1000, rng)
    copied[:, 1] = copied[:, 0]
    assert _found(real, copied, RISES, ILL).low == 0.5
    assert _found(real, np.full((1000, 5), np.nan), RISES, ILL).low == 0


def test_what_real_persons_do_not_show_is_not_asked_of_the_corpus(rng: np.random.Generator) -> None:
    real, corpus = _persons(1500, rng), _persons(1000, rng)
    assert "1 of 2 relations" in _found(real, corpus, RISES, WEAK).note
    assert relations((WEAK,), FEATURES, real, corpus, level=0.9) is None


def test_a_weak_relation_is_asked_where_the_corpus_turns_it_round(rng: np.random.Generator) -> None:
    def weak(count: int, sign: float) -> np.ndarray:
        table = _persons(count, rng)
        table[:, 1] = sign * 0.14 * table[:, 0] + rng.normal(size=count)
        return table

    known = Relation(name="weak", between=("x", "y"), sign="+")
    assert relations((known,), FEATURES, weak(1000, 1), weak(1000, 1), level=0.9) is None
    assert _found(weak(1000, 1), weak(1000, -1), known).low == 0


def test_no_relation_is_said_to_be_none(rng: np.random.Generator) -> None:
    found = _found(_persons(100, rng), _persons(100, rng))
    assert (found.low, found.value) == (1, 1)
    assert "No relation is declared" in found.note


@pytest.mark.parametrize(
    "relation",
    [
        Relation(name="bad", between=("kind", "x"), sign="+"),
        Relation(name="bad", between=("x", "y"), kind="difference", sign="+"),
        Relation(name="bad", between=("ill", "kind"), kind="difference", sign="+"),
        Relation(name="bad", between=("ill", "x"), kind="log_odds_ratio", sign="+"),
    ],
)
def test_columns_that_cannot_be_compared_refuse(relation: Relation, rng: np.random.Generator) -> None:
    with pytest.raises(Invalid, match="relation 'bad'"):
        relations((relation,), FEATURES, _persons(100, rng), _persons(100, rng), level=0.9)
