"""Images of a hospital: NumPy archives (.npz) with plain arrays, nothing that runs."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

IMAGES, PATIENTS = "images", "patients"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images of one file.

    Attributes:
        images: Shape (n, h, w) or (n, h, w, c).
        patients: Whose each image is, shape (n,), or nothing where every image is a patient's only.
    """

    images: NDArray[Any]
    patients: NDArray[Any] | None


def read_images(path: Path) -> Images:
    """Read `images` and, where they are there, `patients`.

    Raises:
        Invalid: no such file, not an archive of plain arrays, other arrays in it, or arrays that do not fit.
    """
    if not path.is_file():
        raise Invalid(f"{path.name} is missing, expected a NumPy archive (.npz) with the array '{IMAGES}'")
    found: dict[str, NDArray[Any]] | None = None
    try:  # zipfile says RuntimeError of an encrypted member, NotImplementedError of an unknown compression
        found = _arrays(path)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        found = None
    if found is None:
        raise Invalid(
            f"{path.name} is cut off, no NumPy archive (.npz), or holds objects that would run; save plain arrays"
        )
    strange = sorted(found.keys() - {IMAGES, PATIENTS})
    if IMAGES not in found or strange:
        named = ", ".join(sorted(found)) or "nothing"
        raise Invalid(f"{path.name} holds {named[:200]}, expected '{IMAGES}' and perhaps '{PATIENTS}', nothing else")
    patients = found.get(PATIENTS)
    if patients is not None and patients.shape != found[IMAGES].shape[:1]:
        raise Invalid(f"{path.name} has {len(found[IMAGES])} images and another number of '{PATIENTS}'; one each")
    return Images(images=found[IMAGES], patients=patients)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of an archive; objects are refused, since reading them runs code."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                found[name.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    return found
