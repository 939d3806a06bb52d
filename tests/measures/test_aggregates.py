"""Tables and fits as they may be shown: nobody is read off, solved for or dominated out of them."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from wardgate.measures.aggregates import (
    ALL,
    OTHER,
    Limits,
    SafeTable,
    concentration,
    few_digits,
    grouped,
    rounded_to,
    safe_table,
)
from wardgate.measures.differencing import everybody, nearly_same
from wardgate.records.errors import Invalid, NotEvaluable, Unsupported
from wardgate.sums.incidence import thin

LIMITS = Limits(safe_threshold=11, safe_nk_n=2, safe_nk_k=0.9, safe_pratio_p=0.1, zeros="hide", rounding_base=5)
OFF = Limits(safe_threshold=1, safe_nk_n=2, safe_nk_k=1.0, safe_pratio_p=0.0, zeros="show", rounding_base=1)


def rows(counts: np.ndarray, rng: np.random.Generator | None = None) -> pl.DataFrame:
    """One row a person, in cells of these counts."""
    places = [place for place in np.ndindex(*counts.shape) for _ in range(int(counts[place]))]
    names = "abc"[: counts.ndim]
    table = pl.DataFrame({name: [f"{name}{place[axis]}" for place in places] for axis, name in enumerate(names)})
    cost = np.ones(len(places)) if rng is None else np.round(rng.lognormal(3, 0.5, len(places)), 1)
    return table.with_columns(person=pl.int_range(pl.len()).cast(pl.String), cost=pl.Series(cost))


def made(table: pl.DataFrame, *by: str, statistic: str = "count", limits: Limits = LIMITS, **more: bool) -> SafeTable:
    value = None if statistic == "count" else "cost"
    of = grouped(table, by=by, person="person", value=value, safe_threshold=limits.safe_threshold)
    return safe_table(of, statistic=statistic, limits=limits, **more)  # type: ignore[arg-type]


def solved(shown: np.ndarray, total: float) -> tuple[np.ndarray, np.ndarray]:
    """The attack, written anew: the range of every entry for a reader who knows that counts are not negative."""
    size, places = shown.size, np.arange(shown.size).reshape(shown.shape)
    equations, known = [], []
    for axis in range(shown.ndim):
        for line in np.moveaxis(places, axis, -1).reshape(-1, shown.shape[axis]):
            row = np.zeros(size)
            row[line[:-1]], row[line[-1]] = 1, -1
            equations.append(row)
            known.append(0.0)
    for place, value in enumerate(shown.ravel()):
        if np.isfinite(value):
            row = np.zeros(size)
            row[place] = 1
            equations.append(row)
            known.append(value)
    ends = [
        [
            linprog(sign * np.eye(size)[place], A_eq=np.array(equations), b_eq=known, bounds=(0, total)).fun * sign
            for sign in (1, -1)
        ]
        for place in range(size)
    ]
    low, high = np.array(ends).T
    return low.reshape(shown.shape), high.reshape(shown.shape)


# Reading a margin


SMALL_INSIDE = np.array([[40.0, 30, 25], [35, 3, 45], [50, 60, 20]])


def test_a_margin_gives_a_hidden_cell_away_and_with_protection_it_does_not() -> None:
    exact = Limits(**{**{name: getattr(LIMITS, name) for name in Limits.__dataclass_fields__}, "rounding_base": 1})
    naive = made(rows(SMALL_INSIDE), "a", "b", limits=exact, complementary=False)
    low, high = solved(naive.counts, SMALL_INSIDE.sum())
    assert low[1, 1] == pytest.approx(3) and high[1, 1] == pytest.approx(3), "the attack works"
    assert naive.exposed
    safe = made(rows(SMALL_INSIDE), "a", "b", limits=exact)
    assert not safe.exposed
    low, high = solved(safe.counts, SMALL_INSIDE.sum())
    assert high[1, 1] - low[1, 1] >= 10 - 1e-6


@settings(max_examples=12)
@given(st.integers(0, 2**31), st.integers(2, 4), st.integers(2, 4), st.sampled_from(["show", "hide"]))
def test_no_small_cell_of_a_random_table_can_be_solved_for(seed: int, one: int, other: int, zeros: str) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.choice([0.0, 2, 5, 12, 30, 80], size=(one, other), p=[0.1, 0.1, 0.1, 0.2, 0.3, 0.2])
    limits = Limits(
        safe_threshold=11,
        safe_nk_n=2,
        safe_nk_k=0.9,
        safe_pratio_p=0.1,
        zeros=zeros,
        rounding_base=1,  # type: ignore[arg-type]
    )
    try:
        of = grouped(rows(counts), by=("a", "b"), person="person", safe_threshold=11)
        safe = safe_table(of, statistic="count", limits=limits)
    except (NotEvaluable, Unsupported):
        return
    true = np.full(safe.counts.shape, 0.0)
    for place, members in of.members():
        true[place] = len(members)
    low, high = solved(safe.counts, counts.sum())
    small = (true < 11) & ((true > 0) | (zeros == "hide"))
    assert not np.isfinite(safe.counts[small]).any()
    assert np.all(high[small] - low[small] >= 10 - 1e-5)
    assert safe.smallest >= 11 and not safe.exposed


# Dominance


def dominated() -> pl.DataFrame:
    """Four cells of thirty persons; in one, two persons hold nearly all of the cost."""
    table = rows(np.full((2, 2), 30.0), np.random.default_rng(1))
    cost = table["cost"].to_numpy().copy()
    cost[0], cost[1] = 1e6, 3e5
    return table.with_columns(cost=pl.Series(cost))


def test_the_second_contributor_recovers_the_first_and_with_protection_cannot() -> None:
    table = dominated()
    naive = made(table, "a", "b", statistic="sum", limits=OFF)
    guess = float(naive.values[0, 0]) - 3e5
    assert abs(guess - 1e6) < 0.1 * 1e6, "within p % with the protection off"
    with pytest.raises(NotEvaluable, match="one contributor dominates all of it"):
        made(table, "a", "b", statistic="sum")


def test_a_dominated_cell_is_hidden_and_its_sum_stays_in_a_wide_range() -> None:
    table = dominated()
    cost = table["cost"].to_numpy().copy()
    cost[0], cost[1] = 6_000, 500
    table = table.with_columns(cost=pl.Series(cost))
    naive = made(table, "a", "b", statistic="sum", limits=LIMITS, complementary=False)
    assert np.isnan(naive.values[0, 0]), "p-ratio: the rest is too small beside the largest"
    assert float(naive.values[0, 2]) - float(naive.values[0, 1]) - 500 == pytest.approx(6_000, rel=0.25)
    assert naive.exposed
    safe = made(table, "a", "b", statistic="sum")
    assert not safe.exposed and np.isnan(safe.values[0, 0]) and int(np.isnan(safe.values).sum()) >= 4
    true = np.array(
        [
            [cost[(table["a"] == a).to_numpy() & (table["b"] == b).to_numpy()].sum() for b in ("b0", "b1")]
            for a in ("a0", "a1")
        ]
    )
    full = np.block([[true, true.sum(1, keepdims=True)], [true.sum(0), true.sum()]])
    low, high = solved(np.where(safe.hidden.mask, np.nan, full), full[-1, -1])
    assert high[0, 0] - low[0, 0] >= 0.1 * 6_000 * (1 - 1e-6)


def test_sums_with_negative_parts_are_solved_without_a_floor() -> None:
    table = rows(SMALL_INSIDE, np.random.default_rng(2)).with_columns(cost=pl.col("cost") - 20)
    safe = made(table, "a", "b", statistic="sum")
    assert not safe.exposed and np.isnan(safe.values[1, 1])


def test_a_cell_in_which_everybody_has_nothing_tells_what_everybody_has() -> None:
    table = rows(np.full((2, 3), 40.0), np.random.default_rng(3))
    table = table.with_columns(cost=pl.when((pl.col("a") == "a0") & (pl.col("b") == "b0")).then(0.0).otherwise("cost"))
    assert np.isnan(made(table, "a", "b", statistic="mean").values[0, 0])
    shown = Limits(**{**{n: getattr(LIMITS, n) for n in Limits.__dataclass_fields__}, "zeros": "show"})
    assert made(table, "a", "b", statistic="mean", limits=shown).values[0, 0] == 0


@pytest.mark.parametrize(
    ("contributions", "share", "ratio"),
    [([1.0] * 20, 0.1, 18.0), ([90.0, 5, 5], 0.95, 5 / 90), ([-90.0, 5, 5], 0.95, 5 / 90), ([0.0] * 20, 1.0, 0.0)],
)
def test_concentration_is_what_acro_computes(contributions: list[float], share: float, ratio: float) -> None:
    found = concentration(np.array(contributions), safe_nk_n=2)
    assert found[:2] == (pytest.approx(share), pytest.approx(ratio))


# Who and what is counted


def test_persons_are_counted_and_not_their_rows() -> None:
    table = rows(np.array([40.0, 30, 8]))
    many = pl.concat([table, table, table])
    safe = made(many, "a")
    assert safe.counts[-1] == 80 and safe.smallest >= 11
    assert made(many, "a", statistic="sum").values[-1] == 3 * 78


def test_a_person_in_two_cells_is_not_counted_twice_but_refused() -> None:
    table = rows(np.array([40.0, 30]))
    moved = table.head(1).with_columns(a=pl.lit("a1"))
    with pytest.raises(Unsupported, match="two cells"):
        made(pl.concat([table, moved]), "a")


def test_the_name_of_a_level_that_few_have_is_not_shown() -> None:
    safe = made(rows(np.array([40.0, 3, 30, 2, 50])), "a")
    assert "a1" not in safe.levels[0] and "a3" not in safe.levels[0]
    assert safe.levels[0][-1] == OTHER
    assert safe.smallest >= 11
    assert ALL in safe.frame()["a"].to_list()


def test_persons_without_a_group_are_left_out() -> None:
    table = rows(np.array([40.0, 30])).with_columns(
        a=pl.when(pl.int_range(pl.len()) < 12).then(None).otherwise(pl.col("a"))
    )
    assert made(table, "a").counts[-1] == 60


def test_a_table_without_columns_is_everybody() -> None:
    safe = made(rows(np.array([40.0, 30])), statistic="mean")
    assert float(safe.counts) == 70 and len(safe.members) == 1


@pytest.mark.parametrize(
    ("by", "value", "error"),
    [
        (("nothing",), None, Invalid),
        (("a", "a"), None, Invalid),
        (("a", "b", "c", "d"), None, Unsupported),
        (("a",), "infinite", Invalid),
    ],
)
def test_what_cannot_be_used_is_refused(by: tuple[str, ...], value: str | None, error: type[Exception]) -> None:
    table = rows(np.full((2, 2, 2), 20.0)).with_columns(d=pl.lit("d"), infinite=pl.lit(float("inf")))
    with pytest.raises(error) as raised:
        grouped(table, by=by, person="person", value=value, safe_threshold=11)
    assert "inf" not in str(raised.value).replace("'infinite'", "")


def test_too_few_persons_and_wrong_statistics_are_refused() -> None:
    with pytest.raises(NotEvaluable, match="fewer than 11"):
        made(rows(np.array([5.0, 5])), "a")
    of = grouped(rows(np.array([50.0, 50])), by=("a",), person="person", safe_threshold=11)
    with pytest.raises(Invalid, match="value column"):
        safe_table(of, statistic="mean", limits=LIMITS)


def test_everything_shown_is_rounded() -> None:
    safe = made(rows(SMALL_INSIDE * 7, np.random.default_rng(4)), "a", "b", statistic="mean")
    assert safe.unrounded == 0
    seen = safe.counts[np.isfinite(safe.counts)]
    assert np.all(seen % 5 == 0)
    assert few_digits(np.array([123456.0, 0.0012345])).tolist() == [123000.0, 0.00123]
    assert rounded_to(np.array([12.0, 13, 7.5]), base=5).tolist() == [10, 15, 10]


# Differences between answers


def people(*numbers: int) -> frozenset[bytes]:
    return frozenset(number.to_bytes(4, "big") for number in numbers)


def test_two_cohorts_that_differ_by_one_are_noticed_and_equal_ones_are_welcome() -> None:
    base, less, other = people(*range(100)), people(*range(99)), people(*range(200, 300))
    assert nearly_same((base,), [(less,)], minimum=11)
    assert not nearly_same((base,), [(base,), (other,)], minimum=11)
    assert not nearly_same((base,), [(people(*range(89)),)], minimum=11)
    assert nearly_same((base,), [(people(*range(90)),)], minimum=11)
    assert not nearly_same((people(1, 2, 3),), [(people(7, 8),)], minimum=11), "they share nobody"
    assert nearly_same((people(*range(8)),), [(people(*range(7)),)], minimum=11), "small splits of small hospitals too"


def test_unions_rests_and_parts_are_noticed() -> None:
    everyone = people(*range(120))
    thirds = [people(*range(start, start + 40)) for start in (0, 40, 80)]
    earlier = (everyone, *thirds)
    for near in (people(*range(79)), people(*range(41, 120)), people(*range(2, 40))):
        assert nearly_same((near,), [earlier], minimum=11)
    assert not nearly_same((everyone, people(*range(60)), people(*range(60, 120))), [earlier], minimum=11)


def test_a_combination_of_many_cohorts_is_found_where_no_two_are_near() -> None:
    """A + B - C - D leaves five persons, and no two of the four are alike."""
    north, south, east, west = (range(start, start + 50) for start in (0, 100, 200, 300))
    answers = [
        (people(*north, *south, *range(900, 905)),),
        (people(*east, *west),),
        (people(*north, *east),),
        (people(*south, *west),),
    ]
    assert not any(nearly_same(one, [other], minimum=11) for one, other in itertools.combinations(answers, 2))
    rosters, persons = everybody(answers)
    assert thin(rosters, persons=persons, minimum=11) is not None
    rosters, persons = everybody(answers[:3])
    assert thin(rosters, persons=persons, minimum=11) is None


def test_sets_that_do_not_lie_in_everybody_are_refused() -> None:
    with pytest.raises(Invalid):
        nearly_same((people(1), people(2)), [], minimum=11)
    with pytest.raises(Invalid):
        nearly_same((), [], minimum=11)
