"""Sums over several groups at the same time: each opens by itself, and one that stays closed keeps no other closed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smallest import COLUMNS, STUDY, write_hospital

from wardgate.computations.newton import Newton
from wardgate.entropy import SystemEntropy
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.plain import Plain, plain_sites
from wardgate.federation.session import Federation
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study_file import parse

SITES = tuple(f"h{place}" for place in range(7))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens a study over seven hospitals of 60 persons."""

    @contextmanager
    def open_(more: str = "") -> Iterator[tuple[Federation, str]]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + more
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, 60, [12, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        with local(
            study=study,
            hospitals=find_hospitals(tmp_path / "hospitals", study),
            settings=Settings(seed=1, issued_on="2026-01-02"),
            work=tmp_path / "work",
        ) as federation:
            yield federation, text

    return open_


def groups(federation: Any, *rosters: tuple[str, ...], entries: int | None = None) -> Ask:
    """Ask every roster for the same Newton step."""
    asked = [
        sum_ask(Newton(beta=np.zeros(COLUMNS)), what="a step", study=federation.study, sites=sites) for sites in rosters
    ]
    return replace(asked[0], beside=tuple(asked[1:]))


def steps(ask: Ask) -> Any:
    """A driver of one ask."""
    return (yield ask)


def in_the_open(federation: Federation) -> Plain:
    """The same persons as tables: only a test may hold them."""
    wards = {site: federation.carrier.links[site]._ward for site in federation.sites}  # type: ignore[attr-defined]
    tables = {site: {"train": ward._bench.part("train").table} for site, ward in wards.items()}
    sites = plain_sites(federation.study, tables, entropy=SystemEntropy())
    return Plain(study=federation.study, sites=sites, entropy=SystemEntropy())


@pytest.mark.parametrize("more", ["", "drop_out: 0.3\n"])
def test_groups_asked_at_the_same_time_give_the_sums_that_each_gives_alone(
    opened: Callable[..., Any], tmp_path: Path, more: str
) -> None:
    first, second = SITES[:3], SITES[3:]
    with opened(more) as (federation, text):
        told: Told = federation.drive(steps(groups(federation, first, second)))
        plain = in_the_open(federation).drive(steps(groups(federation, first, second)))
        for one, other, sites in zip(told.all, plain.all, (first, second), strict=True):
            assert one.sites == other.sites == sites
            assert not one.failed
            assert np.max(np.abs(one.sum() - other.sum())) < 1e-6
        federation.save(tmp_path / "run", study_text=text)
    assert audit(tmp_path / "run").findings == ()


def test_a_group_that_stays_closed_keeps_no_other_closed(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        met = federation.carrier.links["h1"]._ward._bench.rosters
        met.clear()  # from now on h1 accepts no roster
        told = federation.drive(steps(groups(federation, SITES[:3], SITES[3:])))
        assert "h1" in told.failed
        assert told.total is None
        assert told.beside[0].sum()[0] != 0


def test_a_site_in_two_groups_at_once_is_refused_before_anybody_is_asked(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        number = federation.exchange._number
        with pytest.raises(Invalid, match="two of the sums"):
            federation.drive(steps(groups(federation, SITES[:3], SITES[2:])))
        assert federation.exchange._number == number


def test_a_sum_in_the_open_that_a_site_refuses_stays_closed(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        plain = in_the_open(federation)
        bad = replace(groups(federation, SITES[:3]), arrays=(("beta", np.zeros(2)),))
        with pytest.raises(CheckFailed, match="'h0' refused"):
            plain.drive(steps(bad))
