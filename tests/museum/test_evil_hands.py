"""Runs changed by somebody who can sign: an evil hub, site or stranger. Each is refused for the right reason."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.papers.report import render
from wardgate.policy.decision import decide
from wardgate.records.canonical import canonical, sha256
from wardgate.records.corpus_file import read_corpus, write_corpus
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.parcel import pack_bytes, pack_vector
from wardgate.records.results import Results
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence

SITE = "southgate"
CORPUS = layout.corpus_path("northgate")
CERTIFICATE = layout.certificate_path("northgate")
STRANGER = Signer(bytes(range(32)))


def broken(root: Path) -> str:
    """Return all findings as one text."""
    return "\n".join(map(str, audit(root).findings))


def asks(computation: str, split: str = "") -> Any:
    """Match questions of a computation."""
    return lambda said: (
        said.predicate_type == "question/v1"
        and said.predicate["computation"] == computation
        and (not split or said.predicate["split"] == split)
    )


def says(computation: str) -> Any:
    """Match released answers of a computation."""
    return lambda said: said.predicate["computation"] == computation and said.predicate["outcome"] == "released"


def changed_results(forger, change: Any) -> None:
    """Change the results and render the report anew, as an evil hub would."""
    plain = json.loads(forger.read(layout.RESULTS))
    change(plain)
    results = Results.model_validate(plain)
    forger.write(layout.RESULTS, layout.results_bytes(results))
    forger.write(layout.REPORT, render(results).encode())
    forger.sign_hub()


def test_the_run_as_it_was_written_holds(whole: Path) -> None:
    found = audit(whole)
    assert found.findings == ()
    checked = dict(found.checked)
    assert checked["answers"] > 100 and checked["sums, recomputed from the masked answers"] > 10
    assert checked["corpora"] == 2 and checked["logs of sites"] == 4


def test_a_run_with_noise_in_its_sums_holds(noisy_run: Path) -> None:
    found = audit(noisy_run)
    assert found.findings == ()
    asked = [layout.peek(line).predicate for line in (noisy_run / layout.records_path(layout.HUB)).open("rb")]
    sums = [one["sum"] for one in asked if one.get("computation") in ("newton", "score_bins")]
    assert sums and all("noise_multiplier" in terms for terms in sums)


def test_signing_a_run_again_without_a_change_still_holds(forger) -> None:
    forger.sign_hub()
    assert broken(forger.root) == ""


# Files, changed by somebody who signs the manifest anew


def test_a_manifest_signed_by_a_stranger_is_refused(forger) -> None:
    forger.signers[layout.HUB], hub = STRANGER, forger.signers[layout.HUB]
    try:
        forger.sign_manifest()
    finally:
        forger.signers[layout.HUB] = hub
    assert "manifest.json: signed by a key that is not expected here" in broken(forger.root)


def test_a_run_whose_hub_is_another_than_the_known_one_is_refused(forger) -> None:
    assert audit(forger.root, key=forger.signers[layout.HUB].public_key).findings == ()
    found = audit(forger.root, key=STRANGER.public_key).findings
    assert "the hub's key is not the one that was given" in str(found[0])


def test_an_extra_file_is_refused(forger) -> None:
    forger.write("commons/more.parquet", b"more")
    assert "commons/more.parquet: lies in the run, but the manifest does not name it" in broken(forger.root)


def test_an_extra_empty_folder_or_link_is_refused(forger) -> None:
    (forger.root / "evidence/nobody").mkdir()
    (forger.root / "copy.html").symlink_to("report.html")
    found = broken(forger.root)
    assert "evidence/nobody: lies in the run" in found and "copy.html: lies in the run" in found


def test_a_file_that_is_a_link_is_refused_even_with_the_right_bytes(forger) -> None:
    (forger.root / layout.REPORT).rename(forger.root.parent / "elsewhere.html")
    (forger.root / layout.REPORT).symlink_to(forger.root.parent / "elsewhere.html")
    assert "report.html: the file is missing" in broken(forger.root)


def test_a_manifest_that_names_a_file_outside_the_run_is_refused(forger) -> None:
    plain = dict(layout.peek(forger.read(layout.MANIFEST)).predicate)
    plain["files"] = [*plain["files"], {"path": "../secret", "sha256": "0" * 64, "bytes": 1}]
    envelope = forge(forger.read(layout.MANIFEST), plain, forger.signers[layout.HUB])
    forger.write(layout.MANIFEST, envelope)
    assert "'../secret', which is no plain path inside the run" in broken(forger.root)


def forge(envelope: bytes, predicate: dict[str, Any], signer: Signer) -> bytes:
    """Return an envelope of the same type with another predicate."""
    said = layout.peek(envelope)
    return seal(Statement(predicate_type=said.predicate_type, predicate=predicate, subjects=said.subjects), signer)


def test_a_manifest_signed_as_another_kind_of_record_is_refused(forger) -> None:
    said = layout.peek(forger.read(layout.MANIFEST))
    statement = Statement(predicate_type="answer/v1", predicate=said.predicate, subjects=said.subjects)
    forger.write(layout.MANIFEST, seal(statement, forger.signers[layout.HUB]))
    assert "expected a manifest, found answer/v1" in broken(forger.root)


# The study


def test_a_study_text_with_another_threshold_is_refused(forger) -> None:
    text = forger.read(layout.STUDY_TEXT)
    forger.write(layout.STUDY_TEXT, text.replace(b"auroc_min: 0.55", b"auroc_min: 0.50"))
    forger.sign_hub()
    assert "study.yaml: says something else than the locked study" in broken(forger.root)


def test_a_locked_study_with_another_threshold_is_refused(forger, tools) -> None:
    def soften(plain: dict[str, Any]) -> None:
        plain["study"]["acceptance"]["auroc_min"] = "0.5"

    forger.write(layout.STUDY_LOCK, tools.edited(forger.read(layout.STUDY_LOCK), soften))
    forger.sign_hub()
    assert "study.lock.json: the study in it has another SHA-256 than it states" in broken(forger.root)


def test_a_locked_study_exchanged_with_its_digest_is_refused_by_every_record(forger, tools) -> None:
    def soften(plain: dict[str, Any]) -> None:
        plain["study"]["acceptance"]["auroc_min"] = "0.5"
        plain["sha256"] = sha256(canonical(plain["study"]))

    forger.write(layout.STUDY_LOCK, tools.edited(forger.read(layout.STUDY_LOCK), soften))
    forger.write(layout.STUDY_TEXT, forger.read(layout.STUDY_TEXT).replace(b"auroc_min: 0.55", b"auroc_min: 0.5"))
    forger.sign_hub()
    assert "study.lock.json: the manifest speaks of another study" in broken(forger.root)


@pytest.mark.parametrize("place", ["question", "answer", "results", "checkpoint"])
def test_a_study_digest_that_differs_in_one_place_only_is_refused(forger, tools, place: str) -> None:
    other = {"study_sha256": "ab" * 32}
    if place == "question":
        forger.change(layout.HUB, forger.find(layout.HUB, asks("close")), lambda said: said.update(other))
    elif place == "answer":
        forger.change(SITE, forger.find(SITE, says("roster")), lambda said: said.update(other))
    elif place == "results":
        changed_results(forger, lambda plain: plain.update(other))
    else:
        head = tools.resealed(
            forger.read(layout.CHECKPOINT), lambda said: said.update(other), forger.signers[layout.HUB]
        )
        forger.write(layout.CHECKPOINT, head)
    if place == "checkpoint":
        forger.sign_manifest()
        assert "evidence/hub/checkpoint: not the hub's log head of this study" in broken(forger.root)
    else:
        forger.sign_hub()
        assert "names another study than the run's" in broken(forger.root)


# Records


def test_a_record_signed_by_a_stranger_is_refused(forger) -> None:
    forger.change(SITE, 3, lambda said: None, signer=STRANGER)
    forger.sign_hub()
    assert f"{layout.records_path(SITE)} line 4: signed by a key that is not expected here" in broken(forger.root)


def test_a_record_of_one_site_signed_by_another_site_is_refused(forger) -> None:
    forger.change(SITE, 3, lambda said: None, signer=forger.signers["eastgate"])
    forger.sign_hub()
    assert f"{layout.records_path(SITE)} line 4: signed by a key that is not expected here" in broken(forger.root)


@pytest.mark.parametrize("party", [layout.HUB, SITE])
def test_a_removed_record_is_refused(forger, party: str) -> None:
    records = forger.lines(layout.records_path(party))
    forger.write(layout.records_path(party), layout.lines_of(records[:5] + records[6:]))
    forger.sign_hub()
    assert f"{layout.records_path(party)} line 6: is not the record that the hub's log names" in broken(forger.root)


def test_the_last_record_removed_is_refused(forger) -> None:
    records = forger.lines(layout.records_path(SITE))
    forger.write(layout.records_path(SITE), layout.lines_of(records[:-1]))
    forger.sign_hub()
    assert f"{layout.records_path(SITE)}: ends before a record that the hub's log names" in broken(forger.root)


@pytest.mark.parametrize("party", [layout.HUB, SITE])
def test_two_records_exchanged_are_refused(forger, party: str) -> None:
    records = forger.lines(layout.records_path(party))
    records[4], records[5] = records[5], records[4]
    forger.write(layout.records_path(party), layout.lines_of(records))
    forger.sign_hub()
    assert f"{layout.records_path(party)} line 5: is not the record that the hub's log names" in broken(forger.root)


def test_a_record_twice_is_refused(forger) -> None:
    records = forger.lines(layout.records_path(SITE))
    forger.write(layout.records_path(SITE), layout.lines_of([*records, records[-1]]))
    forger.sign_hub()
    assert "the hub's log does not name this record" in broken(forger.root)


def test_an_answer_hidden_from_all_of_the_hubs_files_is_missed_by_the_sites_own_log(forger) -> None:
    place = forger.find(SITE, says("evaluate"))
    records = forger.lines(layout.records_path(SITE))
    hidden = records.pop(place)
    forger.write(layout.records_path(SITE), layout.lines_of(records))
    leaves = [leaf for leaf in forger.lines(layout.log_path(layout.HUB)) if sha256(hidden).encode() not in leaf]
    forger.write(layout.log_path(layout.HUB), layout.lines_of(leaves))
    forger.sign_hub()
    assert f"{layout.log_path(SITE)}: line" in broken(forger.root)


def test_an_answer_to_a_question_that_nobody_signed_is_refused(forger) -> None:
    forger.change(SITE, 2, lambda said: said.update(question_sha256="cd" * 32))
    forger.sign_hub()
    assert "answers a question that the hub did not sign before it" in broken(forger.root)


# Logs


def test_a_leaf_removed_from_a_sites_log_is_refused(forger) -> None:
    leaves = forger.lines(layout.log_path(SITE))
    forger.write(layout.log_path(SITE), layout.lines_of(leaves[:3] + leaves[4:]))
    forger.sign_hub()
    found = broken(forger.root)
    assert f"{layout.log_path(SITE)}: the log has {len(leaves) - 1} leaves, its signed head says {len(leaves)}" in found


def test_two_leaves_exchanged_in_a_sites_log_are_refused(forger) -> None:
    leaves = forger.lines(layout.log_path(SITE))
    leaves[2], leaves[3] = leaves[3], leaves[2]
    forger.write(layout.log_path(SITE), layout.lines_of(leaves))
    forger.sign_hub()
    assert f"{layout.log_path(SITE)}: the Merkle root of the log is not the one in its signed head" in broken(
        forger.root
    )


@pytest.mark.parametrize("signed", [False, True])
def test_a_leaf_removed_from_the_hubs_log_is_refused_whether_its_head_is_signed_again_or_not(
    forger, signed: bool
) -> None:
    leaves = forger.lines(layout.log_path(layout.HUB))
    forger.write(layout.log_path(layout.HUB), layout.lines_of(leaves[:20] + leaves[21:]))
    forger.sign_hub() if signed else forger.sign_manifest()
    found = broken(forger.root)
    assert ("leaves, its signed head says" in found) is not signed
    assert "is not the record that the hub's log names here" in found


# Sums


def test_a_total_changed_and_signed_by_the_hub_is_refused(forger) -> None:
    place = forger.find(layout.HUB, lambda said: said.predicate_type == "sum/v1")
    old = layout.peek(forger.lines(layout.records_path(layout.HUB))[place]).predicate["total"]
    vectors = forger.read(layout.VECTORS)
    where, before = vector_at(forger, old["sha256"], 8 * old["shape"][0])
    total = np.frombuffer(before, dtype="<f8").copy()
    total[0] = np.nextafter(total[0], np.inf)
    ref, data = pack_vector("total", total)
    forger.write(layout.VECTORS, vectors[:where] + data + vectors[where + len(data) :])
    forger.change(layout.HUB, place, lambda said: said.update(total=ref.plain()))
    forger.sign_hub()
    found = broken(forger.root)
    assert f"{layout.records_path(layout.HUB)} line {place + 1}: the total of question" in found
    assert "is not the sum of its" in found


def test_a_sum_that_the_hub_hides_is_refused(forger) -> None:
    place = forger.find(layout.HUB, lambda said: said.predicate_type == "sum/v1")
    records = forger.lines(layout.records_path(layout.HUB))
    hidden = records.pop(place)
    total = layout.peek(hidden).predicate["total"]
    forger.write(layout.records_path(layout.HUB), layout.lines_of(records))
    leaves = [leaf for leaf in forger.lines(layout.log_path(layout.HUB)) if sha256(hidden).encode() not in leaf]
    forger.write(layout.log_path(layout.HUB), layout.lines_of(leaves))
    cut_out(forger, total)
    forger.sign_hub()
    found = broken(forger.root)
    assert "every site answered, but the hub's record of the sum is missing" in found


def vector_at(forger, digest: str, length: int) -> tuple[int, bytes]:
    """Return where a vector lies in the file of vectors, and its bytes."""
    vectors = forger.read(layout.VECTORS)
    starts = range(len(vectors) - length + 1)
    where = next(start for start in starts if sha256(vectors[start : start + length]) == digest)
    return where, vectors[where : where + length]


def cut_out(forger, ref: dict[str, Any]) -> None:
    """Take a vector out of the file of vectors."""
    where, data = vector_at(forger, ref["sha256"], 8 * ref["shape"][0])
    vectors = forger.read(layout.VECTORS)
    forger.write(layout.VECTORS, vectors[:where] + vectors[where + len(data) :])


def test_bytes_between_the_vectors_that_no_record_names_are_refused(forger) -> None:
    vectors = forger.read(layout.VECTORS)
    forger.write(layout.VECTORS, vectors + b"patients")
    forger.sign_hub()
    assert "evidence/vectors.bin: holds 8 bytes at its end that no record names" in broken(forger.root)
    forger.write(layout.VECTORS, b"patients" + vectors)
    forger.sign_hub()
    assert "evidence/vectors.bin: the" in broken(forger.root)


@pytest.mark.parametrize("what", ["coin", "persons"])
def test_terms_of_a_sum_that_do_not_follow_from_what_the_sites_signed_are_refused(forger, what: str) -> None:
    def change(said: dict[str, Any]) -> None:
        said["sum"][what] = "ef" * 32 if what == "coin" else 10**6

    forger.change(layout.HUB, forger.find(layout.HUB, asks("score_bins")), change)
    forger.sign_hub()
    message = "the coin of the sum is not" if what == "coin" else "the sum is planned for 1000000 persons"
    assert message in broken(forger.root)


@pytest.mark.parametrize("field", ["exchange_key", "persons_band", "public_key"])
def test_a_roster_that_differs_from_what_a_site_signed_is_refused(forger, field: str) -> None:
    place = forger.find(layout.HUB, asks("roster"))
    old = layout.peek(forger.lines(layout.records_path(layout.HUB))[place]).predicate["vectors"][0]
    where, data = vector_at(forger, old["sha256"], old["shape"][0])
    roster = json.loads(data)
    roster["entries"][0][field] = "5000-9999" if field == "persons_band" else "ab" * 32
    ref, new = pack_bytes("roster", canonical(roster))
    vectors = forger.read(layout.VECTORS)
    forger.write(layout.VECTORS, vectors[:where] + new + vectors[where + len(data) :])
    for number, line in enumerate(forger.lines(layout.records_path(layout.HUB))):
        if asks("roster")(layout.peek(line)):
            forger.change(layout.HUB, number, lambda said: said["vectors"].__setitem__(0, ref.plain()))
    forger.sign_hub()
    site = roster["entries"][0]["site"]
    assert f"its roster states another {field} for '{site}' than the site signed" in broken(forger.root)


# Decisions


def test_a_verdict_changed_and_signed_by_the_site_is_refused(forger) -> None:
    def claim_more(said: dict[str, Any]) -> None:
        said["evidence"]["measured"][0]["value"] = "2"

    place = forger.find(SITE, says("associations"))
    forger.change(SITE, place, claim_more)
    forger.sign_hub()
    found = broken(forger.root)
    assert (
        f"{layout.records_path(SITE)} line {place + 1}: {SITE}: policy re-decided on 'associations' gives fail" in found
    )


def test_evidence_that_does_not_fit_the_question_is_refused(forger) -> None:
    def more_persons(said: dict[str, Any]) -> None:
        part = next(one for one in said["evidence"]["measured"] if one["name"] == "sum.persons")
        part |= {"value": "90000", "low": "90000", "high": "90000"}

    forger.change(SITE, forger.find(SITE, says("newton")), more_persons)
    forger.sign_hub()
    assert "the evidence states sum.persons = 90000.0, question and answer make it" in broken(forger.root)


def test_a_figure_with_more_digits_than_the_evidence_admits_is_refused(forger) -> None:
    def sharpen(said: dict[str, Any]) -> None:
        said["statement"]["figures"]["0"] = "0.123456"

    forger.change(SITE, forger.find(SITE, says("associations")), sharpen)
    forger.sign_hub()
    assert "the evidence states sited.unrounded = 0.0, question and answer make it 1" in broken(forger.root)


def test_a_locked_test_opened_more_often_than_allowed_is_refused(forger) -> None:
    place = forger.find(SITE, says("close"))
    forger.change(SITE, place, lambda said: said["statement"].update(locked_test_opens=2))
    forger.sign_hub()
    assert "the locked test was opened 2 times, the study allows 1" in broken(forger.root)


def test_a_model_tested_beside_the_fixed_list_is_refused(forger) -> None:
    def another(said: dict[str, Any]) -> None:
        said["parameters"]["listed"] = {"local": "local"}

    forger.change(layout.HUB, forger.find(layout.HUB, asks("score_bins", "locked_test")), another)
    forger.sign_hub()
    assert "the list of models is not the one for which the locked test is opened" in broken(forger.root)


def test_more_exact_answers_than_the_closing_budget_counts_are_refused(forger) -> None:
    def hide(said: dict[str, Any]) -> None:
        for line in said["statement"]["budget"]:
            line["exact_answers"] = 0

    forger.change(SITE, forger.find(SITE, says("close")), hide)
    forger.sign_hub()
    assert "are fewer than were given, or more than the ration" in broken(forger.root)


# Corpora


def other_corpus(forger) -> bytes:
    """Return a corpus with one row more."""
    data = forger.read(CORPUS)
    table = read_corpus(data)
    study = json.loads(forger.read(layout.STUDY_LOCK))["sha256"]
    return write_corpus(table.vstack(table.head(1)), study_sha256=study)


def test_an_exchanged_corpus_is_refused(forger) -> None:
    forger.write(CORPUS, other_corpus(forger))
    forger.sign_hub()
    found = audit(forger.root).findings
    assert str(found[0]) == f"{CORPUS}: the certificate is for another corpus ({CERTIFICATE})"


def test_a_corpus_with_a_certificate_of_its_own_that_was_never_released_is_refused(forger) -> None:
    corpus = other_corpus(forger)
    said = layout.peek(forger.read(CERTIFICATE))
    statement = Statement(
        predicate_type=said.predicate_type, predicate=said.predicate, subjects=(("corpus.parquet", sha256(corpus)),)
    )
    forger.write(CORPUS, corpus)
    forger.write(CERTIFICATE, seal(statement, forger.signers["northgate"]))
    forger.sign_hub()
    assert f"{CERTIFICATE}: is not the certificate that the site's logged answer released" in broken(forger.root)


def upgrade(said: dict[str, Any]) -> None:
    """Put a measure that fails the policy under a verdict that still says pass."""
    near = next(one for one in said["evidence"]["measured"] if one["name"] == "realism.marginal_error")
    near |= {"value": "0.9", "low": "0.8", "high": "1"}


def test_a_certificate_upgraded_and_signed_by_a_stranger_is_refused(forger, tools) -> None:
    forger.write(CERTIFICATE, tools.resealed(forger.read(CERTIFICATE), upgrade, STRANGER))
    forger.sign_hub()
    assert f"{CERTIFICATE}: signed by a key that is not expected here" in str(audit(forger.root).findings[0])


def test_a_certificate_upgraded_and_signed_by_its_site_is_refused(forger, tools) -> None:
    forger.write(CERTIFICATE, tools.resealed(forger.read(CERTIFICATE), upgrade, forger.signers["northgate"]))
    forger.sign_hub()
    assert f"{CERTIFICATE}: policy re-decided gives" in str(audit(forger.root).findings[0])


def test_an_approval_of_something_else_is_refused(forger, tools) -> None:
    def moved(said: dict[str, Any]) -> None:
        said["approvals"][0]["at"] = "2026-01-01"

    forger.write(CERTIFICATE, tools.resealed(forger.read(CERTIFICATE), moved, forger.signers["northgate"]))
    forger.sign_hub()
    assert f"{CERTIFICATE}: the signature of the privacy officer" in broken(forger.root)


def test_a_certificate_that_claims_other_noise_than_its_evidence_is_refused(forger, tools) -> None:
    def quieter(said: dict[str, Any]) -> None:
        said["dp"]["claim"]["excludes"] = []

    forger.write(CERTIFICATE, tools.resealed(forger.read(CERTIFICATE), quieter, forger.signers["northgate"]))
    forger.sign_hub()
    assert f"{CERTIFICATE}: the certificate claims other noise than its evidence" in broken(forger.root)


def test_a_joint_corpus_under_a_smaller_epsilon_than_its_sums_cost_is_refused(forger, tools) -> None:
    path = layout.certificate_path(layout.JOINT)
    old = forger.read(path)

    def understate(said: dict[str, Any]) -> None:
        claim = said["evidence"]["claim"]
        claim["gaussian"] = claim["gaussian"][:1]
        claim["epsilon"] = said["evidence"]["cumulative_epsilon"] = "0.9"
        said["dp"]["claim"] = claim
        study = Study.from_plain(json.loads(forger.read(layout.STUDY_LOCK))["study"])
        said["verdict"] = decide(Evidence.from_plain(said["evidence"]), study.gate).plain()

    new = tools.resealed(old, understate, forger.signers[layout.HUB])
    forger.write(path, new)
    log = layout.log_path(layout.HUB)
    forger.write(log, forger.read(log).replace(sha256(old).encode(), sha256(new).encode()))
    forger.sign_hub()
    assert f"{path}: its sums cost epsilon" in broken(forger.root)


def test_a_catalogue_that_says_something_else_is_refused(forger) -> None:
    text = forger.read(layout.CATALOGUE).replace(b'"issuer":"northgate"', b'"issuer":"eastgate"')
    forger.write(layout.CATALOGUE, text)
    forger.sign_hub()
    assert "commons/catalogue.json: says something else than the corpora" in broken(forger.root)


def test_a_corpus_taken_out_of_the_commons_is_missed(forger) -> None:
    (forger.root / CORPUS).unlink()
    (forger.root / CERTIFICATE).unlink()
    forger.sign_hub()
    assert f"{CERTIFICATE}: is missing: the site released a corpus" in broken(forger.root)


# What people are shown


def test_a_better_auroc_in_the_results_is_refused(forger) -> None:
    def flatter(plain: dict[str, Any]) -> None:
        next(one for one in plain["approaches"] if one["name"] == "federated")["auroc"] += 0.01

    changed_results(forger, flatter)
    assert "results.json, approach 'federated': auroc: found" in broken(forger.root)


def test_a_study_that_was_not_accepted_and_is_called_so_is_refused(forger) -> None:
    def turn(plain: dict[str, Any]) -> None:
        plain["accepted"] = not plain["accepted"]

    changed_results(forger, turn)
    assert "results.json: accepted: found" in broken(forger.root)


def test_another_question_in_the_report_is_refused(forger) -> None:
    changed_results(forger, lambda plain: plain.update(question="Is everything well?"))
    assert "results.json: question: found Is everything well?" in broken(forger.root)


def test_a_better_figure_of_one_hospital_is_refused(forger) -> None:
    def flatter(plain: dict[str, Any]) -> None:
        approach = next(one for one in plain["approaches"] if one["name"] == "federated")
        approach["sites"][0]["auroc"] = 0.99

    changed_results(forger, flatter)
    assert "auroc is not the" in broken(forger.root)


def test_a_smaller_epsilon_in_the_results_is_refused(forger) -> None:
    def save(plain: dict[str, Any]) -> None:
        plain["sites"][0]["budget"][0]["epsilon"] = 0.01

    changed_results(forger, save)
    assert "results.json, northgate: budget: found" in broken(forger.root)


def test_something_that_left_and_is_not_listed_is_refused(forger) -> None:
    def hide(plain: dict[str, Any]) -> None:
        plain["sites"][1]["left"].pop()

    changed_results(forger, hide)
    assert "results.json, eastgate: left: found" in broken(forger.root)


def test_a_hospital_wrongly_named_as_mismatched_is_refused(forger) -> None:
    changed_results(forger, lambda plain: plain.update(mismatched_sites=["eastgate"]))
    assert "results.json: mismatched_sites: found" in broken(forger.root)


def test_a_report_that_is_not_the_rendering_of_the_results_is_refused(forger) -> None:
    page = forger.read(layout.REPORT)
    forger.write(layout.REPORT, page.replace(b"</body>", b"<p>All is well.</p></body>"))
    forger.sign_hub()
    assert str(audit(forger.root).findings[0]) == "report.html: is not what results.json renders to"


# Noise


def test_a_run_with_a_tests_noise_is_never_accepted(test_noise_run: Path) -> None:
    found = broken(test_noise_run)
    assert "made with noise from 'unsafe-test', a repeatable stream for tests" in found
    assert "evidence/hub/checkpoint: the run was made with noise from 'unsafe-test'" in found


def test_an_envelope_whose_payload_is_no_json_is_named(forger) -> None:
    records = forger.lines(layout.records_path(SITE))
    outer = json.loads(records[0])
    outer["payload"] = base64.b64encode(b"[" * 5000).decode()
    records[0] = canonical(outer)
    forger.write(layout.records_path(SITE), layout.lines_of(records))
    forger.sign_hub()
    assert f"{layout.records_path(SITE)} line 1:" in broken(forger.root)
