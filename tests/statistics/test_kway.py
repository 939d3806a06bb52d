"""The joint model of adaptively chosen tables: inference against brute force, choice, budget and rows."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.computations.tables import Tables
from wardgate.hospital.ward.learning.tables import tables as count
from wardgate.hub.pooling.kway import adaptive
from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.equals.adaptive import adapt, budgeted, groups_between, synthesise
from wardgate.marginals.equals.graphical import Noisy, beliefs, cliques_of, draw, fit, junction, tree_cells
from wardgate.measures.consistent import margin, spread
from wardgate.measures.encoding import design_matrix, labels
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import Feature
from wardgate.records.study import Study

SITES = ("a", "b", "c")
SIZES = {"a": 2, "b": 3, "c": 2, "d": 4, "e": 2, "f": 3}
NAMES = tuple(SIZES)


def dense(potentials: Mapping[tuple[str, ...], Any]) -> Any:
    """The whole distribution, cell by cell."""
    log = np.zeros(list(SIZES.values()))
    for columns, table in potentials.items():
        log = log + spread(table, NAMES, list(columns))
    found = np.exp(log)
    return found / found.sum()


STRUCTURES = [
    [("a", "b"), ("b", "c"), ("c", "d")],
    [("a", "b", "c"), ("c", "d"), ("d", "e"), ("e", "f")],
    [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("e", "f")],
    [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "a")],
    [("a",), ("f",)],
]


@pytest.mark.parametrize("tables", STRUCTURES)
def test_beliefs_and_far_tables_are_those_of_the_whole_distribution(tables: Any) -> None:
    rng = np.random.default_rng(len(tables))
    potentials = {columns: rng.normal(0, 1.5, [SIZES[c] for c in columns]) for columns in tables}
    truth, tree = dense(potentials), junction(SIZES, tables)
    assert tree_cells(SIZES, tables) == sum(int(np.prod([SIZES[c] for c in clique])) for clique in tree.cliques)
    for clique, part in zip(tree.cliques, beliefs(tree, potentials), strict=True):
        assert part == pytest.approx(margin(truth, NAMES, list(clique)), abs=1e-12)
    measured = [Noisy(columns=c, values=1e4 * margin(truth, NAMES, list(c)), sigma=1.0) for c in tables]
    graph = fit(SIZES, measured, steps=2_000)
    assert graph.persons == pytest.approx(1e4)
    for columns in combinations(NAMES, 3):
        assert graph.table(columns) / 1e4 == pytest.approx(margin(truth, NAMES, list(columns)), abs=2e-4)
    assert graph.table(("f", "a")) == pytest.approx(graph.table(("a", "f")).T)


def test_every_clique_shares_its_separator_with_what_came_before() -> None:
    for tables in STRUCTURES:
        tree = junction(SIZES, tables)
        assert {c for clique in tree.cliques for c in clique} == set(NAMES)
        for place, (clique, parent) in enumerate(zip(tree.cliques, tree.parents, strict=True)):
            assert parent < place
            seen = {c for earlier in tree.cliques[:place] for c in earlier}
            assert not place or set(clique) & seen <= set(tree.cliques[parent])
        assert all(any(set(one) <= set(clique) for clique in tree.cliques) for one in tables)
    assert len(cliques_of(SIZES, [])) == 6


def test_a_better_measured_table_weighs_more() -> None:
    good = Noisy(columns=("a",), values=np.array([900.0, 100.0]), sigma=1.0)
    bad = Noisy(columns=("a",), values=np.array([500.0, 500.0]), sigma=30.0)
    graph = fit({"a": 2}, [good, bad], steps=500)
    assert graph.table(("a",))[0] == pytest.approx(900.0, abs=2.0)


def test_drawn_rows_have_the_distribution_of_the_model() -> None:
    rng = np.random.default_rng(7)
    tables = STRUCTURES[3]
    measured = [Noisy(columns=c, values=rng.gamma(1.0, 100, [SIZES[n] for n in c]), sigma=5.0) for c in tables]
    graph = fit(SIZES, measured)
    drawn = draw(graph, 60_000, rng=rng)
    for columns in combinations(NAMES, 2):
        found = np.zeros([SIZES[c] for c in columns])
        np.add.at(found, tuple(drawn[c] for c in columns), 1 / 60_000)
        assert np.abs(found - graph.table(columns) / graph.persons).sum() < 0.03
    assert {len(part) for part in draw(graph, 0, rng=rng).values()} == {0}


def test_the_joint_model_is_the_central_one_and_follows_from_what_was_told(pool: Any, study: Study) -> None:
    """One curator who counts the pooled rows and adds the same noise comes to the same model, question by question."""
    found = pool.drive(adaptive(study=study, sites=SITES, epsilon=2.0, ways=3, tables=4))
    pool.rng = np.random.default_rng(0)
    road = adapt(study.features, ways=3, budget=budgeted(epsilon=2.0, delta=study.budget.delta, rounds=4))
    asked, central = next(road), None
    while central is None:
        counts = count(Tables(tables=asked.tables, cuts=asked.cuts), pool.whole, study=study).vector
        try:
            asked = road.send((counts + pool.rng.normal(0, asked.sigma, len(counts)), asked.sigma))
        except StopIteration as end:
            central = end.value
    assert central.chosen == found.adapted.chosen
    for left, right in zip(central.graph.cliques, found.adapted.graph.cliques, strict=True):
        assert left == pytest.approx(right, abs=1e-12)
    assert found.rounds == len(pool.asks) == 6
    assert all(ask.noise_multiplier for ask in pool.asks), "no question of the road goes without noise"


def test_the_claim_is_what_was_asked_and_within_epsilon(pool: Any, study: Study) -> None:
    found = pool.drive(adaptive(study=study, sites=SITES, epsilon=1.0, ways=2, tables=3)).adapted
    cost = epsilon_of(gaussian=found.gaussian, exponential=found.exponential, delta=study.budget.delta)
    assert 0.99 < cost <= 1.0
    spent = [event.noise_multiplier for event in found.gaussian for _ in range(event.count)]
    assert spent == [ask.noise_multiplier for ask in pool.asks]
    for ask in pool.asks:
        assert ask.shape.l2 == pytest.approx(np.sqrt(len(ask.parameters["tables"])))


def test_the_strongest_dependences_are_chosen_and_kept(study: Study, make_persons: Any, make_pool: Any) -> None:
    whole = make_persons(20_000, seed=2)
    pool = make_pool(study, [whole[:5_000], whole[5_000:]])
    found = pool.drive(adaptive(study=study, sites=SITES, epsilon=3.0, ways=2, tables=4)).adapted
    pairs = {frozenset(pair) for pair in found.chosen}
    assert {frozenset(("age", "label")), frozenset(("smoker", "stage"))} <= pairs
    rows = synthesise(found, study.features, 20_000, rng=np.random.default_rng(1))
    encode(domain_of(study.features), rows)
    assert design_matrix(study.features, rows).shape[0] == len(labels(rows)) == 20_000
    assert rows["age"].to_numpy() == pytest.approx(np.rint(rows["age"].to_numpy()))
    risk = [table.filter(pl.col("age") > 75)["label"].mean() - table["label"].mean() for table in (whole, rows)]
    assert risk[1] == pytest.approx(risk[0], abs=0.04)


def test_a_three_way_interaction_that_no_pair_explains_needs_a_table_of_three(make_study: Any, make_pool: Any) -> None:
    study = make_study(*(Feature(name=n, type="boolean", missing="refused") for n in ("p", "q", "r")))
    rng = np.random.default_rng(0)
    p, q, label = (rng.integers(0, 2, 9_000) for _ in range(3))
    r = (p & q) ^ (rng.random(9_000) < 0.02)
    table = pl.DataFrame({"p": p, "q": q, "r": r, "label": label}).cast({"p": float, "q": float, "r": float})
    errors = {}
    for ways in (2, 3):
        pool = make_pool(study, [table])
        found = pool.drive(adaptive(study=study, sites=SITES, epsilon=3.0, ways=ways, tables=2)).adapted
        truth = np.zeros((2, 2, 2))
        np.add.at(truth, (p, q, r.astype(int)), 1)
        errors[ways] = np.abs(found.graph.table(("p", "q", "r")) - truth).sum() / 9_000
    assert errors[3] < 0.05 < errors[2]


def test_fine_cells_fall_into_the_right_coarse_ones() -> None:
    assert groups_between(6, (10, 20, 30, 40), (20, 40)).tolist() == [0, 0, 1, 1, 2, 3]
    assert groups_between(5, (10, 20, 30, 40), (20, 40)).tolist() == [0, 0, 1, 1, 2]


def test_a_curator_may_choose_by_true_errors_and_pays_for_it(pool: Any, study: Study) -> None:
    budget = budgeted(epsilon=1.0, delta=study.budget.delta, rounds=3, true_choice=True)
    gaussian, exponential = budget.claim(3)
    assert 0.99 < epsilon_of(gaussian=gaussian, exponential=exponential, delta=study.budget.delta) <= 1.0
    assert [event.count for event in exponential] == [3]
    with pytest.raises(Invalid, match="needs `choose`"):
        next(adapt(study.features, ways=2, budget=budget))


def test_bad_input_is_named(study: Study, make_persons: Any, make_pool: Any) -> None:
    budget = budgeted(epsilon=1.0, delta=1e-6, rounds=2)
    for ways in (1, 5):
        with pytest.raises(Invalid, match=f"tables of 2 to 4 columns, found {ways}"):
            next(adapt(study.features, ways=ways, budget=budget))
    with pytest.raises(Invalid, match="at least one round"):
        budgeted(epsilon=1.0, delta=1e-6, rounds=0)
    with pytest.raises(Invalid, match="neither a feature"):
        next(adapt(study.features, ways=2, budget=budget, columns=("age", "height")))
    road = adapt(study.features, ways=2, budget=budget)
    next(road)
    with pytest.raises(Invalid, match="finite counts"):
        road.send((np.zeros(3), 1.0))
    with pytest.raises(Invalid, match="at least one measured table"):
        fit(SIZES, [])
    with pytest.raises(Invalid, match="another shape"):
        fit(SIZES, [Noisy(columns=("a",), values=np.ones(3), sigma=1.0)])
    with pytest.raises(Invalid, match="no clique"):
        junction(SIZES, [("a",)]).holder(("a", "b"))
    few = make_pool(study, [make_persons(30, seed=1)])
    with pytest.raises(Refused, match="larger epsilon"):
        few.drive(adaptive(study=study, sites=SITES, epsilon=0.5))
    some = make_pool(study, [make_persons(2_000, seed=1)])
    part = some.drive(adaptive(study=study, sites=SITES, epsilon=2.0, ways=2, tables=1, columns=("age", "label")))
    with pytest.raises(Invalid, match="every feature and the label"):
        synthesise(part.adapted, study.features, 5, rng=np.random.default_rng(0))
