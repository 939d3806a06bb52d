"""Blocks that may be left out: disjoint, of three sites or more, fixed by the coin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.hub.pooling.leave_out import blocks, leave_blocks_out
from wardgate.hub.pooling.score_bins import Grid
from wardgate.measures.logistic import fit
from wardgate.records.errors import Invalid
from wardgate.sums.incidence import isolates

Make = Callable[..., Any]


@given(st.integers(6, 80), st.text(min_size=1, max_size=8))
def test_blocks_are_disjoint_whole_and_of_three_or_more(count: int, coin: str) -> None:
    sites = tuple(f"s{place}" for place in range(count))
    found = blocks(sites, coin=coin)
    assert sorted(site for block in found for site in block) == sorted(sites)
    assert 2 <= len(found) <= 4
    assert min(map(len, found)) >= 3
    assert max(map(len, found)) - min(map(len, found)) <= 1


@given(st.permutations([f"s{place}" for place in range(12)]))
def test_the_coin_alone_fixes_the_blocks(sites: list[str]) -> None:
    assert blocks(sites, coin="ab") == blocks(sorted(sites), coin="ab")


def test_another_coin_gives_other_blocks() -> None:
    sites = tuple(f"s{place}" for place in range(12))
    assert len({blocks(sites, coin=f"{number}") for number in range(20)}) > 15


@given(st.integers(6, 30), st.integers(0, 99))
def test_all_sums_of_a_leave_out_together_give_nobody_away(count: int, coin: int) -> None:
    sites = frozenset(f"s{place}" for place in range(count))
    rosters = [sites]
    for block in blocks(sorted(sites), coin=str(coin)):
        rosters += [frozenset(block), sites - frozenset(block)]
    assert isolates(rosters) is None
    one_out = [*rosters, sites - {"s0"}]
    assert isolates(one_out) is not None


@pytest.mark.parametrize("count", [0, 3, 5])
def test_too_few_sites_for_two_blocks_are_refused(count: int) -> None:
    with pytest.raises(Invalid, match="cannot be divided"):
        blocks([f"s{place}" for place in range(count)], coin="ab")


def test_the_model_of_a_leave_out_is_the_pooled_fit_of_the_rest(six: Any) -> None:
    """Up to fifty sites everybody has met everybody, so nobody needs to be introduced anew."""
    exchange = six.desk()
    found = six.drive(
        leave_blocks_out(
            sites=six.sites,
            coin=exchange.coin,
            start=np.zeros(4),
            ridge=1.0,
            grid=Grid(bins=15, low=-3.0, high=3.0, subgroups=0),
            introduce=lambda _: iter(()),
        ),
        exchange,
    )
    assert [one.reason for one in found] == ["", ""]
    assert sorted(site for one in found for site in one.sites) == list(six.sites)
    for one in found:
        rest = [six.wards[site]._bench.part("train") for site in six.sites if site not in one.sites]
        beta = fit(np.concatenate([p.x for p in rest]), np.concatenate([p.y for p in rest]), ridge=1.0)
        held = [six.wards[site]._bench.part("holdout") for site in one.sites]
        logits, y = np.concatenate([p.x for p in held]) @ beta, np.concatenate([p.y for p in held])
        place = np.clip(np.floor((logits + 3) / 0.4), 0, 14)
        pairs = np.sign(place[y == 1][:, None] - place[y == 0][None, :]) * 0.5 + 0.5
        assert one.auroc == pytest.approx(pairs.mean(), abs=1e-9)
        assert one.low < one.auroc < one.high


def test_a_block_with_fewer_than_eleven_events_is_told_as_a_reason(make_consortium: Make) -> None:
    made = make_consortium({f"h{place}": 60 for place in range(6)}, enrolled=False)
    run, _ = made.run()
    for one in run.left_out:
        assert one.auroc is None and one.reason
