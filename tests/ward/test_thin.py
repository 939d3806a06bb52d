"""Exact sums that would give away fewer than eleven persons, however many hospitals they are spread over."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wardgate.sums.incidence import isolates, thin

SITES = "abcdefgh"
few = st.lists(st.frozensets(st.sampled_from(SITES), min_size=1), min_size=1, max_size=5)
counts = st.fixed_dictionaries({site: st.sampled_from([0.0, 3.0, 6.0, 40.0]) for site in SITES})


def alone(rosters: list[frozenset[str]], chosen: frozenset[str]) -> bool:
    """Whether some combination of the sums rests on the chosen sites alone."""
    matrix = np.array([[site in roster for site in SITES] for roster in rosters], dtype=float)
    outside = matrix[:, [site not in chosen for site in SITES]]
    inside = np.linalg.matrix_rank(matrix)
    return bool((np.linalg.matrix_rank(outside) if outside.size else 0) < inside)


@given(few, counts)
def test_what_is_found_is_really_given_away_and_thin(rosters: list[frozenset[str]], persons: dict[str, float]) -> None:
    found = thin(rosters, persons=persons, minimum=11)
    if found is not None:
        assert sum(persons[site] for site in found) < 11
        assert alone(rosters, found)


@given(few, counts)
def test_nothing_thin_within_a_roster_or_an_atom_is_missed(
    rosters: list[frozenset[str]], persons: dict[str, float]
) -> None:
    if thin(rosters, persons=persons, minimum=11) is not None:
        return
    for one, other in combinations(rosters, 2):
        for rest in (one - other, other - one):
            if (one < other or other < one) and rest:
                assert sum(persons[site] for site in rest) >= 11
    for site in SITES:
        atom = frozenset(s for s in SITES if all((s in roster) == (site in roster) for roster in rosters))
        if any(site in roster for roster in rosters) and alone(rosters, atom):
            assert sum(persons[member] for member in atom) >= 11


def test_three_small_hospitals_pass_the_rule_of_sites_and_not_that_of_persons() -> None:
    everybody, without = frozenset(SITES), frozenset("abcde")
    persons = dict.fromkeys(SITES, 3.0) | dict.fromkeys("abcde", 100.0)
    assert isolates([everybody, without]) is None
    assert thin([everybody, without], persons=persons, minimum=11) == frozenset("fgh")
    assert thin([everybody, without], persons=persons | {"h": 5.0}, minimum=11) is None


def test_a_site_of_unknown_size_counts_as_nobody() -> None:
    assert thin([frozenset("abc")], persons={}, minimum=11) == frozenset("abc")
    assert thin([], persons={}, minimum=11) is None
