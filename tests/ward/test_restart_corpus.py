"""A ward that is killed while it makes its own corpus: one charge, one release remembered, and the fit is not lost."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mortal import MORTAL, World

from wardgate.hub.pooling.ask import Ask
from wardgate.records.messages import Answer

PRIVATE = "generator: {name: marginal-tree}\n"


def corpus(here: World, *, again: bool = False) -> Answer:
    parameters = {"pass": 2, "again": True, "more_of": {}} if again else {"pass": 1}
    asked = Ask(what="own corpus", computation="corpus", sites=(MORTAL,), parameters=parameters, split="train")
    return here.federation.ask(asked).answers[MORTAL]


def releases(here: World) -> int:
    return len([path for path in (here.root / "memory" / "released-one").iterdir() if path.name.isdigit()])


def spent(here: World) -> tuple[float, int]:
    ledger = (here.root / "home" / "state" / "ledger.jsonl").read_bytes()
    return here.mortal._door.ledger.epsilon("train"), ledger.count(b"\n")


@pytest.mark.slow
def test_a_second_corpus_after_a_restart_is_drawn_from_the_fit_that_was_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = World(root=tmp_path / "one", patch=monkeypatch, persons=900, note=PRIVATE)
    here.federation.enrol()
    first = corpus(here)
    assert first.outcome == "released"
    paid, fitted = spent(here), here.mortal._bench.generator
    here.restart()
    assert here.mortal._bench.generator is None
    second = corpus(here, again=True)
    assert (second.outcome, second.statement["attempt"]) == ("released", 2)
    assert [one["attempt"] for one in second.statement["earlier"]] == [1]
    assert spent(here) == paid
    assert releases(here) == 2
    drawn, known = (one.sample(50, rng=np.random.default_rng(1)) for one in (here.mortal._bench.generator, fitted))
    assert drawn.equals(known)


@pytest.mark.slow
def test_a_corpus_costs_once_and_is_remembered_once_wherever_the_ward_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = World(root=tmp_path / "one", patch=monkeypatch, persons=900, note=PRIVATE)
    here.federation.enrol()
    here.plan = lambda tries: 9 + 3 * tries
    for again in (False, True):
        assert corpus(here, again=again).outcome == "released"
    assert here.deaths > 12
    assert spent(here)[1] == 1
    assert releases(here) == 2
    assert len(here.mortal._bench.verdicts) == 2
    lines = (here.root / "memory" / "population.jsonl").read_bytes().count(b"\n")
    assert lines == 1
