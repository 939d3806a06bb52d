"""The commands around a certificate, as officers and auditors type them."""

import json
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.cli import run
from wardgate.cli.certificate import app
from wardgate.hospital.ward.gate.certificate import table_certificate
from wardgate.papers.policy_text import template
from wardgate.records.approval import WaiverFile, check_waivers
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid, Refused, WardgateError
from wardgate.records.keyring import read_key

ON = "2026-12-24"


def call(*words: object) -> str:
    """Run one command and return what it printed; our own errors come through."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, WardgateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with three keys, the public ones enrolled, a corpus and its certificate by the site's key."""
    public = []
    for name, role in (("lakeside", "site"), ("dr-lee", "privacy_officer"), ("dr-may", "second_person")):
        public.append(json.loads(call("key", tmp_path / f"{role}.key", "--name", name, "--role", role)))
    (tmp_path / "keys.json").write_text(json.dumps({"schema": "wardgate/keys/1", "keys": public}))
    (tmp_path / "corpus.csv").write_bytes(made.CORPUS)
    one = made.made()
    envelope = table_certificate(
        site="lakeside",
        evidence=one.evidence,
        verdict=one.verdict,
        policy=one.policy,
        floor=one.policy,
        subjects=(("corpus.csv", sha256(made.CORPUS)),),
        issued_on=made.ISSUED,
        signer=read_key((tmp_path / "site.key").read_bytes()).signer,
    )
    (tmp_path / "c.json").write_bytes(envelope)
    return tmp_path


def approve(desk: Path, role: str) -> str:
    return call("approve", desk / "c.json", "--key", desk / f"{role}.key", "--keys", desk / "keys.json", "--on", ON)


def verify(desk: Path, *more: object) -> str:
    given = ("--corpus", desk / "corpus.csv", "--on", ON)
    return call("verify", desk / "c.json", "--keys", desk / "keys.json", *given, *more)


def test_from_key_to_revocation(desk: Path) -> None:
    with pytest.raises(Refused, match="found no of two signatures"):
        verify(desk)
    assert "1 of 2" in approve(desk, "privacy_officer")
    given = ("--approvals", desk / "c.json.approvals.json")
    with pytest.raises(Refused, match="the second person did not sign"):
        verify(desk, *given)
    assert "2 of 2" in approve(desk, "second_person")
    assert "Everything that was checked holds." in verify(desk, *given)
    lines = json.loads(verify(desk, *given, "--json"))["checks"]
    assert {one["state"] for one in lines} == {"holds", "not checked"}
    revocations = desk / "revocations.jsonl"
    why = ("--reason", "a column held true dates", "--revocations", revocations, "--on", ON)
    call("revoke", desk / "c.json", "--key", desk / "site.key", *why)
    with pytest.raises(Refused, match=f"revoked on {ON}: a column held true dates"):
        verify(desk, *given, "--revocations", revocations)
    verify(desk, *given, "--revocations", revocations, "--on", "2026-12-23")


def test_verify_checks_a_lone_certificate_and_ends_with_the_documented_code(desk: Path, capsys) -> None:
    given = ["verify", str(desk / "c.json"), "--keys", str(desk / "keys.json"), "--on", ON]
    assert run(given) == 3
    approve(desk, "privacy_officer")
    approve(desk, "second_person")
    given += ["--approvals", str(desk / "c.json.approvals.json"), "--corpus", str(desk / "corpus.csv")]
    assert run(given) == 0
    assert "Everything that was checked holds." in capsys.readouterr().out
    (desk / "corpus.csv").write_bytes(made.CORPUS + b"1,1\n")
    assert run(given) == 4
    assert "is another file than the certificate is for" in capsys.readouterr().err


def test_a_floor_is_read_from_a_policy_file(desk: Path) -> None:
    approve(desk, "privacy_officer")
    approve(desk, "second_person")
    floor = desk / "floor.yaml"
    floor.write_text(template("commons-controlled"))
    with pytest.raises(Refused, match="floor: the policy is weaker than the floor"):
        verify(desk, "--approvals", desk / "c.json.approvals.json", "--floor", floor)


def test_nobody_approves_twice_or_what_does_not_hold(desk: Path) -> None:
    approve(desk, "privacy_officer")
    with pytest.raises(Refused, match="you approved it already"):
        approve(desk, "privacy_officer")
    with pytest.raises(Refused, match="a key of a site approves nothing"):
        approve(desk, "site")
    data = (desk / "c.json").read_bytes()
    (desk / "c.json").write_bytes(data[:-200] + b"A" + data[-199:])
    with pytest.raises(Refused, match="it cannot be approved: signature"):
        approve(desk, "second_person")


def test_only_the_issuer_revokes(desk: Path) -> None:
    why = ("--reason", "because", "--revocations", desk / "r.jsonl")
    with pytest.raises(Refused, match="only the key that issued it can revoke it"):
        call("revoke", desk / "c.json", "--key", desk / "privacy_officer.key", *why)
    assert not (desk / "r.jsonl").exists()


def test_a_private_key_is_its_owners_alone_and_is_never_printed(desk: Path) -> None:
    path = desk / "own.key"
    printed = call("key", path, "--name", "dr-kay")
    secret = json.loads(path.read_text())["seed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in printed and json.loads(printed)["public_key"] != secret
    before = path.read_bytes()
    with pytest.raises(Invalid, match="never written over"):
        call("key", path, "--name", "dr-kay")
    assert path.read_bytes() == before
    (desk / "privacy_officer.key").chmod(0o644)
    with pytest.raises(Refused, match="can be read by others"):
        approve(desk, "privacy_officer")


def test_it_is_shown_as_text_page_paper_and_record(desk: Path) -> None:
    assert "NOT CHECKED" in call("show", desk / "c.json")
    assert "holds        signature" in call("show", desk / "c.json", "--keys", desk / "keys.json")
    call("show", desk / "c.json", "--html", desk / "c.html", "--pdf", desk / "c.pdf")
    assert (desk / "c.html").read_text().startswith("<!doctype html>")
    assert (desk / "c.pdf").read_bytes().startswith(b"%PDF-")
    assert json.loads(call("show", desk / "c.json", "--json"))["site"]["id"] == "lakeside"


def test_two_persons_waive_in_the_same_words(desk: Path) -> None:
    found = made.evidence(missing={"membership.rehearsal": "too few persons for any tier of the policy"})
    (desk / "judged.json").write_text(json.dumps({"evidence": found.plain(), "verdict": {}}))
    what = ("waive", desk / "judged.json", "membership.rehearsal", "--waivers", desk / "w.json", "--on", ON)
    first, second = ("--key", desk / "privacy_officer.key"), ("--key", desk / "second_person.key")
    reason = "The attacks need more persons than the unit has; its noise protects instead."
    with pytest.raises(Invalid, match="the first of the two persons says why"):
        call(*what, *first)
    with pytest.raises(Refused, match="a reason of at least a sentence"):
        call(*what, *first, "--reason", "fine")
    assert "waived by 1 of 2" in call(*what, *first, "--reason", reason)
    with pytest.raises(Refused, match="signed it already"):
        call(*what, *first)
    with pytest.raises(Refused, match="the first person gave another reason"):
        call(*what, *second, "--reason", "Another reason that is long enough to be one.")
    assert "waived by 2 of 2" in call(*what, *second)
    waivers = WaiverFile.from_plain(json.loads((desk / "w.json").read_text())).waivers
    keys = {
        role: (read_key((desk / f"{role}.key").read_bytes()).signer.public_key,) for role in made.keyring().approvers
    }
    assert check_waivers(waivers, evidence_sha256=found.fingerprint(), keys=keys) == {"membership.rehearsal"}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("keys.json", "{", Invalid),
        ("keys.json", '{"schema": "wardgate/keys/1", "keys": [{"name": "x", "role": "king"}]}', Invalid),
        ("c.json", "not a certificate", Broken),
        ("c.json", "", Broken),
        ("approvals.json", "[]", Invalid),
        ("approvals.json", '{"approvals": 3}', Invalid),
        ("revocations.jsonl", "{}", Broken),
        ("revocations.jsonl", "\n\n", Broken),
    ],
)
def test_files_that_are_none_are_refused_with_a_reason(desk: Path, name: str, content: str, kind: type) -> None:
    (desk / name).write_text(content)
    more = {"approvals.json": ("--approvals", desk / name), "revocations.jsonl": ("--revocations", desk / name)}
    with pytest.raises(kind):
        verify(desk, *more.get(name, ()))


def test_a_day_that_is_none_and_a_file_that_is_not_there(desk: Path) -> None:
    with pytest.raises(Invalid, match="--on: expected a day"):
        verify(desk, "--on", "soon")
    with pytest.raises(Invalid, match="is no file"):
        call("show", desk / "missing.json")
