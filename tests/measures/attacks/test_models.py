"""Attacks on models: they see a model that memorises, stay calm beside one that does not, and know their refits."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wardgate.measures.attacks import models as attack
from wardgate.records.errors import Invalid

SIZE = 300


def world(leak: float, *, seed: int, count: int = 16) -> tuple[np.ndarray, np.ndarray, attack.Shadows]:
    """Confidences of a model and its refits: a person's own level, noise, and `leak` where a model saw the person."""
    rng = np.random.default_rng(seed)
    level = rng.normal(1, 2, size=2 * SIZE)

    def fit(seen: np.ndarray) -> np.ndarray:
        return np.asarray(level + 0.5 * rng.normal(size=2 * SIZE) + leak * seen)

    member = np.arange(2 * SIZE) < SIZE
    return fit(member), member, attack.shadows(2 * SIZE, count=count, fit=fit, rng=rng)


def test_every_person_is_seen_by_half_of_the_shadows() -> None:
    _, _, known = world(0.0, seed=0)
    assert np.all(known.seen.sum(axis=0) == 8)
    assert np.all(known.seen.sum(axis=1) == SIZE)


@pytest.mark.parametrize(("persons", "count"), [(600, 3), (600, 2), (601, 8)])
def test_halves_that_do_not_come_out_even_are_refused(persons: int, count: int) -> None:
    with pytest.raises(Invalid, match="even"):
        attack.shadows(persons, count=count, fit=lambda seen: seen * 1.0, rng=np.random.default_rng(0))


def test_comparing_with_shadows_sees_what_confidence_alone_does_not() -> None:
    told, member, known = world(1.0, seed=1)
    scores = attack.attacks(told, known, online=True)
    found = {name: roc_auc_score(member, score) for name, score in scores.items()}
    assert found["confidence"] < 0.70
    assert min(found["calibrated"], found["lira"]) > 0.88
    worst = attack.worst_auc(scores, member, persons=(SIZE, SIZE), level=0.9)
    assert worst.value == max(found.values())
    assert worst.low > 0.85
    offline = attack.attacks(told, known, online=False)
    assert "lira" not in offline
    assert roc_auc_score(member, offline["calibrated"]) > 0.88


def test_a_model_that_gives_nobody_away_scores_guessing() -> None:
    found = []
    for seed in range(40):
        told, member, known = world(0.0, seed=seed)
        scores = attack.attacks(told, known, online=True)
        found.append(attack.worst_auc(scores, member, persons=(SIZE, SIZE), level=0.9).high)
    assert np.mean(np.array(found) <= 0.60) >= 0.9


def test_the_share_named_over_refits_is_right_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(2)
    inside = []
    for seed in range(40):
        told, member, known = world(0.0, seed=seed, count=8)
        found = attack.tpr_of_refits(told, member, known, persons=(SIZE, SIZE), level=0.9, rng=rng)
        assert found.low <= found.value <= found.high
        inside.append(found.low <= 0.01 + 1e-9 or found.value < 0.015)
        assert found.high < 0.03
    assert np.mean(inside) > 0.9
    told, member, known = world(2.0, seed=1)
    assert attack.tpr_of_refits(told, member, known, persons=(SIZE, SIZE), level=0.9, rng=rng).low > 0.3


def test_refits_of_another_kind_of_model_are_noticed() -> None:
    told, member, known = world(0.5, seed=3)
    assert attack.like_refits(told, member, known)
    assert not attack.like_refits(told + 8.0 * member, member, known)
    assert not attack.like_refits(3.0 * told, member, known)


def test_a_chance_that_is_none_is_refused() -> None:
    label = np.array([0, 1], dtype=np.int8)
    for wrong in (np.array([0.5, np.nan]), np.array([0.5, 1.2])):
        with pytest.raises(Invalid, match="chance"):
            attack.confidence(wrong, label)
    assert np.all(np.isfinite(attack.confidence(np.array([0.0, 1.0]), label)))


def test_the_gap_is_that_of_the_model_and_not_of_the_persons() -> None:
    rng = np.random.default_rng(4)
    errors, plain = [], []
    for _ in range(200):
        label = rng.integers(0, 2, 400).astype(np.int8)
        usual = 1.2 * label + rng.normal(size=400)
        own = usual + 0.1 * rng.normal(size=400)
        own[:200] += 0.5 * (2 * label[:200] - 1)
        one, two = slice(0, 200), slice(200, None)
        found = attack.overfit_gap(
            label_train=label[one],
            score_train=own[one],
            usual_train=usual[one],
            label_holdout=label[two],
            score_holdout=own[two],
            usual_holdout=usual[two],
            persons=(200, 200),
            level=0.9,
        )
        errors.append((found.value, found.low, found.high))
        plain.append(roc_auc_score(label[one], own[one]) - roc_auc_score(label[two], own[two]))
    value, low, high = np.array(errors).T
    truth = float(np.mean(plain))
    assert abs(value.mean() - truth) < 0.01
    assert np.std(value) < 0.5 * np.std(plain)
    assert 0.82 < np.mean((low <= truth) & (truth <= high)) < 0.97
