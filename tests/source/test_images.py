"""An archive of images is read as plain arrays, or refused with what was expected."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from wardgate.hospital.ward.source.images import read_images
from wardgate.records.errors import Invalid

IMAGES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)


def test_images_and_whose_they_are_come_back_as_they_were_saved(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, patients=np.array([1, 2]))
    np.savez_compressed(tmp_path / "b.npz", images=IMAGES)
    first, second = read_images(tmp_path / "a.npz"), read_images(tmp_path / "b.npz")
    assert np.array_equal(first.images, IMAGES)
    assert np.array_equal(second.images, IMAGES)
    assert first.patients is not None and first.patients.tolist() == [1, 2]
    assert second.patients is None


def _objects(path: Path) -> None:
    np.savez(path, images=np.array([{"a": 1}], dtype=object))


def _cut(path: Path) -> None:
    np.savez(path, images=IMAGES)
    path.write_bytes(path.read_bytes()[:-40])


def _other_member(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"not an array")


def _single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, IMAGES)


BROKEN = {
    "objects": (_objects, "objects that would run"),
    "cut off": (_cut, "is cut off"),
    "text for an array": (_other_member, "is cut off"),
    "one array": (_single, "no NumPy archive"),
    "no bytes": (lambda path: path.write_bytes(b""), "no NumPy archive"),
    "another name": (lambda path: np.savez(path, pictures=IMAGES), "holds pictures, expected 'images'"),
    "more than images": (lambda path: np.savez(path, images=IMAGES, notes=IMAGES), "holds images, notes"),
    "other patients": (
        lambda path: np.savez(path, images=IMAGES, patients=np.arange(3)),
        "another number of 'patients'",
    ),
}


@pytest.mark.parametrize(("make", "word"), BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_is_refused(tmp_path: Path, make, word: str) -> None:
    path = tmp_path / "x.npz"
    make(path)
    with pytest.raises(Invalid) as caught:
        read_images(path)
    assert word in str(caught.value)


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"x\.npz is missing"):
        read_images(tmp_path / "x.npz")
