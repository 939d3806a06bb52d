"""A ward that is killed while a network is trained goes on with what stays at the hospital, to the last bit."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mortal import World
from smallest import COLUMNS

from wardgate.computations.network_update import NetworkUpdate, Work
from wardgate.hub.pooling.ask import sum_ask
from wardgate.measures.layers.start import start

Make = Callable[..., World]

NETWORK = f"""\
analyses: [network_update]
networks:
  small:
    schema: wardgate/network/1
    inputs: {COLUMNS - 1}
    layers: [{{kind: linear, units: 4}}, {{kind: activation, how: relu}}, {{kind: linear, units: 1}}]
"""
WORK = Work(steps=3, batch=16, rate=0.2, scaffold=True, stays=("head",), personal=0.1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes consortia with one mortal ward."""
    made: list[World] = []

    def make(**given: Any) -> World:
        made.append(World(root=tmp_path / str(len(made)), patch=monkeypatch, **given))
        return made[-1]

    return make


def trained(world: World, rounds: int = 3) -> list[Any]:
    """Totals of some rounds; control variates, heads and personal models stay at the hospitals."""
    federation = world.federation
    federation.enrol()
    architecture = federation.study.networks["small"]
    weights, control, totals = start(architecture), np.zeros(len(start(architecture))), []
    for number in range(rounds):
        asked = NetworkUpdate(
            network="small",
            sha256=architecture.sha256,
            number=number,
            weights=weights,
            work=WORK,
            control=control,
        )
        told = federation.ask(sum_ask(asked, what="a round", study=federation.study, sites=federation.sites))
        heard = asked.heard(told.sum(), study=federation.study, sites=len(told.sites))
        weights, control = weights + heard.change, control + heard.control / 1000
        totals.append(told.sum())
        assert set(told.said) == set(federation.sites)
    return totals


def test_a_killed_ward_goes_on_with_its_own_part_of_the_network(world: Make) -> None:
    steady, killed = world(more=NETWORK), world(more=NETWORK)
    killed.plan = lambda tries: 1 + (len(killed.asked) % 9) + 9 * tries
    expected, found = trained(steady), trained(killed)
    assert killed.deaths > 5
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one, other)
    kept = {key.rsplit("/", 1)[1] for key in killed.mortal._bench.own}
    assert kept == {"control", "stays", "personal"}


def test_what_stays_at_a_hospital_is_kept_once_and_nothing_older_lies_about(world: Make) -> None:
    made = world(more=NETWORK)
    trained(made)
    things = {path.name for path in (made.root / "home/state/things").iterdir()}
    assert set(made.mortal._kept.own.values()) <= things
    assert len(made.mortal._kept.own) == 3
    assert len(things) <= 3 + 2  # the study, and at most one more
