"""The local halves of sums against brute force, and within their bound for every single person."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardgate.computations.newton import Newton
from wardgate.computations.score_bins import ScoreBins
from wardgate.hospital.ward.learning.associations import associations
from wardgate.hospital.ward.learning.marginals import counted
from wardgate.hospital.ward.learning.newton import step
from wardgate.hospital.ward.learning.score_bins import binned
from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.workload import Query, Workload
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.subgroups import subgroup_masks
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded, counts_shape

Make = Callable[..., pl.DataFrame]
Array = np.ndarray[Any, Any]

entry = st.floats(-1, 1, allow_subnormal=False)
rows = st.lists(st.lists(entry, min_size=3, max_size=3), min_size=1, max_size=6)
betas = st.lists(st.floats(-30, 30), min_size=4, max_size=4)


def designed(found: list[list[float]]) -> Array:
    return np.array([[1.0, *row] for row in found])


def bins_of(*, bins: int, subgroup_bins: int, low: float, high: float) -> ScoreBins:
    return ScoreBins(model="local", beta=None, bins=bins, subgroup_bins=subgroup_bins, low=low, high=high, subgroups=0)


def alone(answer: Callable[[Array, Array], Bounded], x: Array, y: Array) -> list[Bounded]:
    """The answer of each person alone."""
    return [answer(x[place : place + 1], y[place : place + 1]) for place in range(len(y))]


def test_a_newton_answer_is_the_sum_of_the_textbook_formulas(study: Study, make_persons: Make) -> None:
    table = make_persons(50)
    x, y = design_matrix(study.features, table), labels(table)
    beta = np.linspace(-1, 1, x.shape[1])
    p = len(beta)
    gradient, hessian, loss = np.zeros(p), np.zeros((p, p)), 0.0
    for row, label in zip(x, y, strict=True):
        chance = 1 / (1 + np.exp(-row @ beta))
        gradient += (label - chance) * row
        hessian += chance * (1 - chance) * np.outer(row, row)
        loss += np.log(chance if label else 1 - chance)
    found = step(Newton(beta=beta), x, y)
    assert found.persons == 50
    assert found.vector[:p] == pytest.approx(gradient)
    assert found.vector[p:-1] == pytest.approx(hessian[np.triu_indices(p)])
    assert found.vector[-1] == pytest.approx(loss)


@given(rows, betas, st.integers(0, 63))
def test_no_person_passes_the_bound_or_the_norm_of_a_newton_step(
    found: list[list[float]], beta: list[float], outcome: int
) -> None:
    x = designed(found)
    y = np.array([(outcome >> place) & 1 for place in range(len(x))], dtype=np.int8)
    asked = Newton(beta=np.array(beta))
    for one in alone(partial(step, asked), x, y):
        assert np.all(np.abs(one.vector) <= one.shape.bound * (1 + 1e-9) + 1e-9)
        assert np.linalg.norm(one.vector) <= one.shape.l2 * (1 + 1e-9) + 1e-9
    whole = step(asked, x, y)
    assert whole.vector == pytest.approx(
        np.sum([one.vector for one in alone(partial(step, asked), x, y)], axis=0), abs=1e-9
    )


def test_a_row_outside_the_design_is_caught_before_it_is_summed() -> None:
    with pytest.raises(Invalid, match="bound per person"):
        step(Newton(beta=np.zeros(2)), np.array([[1.0, 7.0]]), np.array([1], dtype=np.int8))
    with pytest.raises(Invalid, match="bound per person"):
        Bounded(vector=np.array([np.nan]), shape=counts_shape(entries=1, l2=1.0), persons=3).checked()
    with pytest.raises(Invalid, match="expected 2 entries"):
        Bounded(vector=np.zeros(1), shape=counts_shape(entries=2, l2=1.0), persons=3).checked()


def test_score_bins_are_the_counts_of_brute_force(study: Study, make_persons: Make) -> None:
    table = make_persons(80)
    logits, y = np.random.default_rng(2).normal(0, 3, 80), labels(table)
    masks = [mask for _, mask in subgroup_masks(study, table)]
    found = binned(bins_of(bins=6, subgroup_bins=3, low=-3.0, high=3.0), logits, y, masks).vector
    expected: list[float] = []
    for mask, bins in [(np.ones(80, dtype=bool), 6), *((mask, 3) for mask in masks)]:
        edges = np.linspace(-3, 3, bins + 1)
        edges[0], edges[-1] = -np.inf, np.inf
        for label in (1, 0):
            for low, high in pairwise(edges):
                expected.append(
                    sum(low <= s < high and t == label and m for s, t, m in zip(logits, y, mask, strict=True))
                )
        expected.append(float(np.sum(1 / (1 + np.exp(-logits[mask])))))
    assert found == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=8))
def test_no_person_passes_the_bound_or_the_norm_of_score_bins(found: list[tuple[float, int, int]]) -> None:
    logits = np.array([score for score, _, _ in found])
    y = np.array([label for _, label, _ in found], dtype=np.int8)
    groups = [np.array([bool(g & bit) for _, _, g in found]) for bit in (1, 2)]
    asked = bins_of(bins=5, subgroup_bins=2, low=-2.0, high=2.0)
    whole = binned(asked, logits, y, groups)
    total = np.zeros_like(whole.vector)
    for place in range(len(y)):
        part = slice(place, place + 1)
        one = binned(asked, logits[part], y[part], [mask[part] for mask in groups])
        assert np.all(np.abs(one.vector) <= one.shape.bound)
        assert np.linalg.norm(one.vector) <= one.shape.l2 + 1e-12
        total += one.vector
    assert whole.vector == pytest.approx(total)


def workload(study: Study, queries: list[Query]) -> Workload:
    domain = domain_of(study.features)
    groups = tuple(tuple(min(cell, 2) for cell in range(column.size)) for column in domain.columns)
    sides = tuple(tuple(1 if cell % 2 else -1 for cell in range(column.size)) for column in domain.columns)
    return Workload(domain=domain, groups=groups, sides=sides, queries=tuple(queries))


QUERIES = [
    Query(cells=(0,)),
    Query(cells=(1, 2)),
    Query(cells=(3,), signs=(4,)),
    Query(signs=(0, 1)),
    Query(signs=(4,)),
]


def test_marginals_are_the_counts_of_brute_force(study: Study, make_persons: Make) -> None:
    table, asked = make_persons(60), workload(study, QUERIES)
    codes = encode(asked.domain, table)
    expected: list[float] = []
    for query in QUERIES:
        cells = np.zeros(asked.shape(query))
        for row in codes:
            place = tuple(asked.groups[column][row[column]] for column in query.cells)
            cells[place] += np.prod([asked.sides[column][row[column]] for column in query.signs])
        expected.extend(cells.ravel())
    found = counted(asked, table)
    assert found.vector == pytest.approx(expected)
    assert (found.shape.entries, found.shape.l2, found.persons) == (asked.size, asked.l2, 60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(seed=st.integers(0, 10_000), chosen=st.lists(st.sampled_from(QUERIES), min_size=1, unique=True))
def test_no_person_passes_the_bound_or_the_norm_of_marginals(
    study: Study, make_persons: Make, seed: int, chosen: list[Query]
) -> None:
    asked = workload(study, chosen)
    table = make_persons(4, seed=seed)
    total = np.zeros(asked.size)
    for place in range(4):
        one = counted(asked, table[place : place + 1])
        assert np.max(np.abs(one.vector)) <= 1
        assert np.linalg.norm(one.vector) <= asked.l2 + 1e-12
        total += one.vector
    assert counted(asked, table).vector == pytest.approx(total)


def test_associations_are_correlations(study: Study, make_persons: Make) -> None:
    table = make_persons(400)
    x, y = design_matrix(study.features, table), labels(table)
    found = associations(x, y, smallest_cell=0)
    assert found[0] == 0, "the intercept is constant"
    for column in range(1, x.shape[1]):
        expected = np.corrcoef(x[:, column], y)[0, 1] if np.std(x[:, column]) else 0
        assert found[column] == pytest.approx(expected, abs=1e-12)


def test_an_association_over_a_small_cell_is_not_told() -> None:
    """Who knows that three patients have a rare trait reads from the rounded figure how it ended for all three."""
    y = np.array([1] * 100 + [0] * 100, dtype=np.int8)
    rare, nobody = np.zeros(200), np.zeros(200)
    rare[:3] = 1

    def fitting(told: float) -> list[int]:
        """How many of the three had the outcome, as far as the figure allows."""
        found = []
        for ended in range(4):
            trait = np.zeros(200)
            trait[100 - ended : 103 - ended] = 1
            found += [ended] if abs(np.corrcoef(trait, y)[0, 1] - told) <= 0.005 else []
        return found

    x = np.column_stack([np.ones(200), rare])
    assert fitting(round(float(associations(x, y, smallest_cell=0)[1]), 2)) == [3]
    absent = np.column_stack([np.ones(200), nobody])
    assert associations(x, y, smallest_cell=11).tolist() == associations(absent, y, smallest_cell=11).tolist() == [0, 0]


def test_associations_of_numbers_and_of_filled_cells_are_told() -> None:
    y = np.array([1] * 100 + [0] * 100, dtype=np.int8)
    filled = np.array(([1] * 11 + [0] * 89) * 2, dtype=float)
    filled[0:40] = 1
    x = np.column_stack([np.linspace(-1, 1, 200), filled])
    assert np.all(np.abs(associations(x, y, smallest_cell=11)) > 0.1)
