"""The mask graph is mutual, regular, the same for all, and hard to cut."""

import numpy as np
import pytest

from wardgate.records.errors import Invalid
from wardgate.sums.graph import DEGREE, FULL_UP_TO, neighbours

KNOWN = [
    2,
    3,
    4,
    5,
    6,
    7,
    9,
    11,
    15,
    17,
    18,
    23,
    24,
    25,
    26,
    27,
    29,
    33,
    36,
    37,
    39,
    40,
    41,
    42,
    43,
    46,
    49,
    51,
    52,
    53,
    54,
    56,
]


def names(count: int) -> tuple[str, ...]:
    return tuple(f"h{index:04d}" for index in range(count))


@pytest.mark.parametrize("count", [3, 10, FULL_UP_TO])
def test_small_rosters_pair_everybody(count: int) -> None:
    graph = neighbours(names(count), coin=b"")
    assert all(set(around) == set(names(count)) - {site} for site, around in graph.items())


@pytest.mark.parametrize("count", [FULL_UP_TO + 1, 120, 464])
def test_large_rosters_give_mutual_partners_of_one_number(count: int) -> None:
    graph = neighbours(names(count), coin=b"c" * 32)
    assert all(len(set(around)) == DEGREE and site not in around for site, around in graph.items())
    assert all(site in graph[other] for site, around in graph.items() for other in around)


def test_the_coin_alone_decides_and_roster_order_does_not() -> None:
    roster = names(120)
    one = neighbours(roster, coin=b"c" * 32)
    assert one == neighbours(tuple(reversed(roster)), coin=b"c" * 32)
    assert one != neighbours(roster, coin=b"d" * 32)


def test_a_third_of_colluders_does_not_part_the_honest() -> None:
    rng = np.random.default_rng(3)
    for trial in range(20):
        graph = neighbours(names(120), coin=b"trial %16d" % trial)
        honest = set(rng.permutation(names(120))[:80].tolist())
        reached, frontier = set(), {min(honest)}
        while frontier:
            reached |= frontier
            frontier = {other for site in frontier for other in graph[site] if other in honest} - reached
        assert reached == honest


def test_unusable_rosters_and_coins_are_refused() -> None:
    with pytest.raises(Invalid, match="3 different"):
        neighbours(("a", "b"), coin=b"")
    with pytest.raises(Invalid, match="3 different"):
        neighbours(("a", "b", "c", "c"), coin=b"")
    with pytest.raises(Invalid, match="coin"):
        neighbours(names(51), coin=b"short")


def test_a_known_graph_stays_the_same() -> None:
    graph = neighbours(names(60), coin=bytes(range(32)))
    assert [int(name[1:]) for name in graph["h0000"]] == KNOWN


def test_another_degree_widens_the_circle_up_to_a_full_graph() -> None:
    roster = tuple(f"site-{index:03d}" for index in range(60))
    coin = b"a public coin of the study"
    sparse, wide = neighbours(roster, coin=coin, degree=4), neighbours(roster, coin=coin, degree=40)
    assert neighbours(roster, coin=coin, degree=32) == neighbours(roster, coin=coin)
    for site in roster:
        assert len(sparse[site]) == 4
        assert set(sparse[site]) < set(wide[site])
        assert all(site in wide[other] for other in wide[site])
    for degree in (60, 62):
        whole = neighbours(roster, coin=coin, degree=degree)
        assert all(whole[site] == tuple(other for other in roster if other != site) for site in roster)
    for degree in (0, 1, 7, -2):
        with pytest.raises(Invalid, match="even"):
            neighbours(roster, coin=coin, degree=degree)
