"""A finished run on disk: whole or not at all, and nobody else's files harmed."""

import errno
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from wardgate.hub import layout
from wardgate.hub.commons import directory
from wardgate.hub.intake.audit import audit
from wardgate.records.envelope import unseal
from wardgate.records.errors import Invalid
from wardgate.records.messages import MANIFEST, Manifest


def listing(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_names_every_file_and_the_hub_signs_it(small, whole: Path) -> None:
    statement = unseal((whole / layout.MANIFEST).read_bytes(), keys=(small.signers["hub"].public_key,))
    assert statement.predicate_type == MANIFEST
    named = {entry.path for entry in Manifest.from_plain(statement.predicate).files}
    assert named | {layout.MANIFEST} == set(listing(whole))


def test_the_run_holds_what_a_reader_expects(small, whole: Path) -> None:
    files = listing(whole)
    assert files[layout.STUDY_TEXT].decode() == small.study_text
    assert files[layout.REPORT].decode() == small.report_html
    assert json.loads(files[layout.RESULTS])["study_sha256"] == small.finished.run.study_sha256
    for name, corpus in small.finished.run.corpora.items():
        assert files[layout.corpus_path(name)] == corpus
    catalogue = json.loads(files[layout.CATALOGUE])
    assert [one["name"] for one in catalogue["corpora"]] == sorted(small.finished.run.corpora)
    for party in ("hub", "northgate", "westgate"):
        assert files[layout.records_path(party)].count(b"\n") > 20


def test_the_joint_certificate_says_the_same_of_itself_as_a_hospitals_does(small, whole: Path) -> None:
    said = {
        name: layout.peek((whole / layout.certificate_path(name)).read_bytes()).predicate
        for name in ("northgate", layout.JOINT)
    }
    assert said["northgate"]["claim"] == said[layout.JOINT]["claim"]
    shared = set(said["northgate"]) - {"splits", "validUntil"}
    assert shared <= set(said[layout.JOINT])


def test_no_blob_is_written_twice(small, whole: Path) -> None:
    everything = sum(len(blob) for kept in small.finished.exchange.store for blob in kept.parcel.blobs)
    assert 0 < (whole / layout.VECTORS).stat().st_size < everything


def test_the_same_run_gives_the_same_bytes(small, whole: Path, tmp_path: Path) -> None:
    assert listing(small.write(tmp_path / "again")) == listing(whole)


def test_parents_that_are_missing_are_made_and_nothing_else_is_left(small, tmp_path: Path) -> None:
    small.write(tmp_path / "deep" / "er" / "run")
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["run"]


def test_an_existing_run_is_refused_without_a_word_to_replace_it(small, tmp_path: Path) -> None:
    out = small.write(tmp_path / "run")
    (out / layout.REPORT).write_text("mine")
    with pytest.raises(Invalid, match="exists"):
        small.write(out)
    assert (out / layout.REPORT).read_text() == "mine"


def test_a_run_is_replaced_when_allowed(small, tmp_path: Path) -> None:
    out = small.write(tmp_path / "run")
    (out / layout.REPORT).write_text("old")
    small.write(out, replace=True)
    assert audit(out).findings == ()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_is_replaced_when_allowed(small, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    small.write(tmp_path / "run", replace=True)
    assert audit(tmp_path / "run").findings == ()


@pytest.mark.parametrize("stranger", ["thesis.txt", "commons/notes.md"])
def test_a_folder_with_somebody_elses_file_is_never_replaced(small, tmp_path: Path, stranger: str) -> None:
    out = small.write(tmp_path / "run")
    (out / stranger).write_text("years of work")
    with pytest.raises(Invalid, match=f"holds '{stranger}'"):
        small.write(out, replace=True)
    assert (out / stranger).read_text() == "years of work"


def test_a_folder_with_another_programs_manifest_is_never_replaced(small, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text('{"name": "my web page"}')
    with pytest.raises(Invalid, match=r"holds 'manifest\.json'"):
        small.write(tmp_path / "site", replace=True)


def test_a_file_is_never_replaced(small, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(Invalid, match="no folder"):
        small.write(tmp_path / "run", replace=True)


def test_a_full_disk_is_said_and_leaves_the_old_run_as_it_was(small, tmp_path: Path) -> None:
    out = small.write(tmp_path / "run")
    before = listing(out)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Invalid, match=r"no room for the run in .*MB are free"):
            small.write(out, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert listing(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_interrupt_while_writing_leaves_nothing(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(directory, "_flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small.write(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_old_run_comes_back_when_the_last_rename_fails(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = small.write(tmp_path / "run")
    before, rename = listing(out), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if ".unfinished-" in self.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(Invalid, match="cannot be written"):
        small.write(out, replace=True)
    assert listing(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_writer_left_is_cleared_and_the_run_it_set_aside_comes_back(small, tmp_path: Path) -> None:
    out = small.write(tmp_path / "run")
    before = listing(out)
    out.rename(tmp_path / ".run.replaced")
    (tmp_path / ".run.unfinished-1234").mkdir()
    (tmp_path / ".run.unfinished-1234" / "report.html").write_text("half")
    (tmp_path / ".run2.unfinished-1").mkdir()
    with pytest.raises(Invalid, match="exists"):
        small.write(out)
    assert listing(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run2.unfinished-1", "run"]


def test_a_study_text_that_says_something_else_is_refused(small, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="something else"):
        small.write(tmp_path / "run", study_text=small.study_text.replace("auroc_min: 0.55", "auroc_min: 0.56"))
    assert list(tmp_path.iterdir()) == []
