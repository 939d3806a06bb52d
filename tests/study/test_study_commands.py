"""`wardgate study` starts, checks, shows and locks, with the documented exit codes."""

import json
from pathlib import Path

import pytest

from wardgate.cli import run
from wardgate.records.study_file import parse
from wardgate.records.study_template import template


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    assert run(["study", "init", str(path)]) == 0
    return path


def test_a_new_study_lints_clean_and_is_not_written_over(study: Path) -> None:
    assert study.read_text(encoding="utf-8") == template()
    assert run(["study", "lint", str(study)]) == 0
    assert run(["study", "init", str(study)]) == 5


def test_lint_names_every_finding_and_ends_with_5(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study.write_text(template().replace("type: integer", "type: intger"), encoding="utf-8")
    capsys.readouterr()
    assert run(["study", "lint", str(study)]) == 5
    assert f"{study}:26: features[0].type: found 'intger'" in capsys.readouterr().err
    assert run(["study", "lint", str(study), "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert not found["clean"]
    assert found["findings"][0]["line"] == 26


def test_show_gives_the_sha256_of_the_canonical_bytes(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["study", "show", str(study), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sha256"] == parse(template(), name="x").fingerprint()
    assert run(["study", "show", str(study)]) == 0
    assert shown["sha256"] in capsys.readouterr().out


def test_a_lock_is_kept_and_a_changed_study_is_refused(study: Path) -> None:
    lock = study.with_name("study.lock.json")
    assert run(["study", "lock", str(study)]) == 0
    first = lock.read_bytes()
    assert json.loads(first)["sha256"] == parse(template(), name="x").fingerprint()
    assert run(["study", "lock", str(study)]) == 0
    study.write_text(template().replace("[0, 30]", "[0, 60]"), encoding="utf-8")
    assert run(["study", "lock", str(study)]) == 3
    assert lock.read_bytes() == first
    assert run(["study", "lock", str(study), "--out", str(study.with_name("other.json"))]) == 0
    assert [path.name for path in study.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"sha256": "0", "study": {}}', b"\xff\xfe"])
def test_a_damaged_lock_is_never_taken_for_a_lock(study: Path, damage: bytes) -> None:
    study.with_name("study.lock.json").write_bytes(damage)
    assert run(["study", "lock", str(study)]) == 5


def test_an_edited_lock_is_found(study: Path) -> None:
    lock = study.with_name("study.lock.json")
    assert run(["study", "lock", str(study)]) == 0
    lock.write_bytes(lock.read_bytes().replace(b"my-study", b"my-stydy"))
    assert run(["study", "lock", str(study)]) == 5


def test_a_lock_that_cannot_be_written_leaves_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert run(["study", "lock", str(study)]) == 5
    assert sorted(path.name for path in study.parent.iterdir()) == ["study.yaml"]


def test_missing_and_binary_files_end_with_5(tmp_path: Path) -> None:
    assert run(["study", "lint", str(tmp_path / "none.yaml")]) == 5
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert run(["study", "lint", str(tmp_path / "b.yaml")]) == 5


def test_a_study_of_events_to_start_from_is_clean_and_shows_what_enters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    assert run(["study", "init", str(file), "--events"]) == 0
    assert run(["study", "lint", str(file)]) == 0
    capsys.readouterr()
    assert run(["study", "show", str(file)]) == 0
    assert "enters     inpatient; the model is asked at its start + 24 h" in capsys.readouterr().out
