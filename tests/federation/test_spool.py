"""The folder between wire and ward: whole parcels or none, and nothing altered gets through."""

from pathlib import Path

import pytest

from wardgate.hospital.spool import FolderSpool, MemorySpool, Spool
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

PARCEL = Parcel(b'{"signed":1}', (b"blob", b""))


@pytest.fixture(params=["memory", "folder"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Spool:
    """Both spools, which must behave alike."""
    return MemorySpool() if request.param == "memory" else FolderSpool(tmp_path)


def test_a_parcel_is_taken_once(spool: Spool) -> None:
    name = spool.put("questions", PARCEL)
    assert spool.take("questions", name) == PARCEL
    with pytest.raises(Broken, match="holds no parcel"):
        spool.take("questions", name)


def test_questions_and_answers_lie_apart(spool: Spool) -> None:
    name = spool.put("questions", PARCEL)
    with pytest.raises(Broken, match="in answers"):
        spool.take("answers", name)
    assert spool.take("questions", name) == PARCEL


@pytest.mark.parametrize("name", ["", "ab" * 32, "../questions/x", "..", "/etc/hostname", "a\x00b"])
def test_a_name_that_was_never_given_finds_nothing(spool: Spool, name: str) -> None:
    spool.put("questions", PARCEL)
    with pytest.raises(Broken):
        spool.take("answers", name)


def test_a_parcel_altered_in_the_folder_is_refused(tmp_path: Path) -> None:
    spool = FolderSpool(tmp_path)
    name = spool.put("answers", PARCEL)
    (path,) = (tmp_path / "answers").iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Broken, match="was altered"):
        spool.take("answers", name)


def test_a_half_written_parcel_is_no_parcel(tmp_path: Path) -> None:
    spool = FolderSpool(tmp_path)
    name = spool.put("answers", PARCEL)
    assert [path.name for path in (tmp_path / "answers").iterdir()] == [f"{name}.parcel"]
    (tmp_path / "answers" / f"{sha256(b'x')}.partial").write_bytes(b"x")
    with pytest.raises(Broken, match="holds no parcel"):
        spool.take("answers", sha256(b"x"))


def test_the_boxes_are_the_hospitals_alone(tmp_path: Path) -> None:
    FolderSpool(tmp_path)
    for box in ("questions", "answers"):
        assert (tmp_path / box).stat().st_mode & 0o077 == 0
