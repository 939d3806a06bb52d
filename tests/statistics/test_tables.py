"""Counts against brute force; what is published of small cells; cuts on the grain."""

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from wardgate.computations.tables import MOST_ENTRIES, Tables
from wardgate.hospital.ward.learning import tables as tables_here
from wardgate.hub.pooling.tables import asked_tables, counts, histogram, kway, tables
from wardgate.measures.consistent import agreeing, margin
from wardgate.measures.grain import grain, outer_steps, step_of, value_of
from wardgate.measures.suppression import bordered, suppress
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, NotEvaluable, Refused, Unsupported
from wardgate.records.feature import Feature
from wardgate.records.study import Study

SITES = ("a", "b", "c")


def test_counts_equal_the_pooled_ones(pool: Any, study: Study) -> None:
    found = pool.drive(counts(study=study, sites=SITES, persons_at_least=3_000))
    for name, values in (("sex", ["F", "M"]), ("stage", ["I", "II", "III", "IV"]), ("smoker", [0.0, 1.0])):
        expected = [int((pool.whole[name] == value).sum()) for value in values]
        gone = pool.whole[name].null_count()
        assert found.table(name).cells.tolist() == [*expected, *([gone] if name == "stage" else [])]
    assert found.table("label").cells.tolist() == [(pool.whole["label"] == label).sum() for label in (0, 1)]
    assert {table.total for table in found.tables} == {3_000}
    by_label = pool.drive(counts(study=study, sites=SITES, persons_at_least=3_000, by_label=True))
    assert by_label.table("sex", "label").cells.sum(axis=0).tolist() == found.table("label").cells.tolist()


def test_a_histogram_equals_numpy_at_the_same_edges(pool: Any, study: Study) -> None:
    edges = [3.3, 5.6, 7.0, 11.1]
    found = pool.drive(
        histogram(study=study, sites=SITES, feature="glucose", persons_at_least=3_000, edges=edges)
    ).tables[0]
    values = pool.whole["glucose"].drop_nulls().to_numpy()
    expected, _ = np.histogram(values, [-np.inf, *edges, np.inf])
    assert found.cells.tolist() == [*expected, pool.whole["glucose"].null_count()]
    assert found.names == (("<3.3", "3.3 to <5.6", "5.6 to <7", "7 to <11.1", ">=11.1", "missing"),)


def test_a_value_on_an_edge_falls_into_the_upper_bin(make_study: Any, make_pool: Any) -> None:
    study = make_study(Feature(name="x", type="number", unit="1", range=(0, 30), missing="refused"))
    pool = make_pool(study, [pl.DataFrame({"x": [5.59, 5.6, 5.61] * 20, "label": [0] * 60})])
    found = pool.drive(histogram(study=study, sites=SITES, feature="x", persons_at_least=60, edges=[5.6]))
    assert found.tables[0].cells.tolist() == [20, 40]


def test_marginals_of_any_order_are_the_counts_of_brute_force(pool: Any, study: Study) -> None:
    edges = {"age": [50, 65, 80]}
    names = ("age", "sex", "stage", "cough")
    for ways in (1, 2, 3, 4):
        asked = asked_tables(study, list(combinations(names, ways)), edges=edges, bins=8)
        ask = next(kway(study=study, sites=SITES, ways=ways, persons_at_least=10**9, columns=names, edges=edges))
        assert ask.parameters == asked.parameters()
        total = pool.tell(ask).sum()
        codes = pool.whole.select(
            age=pl.sum_horizontal(*((pl.col("age") >= cut).cast(pl.Int64) for cut in (50, 65, 80))),
            sex=(pl.col("sex") == "M").cast(pl.Int64),
            stage=pl.col("stage").replace_strict({"I": 0, "II": 1, "III": 2, "IV": 3}, default=4),
            cough=pl.col("cough").fill_null(2).cast(pl.Int64),
        )
        sizes = {"age": 4, "sex": 2, "stage": 5, "cough": 3}
        start = 0
        for table in asked.tables:
            size = [sizes[name] for name in table]
            expected = np.zeros(size)
            np.add.at(expected, tuple(codes[name].to_numpy() for name in table), 1)
            stop = start + expected.size
            assert np.array_equal(total[start:stop], expected.ravel())
            start = stop
        assert start == len(total)
        assert ask.shape.l2 == pytest.approx(np.sqrt(len(asked.tables)))


def test_no_person_passes_the_bound_or_the_norm_and_it_is_reached(
    study: Study, make_persons: Any, make_pool: Any
) -> None:
    asked = asked_tables(study, [(), ("age",), ("sex", "stage"), ("cough", "label", "glucose")], edges={}, bins=4)
    table = make_persons(30, seed=4)
    total = np.zeros(asked.shape(study).entries)
    for row in range(30):
        one = tables_here.tables(asked, table[row : row + 1], study=study)
        assert np.max(np.abs(one.vector)) <= 1
        assert np.linalg.norm(one.vector) == pytest.approx(one.shape.l2)
        total += one.vector
    assert np.array_equal(tables_here.tables(asked, table, study=study).vector, total)


def test_noisy_marginals_share_one_total_and_equal_margins(pool: Any, study: Study) -> None:
    names = ("sex", "stage", "cough", "label")
    found = pool.drive(kway(study=study, sites=SITES, ways=3, columns=names, persons_at_least=3_000, epsilon=1.0))
    assert 0.99 < epsilon_of(gaussian=found.gaussian, delta=study.budget.delta) <= 1.0
    totals = [table.total for table in found.tables]
    assert totals == pytest.approx([totals[0]] * 4)
    assert totals[0] == pytest.approx(3_000, abs=200)
    for left, right in combinations(found.tables, 2):
        shared = sorted(set(left.columns) & set(right.columns))
        assert margin(left.cells, left.columns, shared) == pytest.approx(margin(right.cells, right.columns, shared))


def test_agreement_lowers_the_error_and_leaves_true_counts_alone() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 90, (3, 4, 2)).astype(float)
    names = ("a", "b", "c")
    two = {pair: margin(truth, names, list(pair)) for pair in combinations(names, 2)}
    assert all(np.allclose(agreeing(two)[pair], two[pair]) for pair in two)
    before = after = 0.0
    for _ in range(200):
        noisy = {pair: table + rng.normal(0, 10, table.shape) for pair, table in two.items()}
        agreed = agreeing(noisy)
        before += sum(float(np.sum((noisy[pair] - two[pair]) ** 2)) for pair in two)
        after += sum(float(np.sum((agreed[pair] - two[pair]) ** 2)) for pair in two)
    assert after < 0.9 * before
    with pytest.raises(Invalid, match="differ in the cells of 'a'"):
        agreeing({("a", "b"): np.zeros((2, 2)), ("a", "c"): np.zeros((3, 2))})


def worked_out(shown: Any) -> list[float]:
    """What an attacker learns of hidden cells of a two-way table from everything shown: widths of their ranges."""
    rows, columns = (size - 1 for size in shown.bordered.shape)
    equations, values = [], []
    for row in range(rows):
        if np.isfinite(shown.bordered[row, -1]):
            equations.append([[1.0 if r == row else 0.0 for _ in range(columns)] for r in range(rows)])
            values.append(shown.bordered[row, -1])
    for column in range(columns):
        if np.isfinite(shown.bordered[-1, column]):
            equations.append([[1.0 if c == column else 0.0 for c in range(columns)] for _ in range(rows)])
            values.append(shown.bordered[-1, column])
    equations.append(np.ones((rows, columns)).tolist())
    values.append(shown.bordered[-1, -1])
    matrix = np.array(equations).reshape(len(equations), -1)
    limits = [(v, v) if np.isfinite(v) else (0, None) for v in shown.cells.ravel()]
    widths = []
    for cell in np.flatnonzero(np.isnan(shown.cells.ravel())):
        goal = np.eye(rows * columns)[cell]
        low, high = (linprog(sign * goal, A_eq=matrix, b_eq=values, bounds=limits).fun for sign in (1, -1))
        widths.append(-high - low)
    return widths


def test_margins_give_a_small_cell_away_unless_more_is_hidden() -> None:
    counts_ = np.array([[40.0, 3.0, 60.0], [50.0, 70.0, 80.0], [20.0, 30.0, 25.0]])
    (naive,) = suppress([counts_], [("a", "b")], minimum=11, complementary=False)
    assert worked_out(naive) == pytest.approx([0.0]), (
        "the attack: the row total less its neighbours is the patient count"
    )
    (found,) = suppress([counts_], [("a", "b")], minimum=11)
    assert (found.small, found.complementary) == (1, 3)
    assert min(worked_out(found)) >= 10
    assert found.note == "1 small entries are hidden, and 3 more that would give them away"


def test_two_small_cells_whose_sum_is_small_do_not_protect_each_other() -> None:
    counts_ = np.array([[1.0, 1.0, 60.0], [1.0, 1.0, 80.0], [20.0, 30.0, 25.0]])
    (naive,) = suppress([counts_], [("a", "b")], minimum=11, complementary=False)
    assert max(worked_out(naive)) <= 2
    (found,) = suppress([counts_], [("a", "b")], minimum=11)
    assert min(worked_out(found)) >= 10


def test_a_second_table_of_the_same_persons_gives_nothing_away() -> None:
    fine = np.array([[3.0, 40.0], [50.0, 60.0], [33.0, 28.0]])
    alone, margin_ = suppress([fine, fine.sum(axis=1)], [("a", "b"), ("a",)], minimum=11)
    assert np.isnan(alone.cells[0, 0])
    for row in range(3):
        assert np.isnan(alone.bordered[row, -1]) == np.isnan(margin_.cells[row])
    three = np.random.default_rng(0).integers(0, 30, (3, 3, 2)).astype(float)
    cube, face = suppress([three, three.sum(axis=0)], [("a", "b", "c"), ("b", "c")], minimum=11)
    hidden = np.isnan(cube.bordered[-1, :, :])
    assert np.array_equal(hidden, np.isnan(face.bordered))


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=3, max_size=4))
def test_nothing_small_follows_from_what_is_shown(rows: list[list[int]]) -> None:
    table = np.array(rows, dtype=float)
    try:
        (found,) = suppress([table], [("a", "b")], minimum=11)
    except (NotEvaluable, Unsupported):
        return
    full = bordered(table)
    assert not np.any((full > 0) & (full < 11) & np.isfinite(found.bordered))
    assert np.array_equal(full[np.isfinite(found.bordered)], found.bordered[np.isfinite(found.bordered)])
    hidden = full[:-1, :-1][np.isnan(found.cells)]
    widths = [width for width, count in zip(worked_out(found), hidden, strict=True) if 0 < count < 11]
    assert all(width >= 10 - 1e-6 for width in widths)


def test_zeros_and_large_cells_stay(pool: Any) -> None:
    (found,) = suppress([np.array([0.0, 50.0, 70.0])], [("a",)], minimum=11)
    assert (found.cells.tolist(), found.small, found.note) == ([0, 50, 70], 0, "no entry is hidden")
    (two,) = suppress([np.array([4.0, 50.0, 70.0])], [("a",)], minimum=11)
    assert np.isnan(two.cells).tolist() == [True, True, False]
    (nobody,) = suppress([np.array(30.0)], [()], minimum=11)
    assert nobody.total == 30
    with pytest.raises(NotEvaluable, match="fewer than 11"):
        suppress([np.array([4.0, 5.0])], [("a",)], minimum=11)
    with pytest.raises(Invalid, match="true counts"):
        suppress([np.array([4.2, 50.0])], [("a",)], minimum=11)
    with pytest.raises(Invalid, match="same persons"):
        suppress([np.array([40.0, 50.0]), np.array([20.0, 20.0])], [("a",), ("b",)], minimum=11)


def test_small_cells_never_reach_the_published_object(study: Study, make_persons: Any, make_pool: Any) -> None:
    whole = make_persons(300, seed=9)
    pool = make_pool(study, [whole[:100], whole[100:200], whole[200:]])
    found = pool.drive(tables(study=study, sites=SITES, columns=[("stage", "cough")], persons_at_least=300)).tables[0]
    truth = np.zeros((5, 3))
    stage = whole["stage"].replace_strict({"I": 0, "II": 1, "III": 2, "IV": 3}, default=4).to_numpy()
    np.add.at(truth, (stage, whole["cough"].fill_null(2).cast(pl.Int64).to_numpy()), 1)
    assert np.any((truth > 0) & (truth < 11)), "the data have small cells, so the test has teeth"
    assert not np.any((found.cells > 0) & (found.cells < 11))
    assert "small entries are hidden" in found.note


def test_an_exact_table_of_too_many_cells_is_refused_with_its_number(study: Study) -> None:
    driver = tables(study=study, sites=SITES, columns=[("stage", "cough")], persons_at_least=150)
    with pytest.raises(Refused, match="15 cells, the sum at least 150 persons"):
        next(driver)
    next(tables(study=study, sites=SITES, columns=[("stage", "cough")], persons_at_least=165))
    next(tables(study=study, sites=SITES, columns=[("stage", "cough")], persons_at_least=150, epsilon=1.0))


def test_cuts_off_the_grain_are_refused(study: Study, make_study: Any) -> None:
    """Two harmless histograms whose cuts may lie anywhere single one patient out; on the grain they cannot be asked."""
    values = np.random.default_rng(3).uniform(5.0, 6.0, 40_000)
    one = np.sort(values)[20_000]
    around = (np.nextafter(one, 0), np.nextafter(one, 9))
    lower = [int(np.sum(values < cut)) for cut in around]
    assert lower[1] - lower[0] == 1, "the attack: that patient's value, to the last digit"
    for cut in around:
        with pytest.raises(Invalid, match="multiples of"):
            step_of(study.feature("glucose"), float(cut))
    driver = histogram(study=study, sites=SITES, feature="glucose", persons_at_least=3_000, edges=[5.6001])
    with pytest.raises(Invalid, match=r"multiples of 0\.01"):
        next(driver)
    wide = make_study(
        Feature(name="n", type="integer", unit="1", range=(0, 50_000)),
        Feature(name="s", type="number", unit="1", range=(-0.001, 0.001)),
    )
    assert [grain(feature) for feature in wide.features] == [1, -6]
    assert value_of(wide.features[0], 7) == 70.0
    assert step_of(wide.features[1], 0.000_37) == 370
    assert outer_steps(study.feature("age")) == (18, 100)
    assert outer_steps(study.feature("glucose")) == (0, 3_001)
    with pytest.raises(Invalid, match="not finite"):
        step_of(study.feature("glucose"), float("nan"))
    with pytest.raises(Invalid, match="no cuts"):
        grain(study.feature("sex"))


@pytest.mark.parametrize(
    ("columns", "edges", "words"),
    [
        ([("height",)], {}, "neither a feature"),
        ([("age", "sex", "stage", "cough", "smoker")], {}, "at most 4 columns, found 5"),
        ([("sex", "sex")], {}, "names a column twice"),
        ([("sex", "stage"), ("stage", "sex")], {}, "asked for twice"),
        ([], {}, "1 to 20000 tables"),
        ([("glucose",)], {"glucose": []}, "no edges"),
        ([("glucose",)], {"glucose": [7.0, 5.0]}, "must rise"),
        ([("glucose",)], {"glucose": [5.0, 5.0]}, "must rise"),
        ([("sex",)], {"sex": [1]}, "is no number"),
        ([("sex",)], {"glucose": [1]}, "no table counts"),
    ],
)
def test_bad_questions_are_named(columns: Any, edges: Any, words: str, study: Study) -> None:
    with pytest.raises(Invalid, match=words):
        next(tables(study=study, sites=SITES, columns=columns, edges=edges, persons_at_least=10**6))


def test_too_many_ways_or_cells_are_refused_with_their_number(study: Study) -> None:
    with pytest.raises(Invalid, match="1 to 4 columns in a marginal, found 5"):
        next(kway(study=study, sites=SITES, ways=5, persons_at_least=3_000))
    cuts = {"glucose": tuple(range(1, 3_000)), "age": tuple(range(19, 99))}
    with pytest.raises(Invalid, match=f"at most {MOST_ENTRIES} cells can be counted at once, found"):
        Tables(tables=(("glucose", "age", "stage"),), cuts=cuts).shape(study)
    with pytest.raises(Invalid, match="at least 2 bins"):
        next(histogram(study=study, sites=SITES, feature="age", persons_at_least=100, bins=1))


MUSEUM = [
    {},
    {"tables": "age", "cuts": {}},
    {"tables": [["age"], 3], "cuts": {}},
    {"tables": [["age", 3]], "cuts": {}},
    {"tables": [["age"]]},
    {"tables": [["age"]], "cuts": [18]},
    {"tables": [["age"]], "cuts": {"age": 18}},
    {"tables": [["age"]], "cuts": {"age": ["18"]}},
    {"tables": [["age"]], "cuts": {"age": [True]}},
    {"tables": [["age"]], "cuts": {"age": [18.5]}},
    {"tables": [["age"]], "cuts": {"age": [10**400]}},
]


@pytest.mark.parametrize("parameters", MUSEUM)
def test_broken_parameters_are_refused(parameters: Any) -> None:
    with pytest.raises(Invalid):
        Tables.read(parameters, {})


def test_persons_whom_the_study_does_not_describe_are_refused(study: Study, make_persons: Any) -> None:
    table = make_persons(20, seed=1)
    asked = asked_tables(study, [("sex",), ("smoker",), ("age",)], edges={}, bins=3)
    for broken, words in (
        (table.with_columns(sex=pl.lit("X")), "category that the study does not name"),
        (table.with_columns(smoker=pl.lit(0.5)), "expected 0, 1 or missing"),
        (table.with_columns(age=pl.lit(None, dtype=pl.Float64)), "lacks values"),
        (table.drop("sex"), "is missing"),
    ):
        with pytest.raises(Invalid, match=words):
            tables_here.tables(asked, broken, study=study)


def test_too_few_persons_are_not_evaluable(study: Study, make_persons: Any, make_pool: Any) -> None:
    pool = make_pool(study, [make_persons(4, seed=1)])
    with pytest.raises(NotEvaluable):
        pool.drive(tables(study=study, sites=SITES, columns=[("sex",)], persons_at_least=1_000))
    empty = make_pool(study, [make_persons(4, seed=1)[:0]], seed=3)
    with pytest.raises(NotEvaluable):
        empty.drive(tables(study=study, sites=SITES, columns=[("sex",)], persons_at_least=1_000, epsilon=9.0))
