"""Checking a run, or one file of it, as an auditor does: by the files alone, offline."""

import json
import shutil
from pathlib import Path

import pytest

from wardgate.cli import run as command_line
from wardgate.hub import layout
from wardgate.hub.intake.asked import check_terms
from wardgate.hub.intake.audit import audit
from wardgate.hub.intake.one_file import audit_certificate, audit_file
from wardgate.hub.intake.recount import Opened, check_span
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import Question, SumTerms
from wardgate.sums.graph import study_coin

STRANGER = Signer(bytes(32))


def test_every_single_file_of_a_run_holds(whole: Path) -> None:
    for path in sorted(whole.rglob("*")):
        if path.is_file():
            assert audit_file(path).findings == (), path


@pytest.mark.parametrize("name", ["northgate", layout.JOINT])
def test_a_corpus_is_followed_to_its_log(whole: Path, name: str) -> None:
    for path in (layout.corpus_path(name), layout.certificate_path(name)):
        checked = dict(audit_file(whole / path).checked)
        assert checked["log inclusion"] == 1 and checked["certificates, policy decided again"] == 1


def test_a_single_file_is_not_trusted_under_a_roster_that_was_altered(whole: Path, tmp_path: Path) -> None:
    root = shutil.copytree(whole, tmp_path / "run")
    roster = json.loads((root / layout.ROSTER).read_text())
    roster["parties"][1]["public_key"] = STRANGER.public_key.hex()
    (root / layout.ROSTER).write_text(json.dumps(roster, sort_keys=True, separators=(",", ":")))
    found = audit_file(root / layout.corpus_path("northgate")).findings
    assert found[0].where == layout.ROSTER


def test_a_certificate_whose_answer_is_not_in_the_log_is_refused(whole: Path, tmp_path: Path) -> None:
    root = shutil.copytree(whole, tmp_path / "run")
    log = root / layout.log_path("northgate")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    found = audit_file(root / layout.certificate_path("northgate")).findings
    assert "the log has" in str(found[0]) and "its signed head says" in str(found[0])


def test_a_lone_certificate_needs_the_key_of_its_signer(small, whole: Path, tmp_path: Path) -> None:
    lone = tmp_path / "northgate.certificate.json"
    shutil.copy(whole / layout.certificate_path("northgate"), lone)
    with pytest.raises(Invalid, match=r"needs the key of who signed it \(--key\)"):
        audit_file(lone)
    said = audit_certificate(lone, key=small.signers["northgate"].public_key)
    assert said.certificate.verdict.outcome == "pass"
    with pytest.raises(Broken, match="not expected here"):
        audit_certificate(lone, key=STRANGER.public_key)


def test_a_lone_record_of_another_kind_is_no_certificate(small, whole: Path, tmp_path: Path) -> None:
    lone = tmp_path / "head.json"
    shutil.copy(whole / layout.CHECKPOINT, lone)
    with pytest.raises(Broken, match="expected a certificate, found log-head/v1"):
        audit_certificate(lone, key=small.signers["hub"].public_key)


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is no run of Wardgate"):
        audit(tmp_path)


def test_a_run_without_its_manifest_is_broken_and_not_merely_no_run(whole: Path, tmp_path: Path) -> None:
    root = shutil.copytree(whole, tmp_path / "run")
    (root / layout.MANIFEST).unlink()
    assert "manifest.json: the file is missing" in str(audit(root).findings[0])


def test_a_run_of_another_version_is_checked_without_rendering_its_report(whole: Path, tmp_path: Path) -> None:
    root = shutil.copytree(whole, tmp_path / "run")
    results = root / layout.RESULTS
    results.write_text(results.read_text().replace('"wardgate_version": "', '"wardgate_version": "9.'))
    (root / layout.REPORT).write_text("another layout")
    found = audit(root)
    wheres = {finding.where for finding in found.findings}
    assert wheres == {layout.RESULTS, layout.REPORT}, "the digests no longer match, and nothing else is broken"
    assert not any("renders to" in finding.what for finding in found.findings)
    assert any("written by version 9." in note for note in found.notes)


def opened(*rosters: str, split: str = "train") -> list[Opened]:
    """Return exact sums over rosters of one-letter sites."""
    sums = []
    for number, roster in enumerate(rosters, start=1):
        terms = SumTerms(roster=tuple(roster), entries=1, persons=1000, coin="00" * 32)
        question = Question(study_sha256="00" * 32, number=number, computation="newton", split=split, sum=terms)
        sums.append(Opened(question=question, total=None, sites=frozenset(roster)))
    return sums


def test_exact_sums_that_together_give_few_sites_or_persons_away_are_named(small) -> None:
    study = small.finished.run.study

    def span(sums: list[Opened], persons: int = 1000) -> dict[str, str]:
        return check_span(sums, persons=dict.fromkeys("abcdef", persons), study=study)

    assert span(opened("abcdef", "abcde")) == {"train": "f"}
    assert span(opened("abcdef", "abc", "def")) == {}
    assert span([*opened("abcdef"), *opened("abcde", split="holdout")]) == {}
    assert span(opened("abcdef", "abc"), persons=3) == {"train": "d, e, f"}, "three sites, and nine patients"


def terms_fault(study, **changed) -> str:
    """Return what is wrong with the terms of a sum over three sites, with some of them changed."""
    keys = {site: bytes([index]) * 32 for index, site in enumerate(study.sites)}
    sites, coin = tuple(sorted(study.sites)), study_coin("00" * 32, keys)
    given = {"roster": sites[:3], "entries": 1, "coin": coin, "roster_sha256": "11" * 32, **changed}
    terms = SumTerms(persons=499 * len(given["roster"]), **given)
    question = Question(study_sha256="00" * 32, number=1, computation="newton", split="train", sum=terms)
    bands = dict.fromkeys(study.sites, "200-499")
    try:
        check_terms(question, study=study, keys=keys, bands=bands, rosters={"11" * 32: sites, "22" * 32: sites[:2]})
    except Broken as error:
        return str(error)
    return ""


def test_terms_of_a_sum_are_held_to_what_anybody_can_work_out(small) -> None:
    study = small.finished.run.study
    sites = tuple(sorted(study.sites))
    assert terms_fault(study) == ""
    assert "at least 3" in terms_fault(study, roster=sites[:2])
    assert "at least 3" in terms_fault(study, roster=(sites[0], sites[0], sites[1]))
    assert "did not agree" in terms_fault(study, roster=(*sites[:2], "elsewhere"))
    assert "the coin" in terms_fault(study, coin="22" * 32)
    assert "no roster that introduced" in terms_fault(study, roster_sha256="33" * 32)
    assert "no roster that introduced" in terms_fault(study, roster_sha256="22" * 32)
    assert "would not survive 1 missing" in terms_fault(study, noise_multiplier=1.0)
    assert terms_fault(study, noise_multiplier=1.0, tolerated=1) == ""


def verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run `wardgate verify` and return its exit code, output and errors."""
    code = command_line(["verify", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_command_says_what_was_checked(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = verify(capsys, str(whole))
    assert code == 0
    assert "Everything holds." in out and "sums, recomputed from the masked answers" in out and "SIMULATED" in out
    assert "the key that lies in the run" in out


def test_the_command_pins_a_key(small, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = verify(capsys, str(whole), "--key", small.signers["hub"].public_key.hex())
    assert code == 0 and "the key that was given" in out
    assert verify(capsys, str(whole), "--key", STRANGER.public_key.hex())[0] == 4
    assert verify(capsys, str(whole), "--key", "abc")[0] == 5


def test_the_command_ends_with_4_where_something_is_broken(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(whole, tmp_path / "run")
    (root / layout.REPORT).write_bytes((root / layout.REPORT).read_bytes() + b" ")
    code, out, err = verify(capsys, str(root))
    assert code == 4 and "report.html: found" in out and "report.html: found" in err
    code, out, _ = verify(capsys, str(root), "--json")
    assert code == 4 and json.loads(out)["broken"][0]["where"] == layout.REPORT
    code, out, _ = verify(capsys, str(root / layout.STUDY_TEXT), "--json")
    assert code == 0 and json.loads(out)["broken"] == []


def test_the_command_ends_with_5_where_there_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(capsys, str(tmp_path / "nothing"))[0] == 5
    assert verify(capsys, str(tmp_path))[0] == 5
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    assert verify(capsys, str(tmp_path / "x.parquet"))[0] == 5


def test_the_command_checks_a_lone_certificate_under_a_key(
    small, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone = tmp_path / "northgate.certificate.json"
    shutil.copy(whole / layout.certificate_path("northgate"), lone)
    code, out, _ = verify(capsys, str(lone), "--key", small.signers["northgate"].public_key.hex())
    assert code == 0 and "verdict pass" in out and "Not checked" in out
    assert verify(capsys, str(lone), "--key", STRANGER.public_key.hex())[0] == 4
