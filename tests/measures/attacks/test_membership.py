"""The battery is one honest test: blind labels give uniform p-values, and each attack sees its own leak."""

import numpy as np
import pytest

from wardgate.measures.attacks import membership
from wardgate.measures.attacks.nearest import nearest
from wardgate.records.errors import Invalid


def _battery(scores: dict[str, np.ndarray], rng: np.random.Generator, *, permutations: int = 399) -> float:
    count = len(next(iter(scores.values())))
    member = np.arange(count) < count // 2
    group = rng.random(count) < 0.3
    drawn = membership.battery(member, [group], permutations=permutations, rng=rng)
    return membership.null(scores, drawn)[0]


def test_blind_scores_are_refused_at_the_stated_level() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        base = rng.normal(size=1000)
        scores = {
            "a": base + rng.normal(size=1000),
            "b": np.round(base, 1),
            "c": rng.integers(0, 3, 1000).astype(float),
        }
        found.append(_battery(scores, rng, permutations=199))
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09
    assert 0.42 <= np.mean(found) <= 0.58


@pytest.mark.parametrize("leaked", ["many a little", "few outright", "members avoided"])
def test_each_kind_of_leak_is_seen(leaked: str) -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(size=2000)
    if leaked == "many a little":
        score[:1000] += 0.3
    elif leaked == "few outright":
        score[:15] = 9
    else:
        score[:1000] -= 0.3
    assert _battery({"a": score}, rng) < 0.01


def test_ties_favour_nobody() -> None:
    rng = np.random.default_rng(2)
    member = np.arange(2000) < 1000
    shares = []
    for _ in range(50):
        found = membership.tpr(
            np.zeros(2000), member, rng.permutation(2000), rate=0.01, persons=(1000, 1000), level=0.9
        )
        assert found is not None
        shares.append(found.value)
    assert 0.005 < np.mean(shares) < 0.015
    score = membership.together({"a": np.zeros(2000)})
    assert membership.auc(score, member, persons=(1000, 1000), level=0.9).value == 0.5


def test_the_most_unusual_are_chosen_blindly_also_where_all_are_alike() -> None:
    """Members stand first in the pool; a choice by place among ties would mark them alone."""
    assert membership.unusual(np.zeros((2000, 5), dtype=np.float32)).sum() == 0
    far = np.repeat((0.0, 1.0, 2.0), (1000, 900, 100)).astype(np.float32)
    assert membership.unusual(np.tile(far[:, None], 5)).sum() == 100
    told = np.arange(2000, dtype=np.float32)
    assert membership.unusual(np.tile(told[:, None], 5)).sum() == 200
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        group = membership.unusual(np.tile(rng.integers(0, 3, 2000).astype(np.float32)[:, None], 5))
        drawn = membership.battery(np.arange(2000) < 1000, [group], permutations=199, rng=rng)
        found.append(membership.null({"a": np.zeros(2000)}, drawn)[0])
    assert np.mean(np.array(found) <= 0.05) < 0.25


def test_a_rate_below_one_non_member_is_not_measured() -> None:
    member = np.arange(200) < 100
    order = np.arange(200)
    assert membership.tpr(np.zeros(200), member, order, rate=0.001, persons=(100, 100), level=0.9) is None


def test_all_members_found_is_a_share_of_one() -> None:
    member = np.arange(2000) < 1000
    found = membership.tpr(member.astype(float), member, np.arange(2000), rate=0.01, persons=(1000, 1000), level=0.9)
    assert found is not None
    assert found.name == "membership.tpr_at_1_percent"
    assert found.value == 1.0
    assert found.high == 1.0


def test_unequal_sides_refuse() -> None:
    with pytest.raises(Invalid, match="as many members"):
        membership.battery(np.arange(10) < 3, [], permutations=199, rng=np.random.default_rng(0))


def test_density_sees_what_distance_misses() -> None:
    """Members in dense country: the nearest synthetic record is always close, the surplus shows in the ratio alone."""
    rng = np.random.default_rng(3)
    spread = np.where(rng.random(2000) < 0.5, 0.05, 5.0)
    pool = (rng.normal(size=(2000, 3)) * spread[:, None]).astype(np.float32)
    other = np.where(rng.random(3000) < 0.5, 0.05, 5.0)
    reference = (rng.normal(size=(3000, 3)) * other[:, None]).astype(np.float32)
    synthetic = (pool[:1000] + 0.15 * spread[:1000, None] * rng.normal(size=(1000, 3))).astype(np.float32)
    scores = membership.attacks(
        {"scaled": nearest(pool, synthetic, 5).distance}, {"scaled": nearest(pool, reference, 5).distance}
    )
    member = np.arange(2000) < 1000
    aucs = {
        name: membership.auc(score, member, persons=(1000, 1000), level=0.9).value for name, score in scores.items()
    }
    assert aucs["density.scaled.1"] > aucs["nearest.scaled"] + 0.02
