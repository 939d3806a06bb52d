"""Attacks that learn see leaks that distances do not, and score an innocent corpus like chance."""

import numpy as np
import pytest

from wardgate.measures.attacks import membership
from wardgate.measures.attacks.cells import cells
from wardgate.measures.attacks.classifier import classifier
from wardgate.measures.attacks.densities import forest
from wardgate.measures.attacks.nearest import nearest

Points = np.ndarray
MEMBER = np.arange(2000) < 1000


def _scores(pool: Points, reference: Points, synthetic: Points, *, categories: Points | None = None) -> dict:
    flags = np.zeros(pool.shape[1], dtype=bool) if categories is None else categories
    found = membership.attacks(
        {"scaled": nearest(pool, synthetic, 5).distance}, {"scaled": nearest(pool, reference, 5).distance}
    )
    found["classifier"] = classifier(synthetic=synthetic, reference=reference, pool=pool, categories=flags, seed=1)
    found["forest"] = forest(synthetic=synthetic, reference=reference, pool=pool, seed=2)
    found["cells"] = cells(synthetic=synthetic, reference=reference, pool=pool, seed=3)
    return found


def _success(score: Points) -> float:
    """AUROC as the number of standard errors above guessing."""
    drawn = membership.battery(MEMBER, [], permutations=199, rng=np.random.default_rng(0))
    return float(membership.successes({"a": score}, drawn, rows=slice(0, 1))[0, 0])


def _innocent(seed: int, columns: int) -> tuple[Points, Points, Points]:
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(count, columns)).astype(np.float32) for count in (2000, 2000, 3000))


def _parts_copied(seed: int) -> tuple[Points, Points, Points]:
    """8 of 30 columns of every member, kept together with a little noise; the others are anybody's."""
    pool, reference, synthetic = _innocent(seed, 30)
    rng = np.random.default_rng(seed)
    chosen = np.tile(np.arange(1000), 3)
    synthetic[:, :8] = pool[chosen, :8] + 0.05 * rng.normal(size=(3000, 8))
    return pool, reference, synthetic


def _oversmoothed(seed: int) -> tuple[Points, Points, Points]:
    """Three columns, every row a member moved by half the spread: no row is near anybody, the density is."""
    pool, reference, synthetic = _innocent(seed, 3)
    rng = np.random.default_rng(seed)
    synthetic = (pool[rng.integers(0, 1000, 9000)] + 0.5 * rng.normal(size=(9000, 3))) / np.sqrt(1.25)
    return pool, reference, synthetic.astype(np.float32)


def test_parts_of_records_are_seen_by_classifier_and_cells_and_hardly_by_distance() -> None:
    found = {name: _success(score) for name, score in _scores(*_parts_copied(1)).items()}
    assert found["classifier"] > 4
    assert found["cells"] > 6
    assert max(value for name, value in found.items() if name.startswith(("nearest", "density"))) < 4


def test_a_density_too_smooth_for_neighbours_is_seen_by_trees() -> None:
    seeds = [_scores(*_oversmoothed(seed)) for seed in range(3)]
    trees = np.mean([_success(scores["forest"]) for scores in seeds])
    near = np.mean([_success(scores[f"density.scaled.{k}"]) for scores in seeds for k in (1, 5)])
    assert trees > near + 0.5
    assert trees > 2.5


def test_whole_tables_of_counts_without_noise_are_seen_by_cells() -> None:
    """Blocks of three categorical columns drawn from members, each block from another member."""
    rng = np.random.default_rng(4)
    pool, reference = (np.minimum(11, rng.poisson(2.0, size=(2000, 12))).astype(np.float32) for _ in range(2))
    synthetic = np.empty((3000, 12), dtype=np.float32)
    for block in range(0, 12, 3):
        synthetic[:, block : block + 3] = pool[rng.integers(0, 1000, 3000), block : block + 3]
    found = {
        name: _success(score)
        for name, score in _scores(pool, reference, synthetic, categories=np.ones(12, dtype=bool)).items()
    }
    assert found["cells"] > 5
    assert found["cells"] > 1 + max(value for name, value in found.items() if name.startswith(("nearest", "density")))


def test_an_innocent_corpus_tells_no_member() -> None:
    found = [
        _success(score)
        for seed in range(4)
        for name, score in _scores(*_innocent(10 + seed, 6)).items()
        if name in ("classifier", "forest", "cells")
    ]
    assert np.abs(found).max() < 5
    assert abs(np.mean(found)) < 2.5


@pytest.mark.parametrize("attack", ["classifier", "forest", "cells"])
def test_swapping_members_and_strangers_swaps_scores_alone(attack: str) -> None:
    """The attacks are blind to who is a member: the order of the pool changes nothing but the order of the scores."""
    pool, reference, synthetic = _innocent(3, 4)
    order = np.random.default_rng(0).permutation(2000)
    straight, turned = (_scores(table, reference, synthetic)[attack] for table in (pool, pool[order]))
    np.testing.assert_allclose(straight[order], turned, atol=1e-9)


def test_missing_values_and_columns_of_one_value_are_no_hindrance() -> None:
    pool, reference, synthetic = _innocent(5, 3)
    for table in (pool, reference, synthetic):
        table[:, 1] = 7.0
        table[::3, 2] = np.nan
    for name, score in _scores(*(np.nan_to_num(table) for table in (pool, reference, synthetic))).items():
        assert np.isfinite(score).all(), name
    flags = np.zeros(3, dtype=bool)
    for table in (pool, reference, synthetic):
        table[:, 2] = np.nan
    assert np.isfinite(forest(synthetic=synthetic, reference=reference, pool=pool, seed=0)).all()
    assert np.isfinite(cells(synthetic=synthetic, reference=reference, pool=pool, seed=0)).all()
    found = classifier(synthetic=synthetic, reference=reference, pool=pool, categories=flags, seed=0)
    assert np.isfinite(found).all()
    nobody = reference[:0]
    assert (cells(synthetic=synthetic, reference=nobody, pool=pool, seed=0) == 0).all()
    assert (forest(synthetic=synthetic, reference=nobody, pool=pool, seed=0) == 0).all()
    assert (classifier(synthetic=synthetic, reference=nobody, pool=pool, categories=flags, seed=0) == 0).all()
