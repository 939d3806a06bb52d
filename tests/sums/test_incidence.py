"""No combination of exact sums gives away fewer than three sites: against brute force, exactly."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums.incidence import isolates

ALL = frozenset(f"s{index}" for index in range(12))


def rank(rows: list[list[int]]) -> int:
    left = [[Fraction(value) for value in row] for row in rows]
    found = 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((row for row in left[found:] if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        left.insert(found, pivot)
        for index, row in enumerate(left):
            if index != found and row[column]:
                factor = row[column] / pivot[column]
                left[index] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        found += 1
    return found


def by_force(rosters: list[frozenset[str]], minimum: int) -> set[frozenset[str]]:
    """Every set of fewer than `minimum` sites that holds a combination: one row space, each support tried."""
    sites = sorted(frozenset().union(*rosters))
    rows = [[int(site in roster) for site in sites] for roster in rosters]
    whole = rank(rows)
    found = set()
    for size in range(1, minimum):
        for support in combinations(sites, size):
            outside = [[value for site, value in zip(sites, row, strict=True) if site not in support] for row in rows]
            if rank(outside) < whole:
                found.add(frozenset(support))
    return found


few = st.lists(st.frozensets(st.sampled_from("abcdefg"), min_size=1), min_size=1, max_size=6)


@settings(max_examples=250, deadline=None)
@given(rosters=few, minimum=st.integers(1, 3))
def test_it_agrees_with_brute_force(rosters: list[frozenset[str]], minimum: int) -> None:
    expected = by_force(rosters, minimum)
    found = isolates(rosters, minimum=minimum)
    assert (found is None) == (not expected)
    assert found is None or found in expected


def test_leaving_one_site_out_is_caught() -> None:
    assert isolates([ALL, ALL - {"s4"}]) == {"s4"}
    assert isolates([ALL, ALL - {"s4", "s7"}]) == {"s4", "s7"}


def test_leaving_three_out_is_allowed_once() -> None:
    block = frozenset({"s1", "s2", "s3"})
    assert isolates([ALL, ALL - block]) is None
    assert isolates([ALL, ALL - block, ALL - {"s2", "s3", "s4"}]) is not None


def test_regrouping_the_same_sites_is_caught() -> None:
    first = [frozenset({"a", "b", "c"}), frozenset({"d", "e", "f"})]
    second = [frozenset({"a", "b", "d"}), frozenset({"c", "e", "f"})]
    assert isolates(first) is None
    assert isolates(first + second) == {"c", "d"}


def test_coalitions_that_solve_for_a_few_sites_are_caught() -> None:
    rosters = [frozenset("abcd"), frozenset("abef"), frozenset("cdefg")]
    assert isolates(rosters) is None
    assert isolates([*rosters, frozenset("abcdefg")]) in by_force([*rosters, frozenset("abcdefg")], 3)


def test_a_combination_that_no_single_subtraction_shows_is_caught() -> None:
    # The first two together, less the third, are twice the sum of site a.
    assert isolates([frozenset("abc"), frozenset("ade"), frozenset("bcde")]) == {"a"}


def test_laminar_blocks_of_three_are_allowed() -> None:
    blocks = [frozenset(f"s{index}" for index in range(start, start + 3)) for start in range(0, 12, 3)]
    assert isolates([ALL, *blocks, blocks[0] | blocks[1]]) is None
    assert isolates([ALL, *(ALL - block for block in blocks)]) is None


def test_small_rosters_are_caught_by_themselves() -> None:
    assert isolates([frozenset({"a"})]) == {"a"}
    assert isolates([frozenset({"a", "b"})]) == {"a", "b"}
    assert isolates([frozenset({"a", "b"})], minimum=2) is None
    assert isolates([frozenset({"a", "b", "c"})]) is None


def test_nothing_summed_gives_nothing_away() -> None:
    assert isolates([]) is None
    assert isolates([frozenset()]) is None
    assert isolates([frozenset("a")], minimum=1) is None


def test_unknown_minimums_are_refused() -> None:
    with pytest.raises(Invalid):
        isolates([ALL], minimum=0)
    with pytest.raises(Unsupported):
        isolates([ALL], minimum=4)


def test_a_hidden_leave_one_out_is_found_among_many_rosters() -> None:
    rng = np.random.default_rng(5)
    sites = [f"h{index:03d}" for index in range(464)]
    rosters = [frozenset(site for site in sites if rng.random() < 0.5) for _ in range(30)]
    assert isolates(rosters) is None
    assert isolates([*rosters, rosters[11] ^ {"h123"}]) == {"h123"}
