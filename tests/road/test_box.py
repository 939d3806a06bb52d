"""A box holds whole parcels, in the order in which they came, whoever writes at the same time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel
from wardgate.road import box as module
from wardgate.road.box import Box

PARCEL = Parcel(b"an envelope", (b"a blob", b""))


def part(folder: Path, parcel: Parcel = PARCEL) -> tuple[Path, str]:
    """A file that came over the road, beside a box."""
    data = parcel.to_bytes()
    path = folder / "came.part"
    path.write_bytes(data)
    path.chmod(0o600)
    return path, sha256(data)


def test_a_parcel_is_named_by_its_bytes_and_the_same_twice_is_one(tmp_path: Path) -> None:
    box = Box(tmp_path / "box")
    assert box.put(PARCEL) == box.put(PARCEL) == sha256(PARCEL.to_bytes())
    assert len(box.names()) == 1
    assert box.read(box.names()[0]) == PARCEL
    box.remove(box.names()[0])
    assert box.names() == []


@pytest.mark.parametrize("durable", [True, False])
def test_parcels_come_oldest_first_however_quickly_they_came(tmp_path: Path, durable: bool) -> None:
    box = Box(tmp_path / "box", durable=durable)
    names = [box.put(Parcel(b"%d" % number)) for number in range(50)]
    path, name = part(tmp_path)
    os.utime(path, (0, 0))
    box.adopt(path, name)
    assert box.names() == [*names, name]
    assert not path.exists()


@pytest.mark.parametrize(
    "name",
    ["", "..", "../" + "a" * 61, "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "\n" + "a" * 64, "a/" + "a" * 62],
)
def test_nothing_but_a_digest_names_a_parcel(tmp_path: Path, name: str) -> None:
    box = Box(tmp_path / "box")
    path, _ = part(tmp_path)
    for use in (box.read, box.path, box.open, box.remove, box.holds):
        with pytest.raises(Broken, match="expected a SHA-256"):
            use(name)
    with pytest.raises(Broken, match="expected a SHA-256"):
        box.adopt(path, name)


def test_an_altered_parcel_is_put_again(tmp_path: Path) -> None:
    box = Box(tmp_path / "box")
    name = box.put(PARCEL)
    box.path(name).write_bytes(b"")
    with pytest.raises(Broken, match="was altered"):
        box.read(name)
    assert box.put(PARCEL) == name
    assert box.read(name) == PARCEL


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path / "box")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            box.put(PARCEL)
        assert list((tmp_path / "box").iterdir()) == []
    box.put(PARCEL)


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_box_waits_for_the_disk_before_and_after_a_parcel_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    folder, seen = tmp_path / "box", []
    box = Box(folder, durable=durable)
    waits = os.fsync

    def note(handle: int) -> None:
        seen.append(sorted(path.suffix for path in folder.iterdir()))
        waits(handle)

    monkeypatch.setattr(module.os, "fsync", note)
    box.put(PARCEL)
    assert seen == ([[".partial"], [".parcel"]] if durable else [])


def test_many_at_once_put_the_same_parcel_and_nobody_reads_half_of_it(tmp_path: Path) -> None:
    parcel = Parcel(os.urandom(300_000))
    boxes = [Box(tmp_path / "box", durable=False)] * 4
    name, over = sha256(parcel.to_bytes()), threading.Event()
    broken = []

    def watch() -> None:
        while not over.is_set():
            try:
                found = boxes[0].names()
                if found and boxes[0].read(name) != parcel:
                    broken.append(name)
            except Broken as error:
                if "altered" in str(error):
                    broken.append(str(error))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(15):
                assert set(pool.map(lambda box: box.put(parcel), boxes)) == {name}
                boxes[0].remove(name)
    finally:
        over.set()
        watching.join()
    assert broken == []


def test_a_link_or_a_pipe_is_no_parcel(tmp_path: Path) -> None:
    box, name = Box(tmp_path / "box"), sha256(PARCEL.to_bytes())
    secret = tmp_path / "secret"
    secret.write_bytes(PARCEL.to_bytes())
    place = tmp_path / "box" / f"{name}.parcel"
    place.symlink_to(secret)
    for use in (box.read, box.path, box.open):
        with pytest.raises(Broken, match="holds no parcel"):
            use(name)
    assert box.names() == [] and not box.holds(name)
    place.unlink()
    os.mkfifo(place)
    for use in (box.read, box.path, box.open):
        with pytest.raises(Broken, match="holds no parcel"):
            use(name)
    place.unlink()
    assert box.put(PARCEL) == name
    assert secret.read_bytes() == PARCEL.to_bytes()


def test_a_link_is_not_adopted(tmp_path: Path) -> None:
    box, (path, name) = Box(tmp_path / "box"), part(tmp_path)
    link = tmp_path / "link.part"
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        box.adopt(link, name)
    assert box.names() == []


@pytest.mark.parametrize(("mode", "expected"), [(0o2770, 0o640), (0o770, 0o640), (0o750, 0o600), (0o700, 0o600)])
def test_who_may_take_a_parcel_out_of_a_folder_may_read_it_and_nobody_else(
    tmp_path: Path, mode: int, expected: int
) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    folder.chmod(mode)
    path, name = part(tmp_path)
    box = Box(folder)
    before = os.umask(0o077 if expected == 0o640 else 0)
    try:
        box.adopt(path, name)
        names = [name, box.put(Parcel(b"another"))]
    finally:
        os.umask(before)
    for name in names:
        found = box.path(name).stat()
        assert found.st_mode & 0o777 == expected
        assert found.st_gid == folder.stat().st_gid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a folder of another group")
def test_a_parcel_is_given_to_the_group_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    os.chown(folder, -1, 12345)
    folder.chmod(0o770)
    path, name = part(tmp_path)
    box = Box(folder)
    box.adopt(path, name)
    for found in (name, box.put(Parcel(b"another"))):
        assert box.path(found).stat().st_gid == 12345
