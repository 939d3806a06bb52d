"""What a hub sends when a study is finished: kept where the hospital's people find it, and nothing else is."""

from pathlib import Path

import pytest

from wardgate.hospital.ward.porter.result import keep_result, result_of
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import Notice
from wardgate.records.parcel import Parcel

FILES = {"report.html": b"<h1>done</h1>", "results.json": b"{}"}
DONE = Notice(study_sha256="ab" * 32, event="finished")


def signed(files: dict[str, bytes]) -> tuple[tuple[str, str], ...]:
    """The files' names and digests, as a hub signs them."""
    return tuple((name, sha256(data)) for name, data in files.items())


def test_the_report_and_the_results_are_kept_and_found(tmp_path: Path) -> None:
    parcel = Parcel(b"signed", tuple(FILES.values()))
    assert keep_result(tmp_path, parcel, DONE, signed(FILES)) == ("report.html", "results.json")
    assert keep_result(tmp_path, parcel, DONE, signed(FILES)) == ("report.html", "results.json")
    assert result_of(tmp_path) == FILES
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "result").iterdir())


def test_before_the_end_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no results"):
        result_of(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../key.json", "key.json/..", "run.sh", ".hidden.json", "A.json", "", "a" * 60 + ".json", "a.json\n", "a/b.json"],
)
def test_a_file_that_no_result_is_called_is_not_written(tmp_path: Path, name: str) -> None:
    files = {"results.json": b"{}", name: b"x"}
    with pytest.raises(Broken, match="as no result is named"):
        keep_result(tmp_path, Parcel(b"", tuple(files.values())), DONE, signed(files))
    assert list(tmp_path.iterdir()) == []


def test_altered_missing_and_undeclared_files_are_refused_whole(tmp_path: Path) -> None:
    altered = Parcel(b"", (b"<h1>done</h1>", b"[]"))
    with pytest.raises(Broken, match=r"'results\.json'"):
        keep_result(tmp_path, altered, DONE, signed(FILES))
    with pytest.raises(Broken, match="names 2 files and brings 1"):
        keep_result(tmp_path, Parcel(b"", (b"x",)), DONE, signed(FILES))
    many = {f"f{number}.json": b"" for number in range(9)}
    with pytest.raises(Broken, match="at most 8"):
        keep_result(tmp_path, Parcel(b"", tuple(many.values())), DONE, signed(many))
    assert list(tmp_path.iterdir()) == []


def test_only_a_finished_study_has_results(tmp_path: Path) -> None:
    running = Notice(study_sha256="ab" * 32, event="running")
    with pytest.raises(Broken, match="running"):
        keep_result(tmp_path, Parcel(b"", tuple(FILES.values())), running, signed(FILES))
