"""A ward as a process: `python -m wardgate.hospital.ward`.

With `--premises` it is a hospital's ward in operation: a porter that takes mail from the spool until it is told to end.
Without, it serves one study of a run on one machine: it reads names of questions and writes names of answers.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from wardgate.entropy import source
from wardgate.hospital.premises import FINAL, Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.hospital.ward.porter.house import open_house
from wardgate.hospital.ward.porter.porter import Porter
from wardgate.records.errors import Broken, StepFailed, WardgateError
from wardgate.records.mapping import parse_hospital

POLL_SECONDS = 0.02
IDLE_POLL_SECONDS = 0.1
IDLE_AFTER_SECONDS = 10.0
"""Between two looks into the spool: often while a study runs, seldom when nothing came for a while."""


def main() -> None:
    """Serve a hospital's premises, or one study of a run on one machine."""
    if "--premises" in sys.argv[1:]:
        parser = argparse.ArgumentParser(description="One hospital's ward in operation.")
        parser.add_argument("--premises", type=Path, required=True, help="the hospital's folder")
        parser.add_argument("--served-by", type=int, default=None, help="end when this is no longer the parent process")
        given = parser.parse_args()
        sys.exit(keep_door(Premises(given.premises), served_by=given.served_by))
    _answer_lines()


def keep_door(premises: Premises, *, served_by: int | None = None) -> int:
    """Let a porter work until SIGTERM or SIGINT, and return the exit code. What is said goes to standard error.

    Args:
        served_by: Process that started this one; when it was killed, this one ends too and leaves room for the next.
    """
    _voice().close()
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _frame: told.append(which))

    def over() -> bool:
        return bool(told) or (served_by is not None and os.getppid() != served_by)

    busy = time.monotonic()

    def pause(worked: bool) -> bool:
        nonlocal busy
        if worked:
            busy = time.monotonic()
        elif not over():
            time.sleep(IDLE_POLL_SECONDS if time.monotonic() - busy > IDLE_AFTER_SECONDS else POLL_SECONDS)
        return over()

    try:
        porter = Porter(house=open_house(premises), clock=_now, ticks=time.monotonic, entropy=source())
        porter.serve(pause)
    except WardgateError as error:
        sys.stderr.write(f"wardgate ward: {error}\n")
        return FINAL
    except OSError as error:
        sys.stderr.write(f"wardgate ward: the system says: {os.strerror(error.errno or 0)}\n")
        return 1
    return 0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a process reads the clock at its edge


def _answer_lines() -> None:
    """Answer questions until standard input ends."""
    parser = argparse.ArgumentParser(description="One hospital's ward. It needs no network and should have none.")
    for name in ("folder", "home"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("study-sha256", "hub-key", "issued-on"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--unsafe-entropy-seed", default=None, help="tests only; nothing made with it ever verifies")
    parser.add_argument("--memory", type=Path, default=None, help="private folder that is kept over studies")
    given = parser.parse_args()
    home: Path = given.home
    voice = _voice()

    def phone_book() -> Mapping[str, bytes]:
        text = (home / "phone_book.json").read_text(encoding="utf-8")
        return {site: bytes.fromhex(key) for site, key in json.loads(text).items()}

    text = (given.folder / "hospital.yaml").read_text(encoding="utf-8")
    ward = Ward(
        hospital=parse_hospital(text, name="hospital.yaml"),
        folder=given.folder,
        study_sha256=given.study_sha256,
        hub_key=bytes.fromhex(given.hub_key),
        phone_book=phone_book,
        spool=FolderSpool(home / "spool"),
        entropy=source(unsafe_seed=given.unsafe_entropy_seed),
        seed=given.seed,
        salt=(home / "salt").read_bytes(),
        issued_on=given.issued_on,
        private=home,
        memory=given.memory,
    )
    _say(voice, f"key {ward.signer.public_key.hex()}")
    for line in sys.stdin:
        try:
            said = f"answer {ward.answer(line.strip())}"
        except Broken as error:
            said = f"broken {error}"
        except StepFailed as failure:
            said = f"failed {failure.reference} {failure.step}"
        _say(voice, said)


def _voice() -> TextIO:
    """Return the only road to standard output, and turn whatever else is printed into the private log.

    Libraries beside patients may print a row, in Python or in native code; here that goes to standard error.
    """
    voice = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return voice


def _say(voice: TextIO, line: str) -> None:
    voice.write(line.replace("\n", " ") + "\n")
    voice.flush()


if __name__ == "__main__":
    main()
