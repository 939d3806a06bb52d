"""A ward as a process: `python -m wardgate.hospital.ward`. It reads names of questions and writes names of answers."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from wardgate.entropy import source
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.records.errors import Broken, StepFailed
from wardgate.records.mapping import parse_hospital


def main() -> None:
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
