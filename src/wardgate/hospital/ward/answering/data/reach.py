"""Can the ward open its data at all? Opened as a cohort would, and closed again; no row is kept, nothing is counted."""

from pathlib import Path

from wardgate.hospital.ward.source import files
from wardgate.hospital.ward.source.opening import MAPPING, opened, place_of
from wardgate.hospital.ward.source.texts import text_in
from wardgate.records.mapping import parse


def reach(folder: Path) -> str:
    """Open a hospital's data and return in words what kind of source it is.

    Raises:
        Invalid: it cannot be opened; the message names files and columns, never a value.
    """
    place = place_of(str(folder))
    if place.settings is not None:
        with opened(place.folder, place.settings):
            return place.words
    mapping = parse(text_in(folder / MAPPING), name=MAPPING)
    with files.opened(folder, mapping.files, wanted=(), encoding=mapping.encoding, delimiter=mapping.delimiter):
        return place.words
