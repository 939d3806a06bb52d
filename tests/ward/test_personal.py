"""What a ward says of its personal models: nothing over few events, nothing unasked, and never a weight."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wardgate.computations.likeness import Likeness
from wardgate.computations.personal import Kept, Personal
from wardgate.hospital.ward.answering.personal import personalise
from wardgate.hospital.ward.cohort.part import part_of
from wardgate.hospital.ward.learning.network_update import key_of
from wardgate.hospital.ward.transfer.personal import enough, personal_figures
from wardgate.measures.layers.start import start
from wardgate.measures.logistic import fit, statistics
from wardgate.measures.personal import START
from wardgate.models.network import NetworkModel
from wardgate.models.saving import load
from wardgate.networks.federated.own import State
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.network import Architecture
from wardgate.records.opening import check_listed
from wardgate.records.parcel import Parcel, pack_vector
from wardgate.records.study import Study


@pytest.fixture
def ready(study: Study, make_persons: Any) -> Any:
    """One hospital's bench, with a network of which it kept a personal copy, and a question that fits."""
    plain = dict(study.plain()) | {"analyses": ["likeness"]}
    tables = {split: make_persons(count) for split, count in (("train", 300), ("tuning", 40), ("holdout", 150))}
    parts = {split: part_of(study, table) for split, table in tables.items()}
    x, y = parts["train"].x, parts["train"].y
    layers = [{"kind": "linear", "units": 3}, {"kind": "activation", "how": "tanh"}, {"kind": "linear", "units": 1}]
    document = {"schema": "wardgate/network/1", "inputs": x.shape[1] - 1, "layers": layers}
    locked = Study.from_plain(plain | {"networks": {"small": document}})
    network = Architecture.from_plain(document)
    weights = start(network)
    beta = fit(x, y, ridge=1.0)
    hessian = statistics(x, y, beta).hessian
    likeness = Likeness(wants="shares", beta=beta, ridge=1.0, hessian=hessian, shares=np.array(START), fitted=("here",))
    kept = {
        "network": Kept(network="small", sha256=network.sha256, weights=weights),
        "ditto": Kept(network="small", sha256=network.sha256, personal=True, weights=weights),
        "head": Kept(network="small", sha256=network.sha256, stays=("head",), weights=weights),
    }
    own = {
        key_of(network="small", sha256=network.sha256, kind="personal"): State(
            number=1, before=None, now=weights + 0.1
        ),
        key_of(network="small", sha256=network.sha256, kind="stays"): State(number=1, before=None, now=np.ones(4)),
    }
    bench = SimpleNamespace(
        site="here",
        study=locked,
        part=parts.__getitem__,
        own={key: state.to_bytes() for key, state in own.items()},
        kept={},
        rng=lambda purpose: np.random.default_rng(1),
    )
    asked = Personal(drawn={"": likeness}, kept=kept, against={"shrunk": ("global", "local")})
    return SimpleNamespace(bench=bench, asked=asked, parts=parts, beta=beta, network=network, weights=weights)


def question_of(asked: Personal, *, split: str = "holdout") -> tuple[Question, Parcel]:
    """The question and what travels beside it."""
    packed = [pack_vector(name, array) for name, array in asked.arrays()]
    question = Question.model_validate(
        {
            "study_sha256": "ab" * 32,
            "number": 1,
            "computation": "personal",
            "split": split,
            "parameters": asked.parameters(),
            "vectors": tuple(ref for ref, _ in packed),
        }
    )
    return question, Parcel(b"", tuple(data for _, data in packed))


def test_every_model_gets_its_figures_and_stays_in_the_hospitals_own_folder(ready: Any, tmp_path: Path) -> None:
    found = personalise(ready.bench, *question_of(ready.asked), folder=tmp_path / "models")
    names = ("global", "local", "shrunk", "network", "ditto", "head")
    assert {f"{name}.{what}" for name in names for what in ("auroc", "oe", "brier", "log_loss")} <= set(found.figures)
    assert {"shrunk.gain", "shrunk.gain_low", "shrunk.gain_worse", "shrunk.loss_gain_worse"} <= set(found.figures)
    assert found.models == 6 and found.said["took"][""] in ("shrunk", "global", "local")
    files = {path.name for path in (tmp_path / "models").iterdir()}
    assert files == {*(f"{n}.json" for n in names[:3]), *(f"{n}.safetensors" for n in names[3:])}
    table = ready.parts["holdout"].table
    shrunk = load((tmp_path / "models" / "shrunk.json").read_bytes())
    assert shrunk.predict_proba(table).shape == (150, 2)
    assert load((tmp_path / "models" / "global.json").read_bytes()).coefficients == tuple(ready.beta)
    ditto = NetworkModel.from_bytes((tmp_path / "models" / "ditto.safetensors").read_bytes())
    assert np.allclose(ditto.vector, ready.weights + 0.1)
    head = NetworkModel.from_bytes((tmp_path / "models" / "head.safetensors").read_bytes())
    assert np.array_equal(head.vector[-4:], np.ones(4)) and np.array_equal(head.vector[:-4], ready.weights[:-4])


def test_a_study_that_does_not_list_it_gets_nothing(ready: Any, study: Study) -> None:
    ready.bench.study = study
    with pytest.raises(Refused, match="lists no 'likeness'"):
        personalise(ready.bench, *question_of(ready.asked), folder=None)


@pytest.mark.parametrize("split", ["train", "tuning"])
def test_models_are_not_judged_on_persons_that_they_saw(ready: Any, split: str) -> None:
    with pytest.raises(Refused, match="not judged on the split"):
        personalise(ready.bench, *question_of(ready.asked, split=split), folder=None)


def test_ten_events_show_nothing(ready: Any) -> None:
    part = ready.parts["holdout"]
    y = np.zeros_like(part.y)
    y[:10] = 1
    ready.bench.part = (ready.parts | {"holdout": SimpleNamespace(x=part.x, y=y, table=part.table)}).__getitem__
    with pytest.raises(Refused, match="fewer than 11 events"):
        personalise(ready.bench, *question_of(ready.asked), folder=None)


def test_a_hospital_that_kept_nothing_says_so(ready: Any) -> None:
    ready.bench.own.clear()
    with pytest.raises(Refused, match="kept nothing of the network that 'ditto' names"):
        personalise(ready.bench, *question_of(ready.asked), folder=None)


def test_a_part_that_was_kept_for_something_else_is_not_used(ready: Any) -> None:
    key = key_of(network="small", sha256=ready.network.sha256, kind="stays")
    ready.bench.own[key] = State(number=1, before=None, now=np.ones(3)).to_bytes()
    with pytest.raises(Refused, match="kept another part"):
        personalise(ready.bench, *question_of(ready.asked), folder=None)


def test_a_locked_test_opens_for_one_list_of_everything_that_makes_the_models(ready: Any) -> None:
    question, _ = question_of(ready.asked, split="locked_test")
    first = check_listed(question)
    one = ready.asked.drawn[""]
    moved = Likeness(
        wants="shares", beta=one.beta, ridge=1.0, hessian=one.hessian * 2, shares=one.shares, fitted=one.fitted
    )
    other = Personal(drawn={"": moved}, kept=ready.asked.kept, against=ready.asked.against)
    assert check_listed(question_of(other, split="locked_test")[0]) != first
    swapped = question.model_copy(update={"vectors": question_of(other)[0].vectors})
    with pytest.raises(Refused, match="not in it"):
        check_listed(swapped)


def test_locked_persons_choose_nothing(ready: Any) -> None:
    """Turning every outcome of the judged persons round changes the figures and not one model."""
    found = personalise(ready.bench, *question_of(ready.asked), folder=None)
    part = ready.parts["holdout"]
    turned = SimpleNamespace(x=part.x, y=(1 - part.y).astype(np.int8), table=part.table)
    ready.bench.part = (ready.parts | {"holdout": turned}).__getitem__
    again = personalise(ready.bench, *question_of(ready.asked), folder=None)
    for name in ready.asked.models:
        assert again.figures[f"{name}.auroc"] == pytest.approx(1 - found.figures[f"{name}.auroc"])


def test_worse_means_beyond_the_interval_of_the_better_of_two() -> None:
    rng = np.random.default_rng(5)
    y = (rng.random(600) < 0.4).astype(np.int8)
    good = 2.0 * y - 1 + rng.normal(0, 1, 600)
    logits = {"good": good, "poor": 0.2 * good + rng.normal(0, 1, 600), "same": good.copy()}
    against = {"poor": ("good", "same"), "same": ("good", "poor")}
    found = personal_figures(logits, y, against=against, level=0.95)
    assert found["poor.gain_worse"] == 1 and found["poor.gain_high"] < 0 and found["poor.loss_gain_worse"] == 1
    assert found["same.gain"] == 0 and found["same.gain_worse"] == 0 and found["same.loss_gain_worse"] == 0
    assert enough(y) and not enough(y[:30])
