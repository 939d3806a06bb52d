"""What came of a finished study, as the hub sent it: the report and the results, for the hospital's own people."""

import re
from pathlib import Path

from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import Notice
from wardgate.records.parcel import Parcel, check_blobs
from wardgate.road.whole import write_file

MOST_FILES = 8

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}\.(html|json)")
"""What a hub may name. The files are kept and shown, never run."""


def keep_result(folder: Path, parcel: Parcel, notice: Notice, subjects: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Keep the files beside a notice that a study is finished; return their names. The same again changes nothing.

    Args:
        folder: Of the study.
        subjects: (name, SHA-256) of the files, as the hub signed them.

    Raises:
        Broken: files beside another notice, too many, one that may not be named so, or whose bytes were altered.
        OSError: no room.
    """
    if notice.event != "finished":
        raise Broken(f"files beside a notice that a study is {notice.event}; only a finished one has results")
    if len(subjects) != len(parcel.blobs) or len(subjects) > MOST_FILES:
        raise Broken(f"the notice names {len(subjects)} files and brings {len(parcel.blobs)}; at most {MOST_FILES}")
    if not all(_NAME.fullmatch(name) for name, _ in subjects):
        raise Broken("the notice names a file as no result is named")
    check_blobs(subjects, parcel)
    place = folder / "result"
    place.mkdir(mode=0o700, exist_ok=True)
    for (name, _), blob in zip(subjects, parcel.blobs, strict=True):
        write_file(place / name, blob, mode=0o600)
    return tuple(name for name, _ in subjects)


def result_of(folder: Path) -> dict[str, bytes]:
    """Return the files that came with the end of a study, by name.

    Raises:
        Invalid: none came yet.
    """
    place = folder / "result"
    files = sorted(path for path in place.iterdir() if _NAME.fullmatch(path.name)) if place.is_dir() else []
    if not files:
        raise Invalid("the hub has sent no results of this study yet; they come with the notice that it is finished")
    return {path.name: path.read_bytes() for path in files}
