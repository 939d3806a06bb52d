"""What one person can move: the sum of clipped gradients, secret batches, and an attack on the critic."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from wardgate.entropy import UnsafeEntropy
from wardgate.measures.discrimination import auroc
from wardgate.networks.arrays import flat, seeded, start_weights
from wardgate.networks.gan.layout import Rows, public_layout
from wardgate.networks.gan.networks import Sizes
from wardgate.networks.gan.private import clipped_sum, poisson_batch
from wardgate.networks.gan.private_training import PrivateSteps, Targets, train_privately
from wardgate.privacy.accountant import sampled_multiplier_for
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

L2 = 0.7


def network(width=5, seed=0):
    module = nn.Sequential(nn.Linear(width, 7), nn.SiLU(), nn.Linear(7, 1)).double()
    start_weights(module, draws=seeded(np.random.default_rng(seed)))
    return module


def loss(call, row):
    return functional.softplus(-call(row[0])).sum()


def unclipped_sum(module, rows):
    """The broken twin: every person counts as much as they like."""
    module.zero_grad()
    functional.softplus(-module(rows)).sum().backward()
    return np.concatenate([weights.grad.numpy().ravel() for weights in module.parameters()])


def test_the_sum_is_that_of_gradients_taken_and_cut_one_by_one():
    module, rows = network(), torch.from_numpy(np.random.default_rng(1).normal(size=(300, 5)) * 3)
    expected = np.zeros(len(flat(module)))
    for row in rows:
        one = unclipped_sum(module, row[None])
        expected += one * min(1.0, L2 / np.linalg.norm(one))
    assert np.allclose(clipped_sum(module, loss, (rows,), l2=L2), expected, atol=1e-3)


@given(
    person=st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5),
    others=st.integers(0, 140),
    seed=st.integers(0, 50),
)
@settings(max_examples=60)
def test_one_person_moves_the_sum_by_at_most_the_bound(person, others, seed):
    module = network(seed=seed)
    rest = torch.from_numpy(np.random.default_rng(seed).normal(size=(others, 5)) * 10)
    with_person = torch.cat([torch.tensor([person], dtype=torch.float64), rest])
    moved = clipped_sum(module, loss, (with_person,), l2=L2) - clipped_sum(module, loss, (rest,), l2=L2)
    assert np.linalg.norm(moved) <= L2


def test_a_twin_without_clipping_is_caught():
    module = network()
    rest = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 5)))
    huge = torch.cat([torch.full((1, 5), -1e4, dtype=torch.float64), rest])
    assert np.linalg.norm(unclipped_sum(module, huge) - unclipped_sum(module, rest)) > 100 * L2


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1e308])
def test_a_person_whose_gradient_is_no_number_counts_for_nothing(odd):
    module = network()
    rest = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 5)))
    found = clipped_sum(module, loss, (torch.cat([torch.full((1, 5), odd, dtype=torch.float64), rest]),), l2=L2)
    assert np.isfinite(found).all()
    assert np.linalg.norm(found - clipped_sum(module, loss, (rest,), l2=L2)) <= L2


def test_nobody_gives_zero():
    assert not clipped_sum(network(), loss, (torch.zeros((0, 5), dtype=torch.float64),), l2=L2).any()


def test_a_network_that_joins_persons_or_rounds_coarsely_is_refused():
    joined = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 1)).double()
    rows = torch.zeros((4, 5), dtype=torch.float64)
    with pytest.raises(Invalid, match="buffers"):
        clipped_sum(joined, loss, (rows,), l2=L2)
    with pytest.raises(Invalid, match="float64"):
        clipped_sum(network().float(), loss, (rows.float(),), l2=L2)


@pytest.mark.parametrize("l2", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_that_bounds_nothing_is_refused(l2):
    with pytest.raises(Invalid, match="l2"):
        clipped_sum(network(), loss, (torch.zeros((1, 5), dtype=torch.float64),), l2=l2)


def test_everybody_falls_into_a_batch_by_themselves_with_the_same_probability():
    entropy, share, batches = UnsafeEntropy("batches"), 0.2, 600
    hits = np.zeros((batches, 50))
    for number in range(batches):
        hits[number, poisson_batch(50, probability=share, entropy=entropy)] = 1
    spread = np.sqrt(share * (1 - share) / batches)
    assert np.abs(hits.mean(axis=0) - share).max() < 5.5 * spread
    together = np.cov(hits.T) / (share * (1 - share))
    assert np.abs(together[np.triu_indices(50, 1)]).max() < 6 / np.sqrt(batches)
    assert hits.sum(axis=1).std() == pytest.approx(np.sqrt(50 * share * (1 - share)), rel=0.16)


def test_with_probability_one_everybody_is_in_and_other_probabilities_are_refused():
    assert len(poisson_batch(9, probability=1.0, entropy=UnsafeEntropy("all"))) == 9
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(Invalid, match="probability"):
            poisson_batch(9, probability=wrong, entropy=UnsafeEntropy("none"))


def members_found(*, noise_multiplier, l2):
    """Return how well the critic's score tells those it was trained on from others like them (AUROC)."""
    columns, rng = 30, np.random.default_rng(0)
    features = tuple(Feature(name=f"f{at}", type="boolean", missing="refused") for at in range(columns))
    layout = public_layout(features)
    codes = rng.integers(2, size=(100, columns + 1)).astype(np.int32)
    people = Rows(codes=codes, places=np.zeros((100, 0), dtype=np.float32))
    inside = Rows(codes=codes[:50], places=people.places[:50])
    even = np.full((2, 2), 0.5)
    targets = Targets(
        label=np.array([0.5, 0.5]),
        given=(even,) * columns,
        sides=np.array([-1.0, 1.0] * columns + [0.0, 0.0]),
        together=np.zeros((columns, columns)),
    )
    steps = PrivateSteps(first=1, batches=80, probability=0.5, l2=l2, batch=80, drawn=100, critic_rate=3e-2, rate=1e-5)
    found = train_privately(
        layout,
        inside,
        targets,
        persons=50.0,
        sizes=Sizes(latent=4, hidden=16, told=False),
        steps=steps,
        noise_multiplier=noise_multiplier,
        entropy=UnsafeEntropy("attack"),
        rng=np.random.default_rng(1),
    )
    matrix = torch.from_numpy(layout.matrix(people)).double()
    with torch.no_grad():
        score = found.critic(matrix, matrix[:, :0]).numpy()
    return auroc((np.arange(100) < 50).astype(np.int8), score).value


def test_an_attacker_tells_members_by_the_critic_without_protection_and_hardly_with_it():
    protected = sampled_multiplier_for(epsilon=1.0, delta=1e-5, probability=0.5, count=80)
    assert members_found(noise_multiplier=1e-6, l2=100.0) > 0.9
    assert members_found(noise_multiplier=protected, l2=0.5) < 0.75


def test_packed_rows_are_refused_in_the_private_form():
    features = (Feature(name="a", type="boolean", missing="refused"),)
    targets = Targets(
        label=np.array([0.5, 0.5]),
        given=(np.full((2, 2), 0.5),),
        sides=np.array([-1.0, 1.0, 0.0, 0.0]),
        together=np.zeros((1, 1)),
    )
    rows = Rows(codes=np.zeros((10, 2), dtype=np.int32), places=np.zeros((10, 0), dtype=np.float32))
    with pytest.raises(Invalid, match="pack"):
        train_privately(
            public_layout(features),
            rows,
            targets,
            persons=10.0,
            sizes=Sizes(pack=2),
            steps=PrivateSteps(),
            noise_multiplier=1.0,
            entropy=UnsafeEntropy("x"),
            rng=np.random.default_rng(0),
        )


@pytest.mark.parametrize("wrong", [{"batches": 0}, {"probability": 0.0}, {"l2": 0.0}, {"smoothing": 1.0}, {"batch": 2}])
def test_steps_that_make_no_sense_are_refused(wrong):
    with pytest.raises(Invalid):
        PrivateSteps(**wrong)
