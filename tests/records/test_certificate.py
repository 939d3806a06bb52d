"""The certificate as a record: nothing left out in silence, nothing claimed that no measurement shows."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.records.certificate import DISCLAIMER, Certificate, approvable, claims_anonymity, holes, months_after
from wardgate.records.certificate_file import open_certificate, read_certificate, seal_certificate
from wardgate.records.envelope import Statement, seal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.keyring import KeyFile, read_key, read_keyring
from wardgate.records.messages import CERTIFICATE_1
from wardgate.records.revocation import Revocation, open_revocation, seal_revocation


@pytest.fixture(scope="module")
def whole() -> made.Made:
    return made.made()


@pytest.fixture
def plain(whole) -> dict:
    return json.loads(json.dumps(whole.opened.certificate.plain()))


def test_a_certificate_reads_back_as_it_was_written(whole, plain) -> None:
    assert Certificate.from_plain(plain) == whole.opened.certificate
    assert whole.opened.version == 2 and whole.opened.key_id == made.signer("lakeside").key_id


def test_numbers_travel_as_text(plain) -> None:
    def floats(value):
        if isinstance(value, dict):
            return [one for item in value.values() for one in floats(item)]
        if isinstance(value, list):
            return [one for item in value for one in floats(item)]
        return [value] if isinstance(value, float) else []

    assert floats(plain) == []


def test_every_empty_field_has_a_reason(whole) -> None:
    said = whole.opened.certificate
    assert set(holes(said)) == set(said.reasons) and len(said.reasons) > 10
    assert all(len(reason) > 20 for reason in said.reasons.values())


@pytest.mark.parametrize("field", ["study", "dp.population", "generator.codeSha256", "log", "terms"])
def test_a_field_left_out_in_silence_is_refused(plain, field: str) -> None:
    plain["absent"] = [one for one in plain["absent"] if one["field"] != field]
    with pytest.raises(Invalid, match=f"left out without a reason: {field}"):
        Certificate.from_plain(plain)


def test_a_field_that_is_there_cannot_be_said_to_be_absent(plain) -> None:
    plain["absent"].append({"field": "claim", "reason": "nobody knows why it is so"})
    with pytest.raises(Invalid, match="said to be absent, but there: claim"):
        Certificate.from_plain(plain)


@pytest.mark.parametrize(
    "words",
    [
        "The corpus is anonymous.",
        "Fully ANONYMISED data.",
        "Anonymized by design.",
        "Pseudonymous rows, then anonymised.",
        "Les données sont anonymes.",
        "Anonymisierte Daten.",
        "ａｎｏｎｙｍｏｕｓ",
        "De-identified records.",
        "There is no risk.",
        "Zero risk for patients.",
        "A risk-free release.",
        "Persons cannot be re-identified.",
    ],
)
def test_a_claim_of_anonymity_is_refused_at_construction(plain, words: str) -> None:
    assert claims_anonymity(words)
    for field, value in (
        ("claim", f"{words} {DISCLAIMER}"),
        ("knownGaps", [words]),
        ("residualRisks", [words]),
        ("terms", {"duo": [], "licence": words}),
    ):
        changed = {**plain, field: value}
        if field == "terms":
            changed["absent"] = [one for one in plain["absent"] if one["field"] != "terms"]
        with pytest.raises(Invalid, match="claim anonymity"):
            Certificate.from_plain(changed)


def test_a_claim_without_its_disclaimer_is_refused(plain) -> None:
    with pytest.raises(Invalid, match="the claim must end with"):
        Certificate.from_plain({**plain, "claim": "Risk below the stated limits."})


def test_a_waiver_may_not_argue_with_anonymity() -> None:
    found = made.evidence(missing={"membership.rehearsal": "too few persons for any tier"})
    waiver = made.waiver("membership.rehearsal", found, reason="The corpus is anonymous anyway, so nobody is at risk.")
    with pytest.raises(Invalid, match="claim anonymity"):
        made.made(found, exceptions=(waiver,))


def test_no_certificate_ends_before_it_begins(plain) -> None:
    with pytest.raises(Invalid, match="end before it was issued"):
        Certificate.from_plain({**plain, "validUntil": "2026-01-01"})


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        ("2024-02-29", 12, "2025-02-28"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-11-21", 12, "2027-11-21"),
        ("2023-02-28", 12, "2024-02-28"),
    ],
)
def test_months_are_those_of_the_calendar(day: str, months: int, later: str) -> None:
    assert months_after(day, months) == later


def test_approvals_sign_everything_but_themselves_and_the_place_in_the_log(whole) -> None:
    said, subjects = whole.opened.certificate, whole.opened.subjects
    digest = approvable(said, subjects)
    assert approvable(said.model_copy(update={"approvals": whole.approvals}), subjects) == digest
    assert approvable(said, tuple(reversed(subjects))) == digest
    assert approvable(said, (("corpus.csv", "cd" * 32),)) != digest
    for change in ({"claim": DISCLAIMER}, {"valid_until": "2030-01-01"}, {"exact_sums_also_released": True}):
        assert approvable(said.model_copy(update=change), subjects) != digest


def test_nobody_signs_in_another_name(whole) -> None:
    with pytest.raises(Invalid, match="names another key as its issuer's"):
        seal_certificate(whole.opened.certificate, subjects=made.SUBJECTS, signer=made.signer("stranger"))
    statement = Statement(
        predicate_type="shareable-synthetic/v2",
        predicate=whole.opened.certificate.plain(),
        subjects=made.SUBJECTS,
    )
    stranger = made.signer("stranger")
    with pytest.raises(Broken, match="names another issuer than the key that signed it"):
        open_certificate(seal(statement, stranger), keys=(stranger.public_key,))


MUSEUM = {
    "another kind": ("answer/v1", lambda said: said),
    "an unknown field": ("shareable-synthetic/v2", lambda said: {**said, "patients": []}),
    "no verdict": ("shareable-synthetic/v2", lambda said: {k: v for k, v in said.items() if k != "verdict"}),
    "text for a number": ("shareable-synthetic/v2", lambda said: {**said, "attempts": {"number": "x", "of": 3}}),
    "attempt nought": ("shareable-synthetic/v2", lambda said: {**said, "attempts": {"number": 0, "of": 3}}),
    "nothing": ("shareable-synthetic/v2", lambda said: {}),
    "version 1 without its form": (CERTIFICATE_1, lambda said: {"dp": [], "study": 3}),
    "version 2 called version 1": (CERTIFICATE_1, lambda said: said),
}


@pytest.mark.parametrize("piece", MUSEUM)
def test_what_is_no_certificate_is_refused(plain, piece: str) -> None:
    kind, change = MUSEUM[piece]
    statement = Statement(predicate_type=kind, predicate=change(plain), subjects=made.SUBJECTS)
    with pytest.raises(Broken, match="certificate"):
        read_certificate(statement, envelope=b"")


def test_a_revocation_reads_back_and_only_its_kind_does(whole) -> None:
    signer = made.signer("lakeside")
    revocation = Revocation(certificate_sha256=whole.opened.sha256, reason="a column was wrong", at="2026-12-01")
    envelope = seal_revocation(revocation, signer=signer)
    assert open_revocation(envelope, keys=(signer.public_key,)) == (revocation, signer.key_id)
    with pytest.raises(Broken, match="expected a revocation"):
        open_revocation(whole.envelope, keys=(signer.public_key,))
    with pytest.raises(Broken, match="not expected here"):
        open_revocation(envelope, keys=(made.signer("stranger").public_key,))


def test_a_keyring_holds_every_key_under_one_name() -> None:
    ring = made.keyring()
    assert read_keyring(ring.to_bytes()) == ring
    twice = ring.plain()
    twice["keys"].append({**twice["keys"][0], "name": "somebody-else", "role": "second_person"})
    with pytest.raises(Invalid, match="enrolled under two names"):
        read_keyring(json.dumps(twice).encode())
    for data in (b"", b"[]", b"{", b'{"keys": [{"name": "x"}]}', b'{"schema": "wardgate/keys/2", "keys": []}'):
        with pytest.raises(Invalid):
            read_keyring(data)


def test_a_private_key_is_never_shown() -> None:
    seed = "5e" * 32
    key = KeyFile.from_plain({"schema": "wardgate/key/1", "name": "dr-lee", "role": "privacy_officer", "seed": seed})
    assert read_key(key.to_bytes()) == key
    assert seed not in repr(key) and seed not in str(key.public.plain())
    for data in (b"{", f'{{"seed": "{seed}", "name": "a b", "role": "site"}}'.encode()):
        with pytest.raises(Invalid) as refused:
            read_key(data)
        assert seed not in str(refused.value)
