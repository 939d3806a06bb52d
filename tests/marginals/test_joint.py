"""Systematic draws, draws under conditions on a graph, and groups that noise alone decides."""

from typing import Any

import numpy as np
import pytest

from wardgate.marginals.domain import domain_of
from wardgate.marginals.drawing import systematic
from wardgate.marginals.equals import graphical
from wardgate.marginals.equals.joint import alone, histograms
from wardgate.marginals.equals.plan import Shares, equal_plan
from wardgate.marginals.tree.links import Noisy
from wardgate.marginals.workload import count
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, Refused

SIZES = {"a": 2, "b": 3, "c": 4, "d": 2}
TABLES = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]


def graph_of(rng: Any) -> graphical.Graph:
    measured = [
        graphical.Noisy(columns=one, values=rng.gamma(1.0, 100, [SIZES[name] for name in one]), sigma=5.0)
        for one in TABLES
    ]
    return graphical.fit(SIZES, measured)


def test_every_entry_gets_its_expected_rows_rounded() -> None:
    rng = np.random.default_rng(0)
    lines = np.array([[0.2, 0.0, 0.8, 0.0], [0.0, 0.5, 0.25, 0.25]])
    place = rng.integers(0, 2, 10_001)
    found = systematic(lines, place, rng=rng)
    for line in (0, 1):
        rows = int((place == line).sum())
        counts = np.bincount(found[place == line], minlength=4)
        assert np.all(np.abs(counts - lines[line] * rows) <= 1)
        assert np.all(counts[lines[line] == 0] == 0)


def test_rows_are_in_no_order_and_lines_without_weight_are_even() -> None:
    rng = np.random.default_rng(1)
    found = systematic(np.array([[0.5, 0.5]]), np.zeros(10_000, dtype=np.int64), rng=rng)
    assert abs(float(np.corrcoef(found, np.arange(10_000))[0, 1])) < 0.05
    empty = systematic(np.zeros((1, 4)), np.zeros(400, dtype=np.int64), rng=rng)
    assert np.bincount(empty).tolist() == pytest.approx([100] * 4, abs=1)
    assert len(systematic(np.ones((1, 3)), np.zeros(0, dtype=np.int64), rng=rng)) == 0


def test_rows_under_conditions_have_the_distribution_that_filtering_would_leave() -> None:
    rng = np.random.default_rng(3)
    graph = graph_of(rng)
    evidence = {"c": np.array([0.0, 1.0, 0.5, 0.0]), "a": np.array([0.0, 1.0])}
    drawn = graphical.draw(graph, 60_000, rng=rng, evidence=evidence)
    whole = graph.table(("a", "b", "c", "d")) * evidence["a"][:, None, None, None] * evidence["c"][:, None]
    found = np.zeros(whole.shape)
    np.add.at(found, tuple(drawn[name] for name in SIZES), 1 / 60_000)
    assert np.abs(found - whole / whole.sum()).sum() < 0.02


def test_conditions_that_nobody_meets_are_refused_by_the_graph() -> None:
    rng = np.random.default_rng(4)
    graph = graph_of(rng)
    with pytest.raises(Invalid, match="nobody"):
        graphical.draw(graph, 10, rng=rng, evidence={"c": np.zeros(4)})


@pytest.mark.parametrize(("rounds", "choices", "linked"), [(0, 0, False), (1, 6, False), (5, 5, True), (5, 5, False)])
def test_a_plan_costs_what_was_asked_and_no_more(rounds: int, choices: int, linked: bool) -> None:
    plan = equal_plan(epsilon=1.0, delta=1e-6, shares=Shares(), rounds=rounds, choices=choices, linked=linked)
    cost = epsilon_of(gaussian=plan.gaussian, exponential=plan.exponential, delta=1e-6)
    assert 0.99 < cost <= 1.0
    assert len(plan.gaussian) == 1 + (rounds > 0) + linked


def test_shares_of_nothing_are_refused() -> None:
    with pytest.raises(Invalid, match="above 0"):
        equal_plan(epsilon=1.0, delta=1e-6, shares=Shares(alone=0.0), rounds=1, choices=1, linked=False)


def test_groups_get_coarser_with_the_noise_and_too_much_of_it_is_refused(study: Any, table: Any) -> None:
    domain = domain_of(study.features)
    exact = count(histograms(domain), table).astype(float)
    sizes = []
    for sigma in (1.0, 60.0, 600.0):
        first = Noisy(workload=histograms(domain), values=exact, sigma=1.0)
        found = alone(domain, first, sigma=sigma)
        assert all(inside.sum(axis=1) == pytest.approx(1.0) for inside in found.inside)
        assert all(one.values.sum() == pytest.approx(table.height, rel=1e-3) for one in found.tables)
        sizes.append(sum(found.sizes.values()))
    assert sizes[0] > sizes[1] > sizes[2]
    with pytest.raises(Refused, match="joint corpus"):
        alone(domain, Noisy(workload=histograms(domain), values=exact, sigma=1.0), sigma=3_000.0)


def test_a_domain_may_have_no_label(study: Any) -> None:
    domain = domain_of(study.features, label=False)
    assert not domain.labelled
    assert domain.features == len(domain.columns) == len(study.features)
