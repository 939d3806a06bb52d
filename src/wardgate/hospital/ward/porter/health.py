"""The ward's half of `site doctor`: its keys, its folder, the hospital's floor, its data. It speaks to nobody.

Data are only opened: whether they can be read is said, never what is in them.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.answering.data.reach import reach
from wardgate.hospital.ward.porter.house import House, open_house
from wardgate.records.errors import WardgateError
from wardgate.records.examination import Check, State

LEAST_BYTES = 1 * 2**30
WARN_BYTES = 10 * 2**30
LEAST_INODES = 1_000


def health(premises: Premises) -> tuple[Check, ...]:
    """Look at everything that the ward needs, in the order in which a person would repair things."""
    checks = list(_folder(premises))
    try:
        house: House | None = open_house(premises)
        words = ""
    except (WardgateError, OSError) as error:
        house, words = None, _words(error)
    if house is None:
        do = "repair what the message names; 'site init' makes a hospital's folder, 'site enrol' takes the response"
        checks.append(_check("site, keys and floor", "fail", words, do))
        checks.append(_check("data", "not checked", "site.yaml has to be readable first"))
    else:
        floor = "no floor of its own" if house.floor is None else f"its own floor, {house.site_file.policy}"
        checks.append(_check("site, keys and floor", "ok", f"{house.site}: key, hub's response, {floor}"))
        checks.append(_data(house.source))
    return (*checks, _disk(premises.ward), _spool(premises))


def _folder(premises: Premises) -> Iterator[Check]:
    try:
        ward, wire = premises.ward.stat(), premises.wire.stat()
        inside = [path for path in (premises.ward_key, premises.salt) if path.exists()]
        open_ones = [path.name for path in inside if path.stat().st_mode & 0o077]
    except OSError as error:
        do = "run this as the ward's user, or leave it out with --wire-only"
        yield _check("ward's folder", "not checked", f"{premises.ward.name} cannot be looked at ({error.strerror})", do)
        return
    if ward.st_mode & 0o077:
        found = f"others may look into {premises.ward} (mode {ward.st_mode & 0o777:03o}), the wire among them"
        yield _check("ward's folder", "fail", found, f"chmod 700 {premises.ward}")
    elif open_ones:
        found = f"{', '.join(open_ones)} can be read by others"
        yield _check("ward's folder", "fail", found, f"chmod 600 {premises.ward}/*")
    elif ward.st_uid == wire.st_uid:
        found = "closed to others, but ward and wire belong to one user, so the system does not part them"
        do = "give each a user of its own for real patients: docs/deployment.md"
        yield _check("ward's folder", "warning", found, do)
    else:
        yield _check("ward's folder", "ok", "closed to everybody but the ward's user")


def _data(source: Path) -> Check:
    try:
        kind = reach(source)
    except (WardgateError, OSError) as error:
        do = f"let the ward's user read {source}; 'wardgate data check' says more, to the hospital's own eyes"
        return _check("data", "fail", f"not readable: {_words(error)}", do)
    return _check("data", "ok", f"readable: {kind}")


def _disk(folder: Path) -> Check:
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return _check("disk of the ward", "not checked", f"{folder.name} cannot be looked at ({error.strerror})")
    free, inodes = found.f_bavail * found.f_frsize, found.f_favail
    few = found.f_files > 0 and inodes < LEAST_INODES
    state: State = "fail" if free < LEAST_BYTES or few else "warning" if free < WARN_BYTES else "ok"
    said = f"{free / 2**30:.1f} GiB free in {folder}" + (f", {inodes} inodes" if found.f_files else "")
    do = f"make room: at least {LEAST_BYTES >> 30} GiB and {LEAST_INODES} inodes must be free for books and ledgers"
    return _check("disk of the ward", state, said, "" if state == "ok" else do)


def _spool(premises: Premises) -> Check:
    for folder in (premises.spool / box for box in ("questions", "answers")):
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-"):
                pass
        except OSError as error:
            do = f"let the ward's user write there: chgrp wardgate {folder} && chmod 2770 {folder}, one group for both"
            return _check("spool", "fail", f"the ward may not write in {folder} ({error.strerror})", do)
    return _check("spool", "ok", "the ward may lay down and take away in both boxes")


def _words(error: WardgateError | OSError) -> str:
    if isinstance(error, WardgateError):
        return str(error)
    return (error.strerror or type(error).__name__).lower()


def _check(name: str, state: State, found: str, do: str = "") -> Check:
    return Check(name=name, side="ward", state=state, found=found, do=do)
