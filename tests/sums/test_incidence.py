"""No combination of exact sums gives away fewer than three sites or eleven persons: against brute force, exactly."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums import incidence
from wardgate.sums.incidence import isolates, thin

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


def by_force(
    rosters: list[frozenset[str]], minimum: float, persons: dict[str, float] | None = None
) -> set[frozenset[str]]:
    """Every set of fewer than `minimum` sites (or persons) that holds a combination: each support tried."""
    sites = sorted(frozenset().union(*rosters))
    rows = [[int(site in roster) for site in sites] for roster in rosters]
    whole = rank(rows)
    found = set()
    for size in range(1, len(sites) + 1):
        for support in combinations(sites, size):
            if sum(1 if persons is None else persons[site] for site in support) >= minimum:
                continue
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


counts = st.fixed_dictionaries({site: st.sampled_from([0.0, 1.0, 3.0, 4.0, 6.0, 40.0]) for site in "abcdefg"})


@settings(max_examples=150, deadline=None)
@given(rosters=few, persons=counts, minimum=st.sampled_from([4.0, 11.0, 18.4]))
def test_every_combination_over_few_persons_is_found(
    rosters: list[frozenset[str]], persons: dict[str, float], minimum: float
) -> None:
    expected = by_force(rosters, minimum, persons)
    found = thin(rosters, persons=persons, minimum=minimum)
    assert (found is None) == (not expected)
    assert found is None or found in expected


def groups_alone(rosters: list[frozenset[str]], *, persons: dict[str, float], minimum: float) -> bool:
    """Broken twin: whether an atom alone, or what one roster holds beyond another within it, is too small."""
    sites = sorted(frozenset().union(*rosters))
    rows = [[int(site in roster) for site in sites] for roster in rosters]
    atoms = {tuple(column): frozenset() for column in zip(*rows, strict=True)}
    for site, column in zip(sites, zip(*rows, strict=True), strict=True):
        atoms[tuple(column)] |= {site}
    alone = [
        atom
        for atom in atoms.values()
        if rank([[v for site, v in zip(sites, row, strict=True) if site not in atom] for row in rows]) < rank(rows)
    ]
    nested = [outer - inner for inner in rosters for outer in rosters if inner < outer]
    return any(sum(persons[site] for site in group) < minimum for group in (*alone, *nested))


def test_three_small_hospitals_that_only_together_are_given_away_are_caught() -> None:
    big = frozenset(f"x{index}" for index in range(4))
    other = frozenset(f"y{index}" for index in range(4))
    rosters = [big | {"a", "b"}, big | {"c"}, other | {"a"}]
    persons = dict.fromkeys("abc", 3.0) | dict.fromkeys(big | other, 500.0)
    # The attack: from the three totals the hub reads a figure of nine people, whatever the other 4,000 did.
    rng = np.random.default_rng(3)
    deaths = {site: int(rng.integers(0, persons[site] + 1)) for site in persons}
    totals = [sum(deaths[site] for site in roster) for roster in rosters]
    assert totals[0] - totals[1] == deaths["a"] + deaths["b"] - deaths["c"]
    # The rules of sites, of single groups and of nested rosters let it pass; the rule of persons does not.
    assert isolates(rosters) is None
    assert not groups_alone(rosters, persons=persons, minimum=11)
    assert thin(rosters, persons=persons, minimum=11) == frozenset("abc")
    assert thin(rosters, persons=persons, minimum=9.5) == frozenset("abc")
    assert thin(rosters, persons=persons | {"c": 5.0}, minimum=11) is None


def test_a_combination_with_coefficients_other_than_one_is_caught() -> None:
    # The first two together, less the third, are twice the sum of group a.
    a, b, c, d, e = (frozenset(f"{name}{index}" for index in range(3)) for name in "abcde")
    persons = dict.fromkeys(a, 2.0) | dict.fromkeys(b | c | d | e, 100.0)
    assert thin([a | b | c, a | d | e, b | c | d | e], persons=persons, minimum=11) == a
    assert thin([a | b | c, a | d | e], persons=persons, minimum=11) is None


def test_sites_of_unknown_size_count_as_nobody() -> None:
    block = frozenset("abc")
    for unknown in ({}, dict.fromkeys("abc", math.nan), dict.fromkeys("abc", -50.0)):
        assert thin([block], persons=unknown, minimum=11) == block
    with pytest.raises(Invalid, match="finite"):
        thin([block], persons={}, minimum=math.nan)


def test_many_rosters_that_leave_few_persons_out_are_searched_to_the_end() -> None:
    rng = np.random.default_rng(8)
    sites = [f"h{index:03d}" for index in range(464)]
    persons = dict(zip(sites, [4.0] * 150 + [60.0] * 314, strict=True))
    everybody = frozenset(sites)
    rosters = [everybody, *(everybody - set(rng.choice(sites[:150], 10, replace=False)) for _ in range(12))]
    assert thin(rosters, persons=persons, minimum=11) is None
    pair = frozenset(sorted(rosters[3] & set(sites[:150]))[:2])
    assert thin([*rosters, rosters[3] - pair], persons=persons, minimum=11) == pair


def test_a_search_without_an_end_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    sites = [f"h{index:03d}" for index in range(40)]
    heavy = frozenset({"x", "y", "z"})
    persons = dict.fromkeys(sites, 4.0) | dict.fromkeys(heavy, 500.0)
    rosters = [heavy | set(sites), *(heavy | set(rng.choice(sites, 24, replace=False)) for _ in range(9))]
    assert thin(rosters, persons=persons, minimum=13) is None
    monkeypatch.setattr(incidence, "PATIENCE", 1.0)
    incidence._thin.cache_clear()
    refused = thin(rosters, persons=persons, minimum=13)
    incidence._thin.cache_clear()
    assert refused is not None
    assert refused <= frozenset(sites)
