"""`wardgate study` starts, checks, shows and locks, with the documented exit codes."""

import json
from pathlib import Path

import pytest

from wardgate.cli import run
from wardgate.records.study_file import parse, template
from wardgate.simulate.hospitals import build


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


def test_check_tells_a_hospital_whether_its_data_satisfy_the_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = build(tmp_path / "six", seed=3)
    home = made.hospitals["lakeside"]
    mapping = str(home / "mapping.yaml")
    arguments = ["study", "check", str(made.study), "--data", str(home), "--mapping", mapping]
    assert run(arguments) == 0
    assert "The data satisfy the study." in capsys.readouterr().out
    text = (home / "mapping.yaml").read_text(encoding="utf-8")
    (home / "mapping.yaml").write_text(text.replace("unit: kPa", "unit: mm[Hg]"), encoding="utf-8")
    assert run(arguments) == 1
    assert "values read as kPa (times 7.501) would fit" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["satisfies"] is False


def test_check_hides_counts_below_eleven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build(tmp_path / "six", seed=3)
    home = made.hospitals["glenbay"]
    rows = (home / "admissions.csv").read_text(encoding="utf-8").splitlines()
    (home / "admissions.csv").write_text("\n".join(rows[:8]) + "\n", encoding="utf-8")
    assert run(["study", "check", str(made.study), "--data", str(home)]) == 0
    out = capsys.readouterr().out
    assert "<11  persons in the source" in out
    assert " 7 " not in out
