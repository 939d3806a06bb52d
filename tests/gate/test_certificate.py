"""The certificates that a ward signs: of a study's corpus, and of a check that stands by itself."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate import __version__
from wardgate.hospital.ward.gate.certificate import ALONE, REASONS, code_sha256, in_words, known_gaps, table_certificate
from wardgate.policy.decision import decide, policy_digest
from wardgate.records.certificate import DISCLAIMER
from wardgate.records.certificate_file import open_certificate
from wardgate.records.certificate_parts import (
    Restrictions,
    Spent,
)
from wardgate.records.errors import Invalid


def test_it_states_what_was_judged_and_against_what() -> None:
    one = made.made()
    said = one.opened.certificate
    assert (said.evidence, said.verdict) == (one.evidence, one.verdict)
    assert said.policy.rules == one.policy
    assert said.policy.sha256 == said.policy.floor_sha256 == policy_digest(one.policy)
    assert said.policy.stricter_than_floor == ()
    assert (said.issued_on, said.valid_until) == ("2026-11-21", "2027-11-21")
    assert said.tool.version == __version__ and said.tool.code_sha256 == code_sha256()
    assert said.study is None and "no study was locked" in said.reasons["study"]
    assert said.approvals == () and not said.simulated


def test_validity_is_what_the_policy_says() -> None:
    assert made.made(rules=made.policy(certificate_months=3)).opened.certificate.valid_until == "2027-02-21"


def test_what_was_held_back_spent_and_tried_before_is_stated() -> None:
    said = made.made(
        made.evidence(attempt=2, replace={name: made.measured(name, level=0.95) for name in made.VALUES}),
        restrictions=Restrictions(columns_dropped=("postcode",), subgroups_left_out=("ward: hospice",)),
        population=Spent(epsilon=2.1, of=10.0),
        previous=("fail: membership.battery",),
        exact_sums=True,
        period="2021/2025",
        subgroups=("sex",),
    ).opened.certificate
    assert said.restrictions.columns_dropped == ("postcode",)
    assert said.dp.population == Spent(epsilon=2.1, of=10.0)
    assert said.attempts.previous == ("fail: membership.battery",)
    assert said.exact_sums_also_released and said.source.period == "2021/2025"
    assert said.subgroups is not None and said.subgroups.reported == ("sex",)
    assert not {"dp.population", "source.period", "subgroups"} & set(said.reasons)


def test_the_claim_follows_the_verdict_and_never_goes_beyond() -> None:
    leak = made.evidence(replace={"copies.near": made.measured("copies.near", value=1e-6, low=1e-6, high=1e-6)})
    few = made.evidence(missing={"membership.auc": "too few persons for any tier of the policy"})
    for found, words in (
        (made.evidence(), "Risk below the stated limits under the listed attacks."),
        (leak, "broke at least one limit. Nothing is claimed"),
        (few, "Too little could be measured to decide. Nothing is claimed"),
    ):
        claim = made.made(found).opened.certificate.claim
        assert words in claim and claim.endswith(DISCLAIMER)


def test_a_shortfall_of_use_that_was_waived_is_a_known_gap() -> None:
    worse = made.measured("realism.tstr_loss", value=0.2, low=0.15, high=0.25)
    found = made.evidence(replace={"realism.tstr_loss": worse})
    waiver = made.waiver("realism.tstr_loss", found)
    said = made.made(found, exceptions=(waiver,)).opened.certificate
    assert said.verdict.outcome == "pass_with_exceptions"
    assert len(said.known_gaps) == 1 and said.known_gaps[0].startswith("realism.tstr_loss")
    assert known_gaps(made.made().verdict) == ()


def test_verdicts_before_are_told_in_words() -> None:
    leak = made.evidence(replace={"copies.near": made.measured("copies.near", value=1e-6, low=1e-6, high=1e-6)})
    assert in_words(decide(leak, made.policy())) == "fail: copies.near"
    assert in_words(decide(made.evidence(), made.policy())) == "pass"


def test_no_reason_is_given_for_what_no_certificate_could_lack() -> None:
    said = made.made(floor=None).opened.certificate
    assert set(said.reasons) <= set(ALONE) and set(REASONS) <= set(ALONE)


def test_a_certificate_needs_a_file_to_speak_of() -> None:
    one = made.made()
    with pytest.raises(Invalid, match="at least one file"):
        table_certificate(
            site="lakeside",
            evidence=one.evidence,
            verdict=one.verdict,
            policy=one.policy,
            floor=None,
            subjects=(),
            issued_on=made.ISSUED,
            signer=made.signer("lakeside"),
        )


def test_equal_judgements_give_equal_bytes() -> None:
    assert made.made().envelope == made.made().envelope


def test_it_names_no_floor_where_there_was_none() -> None:
    one = made.made()
    envelope = table_certificate(
        site="lakeside",
        evidence=one.evidence,
        verdict=one.verdict,
        policy=one.policy,
        floor=None,
        subjects=made.SUBJECTS,
        issued_on=made.ISSUED,
        signer=made.signer("lakeside"),
    )
    said = open_certificate(envelope, keys=(made.signer("lakeside").public_key,)).certificate
    assert said.policy.floor_sha256 is None and said.reasons["policy.floorSha256"] == ALONE["policy.floorSha256"]


def test_no_count_of_persons_but_its_band_is_stated_outside_the_evidence() -> None:
    said = made.made().opened.certificate
    plain = {key: value for key, value in said.plain().items() if key not in ("evidence", "verdict", "policy")}
    assert said.source.persons_band == "5000-9999"
    assert "6100" not in json.dumps(plain) and "2050" not in json.dumps(plain)
