"""Records of every version that ever shipped are read by today's readers. Broken here is broken at every hospital."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from wardgate.hub import layout
from wardgate.hub.intake.certificates import Material, examine
from wardgate.papers.certificate import certificate_html
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate_file import open_certificate
from wardgate.records.corpus_file import read_corpus
from wardgate.records.envelope import unseal
from wardgate.records.keyring import read_keyring
from wardgate.records.log import MerkleLog
from wardgate.records.messages import (
    MANIFEST,
    SUM,
    Manifest,
    OpenedSum,
    Party,
    open_answer,
    open_question,
    read_roster,
)
from wardgate.records.parcel import Parcel, check_blobs, unpack_vector
from wardgate.records.results import Results
from wardgate.records.study import Study
from wardgate.records.study_file import parse

VERSIONS = sorted(path.name for path in Path(__file__).parent.iterdir() if path.name[0].isdigit())


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest) -> Path:
    """The records of one version."""
    return Path(__file__).parent / request.param


@pytest.fixture
def keys(golden: Path) -> dict[str, bytes]:
    """Everybody's long-term keys."""
    parties = json.loads((golden / "roster.json").read_bytes())["parties"]
    return {party.name: bytes.fromhex(party.public_key) for party in map(Party.from_plain, parties)}


def parcel(golden: Path, name: str) -> tuple[str, Parcel]:
    """A parcel and the party that sent it."""
    (path,) = golden.glob(f"{name}.*.parcel")
    return path.name.split(".")[1], Parcel.from_bytes(path.read_bytes())


def test_there_are_golden_records() -> None:
    assert {"0.1.0", "0.2.0"} <= set(VERSIONS)


def test_the_locked_study_reads_back_with_its_digest(golden: Path) -> None:
    lock = json.loads((golden / "study.lock.json").read_bytes())
    study = Study.from_plain(lock["study"])
    assert sha256(canonical(lock["study"])) == lock["sha256"]
    assert study.to_bytes() == canonical(lock["study"]), "a new field with a default would change every digest"
    text = parse((golden / "study.yaml").read_text(encoding="utf-8"), name="study.yaml")
    stated = text.model_dump(mode="json", exclude_unset=True, exclude_none=True, by_alias=True)
    assert _within(stated, study.plain()), "what the text spells out is what was locked; later limits are not in it"


def _within(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _within(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return part == whole


def test_a_question_an_answer_and_a_sum_open(golden: Path, keys: dict[str, bytes]) -> None:
    _, asked = parcel(golden, "question")
    question = open_question(asked.envelope, hub_key=keys[layout.HUB])
    check_blobs([(ref.name, ref.sha256) for ref in question.vectors], asked)
    assert question.sum is not None
    site, given = parcel(golden, "answer")
    answer = open_answer(given.envelope, site_key=keys[site])
    check_blobs([(ref.name, ref.sha256) for ref in answer.vectors], given)
    assert (answer.site, answer.computation, answer.verdict) == (site, "newton", "pass")
    assert unpack_vector(answer.vectors[0], given.blobs[0]).dtype == np.uint64
    _, opened = parcel(golden, "sum")
    statement = unseal(opened.envelope, keys=(keys[layout.HUB],))
    assert statement.predicate_type == SUM
    record = OpenedSum.from_plain(statement.predicate)
    assert len(record.answers) >= 3
    assert np.all(np.isfinite(unpack_vector(record.total, opened.blobs[0]).astype(float)))


def test_an_enrolment_and_the_roster_that_names_it_open(golden: Path, keys: dict[str, bytes]) -> None:
    site, review = parcel(golden, "review")
    answer = open_answer(review.envelope, site_key=keys[site])
    _, roster = parcel(golden, "roster")
    question = open_question(roster.envelope, hub_key=keys[layout.HUB])
    check_blobs([(ref.name, ref.sha256) for ref in question.vectors], roster)
    entry = read_roster(roster.blobs[0])[site]
    assert entry.enrolment_sha256 == sha256(review.envelope)
    assert entry.exchange_key == answer.statement["exchange_key"]


def test_a_certificate_and_its_corpus_read_back(golden: Path, keys: dict[str, bytes]) -> None:
    envelope, corpus = (golden / "certificate.json").read_bytes(), (golden / "corpus.parquet").read_bytes()
    certificate = open_certificate(envelope, keys=tuple(keys.values()))
    evidence, verdict = certificate.certificate.evidence, certificate.certificate.verdict
    assert certificate.version == (1 if golden.name in ("0.1.0", "0.2.0") else 2)
    assert (evidence.kind, verdict.outcome) == ("corpus", "pass")
    assert verdict.evidence_sha256 == evidence.fingerprint()
    assert certificate.subjects == (("corpus.parquet", sha256(corpus)),)
    assert certificate.simulated and "SIMULATED APPROVALS" in certificate_html(certificate)
    assert read_corpus(corpus).height > 0


def test_a_certificate_is_examined_by_itself_and_none_of_a_demo_is_good_elsewhere(golden: Path) -> None:
    ring = read_keyring((golden / "roster.json").read_bytes())
    corpus = {"corpus.parquet": (golden / "corpus.parquet").read_bytes()}
    for demo in (True, False):
        material = Material(keys=ring, on="2026-06-01", files=corpus, accept_simulated=demo)
        found = examine((golden / "certificate.json").read_bytes(), material)
        states = {check.what: check.state for check in found.checks}
        assert "broken" not in states.values(), found.checks
        assert states["evidence"] == states["file corpus.parquet"] == states["validity"] == "holds"
        assert ("refused" in states.values()) is not demo


def test_the_manifest_and_the_hubs_head_open(golden: Path, keys: dict[str, bytes]) -> None:
    statement = unseal((golden / "manifest.json").read_bytes(), keys=(keys[layout.HUB],))
    assert statement.predicate_type == MANIFEST
    files = {entry.path: entry for entry in Manifest.from_plain(statement.predicate).files}
    assert files["study.lock.json"].sha256 == sha256((golden / "study.lock.json").read_bytes())
    head = unseal((golden / "checkpoint").read_bytes(), keys=(keys[layout.HUB],))
    assert head.predicate_type == layout.HUB_HEAD
    origin, size, root, _ = str(head.predicate["checkpoint"]).split("\n")
    assert origin == MerkleLog(origin="wardgate/hub").checkpoint().split("\n")[0]
    assert int(size) > 0 and len(base64.b64decode(root)) == 32


def test_the_results_read_back(golden: Path) -> None:
    results = Results.model_validate_json((golden / "results.json").read_bytes())
    assert results.study_sha256 == json.loads((golden / "study.lock.json").read_bytes())["sha256"]
    assert results.approaches and results.sites
