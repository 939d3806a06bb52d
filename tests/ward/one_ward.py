"""A ward as a process that a test may really kill: answers what lies in the spool until it is ended."""

import json
import sys
import time
from pathlib import Path

from wardgate.entropy import SystemEntropy
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.records.envelope import Signer
from wardgate.records.mapping import parse_hospital


def main(root: Path) -> None:
    """Work below `root` with what `ward.json` says."""
    said = json.loads((root / "ward.json").read_text())
    folder = root / "data" / said["site"]
    book = {site: bytes.fromhex(key) for site, key in said["book"].items()}
    spool = FolderSpool(root / "spool")
    ward = Ward(
        hospital=parse_hospital((folder / "hospital.yaml").read_text(), name="hospital.yaml"),
        folder=folder,
        study_sha256=said["study_sha256"],
        hub_key=bytes.fromhex(said["hub_key"]),
        phone_book=lambda: book,
        spool=spool,
        entropy=SystemEntropy(),
        seed=7,
        salt=said["salt"].encode(),
        issued_on="2026-01-02",
        private=root / "home",
        memory=root / "memory",
        signer=Signer(bytes.fromhex(said["key"])),
        state=root / "home" / "state",
    )
    print("ready", flush=True)
    while True:
        for name in spool.box("questions").names():
            ward.answer(name)
        time.sleep(0.005)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
