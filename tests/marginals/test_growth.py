"""The road: exact counts give the exact tables, sums over sites give what one table gives."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.sampling import sample
from wardgate.marginals.tree.growth import grow
from wardgate.marginals.tree.plan import Weights, plan
from wardgate.marginals.tree.structure import choose_edges, dependence
from wardgate.marginals.workload import count, count_codes
from wardgate.privacy.accountant import epsilon_of
from wardgate.privacy.noise import discrete_gaussian
from wardgate.records.errors import Invalid, Refused


def drive(road, answer):
    ask = next(road)
    asked = []
    while True:
        asked.append(ask)
        try:
            ask = road.send(answer(ask))
        except StopIteration as end:
            return end.value, asked


def without_noise(study, table, *, structure="summed", **budget):
    """Grow from exact counts under a budget so large that the model believes them."""
    domain = domain_of(study.features)
    spent = plan(domain, epsilon=1e5, delta=1e-6, structure=structure, **budget)
    return drive(grow(domain, spent, rules=study.rules), lambda ask: count(ask.workload, table))[0]


def shares(table, *names):
    """Return the share of each combination of values, numbers cut in tenths of their range."""
    cut = table.with_columns((pl.col("age") / 10).floor(), (pl.col("glucose") / 3).floor())
    return {row[:-1]: row[-1] / table.height for row in cut.group_by(*names).len().iter_rows()}


def distance(left, right):
    return sum(abs(left.get(key, 0) - right.get(key, 0)) for key in left.keys() | right.keys()) / 2


def test_without_noise_every_table_beside_the_label_is_recovered(study, table):
    model = without_noise(study, table)
    drawn = sample(model, 50_000, rng=np.random.default_rng(0))
    assert model.persons == table.height
    assert model.label[1] == pytest.approx(table["label"].mean(), abs=1e-3)
    for feature in study.features:
        if feature.type in ("category", "boolean"):
            assert distance(shares(table, feature.name, "label"), shares(drawn, feature.name, "label")) < 0.01
        assert distance(shares(table, feature.name), shares(drawn, feature.name)) < 0.02, feature.name


def test_without_noise_the_tables_of_the_forest_are_recovered(study, table):
    model = without_noise(study, table)
    drawn = sample(model, 50_000, rng=np.random.default_rng(0))
    names = [feature.name for feature in study.features]
    edges = {frozenset((names[node.column], names[node.parent])) for node in model.nodes if node.parent >= 0}
    assert frozenset(("stage", "smoker")) in edges
    assert frozenset(("stage", "cough")) in edges
    for left, right in map(sorted, edges):
        assert distance(shares(table, left, right), shares(drawn, left, right)) < 0.06, (left, right)


def test_the_joint_road_equals_the_central_road_when_the_noise_is_the_same(study, table):
    domain = domain_of(study.features)
    budget = plan(domain, epsilon=1.0, delta=1e-6, structure="summed")
    sites = [table.filter(pl.int_range(pl.len()) % 7 < 5), table.filter(pl.int_range(pl.len()) % 7 >= 5)]

    def noise(ask):
        entropy = UnsafeEntropy(ask.name)
        return discrete_gaussian(sigma=ask.sigma, size=ask.workload.size, entropy=entropy)

    joint, _ = drive(grow(domain, budget), lambda ask: sum(count(ask.workload, site) for site in sites) + noise(ask))
    central, _ = drive(grow(domain, budget), lambda ask: count(ask.workload, table) + noise(ask))
    rows = [sample(model, 500, rng=np.random.default_rng(4)) for model in (joint, central)]
    assert rows[0].equals(rows[1])


@pytest.mark.parametrize("structure", ["chosen", "summed"])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
def test_the_plan_costs_no_more_than_asked_and_wastes_little(study, structure, epsilon):
    budget = plan(domain_of(study.features), epsilon=epsilon, delta=1e-6, structure=structure)
    cost = epsilon_of(gaussian=budget.gaussian, exponential=budget.exponential, delta=1e-6)
    assert 0.98 * epsilon <= cost <= epsilon


@pytest.mark.parametrize("structure", ["chosen", "summed"])
def test_every_round_carries_the_noise_that_the_plan_names(study, table, structure):
    domain = domain_of(study.features)
    budget = plan(domain, epsilon=5.0, delta=1e-6, structure=structure)
    choose = (lambda links, groups, sigma: ((0, 1), (3, 4))) if structure == "chosen" else None
    _, asked = drive(grow(domain, budget, choose=choose), lambda ask: count(ask.workload, table))
    assert [ask.noise_multiplier for ask in asked] == [event.noise_multiplier for event in budget.gaussian]
    for ask in asked:
        assert ask.sigma == pytest.approx(ask.noise_multiplier * math.sqrt(len(ask.workload.queries)))


def test_a_study_of_one_feature_needs_no_pairs(make_study, study, table):
    alone = make_study(study.features[3])
    model = without_noise(alone, table)
    drawn = sample(model, 5_000, rng=np.random.default_rng(0))
    real = table["stage"].null_count() / table.height
    assert drawn["stage"].null_count() / drawn.height == pytest.approx(real, abs=0.01)


def test_more_columns_than_persons_still_makes_rows_or_says_why_not(make_study, table):
    from wardgate.records.feature import Feature

    many = tuple(Feature(name=f"x{number}", type="boolean", missing="refused") for number in range(60))
    rows = table.head(50).select("label").with_columns(pl.lit(1.0).alias(one.name) for one in many)
    model = without_noise(make_study(*many), rows)
    assert sample(model, 10, rng=np.random.default_rng(0)).height == 10


def test_a_forest_has_no_cycle_and_prefers_strong_pairs(study, table):
    domain = domain_of(study.features)
    codes = encode(domain, table)
    found = {}

    def choose(links, groups, sigma):
        scores = dependence(codes, links, groups, sigma=sigma)
        found["edges"] = choose_edges(scores, epsilon=5.0, choices=5, entropy=UnsafeEntropy("edges"))
        return found["edges"]

    budget = plan(domain, epsilon=20.0, delta=1e-6, structure="chosen")
    drive(grow(domain, budget, choose=choose), lambda ask: count_codes(ask.workload, codes))
    assert {(3, 4), (3, 5)} <= set(found["edges"])
    for size in range(2, len(found["edges"]) + 1):
        for part in itertools.combinations(found["edges"], size):
            assert len({column for edge in part for column in edge}) > size


def test_a_pair_that_is_not_worth_its_noise_scores_below_no_pair(study, table):
    domain = domain_of(study.features)
    codes = encode(domain, table)
    found = {}

    def choose(links, groups, sigma):
        found["scores"] = dependence(codes, links, groups, sigma=4 * sigma)
        return ()

    drive(
        grow(domain, plan(domain, epsilon=1.0, delta=1e-6, structure="chosen"), choose=choose),
        lambda ask: count_codes(ask.workload, codes),
    )
    assert found["scores"][3, 4] > 0
    assert found["scores"][2, 4] < 0
    assert all(found["scores"][1, other] < 0 for other in (0, 2, 4))


def test_one_person_moves_a_score_by_at_most_one(study, table):
    domain = domain_of(study.features)
    codes = encode(domain, table)
    kept = {}

    def choose(links, groups, sigma):
        kept.update(links=links, groups=groups)
        return ()

    budget = plan(domain, epsilon=1.0, delta=1e-6, structure="chosen")
    drive(grow(domain, budget, choose=choose), lambda ask: count_codes(ask.workload, codes))
    whole = dependence(codes, kept["links"], kept["groups"], sigma=30.0)
    for person in (0, 17, 5_999):
        less = dependence(np.delete(codes, person, axis=0), kept["links"], kept["groups"], sigma=30.0)
        assert np.abs(whole - less)[~np.eye(6, dtype=bool)].max() <= 1 + 1e-9


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf])
def test_a_budget_that_is_none_is_refused(study, epsilon):
    with pytest.raises(Invalid):
        plan(domain_of(study.features), epsilon=epsilon, delta=1e-6, structure="summed")


def test_weights_that_are_none_are_refused(study):
    with pytest.raises(Invalid, match="weights"):
        plan(domain_of(study.features), epsilon=1.0, delta=1e-6, structure="summed", weights=Weights(link=0.0))


def test_a_plan_that_chooses_needs_somebody_who_chooses(study):
    domain = domain_of(study.features)
    with pytest.raises(Invalid, match="choose"):
        next(grow(domain, plan(domain, epsilon=1.0, delta=1e-6, structure="chosen")))


@pytest.mark.parametrize("answer", [np.zeros(3), np.full((2, 2), 1.0)])
def test_an_answer_of_another_shape_is_refused(study, answer):
    domain = domain_of(study.features)
    road = grow(domain, plan(domain, epsilon=1.0, delta=1e-6, structure="summed"))
    next(road)
    with pytest.raises(Invalid, match="histograms"):
        road.send(answer)


def test_an_answer_that_is_not_a_number_is_refused(study):
    domain = domain_of(study.features)
    road = grow(domain, plan(domain, epsilon=1.0, delta=1e-6, structure="summed"))
    with pytest.raises(Invalid, match="finite"):
        road.send(np.full(next(road).workload.size, np.nan))


def test_too_few_persons_for_the_budget_are_refused(study, table):
    domain = domain_of(study.features)
    budget = plan(domain, epsilon=0.5, delta=1e-6, structure="summed")
    with pytest.raises(Refused, match="joint corpus"):
        drive(grow(domain, budget), lambda ask: count(ask.workload, table.head(40)))


def test_a_label_of_one_class_is_refused(study, table):
    domain = domain_of(study.features)
    budget = plan(domain, epsilon=1.0, delta=1e-6, structure="summed")
    healthy = table.with_columns(pl.lit(0, dtype=pl.Int8).alias("label"))
    with pytest.raises(Refused, match="class"):
        drive(grow(domain, budget), lambda ask: count(ask.workload, healthy))
