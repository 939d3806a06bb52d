"""A generator that replays its patients: the gate says fail, the certificate says so, and no row leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardgate.policy.decision import decide
from wardgate.records.corpus_file import read_corpus
from wardgate.records.envelope import unseal
from wardgate.records.messages import CERTIFICATE, open_answer
from wardgate.records.verdict import Evidence

MEMORISES = "generator: {name: sequential-cart, min_leaf: 1}\n"


@pytest.fixture(scope="module")
def asked(make_consortium: Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    """Two large hospitals and a small one; one large one memorises. All were asked for corpora."""
    made = make_consortium({"memorises": 900, "protects": 900, "small": 60}, notes={"memorises": MEMORISES})
    parcels = {
        site: made.carry(site, made.question(computation="corpus", split="train", parameters={"pass": 1})[1])
        for site in made.sites
    }
    return made, parcels


def answer_of(asked: Any, site: str) -> Any:
    made, parcels = asked
    return open_answer(parcels[site].envelope, site_key=made.keys[site])


def certificate_of(asked: Any, site: str) -> Any:
    made, parcels = asked
    places = [ref.name for ref in answer_of(asked, site).vectors]
    return unseal(parcels[site].blobs[places.index("certificate")], keys=(made.keys[site],))


def test_the_memorised_corpus_stays_and_its_certificate_says_fail(asked: Any) -> None:
    answer = answer_of(asked, "memorises")
    assert (answer.outcome, answer.verdict) == ("refused", "fail")
    assert [ref.name for ref in answer.vectors] == ["certificate"]
    said = certificate_of(asked, "memorises")
    assert said.predicate_type == CERTIFICATE
    assert said.predicate["verdict"]["outcome"] == "fail"
    failed = {ruling["rule"] for ruling in said.predicate["verdict"]["rulings"] if ruling["outcome"] == "fail"}
    assert failed & {"membership.battery", "copies.exact", "copies.near", "copies.reused_values"}


def test_no_row_of_a_patient_is_in_anything_that_left(asked: Any) -> None:
    """Each marker value of the training persons as text, as the CSV writes it, next to its age."""
    made, parcels = asked
    table = made.wards["memorises"]._bench.part("train").table
    sent = parcels["memorises"].to_bytes()
    for row in table.head(50).iter_rows(named=True):
        assert f"{row['age']:g},{row['marker']:g}".encode() not in sent
    assert b"PAR1" not in sent
    for log in (made.wards["memorises"].folder.parent / "private-memorises").glob("*"):
        assert b"PAR1" not in Path(log).read_bytes()


def test_all_its_attempts_are_told_counted_and_logged(asked: Any) -> None:
    made, _ = asked
    answer = answer_of(asked, "memorises")
    attempts = [Evidence.from_plain(one) for one in answer.statement["earlier"]] + [answer.evidence]
    assert [evidence.attempt for evidence in attempts] == [1, 2, 3]
    assert {decide(evidence, made.study.gate).outcome for evidence in attempts} == {"fail"}
    events = [leaf for leaf in made.wards["memorises"].log.leaves if b'"event":"corpus:fail"' in leaf]
    assert len(events) == 3
    again = made.say("memorises", computation="corpus", split="train", parameters={"pass": 1})
    assert (again.outcome, again.vectors) == ("refused", ())
    assert "all 3 attempts" in again.refusal


def test_the_protected_corpus_leaves_with_a_certificate_that_says_pass(asked: Any) -> None:
    _, parcels = asked
    answer = answer_of(asked, "protects")
    assert (answer.outcome, answer.verdict) == ("released", "pass")
    assert [ref.name for ref in answer.vectors] == ["certificate", "corpus"]
    assert certificate_of(asked, "protects").predicate["verdict"]["outcome"] == "pass"
    corpus = read_corpus(parcels["protects"].blobs[1])
    assert set(corpus.columns) == {"age", "marker", "sex", "label"}
    assert answer.evidence.claim.kind == "dp"


def test_every_dp_attempt_is_spent_before_it_is_judged(asked: Any) -> None:
    made, _ = asked
    answer = answer_of(asked, "protects")
    ledger = made.wards["protects"]._bench.door.ledger
    assert ledger.epsilon("train") == pytest.approx(answer.evidence.cumulative_epsilon)
    assert ledger.epsilon("train") >= answer.evidence.claim.epsilon * (1 - 1e-6)
    assert made.wards["memorises"]._bench.door.ledger.epsilon("train") == 0


def test_a_hospital_that_cannot_be_tested_by_attack_takes_the_joint_road(asked: Any) -> None:
    answer = answer_of(asked, "small")
    assert (answer.outcome, answer.verdict, answer.vectors) == ("refused", "not_judged", ())
    assert "too few persons" in answer.refusal
