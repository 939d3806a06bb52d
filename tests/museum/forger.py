"""An evil hub, or an evil site: changes a run and signs what it can, so that only the deeper checks can tell."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardgate.hub import layout
from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.log import MerkleLog
from wardgate.records.messages import MANIFEST, FileEntry, Manifest

Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forger:
    """Holds the keys of all parties and the folder of a run."""

    root: Path
    signers: dict[str, Signer]

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return (self.root / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Replace a file."""
        (self.root / path).write_bytes(data)

    def lines(self, path: str) -> list[bytes]:
        """Return the lines of a file."""
        return self.read(path).splitlines()

    def find(self, party: str, matches: Callable[[Statement], bool]) -> int:
        """Return the place of the first record of a party that matches."""
        records = self.lines(layout.records_path(party))
        return next(place for place, line in enumerate(records) if matches(layout.peek(line)))

    def change(self, party: str, place: int, change: Change, *, signer: Signer | None = None) -> None:
        """Change what a record says, sign it anew, and name the new one in the party's and the hub's log."""
        records = self.lines(layout.records_path(party))
        old = records[place]
        records[place] = resealed(old, change, signer or self.signers[party])
        self.write(layout.records_path(party), layout.lines_of(records))
        for path in {layout.log_path(layout.HUB), layout.log_path(party)}:
            self.write(path, self.read(path).replace(sha256(old).encode(), sha256(records[place]).encode()))

    def sign_hub(self) -> None:
        """Sign the hub's log head and the manifest for the folder as it is now."""
        hub = self.signers[layout.HUB]
        log = MerkleLog(origin="wardgate/hub")
        for leaf in self.lines(layout.log_path(layout.HUB)):
            log.append(leaf)
        self.write(
            layout.CHECKPOINT,
            resealed(self.read(layout.CHECKPOINT), lambda said: said.update(checkpoint=log.checkpoint()), hub),
        )
        self.sign_manifest()

    def sign_manifest(self) -> None:
        """Sign the manifest for the folder as it is now."""
        study = layout.peek(self.read(layout.MANIFEST)).predicate["study_sha256"]
        files = [path for path in sorted(self.root.rglob("*")) if path.is_file() and path.name != layout.MANIFEST]
        entries = tuple(
            FileEntry(
                path=path.relative_to(self.root).as_posix(),
                sha256=sha256(path.read_bytes()),
                bytes=path.stat().st_size,
            )
            for path in files
        )
        manifest = Manifest(study_sha256=study, files=entries)
        statement = Statement(predicate_type=MANIFEST, predicate=manifest.plain(), subjects=(("study", study),))
        self.write(layout.MANIFEST, seal(statement, self.signers[layout.HUB]))


def resealed(envelope: bytes, change: Change, signer: Signer) -> bytes:
    """Return the envelope with its statement changed and signed by `signer`."""
    said = layout.peek(envelope)
    predicate = copy.deepcopy(dict(said.predicate))
    change(predicate)
    subjects = said.subjects
    if "vectors" in predicate or "total" in predicate:
        refs = layout.refs_of(Statement(predicate_type=said.predicate_type, predicate=predicate, subjects=()))
        subjects = tuple((ref.name, ref.sha256) for ref in refs) or subjects
    return seal(Statement(predicate_type=said.predicate_type, predicate=predicate, subjects=subjects), signer)


def edited(data: bytes, change: Change) -> bytes:
    """Return canonical JSON with something changed."""
    plain = json.loads(data)
    change(plain)
    return canonical(plain)
