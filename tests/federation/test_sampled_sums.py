"""A sum over secret batches: what it claims, what it costs, and that nobody claims a smaller batch than was asked."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smallest import COLUMNS, STUDY, write_hospital

from wardgate.computations.network_gradient import NetworkGradient
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.hub.intake.audit import audit
from wardgate.hub.intake.evidence import check_evidence
from wardgate.hub.pooling.ask import sum_ask
from wardgate.measures.layers.start import start
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.claim import SampledGaussianEvent
from wardgate.records.errors import Broken, CheckFailed
from wardgate.records.messages import Answer, Question
from wardgate.records.study_file import parse

SITES = tuple(f"h{place}" for place in range(3))
NETWORK = f"""\
analyses: [network_gradient]
networks:
  small:
    schema: wardgate/network/1
    inputs: {COLUMNS - 1}
    layers: [{{kind: linear, units: 4}}, {{kind: activation, how: relu}}, {{kind: linear, units: 1}}]
"""


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens a study over three hospitals of 100 persons."""

    @contextmanager
    def open_() -> Iterator[tuple[Federation, str]]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + NETWORK
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, 100, [13, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        with local(
            study=study,
            hospitals=find_hospitals(tmp_path / "hospitals", study),
            settings=Settings(seed=1, issued_on="2026-01-02"),
            work=tmp_path / "work",
        ) as federation:
            yield federation, text

    return open_


def gradient(federation: Federation, *, probability: float, noise: float | None = 2.0) -> Any:
    """Ask for one step."""
    architecture = federation.study.networks["small"]
    asked = NetworkGradient(
        network="small",
        sha256=architecture.sha256,
        weights=start(architecture),
        longest=1.0,
        probability=probability,
    )
    return federation.ask(
        sum_ask(asked, what="a step", study=federation.study, sites=federation.sites, noise_multiplier=noise)
    )


def last(federation: Federation) -> tuple[Question, Answer]:
    """The last question, and an answer to it."""
    kept = [said_in(one.parcel.envelope) for one in federation.exchange.store]
    answer = next(one for one in reversed(kept) if one.get("outcome") == "released" and one.get("evidence"))
    question = next(one for one in reversed(kept) if one.get("computation") == answer["computation"] and "split" in one)
    return Question.from_plain(question), Answer.from_plain(answer)


def said_in(envelope: bytes) -> Any:
    """What a signed statement says, whoever signed it."""
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))["predicate"]


def test_secret_batches_cost_less_and_the_claim_recomposes(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened() as (federation, text):
        for _ in range(3):
            told = gradient(federation, probability=0.2)
            assert told.total.shape == (start(federation.study.networks["small"]).shape)
        question, answer = last(federation)
        assert answer.evidence is not None
        claim = answer.evidence.claim
        assert claim.gaussian == ()
        event = SampledGaussianEvent(noise_multiplier=2.0, probability=0.2, count=1, what="network_gradient")
        assert claim.sampled == (event,)
        delta = federation.study.budget.delta
        assert claim.epsilon == epsilon_of(sampled=(event,), delta=delta)
        three = event.model_copy(update={"count": 3})
        assert answer.evidence.cumulative_epsilon == pytest.approx(epsilon_of(sampled=(three,), delta=delta), abs=2e-4)
        persons = int(next(one.value for one in answer.evidence.measured if one.name == "sum.persons"))
        check_evidence(answer, question, persons=persons, step=0.01)
        for asked_for in ("0.19", "1"):
            other = question.model_copy(update={"parameters": {**question.parameters, "probability": asked_for}})
            with pytest.raises(Broken, match="other noise"):
                check_evidence(answer, other, persons=persons, step=0.01)
        federation.save(tmp_path / "run", study_text=text)
    assert audit(tmp_path / "run").findings == ()


def test_everybody_at_once_is_an_ordinary_sum_with_noise(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        gradient(federation, probability=1.0)
        _, answer = last(federation)
        assert answer.evidence is not None
        assert [event.noise_multiplier for event in answer.evidence.claim.gaussian] == [2.0]
        assert answer.evidence.claim.sampled == ()
        assert answer.statement == {}


def test_gradients_without_noise_are_refused_by_every_hospital(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _), pytest.raises(CheckFailed, match="with noise or not at all"):
        gradient(federation, probability=1.0, noise=None)


def test_words_beside_a_sum_are_of_a_fixed_list_and_never_beside_noise(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        gradient(federation, probability=1.0)
        question, answer = last(federation)
        assert answer.evidence is not None
        persons = int(next(one.value for one in answer.evidence.measured if one.name == "sum.persons"))
        for words in ({"training": "trained"}, {"name": "Mary"}):
            with pytest.raises(Broken, match="says more"):
                check_evidence(answer.model_copy(update={"statement": words}), question, persons=persons, step=0.01)


def test_the_noise_of_an_opened_step_has_the_size_that_was_promised(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        draws = np.concatenate([gradient(federation, probability=1.0, noise=200.0).total for _ in range(12)])
        told = gradient(federation, probability=1.0, noise=200.0)
    # chi-squared with 252 degrees of freedom; the gradient itself is far below the noise
    ratio = float(np.sum((draws / told.noise) ** 2)) / len(draws)
    assert 0.6 < ratio < 1.55
