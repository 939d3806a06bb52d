"""A museum of deposits and reveals, each broken in one way and refused for the right reason."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardgate.records.errors import Broken, Invalid
from wardgate.sums.deposit import deposit_size, packet_for, read_deposit, write_deposit
from wardgate.sums.reveal import read_reveal
from wardgate.sums.survivors import survivors_digest

Make = Callable[..., Any]


def test_a_deposit_reads_back_as_it_was_written_and_has_the_stated_size(rehearse: Make, batch_of: Make) -> None:
    for count, slots in ((3, 1), (7, 5), (60, 2)):
        rehearsal = rehearse(batch_of(count, slots=slots))
        for site, data in rehearsal.deposits.items():
            read = read_deposit(rehearsal.batch, data, site=site)
            assert write_deposit(rehearsal.batch, read, site=site) == data
            assert len(data) == deposit_size(rehearsal.batch)
            assert tuple(read.packets) == rehearsal.batch.partners(site)


def test_broken_deposits_are_refused(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(4, slots=2))
    data = rehearsal.deposits["site-000"]
    other = rehearse(replace(rehearsal.batch, context=b"another")).deposits["site-000"]
    for broken, match in (
        (b"", "0 bytes"),
        (data[:-1], "bytes, expected"),
        (data + b"\0", "bytes, expected"),
        (b"X" + data[1:], "bytes, expected"),
        (other, "another batch"),
    ):
        with pytest.raises(Broken, match=match):
            read_deposit(rehearsal.batch, broken, site="site-000")
    with pytest.raises(Invalid, match="no mask partner"):
        packet_for(rehearsal.batch, data, sender="site-000", recipient="stranger")
    with pytest.raises(Invalid, match="not in the roster"):
        read_deposit(rehearsal.batch, data, site="stranger")


def test_broken_reveals_are_refused(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(4, slots=2))
    plan = rehearsal.plan()
    rehearsal.contribute(plan, {site: np.zeros(4) for site in plan.roster})
    data = rehearsal.reveal(plan, plan.roster, by=plan.roster)["site-000"]
    digest = survivors_digest(plan, plan.roster)
    assert set(read_reveal(plan, data, site="site-000", survivors=digest)) == set(plan.roster[1:])
    for broken, match in (
        (b"", "0 bytes"),
        (data[:-1], "bytes, expected"),
        (b"X" + data[1:], "bytes, expected"),
        (data[:8] + bytes(32) + data[40:], "another plan"),
        (data[:40] + bytes(32) + data[72:], "another list"),
        (data[:-16] + b"\xff" * 16, "no share"),
    ):
        with pytest.raises(Broken, match=match):
            read_reveal(plan, broken, site="site-000", survivors=digest)


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=600))
def test_random_bytes_are_no_message(rehearse: Make, batch_of: Make, noise: bytes) -> None:
    batch = batch_of(4, slots=2)
    plan = rehearse_once(rehearse, batch)
    with pytest.raises(Broken):
        read_deposit(batch, noise, site="site-000")
    with pytest.raises(Broken):
        read_reveal(plan, noise, site="site-000", survivors=bytes(32))


def rehearse_once(rehearse: Make, batch: Any) -> Any:
    if batch.digest not in _PLANS:
        _PLANS[batch.digest] = rehearse(batch).plan()
    return _PLANS[batch.digest]


_PLANS: dict[bytes, Any] = {}
