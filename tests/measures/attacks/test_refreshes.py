"""The attacker who kept every corpus: what two corpora say together, and whether chance alone would say it."""

import numpy as np
import pytest

from wardgate.measures.attacks.refreshes import Stratum, difference, together, told, union
from wardgate.records.errors import Invalid


def stratum(scores: np.ndarray, changed: int) -> Stratum:
    return Stratum(changed=np.arange(len(scores)) < changed, scores={"one": scores})


def test_the_union_holds_the_nearest_records_of_all_corpora() -> None:
    one, two = np.array([[1, 4, 5]], dtype=np.float32), np.array([[2, 3, 9]], dtype=np.float32)
    assert union((one, two)).tolist() == [[1, 2, 3]]
    with pytest.raises(Invalid, match="at least one corpus"):
        union(())


def test_a_corpus_that_came_nearer_scores_above_zero() -> None:
    far, near = np.full((2, 5), 2, dtype=np.float32), np.array([[1] * 5, [4] * 5], dtype=np.float32)
    for score in difference(far, near).values():
        assert score[0] > 0 > score[1]
    assert np.allclose(difference(far, far)[1], 0)


def test_every_corpus_adds_its_own_view() -> None:
    rng = np.random.default_rng(0)
    near = [np.sort(rng.random((20, 5)).astype(np.float32), axis=1) for _ in range(3)]
    scores = together({"scaled": near}, {"scaled": near[0]})
    assert {name.split(".")[0] for name in scores} == {"union", "mean", "difference"}
    assert {name for name in scores if name.startswith("difference")} == {
        f"difference.scaled.{place}.{k}" for place in (0, 1) for k in (1, 5)
    }
    assert all(score.shape == (20,) for score in scores.values())


def test_a_little_over_fitting_in_every_corpus_adds_up() -> None:
    rng = np.random.default_rng(1)
    member = np.arange(2000) < 1000
    usual = np.sort(1 + rng.random((2000, 5)), axis=1).astype(np.float32)
    pull = np.where(member, 0.97, 1.0)[:, None]
    corpora = [(usual * pull * (1 + 0.3 * rng.normal(size=(2000, 1)))).clip(0.1).astype(np.float32) for _ in range(12)]
    scores = together({"scaled": corpora}, {"scaled": usual})

    def gap(score: np.ndarray) -> float:
        return float((score[member].mean() - score[~member].mean()) / score.std())

    alone = together({"scaled": corpora[:1]}, {"scaled": usual})
    assert gap(scores["mean.density.scaled.5"]) > 2 * gap(alone["mean.density.scaled.5"])


def test_one_person_among_a_thousand_controls_is_told() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=1001)
    scores[0] = 9.0
    assert told([stratum(scores, 1)], permutations=999, rng=rng) <= 0.005


def test_many_a_little_nearer_are_told() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=1200)
    scores[:200] += 0.6
    assert told([stratum(scores, 200)], permutations=999, rng=rng) == 0.001


def test_chance_is_called_chance() -> None:
    rng = np.random.default_rng(4)
    values = np.array([told([stratum(rng.normal(size=300), 60)], permutations=199, rng=rng) for _ in range(400)])
    # Binomial(400, 0.05): more than 48 has a chance below 1e-6.
    assert np.sum(values <= 0.05) <= 48
    assert 0.35 < values.mean() < 0.65


def test_two_strata_that_share_controls_do_not_cry_wolf() -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(300):
        scores = rng.normal(size=300)
        found.append(told([stratum(scores, 60), stratum(-scores, 60)], permutations=199, rng=rng))
    assert np.sum(np.array(found) <= 0.05) <= 40


def test_identical_corpora_tell_nothing() -> None:
    assert told([stratum(np.zeros(200), 60)], permutations=199, rng=np.random.default_rng(6)) > 0.01
    assert told([], permutations=199, rng=np.random.default_rng(6)) == 1.0


def test_a_stratum_without_controls_is_refused() -> None:
    with pytest.raises(Invalid, match="controls"):
        told([stratum(np.zeros(5), 5)], permutations=199, rng=np.random.default_rng(7))
