"""A critic's gradients: equal to torch's, one person worth at most 1, and a crafted critic that learns of nobody."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.computations.critic import LARGEST_WEIGHT, LENGTHS, Critic, network_of, real_gradient, shown
from wardgate.marginals.domain import Domain, domain_of, encode
from wardgate.marginals.levels import whole
from wardgate.measures.perceptron import LEAK, Perceptron
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.feature import Feature

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(18, 100), missing="refused"),
    Feature(name="marker", type="category", values=tuple(f"m{place}" for place in range(16)), missing="refused"),
    Feature(name="sex", type="category", values=("female", "male")),
)

Vector = np.ndarray[Any, Any]


def persons(count: int, *, rng: np.random.Generator) -> pl.DataFrame:
    """Persons below 90, so that an older one stands alone."""
    return pl.DataFrame(
        {
            "age": rng.integers(20, 90, count).astype(np.float64),
            "marker": rng.choice([f"m{place}" for place in range(16)], count),
            "sex": [("female", "male", None)[one] for one in rng.integers(0, 3, count)],
            "label": rng.integers(0, 2, count).astype(np.int8),
        }
    )


def rows_of(table: pl.DataFrame) -> tuple[Domain, Vector]:
    domain = domain_of(FEATURES)
    return domain, shown(encode(domain, table), whole(domain))


def test_a_row_is_shown_as_one_indicator_for_each_column() -> None:
    table = persons(50, rng=np.random.default_rng(0))
    domain, rows = rows_of(table)
    assert rows.shape == (50, sum(column.size for column in domain.columns))
    assert np.all(rows.sum(axis=1) == len(domain.columns))
    names = [(column.name, cell) for column in domain.columns for cell in range(column.size)]
    male = names.index(("sex", 1))
    assert np.array_equal(rows[:, male] == 1, (table["sex"] == "male").fill_null(False).to_numpy())


@pytest.mark.parametrize("hidden", [(1,), (5,), (7, 3), (4, 4, 4)])
def test_lengths_and_gradients_are_those_of_the_network_in_torch(hidden: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    domain, rows = rows_of(persons(40, rng=rng))
    network = network_of(whole(domain), hidden)
    layers: list[Any] = []
    for inputs, outputs in zip(network.widths[:-1], network.widths[1:], strict=True):
        layers += [torch.nn.Linear(inputs, outputs, dtype=torch.float64), torch.nn.LeakyReLU(LEAK)]
    module = torch.nn.Sequential(*layers[:-1])
    assert sum(one.numel() for one in module.parameters()) == network.size
    weights = network.start(rng=rng) * 3
    with torch.no_grad():
        for layer, (matrix, bias) in zip(module[::2], network.layers(weights), strict=True):
            layer.weight.copy_(torch.from_numpy(matrix.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    longest = 2.0
    wanted, lengths = np.zeros(network.size), []
    for row in rows:
        module.zero_grad()
        torch.nn.functional.softplus(-module(torch.from_numpy(row))).sum().backward()
        parts = [(layer.weight.grad.numpy().T.ravel(), layer.bias.grad.numpy()) for layer in module[::2]]
        gradient = np.concatenate([part for pair in parts for part in pair])
        lengths.append(float(np.linalg.norm(gradient)))
        wanted += gradient / max(lengths[-1], longest)
    assert min(lengths) < longest < max(lengths), "some are cut and some are not"
    assert real_gradient(network, weights, rows, longest=longest) == pytest.approx(wanted, rel=1e-7, abs=1e-9)
    outs = network.forward(weights, rows)
    _, slope = network.backward(weights, outs, np.ones((len(rows), 1)))
    inputs = torch.from_numpy(rows).requires_grad_()
    module(inputs).sum().backward()
    assert slope == pytest.approx(inputs.grad.numpy(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 30.0, LARGEST_WEIGHT])
@pytest.mark.parametrize("longest", [LENGTHS[0], 1.0, LENGTHS[1]])
def test_a_person_moves_the_sum_by_at_most_one_whatever_the_critic(scale: float, longest: float) -> None:
    rng = np.random.default_rng(2)
    domain, rows = rows_of(persons(30, rng=rng))
    network = network_of(whole(domain), (6, 5, 4))
    for weights in (scale * rng.choice([-1.0, 1.0], network.size), scale * rng.uniform(-1, 1, network.size)):
        everybody = real_gradient(network, weights, rows, longest=longest)
        assert np.all(np.isfinite(everybody))
        for one in range(len(rows)):
            without = real_gradient(network, weights, np.delete(rows, one, axis=0), longest=longest)
            assert np.linalg.norm(everybody - without) <= 1.0 + 1e-12


def test_a_question_survives_its_way() -> None:
    domain = domain_of(FEATURES)
    network = network_of(whole(domain), (3,))
    asked = Critic(groups=whole(domain), hidden=(3,), weights=network.start(rng=np.random.default_rng(0)), longest=0.3)
    again = Critic.read(asked.parameters(), dict(asked.arrays()))
    assert again.parameters() == asked.parameters()
    assert np.array_equal(again.weights, asked.weights)
    assert again.network == asked.network


# An attack. Somebody aged 95 is known to be in the study; whoever asks wants that person's marker.


def crafted(domain: Domain, age: float) -> tuple[Perceptron, Vector]:
    """A critic with a unit that lights up for one age alone, and a second one, always dark, to take away the rest."""
    network = network_of(whole(domain), (2,))
    weights = np.zeros(network.size)
    (first, bias), (last, _) = network.layers(weights)
    cell = int(np.searchsorted(np.asarray(domain.columns[0].edges), age, side="right")) - 1
    first[cell, 0] = 10.0
    bias[:] = -5.0
    last[:] = -1_000.0
    return network, weights


def guessed(network: Perceptron, domain: Domain, answer: Vector) -> str:
    matrix = network.layers(answer)[0][0]
    at = domain.columns[0].size
    return f"m{int(np.argmax(matrix[at : at + 16, 0] - matrix[at : at + 16, 1]))}"


@pytest.mark.parametrize(
    ("noisy", "cut", "least", "most"),
    [
        pytest.param(False, False, 1.0, 1.0, id="neither-noise-nor-cut"),
        pytest.param(False, True, 1.0, 1.0, id="no-noise"),
        pytest.param(True, False, 1.0, 1.0, id="no-cut"),
        pytest.param(True, True, 0.0, 0.30, id="protected"),
    ],
)
def test_a_crafted_critic_finds_one_persons_marker_only_where_a_protection_is_missing(
    noisy: bool, cut: bool, least: float, most: float
) -> None:
    """At epsilon 1 a guess among 16 succeeds at most e times as often as blindly, 0.17; 0.30 of 200 is 5 deviations."""
    rng = np.random.default_rng(4)
    rounds, trials, right = 20, 200, 0
    multiplier = noise_multiplier_for(epsilon=1.0, delta=1e-6, count=rounds)
    for _ in range(trials):
        victim = persons(1, rng=rng).with_columns(pl.lit(95.0).alias("age"))
        domain, rows = rows_of(pl.concat([persons(60, rng=rng), victim]))
        network, weights = crafted(domain, 95.0)
        longest = 1.0 if cut else 1e9
        answer = real_gradient(network, weights, rows, longest=longest) * longest
        # The same question every round: the answers' mean is what they say together.
        noise = multiplier / np.sqrt(rounds) if noisy else 0.0
        right += guessed(network, domain, answer + noise * rng.standard_normal(len(answer))) == victim["marker"][0]
    assert least <= right / trials <= most
