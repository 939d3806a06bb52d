"""What a site, or somebody on the road, may try: courier and hub find it before anything is used."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from wardgate.computations.newton import newton_shape
from wardgate.hub.pooling.ask import Ask
from wardgate.hub.pooling.newton import newton
from wardgate.records.canonical import sha256
from wardgate.records.claim import Claim
from wardgate.records.envelope import Statement, seal, unseal
from wardgate.records.errors import Broken, CheckFailed, Refused
from wardgate.records.measured import Measured
from wardgate.records.messages import ANSWER, open_answer
from wardgate.records.parcel import Parcel, pack_bytes, pack_vector
from wardgate.records.verdict import Evidence

Change = Callable[[dict[str, Any]], None]


def step(sites: tuple[str, ...]) -> Ask:
    """One exact Newton step."""
    return Ask(
        what="one step",
        computation="newton",
        sites=sites,
        split="train",
        shape=newton_shape(columns=4, l1_of_beta=0.0),
        arrays=(("beta", np.zeros(4)),),
    )


def conversation(shared: Any, ask: Ask) -> tuple[Any, dict[str, Any], dict[str, Parcel]]:
    """An honest hub's questions and everybody's honest answers."""
    exchange = shared.desk()
    asked = exchange.questions(ask)
    return exchange, asked, {site: shared.carry(site, asked[site][1]) for site in ask.sites}


def resigned(shared: Any, parcel: Parcel, site: str, change: Change, *, signer: Any = None) -> Parcel:
    """The site's answer, changed and signed again."""
    statement = unseal(parcel.envelope, keys=(shared.keys[site],))
    said = copy.deepcopy(dict(statement.predicate))
    change(said)
    again = Statement(predicate_type=ANSWER, predicate=said, subjects=statement.subjects)
    return Parcel(seal(again, signer or shared.wards[site].signer), parcel.blobs)


def test_an_honest_step_is_the_sum_of_what_the_sites_hold(shared: Any) -> None:
    exchange, asked, answers = conversation(shared, step(shared.sites))
    told = exchange.take(step(shared.sites), asked, answers)
    parts = [ward._bench.part("train") for ward in shared.wards.values()]
    expected = sum(part.x.T @ (part.y - 0.5) for part in parts)
    assert told.sum()[:4] == pytest.approx(expected, abs=1e-9)


def test_an_answer_altered_on_the_way_is_caught_by_courier_and_hub(shared: Any) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    honest = answers["h1"]
    blob = bytearray(honest.blobs[0])
    blob[5] ^= 1
    envelope = bytearray(honest.envelope)
    envelope[200] ^= 1
    for altered in (
        Parcel(honest.envelope, (bytes(blob),)),
        Parcel(honest.envelope, ()),
        Parcel(honest.envelope, (*honest.blobs, b"more")),
        Parcel(bytes(envelope), honest.blobs),
    ):
        name = shared.wards["h1"].spool.put("answers", altered)
        with pytest.raises(Broken):
            shared.couriers["h1"].fetch(name)
        with pytest.raises(Broken):
            exchange.take(ask, asked, answers | {"h1": altered})


def test_an_answer_moved_from_one_site_to_another_is_caught(shared: Any) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    with pytest.raises(Broken, match="not expected here"):
        exchange.take(ask, asked, answers | {"h1": answers["h2"]})
    name = shared.wards["h1"].spool.put("answers", answers["h2"])
    with pytest.raises(Broken, match="not expected here"):
        shared.couriers["h1"].fetch(name)
    posing = resigned(shared, answers["h1"], "h1", lambda said: said.update(site="h2"))
    with pytest.raises(Broken, match="another site"):
        exchange.take(ask, asked, answers | {"h1": posing})
    name = shared.wards["h1"].spool.put("answers", posing)
    with pytest.raises(Broken, match="lies in the spool of h1"):
        shared.couriers["h1"].fetch(name)


def test_an_earlier_answer_sent_again_is_caught(shared: Any) -> None:
    ask = step(shared.sites)
    _, _, earlier = conversation(shared, ask)
    exchange, asked, answers = conversation(shared, ask)
    with pytest.raises(Broken, match="another question"):
        exchange.take(ask, asked, answers | {"h3": earlier["h3"]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said.update(study_sha256="ab" * 32), "another study"),
        (lambda said: said.update(computation="score_bins"), "another computation"),
        (lambda said: said.update(verdict="fail"), "re-decided"),
        (lambda said: said.update(verdict="not_judged"), "without the gate's judgement"),
        (lambda said: said.pop("evidence"), "without the gate's judgement"),
        (lambda said: said.update(policy_sha256="ab" * 32), "another policy"),
        (lambda said: said.update(outcome="refused"), "in spite of the verdict"),
        (lambda said: said["evidence"].update(kind="record"), "of kind 'record'"),
        (lambda said: said["evidence"].update(kind="sited"), "of kind 'sited'"),
        (lambda said: said["evidence"]["measured"].pop(0), "re-decided"),
        (lambda said: said["evidence"]["measured"][0].update(value="2", low="2", high="2"), "re-decided"),
        (lambda said: said["evidence"]["measured"][0].update(value="nan"), "re-decided"),
        (lambda said: said["evidence"].update(more="x"), "answer that is none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_verdict_that_the_evidence_does_not_support_is_caught(shared: Any, change: Change, words: str) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    with pytest.raises(Broken, match=words):
        exchange.take(ask, asked, answers | {"h0": resigned(shared, answers["h0"], "h0", change)})


def test_an_answer_signed_by_another_sites_key_is_caught(shared: Any) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    other = resigned(shared, answers["h0"], "h0", lambda _: None, signer=shared.wards["h1"].signer)
    with pytest.raises(Broken, match="not expected here"):
        exchange.take(ask, asked, answers | {"h0": other})


def test_a_corpus_under_the_gentler_rules_of_a_record_is_caught(shared: Any) -> None:
    """A site that wants a memorising corpus in the commons calls its evidence that of a harmless record."""
    ask = Ask(what="corpora", computation="corpus", sites=("h0",), split="train")
    exchange, asked, answers = conversation(shared, ask)
    honest = open_answer(answers["h0"].envelope, site_key=shared.keys["h0"])
    count = Measured(name="sited.smallest_cell", value=11, low=11, high=11)
    figures = Measured(name="record.figures", value=0, low=0, high=0)
    evidence = Evidence(
        kind="record",
        persons_train="11-49",
        attempt=1,
        claim=Claim(kind="exact"),
        cumulative_epsilon=0.0,
        measured=(count, figures),
    )
    packed = [pack_bytes("certificate", b"x"), pack_bytes("corpus", b"real patients")]
    forged = honest.model_copy(
        update={
            "outcome": "released",
            "verdict": "pass",
            "refusal": "",
            "evidence": evidence,
            "vectors": tuple(ref for ref, _ in packed),
        }
    )
    envelope = seal(Statement(predicate_type=ANSWER, predicate=forged.plain(), subjects=()), shared.wards["h0"].signer)
    with pytest.raises(Broken, match="of kind 'record', the question asks for 'corpus'"):
        exchange.take(ask, asked, {"h0": Parcel(envelope, tuple(data for _, data in packed))})


def test_a_masked_vector_of_another_form_is_caught(shared: Any) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    for vector in (np.zeros(15), np.zeros(14, dtype=np.uint64), np.zeros((15, 1), dtype=np.uint64)):
        ref, data = pack_vector("masked", vector)
        change = partial(_name, plain=ref.plain())
        altered = Parcel(resigned(shared, answers["h0"], "h0", change).envelope, (data,))
        with pytest.raises(Broken, match="h0: expected 15 masked numbers"):
            exchange.take(ask, asked, answers | {"h0": altered})
    ref, data = pack_vector("unmasked", np.zeros(15, dtype=np.uint64))
    altered = Parcel(resigned(shared, answers["h0"], "h0", partial(_name, plain=ref.plain())).envelope, (data,))
    with pytest.raises(Broken, match="holds no 'masked'"):
        exchange.take(ask, asked, answers | {"h0": altered})


def _name(said: dict[str, Any], *, plain: dict[str, Any]) -> None:
    said["vectors"] = [plain]


def test_a_site_that_refuses_closes_the_sum_and_is_named(shared: Any) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    door = shared.wards["h4"]._bench.door
    question, sent = asked["h4"]
    no = door.refuse("the officer is on holiday", question=question, question_sha256=sha256(sent.envelope))
    with pytest.raises(CheckFailed, match=r"1 of 6 sites refused.*h4: the officer is on holiday"):
        exchange.take(ask, asked, answers | {"h4": no})


def test_a_driver_ends_where_a_sum_stays_closed(shared: Any) -> None:
    """Two sites only: the hub itself does not even ask."""
    with pytest.raises(Refused, match="at least 3 sites, found 2"):
        shared.drive(newton(sites=shared.sites[:2], start=np.zeros(4), ridge=1.0), shared.exchange())


def test_a_malformed_answer_is_broken_and_not_our_own_failure(shared: Any) -> None:
    ask = step(shared.sites)
    exchange, asked, answers = conversation(shared, ask)
    signer = shared.wards["h0"].signer
    for predicate in ({}, {"site": "h0"}, {"evidence": 3}):
        envelope = seal(Statement(predicate_type=ANSWER, predicate=predicate, subjects=()), signer)
        with pytest.raises(Broken):
            exchange.take(ask, asked, answers | {"h0": Parcel(envelope, answers["h0"].blobs)})
