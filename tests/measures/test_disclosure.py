"""No small cell can be read or computed from what is shown."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.measures import disclosure
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

tables = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(st.integers(0, 60), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda cells: np.array(cells, dtype=float).reshape(shape)
    )
)


def _computable(hidden: np.ndarray) -> bool:
    """Attack by linear algebra: does knowing the shown cells and the additions fix any hidden one?"""
    rows, columns = hidden.shape
    equations = []
    for row in range(rows):
        equation = np.zeros(hidden.shape)
        equation[row] = 1
        equation[row, -1] = -1
        equations.append(equation[hidden])
    for column in range(columns):
        equation = np.zeros(hidden.shape)
        equation[:, column] = 1
        equation[-1, column] = -1
        equations.append(equation[hidden])
    matrix = np.array(equations)
    rank = np.linalg.matrix_rank(matrix)
    for place in range(int(hidden.sum())):
        unit = np.zeros((1, int(hidden.sum())))
        unit[0, place] = 1
        if np.linalg.matrix_rank(np.concatenate((matrix, unit))) == rank:
            return True
    return False


@given(tables)
def test_no_hidden_cell_can_be_computed(table: np.ndarray) -> None:
    hidden = disclosure.suppressed(table, min_count=11)
    assert hidden[:-1, :-1][table < 11].all()
    assert not (hidden.any() and _computable(hidden))


def test_hiding_small_cells_alone_would_give_them_away() -> None:
    table = np.array([[5.0, 40.0, 30.0], [20.0, 30.0, 25.0]])
    primary = np.zeros((3, 4), dtype=bool)
    primary[0, 0] = True
    assert _computable(primary)
    hidden = disclosure.suppressed(table, min_count=11)
    assert not _computable(hidden)
    assert hidden.sum() == 4


def test_a_table_without_small_cells_is_shown_whole() -> None:
    assert not disclosure.suppressed(np.full((3, 3), 20.0), min_count=11).any()


def test_hidden_cells_of_a_line_do_not_add_up_to_a_small_group() -> None:
    hidden = disclosure.suppressed(np.array([[2.0, 3.0, 40.0, 50.0]]), min_count=11)
    assert float(np.array([2.0, 3.0, 40.0, 50.0])[hidden[0, :-1]].sum()) >= 11 or hidden[0, -1]


@pytest.mark.parametrize("table", [np.array([1.0]), np.array([[np.nan]]), np.array([[-1.0]])])
def test_what_is_no_table_of_counts_refuses(table: np.ndarray) -> None:
    with pytest.raises(Invalid):
        disclosure.suppressed(table, min_count=11)


def test_an_empty_cell_is_a_small_cell() -> None:
    assert disclosure.smallest_cell([40, 0, 12]).value == 0
    with pytest.raises(Invalid):
        disclosure.smallest_cell([])


def test_figures_with_more_digits_are_counted() -> None:
    assert disclosure.unrounded([0.78, 0.7, 1.0], step=0.01).value == 0
    assert disclosure.unrounded([0.781, float("nan"), float("inf")], step=0.01).value == 3
    with pytest.raises(Invalid):
        disclosure.unrounded([0.1], step=0)


@given(st.floats(-1e6, 1e6), st.sampled_from([0.01, 0.05, 5.0]))
def test_rounding_gives_what_the_check_accepts(value: float, step: float) -> None:
    assert disclosure.unrounded([disclosure.rounded(value, step=step)], step=step).value == 0


@given(st.floats(-1e3, 1e3), st.floats(0, 10), st.floats(0, 10))
def test_showing_fewer_digits_never_narrows_an_interval(value: float, below: float, above: float) -> None:
    exact = Measured(name="x", value=value, low=value - below, high=value + above)
    seen = disclosure.shown(exact)
    slack = 1e-9 * (1 + abs(value) + below + above)
    assert seen.low <= exact.low + slack
    assert seen.high >= exact.high - slack
    assert seen.low <= seen.value <= seen.high


def test_what_is_not_a_number_stays_so() -> None:
    seen = disclosure.shown(Measured(name="x", value=float("nan"), low=float("nan"), high=float("nan")))
    assert all(np.isnan(part) for part in (seen.value, seen.low, seen.high))


def test_sample_sizes_do_not_follow_single_persons() -> None:
    assert {disclosure.coarse(count) for count in itertools.chain(range(1150, 1200))} == {1150}
