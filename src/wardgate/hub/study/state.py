"""Who drives a study, what the driver does, and whether somebody stopped it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Literal

from wardgate.hub.commons.durable import write_whole
from wardgate.hub.home import Home
from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.proposal import Proposed, hub_signer, outbox
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import Notice, seal_mail
from wardgate.records.parcel import Parcel
from wardgate.records.record import Record


class Doing(Record):
    """What a driver did last, for people.

    Attributes:
        state: `waiting` for signatures, `running`, `stopped` where a person closed it, `finished`, or `failed` with the
            reason in `words`.
        round: The last round that opened; 0 before the first.
        words: What is asked, or what went wrong.
        at: When this was written, UTC.
    """

    state: Literal["waiting", "running", "stopped", "finished", "failed"]
    round: int = 0
    words: str = ""
    at: str


def write_doing(folder: StudyFolder, doing: Doing) -> None:
    """Say what the driver does. Readers find the old or the new; nobody waits for the disk, since nothing hangs on it.

    Raises:
        Invalid: no room to write.
    """
    try:
        draft = folder.state.with_suffix(".draft")
        draft.write_bytes(doing.to_bytes())
        draft.replace(folder.state)
    except OSError as error:
        raise Invalid(
            f"{folder.state.name} cannot be written: {error.strerror or error}. Make room and run the study again: it"
            " goes on where it stopped"
        ) from error


def read_doing(folder: StudyFolder) -> Doing | None:
    """Return what the driver did last; None before the first run.

    Raises:
        Broken: the file is damaged.
    """
    try:
        return Doing.from_plain(json.loads(folder.state.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, Invalid) as error:
        raise Broken(f"{folder.state.name} is damaged; the next run writes it anew") from error


@contextmanager
def driving(folder: StudyFolder) -> Iterator[None]:
    """Be the one driver of a study while the context lasts. The system lets go of the lock when a process dies.

    Raises:
        Invalid: another process drives it.
    """
    folder.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder.guard, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(handle):
            raise Invalid(
                "another process runs this study already; watch it with 'wardgate study status', or stop it with"
                " 'wardgate study abort'"
            )
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Take the lock. Whoever asks `is_driven` holds it for a moment, so one miss is no other driver."""
    for _ in range(10):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def is_driven(folder: StudyFolder) -> bool:
    """Say whether some process drives a study now."""
    try:
        handle = os.open(folder.guard, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def abort(home: Home, proposed: Proposed, reason: str, *, at: str) -> None:
    """Stop a study: a running driver ends at its next look, and every site is told. Running it again goes on.

    Args:
        reason: For people at the hospitals.
        at: The time as text.

    Raises:
        Invalid: no reason was given, or the study has finished.
    """
    if not reason.strip():
        raise Invalid("say why: every hospital of the study reads the reason")
    folder = StudyFolder(home.study(proposed.study_sha256))
    doing = read_doing(folder)
    if doing is not None and doing.state == "finished" and not is_driven(folder):
        raise Invalid(f"study {proposed.study.id} has finished; there is nothing to stop")
    folder.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(folder.aborted, reason.encode())
    notify(home, proposed, "aborted", reason=f"{reason} ({at})")


def resume(folder: StudyFolder) -> None:
    """Let a stopped study go on."""
    folder.aborted.unlink(missing_ok=True)


def aborted(folder: StudyFolder) -> str | None:
    """Return why a study is stopped; None while it is not."""
    try:
        return folder.aborted.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def notify(
    home: Home,
    proposed: Proposed,
    event: Literal["running", "finished", "aborted"],
    *,
    reason: str,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Tell every site of a study what became of it.

    Args:
        reason: Holds the time, so that a study that is stopped and goes on twice tells it twice.
        files: What came of it, by name; only beside `finished`.
    """
    notice = Notice(study_sha256=proposed.study_sha256, event=event, reason=reason)
    subjects = tuple((name, sha256(data)) for name, data in files.items())
    parcel = Parcel(seal_mail(notice, hub_signer(home), subjects=subjects), tuple(files.values()))
    for site in proposed.study.sites:
        outbox(home, site).put(parcel)
