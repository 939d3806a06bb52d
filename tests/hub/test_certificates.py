"""A certificate by itself: each thing that can be wrong with it is told in its own line."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.hub import layout
from wardgate.hub.intake.certificates import Examined, Material, examine
from wardgate.records.approval import approve
from wardgate.records.canonical import sha256
from wardgate.records.certificate import DISCLAIMER, approvable, claim_for, verdict_leaf
from wardgate.records.certificate_file import open_certificate
from wardgate.records.certificate_parts import (
    LogInclusion,
)
from wardgate.records.claim import Claim
from wardgate.records.envelope import Statement, seal
from wardgate.records.errors import Broken, Refused
from wardgate.records.keyring import Enrolled, Keyring, read_keyring
from wardgate.records.log import MerkleLog, inclusion_proof, root
from wardgate.records.messages import CERTIFICATE
from wardgate.records.revocation import Revocation, seal_revocation
from wardgate.records.verdict import Verdict

ROLES = ("privacy_officer", "second_person")
TOO_FEW = {"membership.rehearsal": "too few persons for any tier of the policy"}


@pytest.fixture(scope="module")
def whole() -> made.Made:
    return made.made()


def material(one: made.Made, **changes) -> Material:
    """What a careful reader holds."""
    given = {
        "keys": one.keys,
        "on": "2026-12-24",
        "files": {"corpus.csv": one.corpus},
        "floor": made.policy(),
        "approvals": one.approvals,
        "revocations": (),
    }
    return Material(**{**given, **changes})


def state(found: Examined, what: str) -> tuple[str, str]:
    """State and words of one line."""
    (line,) = [check for check in found.checks if check.what == what]
    return line.state, line.words


def resealed(one: made.Made, change, *, who: str = "lakeside", subjects=None) -> made.Made:
    """The certificate with its words changed and signed again, and approved again by both."""
    said = json.loads(json.dumps(one.opened.certificate.plain()))
    change(said)
    signer = made.signer(who)
    said["site"]["keyId"] = signer.key_id
    statement = Statement(predicate_type=CERTIFICATE, predicate=said, subjects=subjects or one.opened.subjects)
    envelope = seal(statement, signer)
    opened = open_certificate(envelope, keys=(signer.public_key,))
    digest = approvable(opened.certificate, opened.subjects)
    approvals = tuple(approve(digest, role=role, at=made.ISSUED, signer=made.signer(role)) for role in ROLES)
    return SimpleNamespace(
        envelope=envelope, opened=opened, keys=one.keys, approvals=approvals, corpus=one.corpus, policy=one.policy
    )


def only(one, what: str, *, kind: type, match: str, **changes) -> None:
    """Check that one line alone does not hold, that it says why, and that the whole check ends with it."""
    found = examine(one.envelope, material(one, **changes))
    wrong = [check for check in found.checks if check.state in ("broken", "refused")]
    assert [check.what for check in wrong] == [what], wrong
    assert match in wrong[0].words
    with pytest.raises(kind, match=what):
        found.raise_if_not_held()


def test_a_whole_certificate_holds_in_every_line(whole) -> None:
    found = examine(whole.envelope, material(whole))
    found.raise_if_not_held()
    assert {check.state for check in found.checks} == {"holds", "not checked"}
    assert {check.what for check in found.checks if check.state == "not checked"} == {"file croissant.json", "log"}


def test_what_is_not_handed_in_is_said_to_be_unchecked(whole) -> None:
    found = examine(whole.envelope, Material(keys=whole.keys, on="2026-12-24", approvals=whole.approvals))
    found.raise_if_not_held()
    unchecked = {check.what for check in found.checks if check.state == "not checked"}
    assert unchecked == {"floor", "file corpus.csv", "file croissant.json", "log", "revocation"}


def test_one_altered_byte_anywhere_breaks_the_signature(whole) -> None:
    for place in range(0, len(whole.envelope), 97):
        data = whole.envelope[:place] + bytes([whole.envelope[place] ^ 1]) + whole.envelope[place + 1 :]
        found = examine(data, material(whole))
        assert [(check.what, check.state) for check in found.checks] == [("signature", "broken")]


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"payload":"","signatures":[]}', b"[" * 50_000])
def test_what_is_no_envelope_is_broken(whole, data: bytes) -> None:
    with pytest.raises(Broken, match="signature: not a signed envelope"):
        examine(data, material(whole)).raise_if_not_held()


def test_a_strangers_certificate_is_broken(whole) -> None:
    forged = resealed(whole, lambda said: None, who="stranger")
    with pytest.raises(Broken, match="signed by a key that is not expected here"):
        examine(forged.envelope, material(forged)).raise_if_not_held()


def test_an_officers_key_issues_nothing(whole) -> None:
    forged = resealed(whole, lambda said: None, who="privacy_officer")
    with pytest.raises(Broken, match="signed by a key that is not expected here"):
        examine(forged.envelope, material(forged)).raise_if_not_held()


def test_another_site_cannot_issue_in_this_ones_name(whole) -> None:
    forged = resealed(whole, lambda said: None, who="riverside")
    river = Enrolled(name="riverside", role="site", public_key=made.signer("riverside").public_key.hex())
    ring = Keyring(keys=(*whole.keys.keys, river))
    only(forged, "signature", kind=Broken, match="signed with the key of 'riverside'", keys=ring)


def evidence_upgraded(said: dict) -> None:
    one = next(one for one in said["evidence"]["measured"] if one["name"] == "membership.auc")
    one |= {"value": "0.5", "low": "0.49", "high": "0.51"}


def test_tampered_evidence_is_found_even_under_the_sites_own_signature(whole) -> None:
    forged = resealed(whole, evidence_upgraded)
    found = examine(forged.envelope, material(forged))
    assert state(found, "evidence") == (
        "broken",
        "the evidence is not the one that was judged; it was altered after the verdict",
    )
    assert state(found, "policy decided again")[0] == "broken"
    with pytest.raises(Broken, match="evidence: the evidence is not the one"):
        found.raise_if_not_held()


def test_a_fail_dressed_as_a_pass_is_found_by_deciding_again() -> None:
    leak = made.evidence(replace={"membership.auc": made.measured("membership.auc", value=0.7, low=0.68, high=0.72)})
    failing = made.made(leak)
    assert failing.verdict.outcome == "fail"
    only(failing, "verdict", kind=Refused, match="fail; only what passed may be used")

    def upgraded(said: dict) -> None:
        said["verdict"]["outcome"] = "pass"
        said["claim"] = made.made().opened.certificate.claim
        for ruling in said["verdict"]["rulings"]:
            ruling["outcome"] = "pass"

    only(
        resealed(failing, upgraded),
        "policy decided again",
        kind=Broken,
        match="gives fail with its rulings; the certificate states another verdict",
    )


def test_a_verdict_of_another_version_is_held_to_its_outcomes(whole) -> None:
    def older(said: dict) -> None:
        said["tool"]["version"] = "0.9.0"
        said["verdict"]["rulings"][0]["limit"] = "in other words"

    found = examine(resealed(whole, older).envelope, material(whole, approvals=resealed(whole, older).approvals))
    assert state(found, "policy decided again")[0] == "holds"

    def dressed(said: dict) -> None:
        older(said)
        said["verdict"]["rulings"][-1]["outcome"] = "fail"

    forged = resealed(whole, dressed)
    assert state(examine(forged.envelope, material(forged)), "policy decided again")[0] == "broken"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said.update(validUntil="2031-01-01"), "the policy lets a certificate hold until 2027-11-21"),
        (lambda said: said["attempts"].update(number=2), "attempt: stated otherwise"),
        (lambda said: said["attempts"].update(of=99), "attempts: stated otherwise"),
        (lambda said: said["dp"]["claim"].update(kind="dp", epsilon="0.1", delta="1e-6"), "noise: stated otherwise"),
        (lambda said: said["source"].update(personsBand="100-199"), "band of persons: stated otherwise"),
        (lambda said: said["policy"].update(profile="public-open"), "profile: stated otherwise"),
        (lambda said: said.update(claim=f"Safe for everybody. {DISCLAIMER}"), "claim: stated otherwise"),
    ],
)
def test_what_is_stated_beside_the_evidence_may_not_go_beyond_it(whole, change, words: str) -> None:
    only(resealed(whole, change), "statements", kind=Broken, match=words)


def test_a_policy_loosened_after_the_verdict_is_found(whole) -> None:
    def loosened(said: dict) -> None:
        said["policy"]["rules"]["membership"]["auc_max"] = "0.9"

    only(
        resealed(whole, loosened),
        "policy decided again",
        kind=Broken,
        match="not the one that judged",
        floor=made.policy(membership={**made.policy().plain()["membership"], "auc_max": "0.95"}),
    )


def test_a_policy_weaker_than_the_floor_is_refused(whole) -> None:
    stricter = made.policy(membership={**made.policy().plain()["membership"], "auc_max": "0.53"})
    only(
        whole,
        "floor",
        kind=Refused,
        match="membership.auc_max: found 0.55, the floor asks for at most 0.53",
        floor=stricter,
    )
    tight = made.made(rules=stricter, floor=made.policy())
    assert tight.opened.certificate.policy.stricter_than_floor == ("membership.auc_max",)
    examine(tight.envelope, material(tight)).raise_if_not_held()


def test_a_swapped_corpus_is_found(whole) -> None:
    only(
        whole,
        "file corpus.csv",
        kind=Broken,
        match="is another file than the certificate is for",
        files={"corpus.csv": whole.corpus + b"72,1\n"},
    )


def test_a_file_that_the_certificate_does_not_speak_of_is_no_subject(whole) -> None:
    only(
        whole,
        "file other.csv",
        kind=Broken,
        match="does not speak of it, but of corpus.csv, croissant.json",
        files={"other.csv": whole.corpus},
    )


def test_it_holds_on_its_last_day_and_not_on_the_next(whole) -> None:
    examine(whole.envelope, material(whole, on="2027-11-21")).raise_if_not_held()
    only(whole, "validity", kind=Refused, match="it expired on 2027-11-21; asked for 2027-11-22", on="2027-11-22")
    only(whole, "validity", kind=Refused, match="issued on 2026-11-21, after 2026-11-20", on="2026-11-20")


def revoked(one, *, who: str = "lakeside", at: str = "2026-12-01") -> bytes:
    revocation = Revocation(certificate_sha256=one.opened.sha256, reason="a column held true dates", at=at)
    return seal_revocation(revocation, signer=made.signer(who))


def test_a_revoked_certificate_is_refused_from_that_day_on(whole) -> None:
    only(
        whole,
        "revocation",
        kind=Refused,
        match="revoked on 2026-12-01: a column held true dates",
        revocations=(revoked(whole),),
    )
    examine(whole.envelope, material(whole, revocations=(revoked(whole),), on="2026-11-30")).raise_if_not_held()


def test_a_revocation_of_another_certificate_does_no_harm(whole) -> None:
    other = made.made(made.evidence(attempt=1, replace={"copies.near": made.measured("copies.near", note="other")}))
    assert other.opened.sha256 != whole.opened.sha256
    found = examine(whole.envelope, material(whole, revocations=(revoked(other),)))
    assert state(found, "revocation") == ("holds", "not among the 1 of the list")


def test_a_list_of_revocations_that_is_damaged_or_a_strangers_is_broken(whole) -> None:
    line = revoked(whole)
    for bad in (line[:-3], line.replace(b"A", b"B", 1), b"{}", whole.envelope, revoked(whole, who="stranger")):
        only(whole, "revocation", kind=Broken, match="line 1 of the list", revocations=(bad,))


def test_nobody_else_takes_a_certificate_back(whole) -> None:
    river = Enrolled(name="riverside", role="site", public_key=made.signer("riverside").public_key.hex())
    ring = Keyring(keys=(*whole.keys.keys, river))
    only(
        whole,
        "revocation",
        kind=Broken,
        match="with another key than issued it",
        keys=ring,
        revocations=(revoked(whole, who="riverside"),),
    )


def test_without_two_approvals_it_is_refused(whole) -> None:
    only(whole, "approvals", kind=Refused, match="found no of two signatures", approvals=())
    only(whole, "approvals", kind=Refused, match="the second person did not sign", approvals=whole.approvals[:1])
    only(
        whole,
        "approvals",
        kind=Refused,
        match="the same person signed twice",
        approvals=whole.approvals[:1] * 1
        + (
            whole.approvals[0].model_copy(
                update={
                    "at": "2026-11-22",
                    "signature": made.signer("privacy_officer")
                    .sign(whole.approvals[0].model_copy(update={"at": "2026-11-22"}).signed_bytes)
                    .hex(),
                }
            ),
        ),
    )


def test_a_forged_approval_is_found(whole) -> None:
    digest = approvable(whole.opened.certificate, whole.opened.subjects)
    first, second = whole.approvals
    stranger = approve(digest, role="second_person", at=made.ISSUED, signer=made.signer("stranger"))
    claimed = second.model_copy(update={"signature": stranger.signature})
    elsewhere = made.made(rules=made.policy(max_attempts=2)).approvals[1]
    site = approve(digest, role="second_person", at=made.ISSUED, signer=made.signer("lakeside"))
    for forged, words in (
        (stranger, "is not enrolled as second person"),
        (site, "is not enrolled as second person"),
        (claimed, "the signature of the second person"),
        (elsewhere, "the second person approved something else"),
    ):
        only(whole, "approvals", kind=Broken, match=words, approvals=(first, forged))


def test_approvals_do_not_move_to_a_changed_certificate(whole) -> None:
    longer = resealed(whole, lambda said: said.update(validUntil="2027-11-20"))
    only(longer, "approvals", kind=Broken, match="approved something else", approvals=whole.approvals)


def test_simulated_keys_and_approvals_are_good_for_a_demo_alone(whole) -> None:
    digest, site = approvable(whole.opened.certificate, whole.opened.subjects), made.signer("lakeside")
    simulated = tuple(approve(digest, role=role, at=made.ISSUED, signer=site, simulated=True) for role in ROLES)
    only(whole, "approvals", kind=Refused, match="SIMULATED", approvals=simulated)
    found = examine(whole.envelope, material(whole, approvals=simulated, accept_simulated=True))
    found.raise_if_not_held()
    assert "bind nobody" in state(found, "approvals")[1]
    ring = Keyring(keys=tuple(key.model_copy(update={"simulated": key.role == "site"}) for key in whole.keys.keys))
    only(whole, "signature", kind=Refused, match="SIMULATED", keys=ring)


def test_an_exception_needs_both_signatures_inside_the_certificate() -> None:
    found = made.evidence(missing=TOO_FEW)
    waiver = made.waiver("membership.rehearsal", found)
    waived = made.made(found, exceptions=(waiver,))
    assert waived.verdict.outcome == "pass_with_exceptions"
    examine(waived.envelope, material(waived)).raise_if_not_held()
    assert "Two persons accepted the stated exceptions" in waived.opened.certificate.claim

    def half(said: dict) -> None:
        said["exceptions"][0]["approvals"] = said["exceptions"][0]["approvals"][:1]

    only(resealed(waived, half), "exceptions", kind=Refused, match="found 1 of two signatures")

    def reworded(said: dict) -> None:
        said["exceptions"][0]["reason"] = "Somebody wrote another reason here afterwards."

    only(resealed(waived, reworded), "exceptions", kind=Broken, match="approved something else")

    def unsigned(said: dict) -> None:
        said["exceptions"] = []

    forged = examine(resealed(waived, unsigned).envelope, material(resealed(waived, unsigned)))
    assert state(forged, "exceptions") == ("broken", "'membership.rehearsal' is waived without two signatures")
    assert state(forged, "policy decided again")[0] == "broken"


def test_no_two_signatures_make_a_failed_privacy_rule_pass() -> None:
    leak = made.evidence(replace={"membership.auc": made.measured("membership.auc", value=0.7, low=0.68, high=0.72)})
    with pytest.raises(Refused, match=r"rule membership\.auc failed"):
        made.made(leak, exceptions=(made.waiver("membership.auc", leak),))
    failing = made.made(leak)

    def waived(said: dict) -> None:
        said["exceptions"] = [made.waiver("membership.auc", leak).plain()]
        said["verdict"]["outcome"] = "pass_with_exceptions"
        said["claim"] = claim_for(Verdict.from_plain(said["verdict"]))
        for ruling in said["verdict"]["rulings"]:
            if ruling["rule"] == "membership.auc":
                ruling["outcome"] = "waived"

    only(resealed(failing, waived), "policy decided again", kind=Refused, match="rule membership.auc failed")


def logged(one: made.Made) -> LogInclusion:
    log = MerkleLog(origin="wardgate/site/lakeside")
    for leaf in (b"first", b"second", verdict_leaf(one.evidence, one.verdict), b"fourth", b"fifth"):
        log.append(leaf)
    proof = tuple(part.hex() for part in inclusion_proof(log.hashes, 2))
    return LogInclusion(origin=log.origin, index=2, size=5, root=root(log.hashes).hex(), proof=proof)


def test_a_place_in_the_log_is_proved_or_broken(whole) -> None:
    entry = logged(whole)
    found = examine(made.made(log=entry).envelope, material(made.made(log=entry)))
    assert state(found, "log") == ("holds", "leaf 2 of 5 in wardgate/site/lakeside")
    for change in ({"index": 1}, {"proof": entry.proof[:-1]}, {"root": sha256(b"other")}, {"size": 9}):
        forged = made.made(log=entry.model_copy(update=change))
        only(forged, "log", kind=Broken, match="log inclusion")


def test_noise_of_a_test_is_never_accepted() -> None:
    claim = Claim(kind="none", noise_source="unsafe-test")
    forged = made.made(made.evidence(claim=claim))
    found = examine(forged.envelope, material(forged))
    assert state(found, "evidence")[0] == "broken" and "repeatable stream" in state(found, "evidence")[1]


def test_a_certificate_of_a_demo_run_is_examined_with_the_keys_of_its_roster(whole, small, tmp_path) -> None:
    run = small.write(tmp_path / "run")
    ring = read_keyring((run / layout.ROSTER).read_bytes())
    names = [path.name.removesuffix(".parquet") for path in (run / "commons").glob("*.parquet")]
    assert layout.JOINT in names
    for name in names:
        files = {"corpus.parquet": (run / layout.corpus_path(name)).read_bytes()}
        given = Material(keys=ring, on="2026-06-01", files=files, accept_simulated=True, revocations=())
        found = examine((run / layout.certificate_path(name)).read_bytes(), given)
        found.raise_if_not_held()
        assert state(found, "policy decided again")[0] == "holds"
        with pytest.raises(Refused, match="SIMULATED"):
            examine(
                (run / layout.certificate_path(name)).read_bytes(), Material(keys=ring, on="2026-06-01")
            ).raise_if_not_held()
