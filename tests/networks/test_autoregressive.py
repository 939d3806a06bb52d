"""The network by itself: what it learns, that conditions are exact, and that nothing comes from a global generator."""

from itertools import product

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import chi2

from wardgate.networks.tables.any_order import draw_codes, pick
from wardgate.networks.tables.autoregressive import Training, train
from wardgate.networks.tables.bins import columns_of, encode
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

FEATURES = tuple(Feature(name=name, type="category", values=tuple("abc"), missing="refused") for name in "xyz")
"""y follows x, z follows both."""


def codes(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.choice(3, count, p=(0.5, 0.3, 0.2))
    y = np.where(rng.random(count) < 0.8, x, rng.choice(3, count))
    z = np.where(rng.random(count) < 0.7, (x + y) % 3, rng.choice(3, count))
    return np.column_stack([x, y, z]).astype(np.int32)


@pytest.fixture(scope="module")
def columns():
    table = pl.DataFrame({name: np.array(list("abc"))[codes(4_000, 0)[:, place]] for place, name in enumerate("xyz")})
    return columns_of(FEATURES, table, bins=8, min_persons=11, most_levels=9)


@pytest.fixture(scope="module")
def trained(columns):
    return train(
        columns,
        codes(4_000, 0),
        codes(1_000, 1),
        training=Training(width=32, blocks=1, dropout=0.0, most_epochs=15),
        rng=np.random.default_rng(0),
    )


def fits(found, chance):
    """Whether counts of independent draws fit chances, at one in a million."""
    expected = chance * found.sum()
    some = expected > 0
    assert not found[~some].any()
    return ((found[some] - expected[some]) ** 2 / expected[some]).sum() < chi2.ppf(1 - 1e-6, some.sum() - 1)


def chain(trained, order, known=(-1, -1, -1)):
    """Return the network's chances of every row drawn in one order, by multiplying its conditionals."""
    found = np.zeros((3, 3, 3))
    for row in product(range(3), repeat=3):
        seen, chance = np.array([known], dtype=np.int32), 1.0
        for place in order:
            if known[place] < 0:
                chance *= trained.conditional(seen, place)[0, row[place]]
                seen[0, place] = row[place]
            elif known[place] != row[place]:
                chance = 0.0
        found[row] = chance
    return found


def count(rows):
    found = np.zeros((3, 3, 3))
    np.add.at(found, tuple(rows.T), 1)
    return found


def drawn(trained, rows, given=None, limits=None):
    return draw_codes(trained, 3, rows, given=given or {}, limits=limits or {}, rng=np.random.default_rng(5))


def test_it_learns_conditionals_in_every_direction(trained):
    people = codes(100_000, 7)
    for known in ((0, -1, -1), (-1, 2, -1), (-1, -1, 1), (0, -1, 1), (2, 2, -1)):
        seen = np.array([known])
        like = people[((people == seen) | (seen < 0)).all(axis=1)]
        for place in np.flatnonzero(seen[0] < 0):
            real = np.bincount(like[:, place], minlength=3) / len(like)
            assert trained.conditional(seen.astype(np.int32), int(place))[0] == pytest.approx(real, abs=0.08)


def test_given_columns_are_conditioned_on_exactly(trained):
    """With two columns left, rows come from the mixture of the two orders that the network itself states."""
    rows = drawn(trained, 2_048 * 60, given={0: 1})
    orders = [chain(trained, order, known=(1, -1, -1)) for order in ((0, 1, 2), (0, 2, 1))]
    shares = np.linspace(0, 1, 61)  # each part of 2,048 rows takes one of the two orders
    assert any(fits(count(rows), share * orders[0] + (1 - share) * orders[1]) for share in shares)


def test_limits_on_several_columns_are_conditioned_on_exactly(trained):
    allowed = {0: np.array([1.0, 0.25, 0.0]), 1: np.array([0.0, 0.5, 1.0]), 2: np.array([1.0, 1.0, 0.0])}
    weight = chain(trained, (0, 1, 2))
    for place, share in allowed.items():
        weight = weight * share.reshape([3 if axis == place else 1 for axis in range(3)])
    found = count(drawn(trained, 10_000, limits=allowed))
    assert fits(found, weight / weight.sum())
    # Drawing within the limits one after the other, without giving up rows, is what a careless sampler does.
    careless = chain(trained, (0, 1, 2))
    for axes, share in (((1, 2), allowed[0][:, None, None]), ((2,), allowed[1][None, :, None]), ((), allowed[2])):
        whole = careless.sum(axis=axes, keepdims=True) if axes else careless
        last = len(axes)
        before = np.maximum(whole.sum(axis=2 - last, keepdims=True), 1e-300)
        kept = (whole * share).sum(axis=2 - last, keepdims=True) / before
        careless = careless * share / np.where(kept > 0, kept, 1)
    assert not fits(found, careless / careless.sum())


def test_conditions_that_next_to_nobody_meets_together_are_refused(trained):
    with pytest.raises(Invalid, match="nobody"):
        drawn(trained, 10, limits={0: np.zeros(3)})
    with pytest.raises(Invalid, match="together"):
        drawn(trained, 10, limits={0: np.ones(3), 1: np.full(3, 1e-9)})


def test_every_draw_follows_its_weights():
    weights = np.array([[0.0, 3.0, 1.0, 0.0]] * 40_000)
    found = np.bincount(pick(weights, np.random.default_rng(0)), minlength=4)
    assert fits(found.astype(float), weights[0] / 4)


def test_unknown_values_are_neither_shown_nor_asked_for(columns):
    """Half the persons lack z; what is learnt of the others stays, and nothing is foretold for the gap."""
    people = codes(3_000, 3)
    people[::2, 2] = -1
    found = train(
        columns, people, people, training=Training(width=32, blocks=1, most_epochs=8), rng=np.random.default_rng(0)
    )
    assert found.conditional(np.array([[0, 0, -1]], dtype=np.int32), 2)[0, 0] > 0.6


def test_equal_seeds_give_equal_networks_whatever_the_global_generator_says(columns):
    found = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        found.append(
            train(
                columns,
                codes(500, 0),
                codes(100, 1),
                training=Training(width=16, blocks=1, most_epochs=2),
                rng=np.random.default_rng(4),
            )
        )
    assert found[0].loss == found[1].loss
    assert torch.equal(found[0].network.answer, found[1].network.answer)


def test_training_stops_before_persons_are_learnt_by_heart(columns):
    """Sixty persons who are mere chance: stopped by others, the network foretells others better than not."""
    few, others = (np.random.default_rng(seed).integers(3, size=(60, 3)).astype(np.int32) for seed in (0, 1))
    losses = {
        stopping: train(
            columns,
            few,
            others,
            training=Training(width=128, dropout=0.0, batch=8, most_epochs=120, early_stopping=stopping),
            rng=np.random.default_rng(0),
        ).loss
        for stopping in (True, False)
    }
    assert losses[True] < losses[False] - 0.01


def test_codes_of_the_table_are_those_the_network_sees(columns):
    table = pl.DataFrame({"x": ["b"], "y": ["c"], "z": ["a"]})
    assert encode(columns, table).tolist() == [[1, 2, 0]]
