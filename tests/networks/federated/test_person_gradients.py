"""Cut gradients of persons: equal to a slow oracle, one person worth at most 1 whatever the weights, secret batches."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import architecture as drawn
from wardgate.entropy import UnsafeEntropy
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.networks.federated import private
from wardgate.networks.federated.build import load_vector, module_of
from wardgate.networks.federated.private import batch_gradient, clipped_sum
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, BatchNorm, Dropout, GroupNorm, Linear, Residual

MLP = Architecture(inputs=6, layers=(Linear(units=7), Activation(how="relu"), Linear(units=1)), seed=2)
DEEP = Architecture(
    inputs=40, layers=(*(Linear(units=40) for _ in range(59)), Activation(how="silu"), Linear(units=1)), seed=2
)
NORMED = Architecture(
    inputs=6,
    layers=(
        Linear(units=8),
        GroupNorm(groups=4),
        Residual(layers=(Linear(units=8), Activation(how="elu"), GroupNorm(groups=1))),
        Activation(how="gelu"),
        Linear(units=1),
    ),
)
BENT = Architecture(
    inputs=40,
    layers=(*(layer for _ in range(31) for layer in (Linear(units=40), Activation(how="relu"))), Linear(units=1)),
)
LARGEST = 1e4


def without_dropout(architecture):
    def kept(layers):
        return tuple(
            layer.model_copy(update={"layers": kept(layer.layers)}) if isinstance(layer, Residual) else layer
            for layer in layers
            if not isinstance(layer, Dropout)
        )

    return architecture.model_copy(update={"layers": kept(architecture.layers)})


IMAGE = without_dropout(drawn(4, batch_norms=False))


def persons(n, *, seed=0, inputs=6):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, inputs)), rng.integers(0, 2, n).astype(np.int8)


def each(architecture, weights, x, y):
    """The slow oracle: torch's own gradient of every person alone."""
    module = module_of(architecture, double=True)
    load_vector(module, architecture, weights)
    module.eval()
    found = []
    for row, label in zip(x, y, strict=True):
        module.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            module(torch.from_numpy(row[None])), torch.tensor([float(label)], dtype=torch.float64)
        )
        loss.backward()
        found.append(np.concatenate([one.grad.numpy().ravel() for one in module.parameters()]))
    return np.array(found)


def unclipped(architecture, weights, x, y):
    """The broken twin: every person counts as much as they like."""
    return each(architecture, weights, x, y).sum(axis=0)


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("longest", [0.05, 3.0])
def test_the_sum_is_that_of_gradients_taken_and_cut_one_by_one(seed, longest):
    """Every kind of layer; float64 against float64, so what differs is the hair by which a cut is shorter."""
    architecture = without_dropout(drawn(seed, batch_norms=False))
    weights = np.random.default_rng(seed).normal(size=size(architecture)) * 0.5
    x, y = persons(40, inputs=architecture.inputs)
    apart = each(architecture, weights, x, y)
    expected = (apart / np.maximum(np.linalg.norm(apart, axis=1), longest)[:, None]).sum(axis=0)
    assert clipped_sum(architecture, weights, x, y, longest=longest) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_persons_gradient_is_the_same_in_small_blocks(monkeypatch):
    weights = start(NORMED)
    x, y = persons(70)
    whole = clipped_sum(NORMED, weights, x, y, longest=0.3)
    monkeypatch.setattr(private, "BLOCK", 8)
    assert clipped_sum(NORMED, weights, x, y, longest=0.3) == pytest.approx(whole, rel=1e-9, abs=1e-12)


def crafted(architecture, scale, rng):
    """Weights that an adversary could choose; the whole range is admissible."""
    count = size(architecture)
    yield scale * rng.choice([-1.0, 1.0], count)
    yield scale * rng.uniform(-1, 1, count)
    yield np.full(count, scale)
    yield np.where(rng.random(count) < 0.5, scale, 1e-300)


@pytest.mark.parametrize("architecture", [MLP, NORMED, DEEP, IMAGE], ids=["mlp", "normed", "deep", "image"])
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 30.0, LARGEST])
def test_nobody_moves_the_sum_by_more_than_one_whatever_the_weights(architecture, scale):
    rng = np.random.default_rng(1)
    x, y = persons(6, inputs=architecture.inputs)
    x[0], x[1] = 0.0, 1.0
    for weights in crafted(architecture, scale, rng):
        for longest in (1e-6, 1.0, 1e6) if architecture is MLP else (1.0,):
            whole = clipped_sum(architecture, weights, x, y, longest=longest)
            assert np.isfinite(whole).all()
            for one in (0, 1, 5):
                rest = clipped_sum(architecture, weights, np.delete(x, one, 0), np.delete(y, one), longest=longest)
                assert np.linalg.norm(whole - rest) <= 1.0


def test_a_gradient_too_long_for_float64_counts_as_zero_and_spoils_no_others():
    """31 layers of weights of 10,000, no biases: the length of a gradient is infinite, but not that of a row of 0."""
    weights = np.full(size(BENT), LARGEST)
    for tensor in tensors(BENT):
        if tensor.role == "bias":
            weights[tensor.place] = 0.0
    x, y = persons(9, inputs=40)
    x[:] = np.abs(x) + 0.1
    x[4], y[:] = 0.0, 0
    with np.errstate(over="ignore"):
        assert np.isinf(np.sum(each(BENT, weights, x[:1], y[:1]) ** 2))
    found = clipped_sum(BENT, weights, x, y, longest=1.0)
    expected = np.zeros(size(BENT))
    expected[-1] = 0.5
    assert found == pytest.approx(expected)


def test_the_arithmetic_of_one_person_does_not_depend_on_the_others():
    """Weights of 10,000 magnify every rounding; still the same to the last digits wherever somebody stands."""
    rng = np.random.default_rng(2)
    weights = LARGEST * rng.choice([-1.0, 1.0], size(NORMED))
    x, y = persons(200)
    for one in range(0, 40, 3):
        alone = clipped_sum(NORMED, weights, x[one : one + 1], y[one : one + 1], longest=1.0)
        whole = clipped_sum(NORMED, weights, x, y, longest=1.0)
        rest = clipped_sum(NORMED, weights, np.delete(x, one, 0), np.delete(y, one), longest=1.0)
        assert whole - rest == pytest.approx(alone, abs=1e-11)


@pytest.mark.parametrize(("cut", "least", "most"), [(False, 1.0, 1.0), (True, 0.0, 0.72)], ids=["uncut", "cut"])
def test_whether_an_outlier_was_there_shows_only_where_gradients_are_not_cut(cut, least, most):
    """Noise of twice the cut: the best guess is right with 0.60; 0.72 of 400 is 5 standard deviations above it.

    The adversary chooses the weights, knows all others, and looks along the outlier's own gradient.
    """
    rng = np.random.default_rng(3)
    weights = 50.0 * rng.normal(size=size(MLP))
    x, y = persons(60)
    outlier = np.sign(rng.normal(size=6))
    label = int(each(MLP, weights, outlier[None], [0])[0] @ np.ones(size(MLP)) == 0)
    towards = each(MLP, weights, outlier[None], [label])[0]
    assert np.linalg.norm(towards) > 100
    towards /= np.linalg.norm(towards)

    def summed(rows, labels):
        return clipped_sum(MLP, weights, rows, labels, longest=1.0) if cut else unclipped(MLP, weights, rows, labels)

    known = towards @ summed(x, y)
    there = towards @ summed(np.vstack([x, outlier]), np.append(y, label).astype(np.int8))
    right = 0
    for trial in range(400):
        present = trial % 2 == 0
        heard = (there if present else known) + 2.0 * rng.normal()
        right += (heard > (there + known) / 2) == present
    assert least <= right / 400 <= most


def alike(n):
    return np.tile(np.full((1, 6), 0.5), (n, 1)), np.ones(n, dtype=np.int8)


def test_a_batch_takes_everybody_by_their_own_chance():
    """All rows are alike and cut, so the sum is as long as the batch is large; 5 standard deviations are 6 in 10^7."""
    n, chance, rounds = 400, 0.1, 60
    x, y = alike(n)
    weights = start(MLP)
    entropy = UnsafeEntropy("batch")
    sizes = np.array(
        [
            np.linalg.norm(batch_gradient(MLP, weights, x, y, longest=1e-3, probability=chance, entropy=entropy))
            for _ in range(rounds)
        ]
    )
    spread = np.sqrt(n * chance * (1 - chance))
    assert np.abs(sizes - np.round(sizes)).max() < 1e-3
    assert abs(sizes.mean() - n * chance) < 5 * spread / np.sqrt(rounds)
    # The variance of a variance of near-normal sizes is about 2 / rounds.
    assert abs(sizes.var() / spread**2 - 1) < 5.5 * np.sqrt(2 / rounds)
    assert len(set(np.round(sizes))) > 5


def test_a_chance_of_one_takes_everybody_and_only_entropy_decides():
    x, y = persons(50)
    weights = start(MLP)
    whole = clipped_sum(MLP, weights, x, y, longest=0.5)
    assert np.array_equal(
        batch_gradient(MLP, weights, x, y, longest=0.5, probability=1.0, entropy=UnsafeEntropy("a")), whole
    )
    some, again, other = (
        batch_gradient(MLP, weights, x, y, longest=0.5, probability=0.5, entropy=UnsafeEntropy(seed))
        for seed in ("a", "a", "b")
    )
    assert np.array_equal(some, again)
    assert not np.array_equal(some, other)


def test_dropout_follows_the_seed_and_torchs_own_generator_is_left_alone():
    architecture = Architecture(inputs=6, layers=(Linear(units=8), Dropout(chance=0.5), Linear(units=1)))
    x, y = persons(50)
    before = torch.get_rng_state()
    first, again, other = (
        clipped_sum(architecture, start(architecture), x, y, longest=1.0, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nobody_is_a_sum_of_nothing():
    assert not clipped_sum(MLP, start(MLP), np.zeros((0, 6)), np.zeros(0, dtype=np.int8), longest=1.0).any()


def test_batch_norms_are_turned_away():
    architecture = Architecture(inputs=6, layers=(Linear(units=3), BatchNorm(), Linear(units=1)))
    with pytest.raises(Invalid, match="group_norm"):
        clipped_sum(architecture, start(architecture), *persons(5), longest=1.0)
