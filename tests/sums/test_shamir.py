"""Shamir: any threshold of shares gives the secret back, fewer say nothing, and nonsense is refused."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardgate.entropy import SystemEntropy, UnsafeEntropy
from wardgate.records.errors import Invalid
from wardgate.sums import shamir
from wardgate.sums.shamir import PRIME, combine, elements, evaluate, from_bytes, split, to_bytes

ENTROPY = UnsafeEntropy("shamir")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_threshold_of_shares_gives_the_secret_back(data: st.DataObject) -> None:
    holders = data.draw(st.integers(1, 40))
    threshold = data.draw(st.integers(1, holders))
    secret = data.draw(st.sampled_from([0, 1, PRIME - 1]) | st.integers(0, PRIME - 1))
    shares = split(secret, holders=holders, threshold=threshold, entropy=ENTROPY)
    chosen = data.draw(st.permutations(range(holders)))[:threshold]
    assert combine({place + 1: shares[place] for place in chosen}) == secret


def test_the_polynomial_is_evaluated_as_written_down_by_hand() -> None:
    # 7 + 5 x + 3 x^2, and one whose value wraps around the prime.
    assert evaluate([7, 5, 3], holders=4) == [15, 29, 49, 75]
    assert evaluate([PRIME - 1, 1], holders=3) == [0, 1, 2]
    assert combine({1: 15, 2: 29, 4: 75}) == 7
    assert combine({1: 15, 2: 29, 4: 75}, at=3) == 49
    assert combine({1: 15, 2: 29, 4: 75}, at=2) == 29


def test_fewer_shares_than_the_threshold_fit_every_secret_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # Over a field of 11 all polynomials can be listed: each pair of shares is seen equally often for each secret.
    monkeypatch.setattr(shamir, "PRIME", 11)
    shamir._powers.cache_clear()
    try:
        for places in combinations(range(4), 2):
            seen = [
                Counter(
                    tuple(evaluate([secret, first, second], holders=4)[place] for place in places)
                    for first in range(11)
                    for second in range(11)
                )
                for secret in range(11)
            ]
            assert all(counts == seen[0] for counts in seen)
    finally:
        shamir._powers.cache_clear()


def test_with_a_constant_coefficient_the_secret_would_lie_open() -> None:
    # The broken twin: a generator that gives zeros makes every share the secret.
    class Dead:
        name = "unsafe-test"

        def bytes(self, count: int) -> bytes:
            return bytes(count)

    assert split(5, holders=3, threshold=3, entropy=Dead()) == [5, 5, 5]
    assert 5 not in split(5, holders=3, threshold=3, entropy=SystemEntropy())


def test_a_wrong_share_gives_a_wrong_secret() -> None:
    shares = split(123, holders=5, threshold=3, entropy=ENTROPY)
    assert combine({1: shares[0], 2: shares[1], 3: (shares[2] + 1) % PRIME}) != 123


def test_random_numbers_never_reach_the_prime() -> None:
    class Ones:
        name = "unsafe-test"

        def __init__(self) -> None:
            self.calls = 0

        def bytes(self, count: int) -> bytes:
            self.calls += 1
            return b"\xff" * count if self.calls == 1 else bytes(count)

    entropy = Ones()
    assert elements(3, entropy=entropy) == [0, 0, 0]
    assert entropy.calls == 2


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(17), PRIME.to_bytes(16, "little"), b"\xff" * 16], ids=range(5))
def test_malformed_shares_are_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        from_bytes(data)


def test_shares_travel_as_they_are() -> None:
    for number in (0, 1, PRIME - 1):
        assert from_bytes(to_bytes(number)) == number


@pytest.mark.parametrize("bad", [{"secret": PRIME}, {"secret": -1}, {"threshold": 0}, {"threshold": 4}])
def test_a_sharing_that_cannot_be_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        split(**{"secret": 1, "threshold": 2, **bad}, holders=3, entropy=ENTROPY)


@pytest.mark.parametrize("shares", [{}, {0: 1}, {1: PRIME}, {1: -1}], ids=range(4))
def test_shares_that_cannot_be_are_not_combined(shares: dict[int, int]) -> None:
    with pytest.raises(Invalid):
        combine(shares)
