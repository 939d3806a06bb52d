"""Two persons, two keys, one reason: everything less is refused, each for its own reason."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.records.approval import Approval, Waiver, approve, check_approval, check_both, check_waivers
from wardgate.records.errors import Broken, Invalid, Refused

DIGEST = "ab" * 32
RULE = "membership.rehearsal"


def keys() -> dict:
    return made.keyring().approvers


def approvals(**changes) -> list[Approval]:
    """Both approvals of `DIGEST`, one of them changed."""
    return [
        approve(DIGEST, role=role, at=made.ISSUED, signer=made.signer(changes.get(role, role)))
        for role in ("privacy_officer", "second_person")
    ]


@pytest.fixture(scope="module")
def found():
    return made.evidence(missing={RULE: "too few persons for any tier of the policy"})


def test_two_persons_with_keys_of_their_own_may_approve() -> None:
    check_both(approvals(), statement_sha256=DIGEST, keys=keys())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": "2026-11-22"}, "does not hold"),
        ({"role": "second_person"}, "is not enrolled as second person"),
        ({"simulated": True}, "does not hold"),
        ({"statement_sha256": "cd" * 32}, "approved something else"),
        ({"key_id": "cd" * 32}, "is not enrolled as privacy officer"),
        ({"signature": "00" * 64}, "does not hold"),
    ],
)
def test_an_approval_with_anything_changed_is_broken(change: dict, message: str) -> None:
    changed = approvals()[0].model_copy(update=change)
    with pytest.raises(Broken, match=message):
        check_approval(changed, statement_sha256=DIGEST, keys=keys()[changed.role])


def test_a_signature_for_another_purpose_is_no_approval() -> None:
    signer = made.signer("privacy_officer")
    forged = approvals()[0].model_copy(update={"signature": signer.sign(bytes.fromhex(DIGEST)).hex()})
    with pytest.raises(Broken, match="does not hold"):
        check_approval(forged, statement_sha256=DIGEST, keys=keys()["privacy_officer"])


def test_one_signature_is_not_enough() -> None:
    with pytest.raises(Refused, match="found 1 of two signatures; the second person did not sign"):
        check_both(approvals()[:1], statement_sha256=DIGEST, keys=keys())
    with pytest.raises(Refused, match="found no of two signatures"):
        check_both((), statement_sha256=DIGEST, keys=keys())


def test_one_person_in_both_roles_is_refused() -> None:
    both = {role: (made.signer("privacy_officer").public_key,) for role in ("privacy_officer", "second_person")}
    with pytest.raises(Refused, match="the same person signed twice"):
        check_both(approvals(second_person="privacy_officer"), statement_sha256=DIGEST, keys=both)


def test_a_role_that_signs_twice_does_not_stand_for_the_other() -> None:
    other = approve(DIGEST, role="privacy_officer", at=made.ISSUED, signer=made.signer("deputy"))
    ring = {"privacy_officer": (*keys()["privacy_officer"], made.signer("deputy").public_key)}
    with pytest.raises(Refused, match="the second person did not sign"):
        check_both([approvals()[0], other], statement_sha256=DIGEST, keys=ring)


def test_a_simulated_approval_is_refused_outside_the_demo() -> None:
    signer = made.signer("privacy_officer")
    simulated = approve(DIGEST, role="privacy_officer", at=made.ISSUED, signer=signer, simulated=True)
    ring = keys()["privacy_officer"]
    check_approval(simulated, statement_sha256=DIGEST, keys=ring, accept_simulated=True)
    with pytest.raises(Refused, match="SIMULATED"):
        check_approval(simulated, statement_sha256=DIGEST, keys=ring)


def test_a_day_that_is_none_is_invalid() -> None:
    plain = approvals()[0].plain()
    for day in ("2026-02-30", "26-02-03", "tomorrow", "2026-02-03T00:00"):
        with pytest.raises(Invalid, match="at:"):
            Approval.from_plain({**plain, "at": day})


def test_a_waiver_of_two_persons_names_its_rule(found) -> None:
    waiver = made.waiver(RULE, found)
    assert check_waivers([waiver], evidence_sha256=found.fingerprint(), keys=keys(), rules=(RULE,)) == {RULE}
    assert check_waivers((), evidence_sha256=found.fingerprint(), keys=keys()) == frozenset()
    assert Waiver.from_plain(waiver.plain()) == waiver


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        (lambda one: made.waiver(RULE, made.evidence()), Broken, "signed for other evidence"),
        (lambda one: made.waiver("no.such", made.evidence(missing={RULE: "too few"})), Refused, "no such rule"),
        (lambda one: one.model_copy(update={"reason": "because"}), Refused, "a reason of at least a sentence"),
        (lambda one: one.model_copy(update={"reason": "ok " * 20}), Refused, "a reason of at least a sentence"),
        (lambda one: one.model_copy(update={"reason": ""}), Refused, "a reason of at least a sentence"),
        (
            lambda one: one.model_copy(update={"reason": one.reason + " And more was added afterwards."}),
            Broken,
            "approved something else",
        ),
        (lambda one: one.model_copy(update={"approvals": one.approvals[:1]}), Refused, "found 1 of two signatures"),
        (lambda one: one.model_copy(update={"approvals": ()}), Refused, "found no of two signatures"),
        (lambda one: one.model_copy(update={"approvals": one.approvals[:1] * 2}), Refused, "same person signed twice"),
        (lambda one: one.model_copy(update={"rule": "copies.near"}), Broken, "approved something else"),
    ],
)
def test_a_waiver_with_something_wrong_names_the_rule_and_the_reason(found, changed, kind, message: str) -> None:
    waiver = changed(made.waiver(RULE, found))
    evidence = made.evidence(missing={RULE: "too few"}) if waiver.rule == "no.such" else found
    with pytest.raises(kind, match=message) as refused:
        check_waivers([waiver], evidence_sha256=evidence.fingerprint(), keys=keys(), rules=(RULE, "copies.near"))
    assert f"waiver of '{waiver.rule}'" in str(refused.value)


def test_a_rule_waived_twice_is_refused(found) -> None:
    waiver = made.waiver(RULE, found)
    with pytest.raises(Refused, match="waived twice"):
        check_waivers([waiver, waiver], evidence_sha256=found.fingerprint(), keys=keys())


def test_strangers_waive_nothing(found) -> None:
    waiver = made.waiver(RULE, found)
    with pytest.raises(Broken, match="is not enrolled as privacy officer"):
        check_waivers([waiver], evidence_sha256=found.fingerprint(), keys={})
