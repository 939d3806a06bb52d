"""A finished run as an auditor opens it: manifest, keys, files. Reads files and nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from wardgate import __version__
from wardgate.hub import layout
from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Statement, unseal
from wardgate.records.errors import Broken, Invalid, WardgateError
from wardgate.records.messages import MANIFEST, FileEntry, Manifest, Party
from wardgate.records.study import Study
from wardgate.records.study_file import parse

MISSHAPEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading a signed but misshapen record can raise; it is then named as broken, not as our failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold: where, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True, kw_only=True)
class Folder:
    """A run's folder and what was found in it so far.

    Attributes:
        entries: Every file by path, as the manifest names it.
        keys: Raw public key of each party.
        findings: What does not hold, in the order in which it was found.
        checked: What was checked, in words, with counts.
        notes: What was not checked, and why.
        between_machines: Whether the parties are real ones, whose machines and people may fall silent.
    """

    root: Path
    entries: dict[str, FileEntry] = field(default_factory=dict)
    study_sha256: str = ""
    keys: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    between_machines: bool = False

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            Broken: it is missing, or is no plain file.
        """
        target = self.root / path
        if target.is_symlink() or not target.is_file():
            raise Broken("the file is missing")
        return target.read_bytes()

    def find(self, where: str, what: str) -> None:
        """Note that something does not hold."""
        finding = Finding(where=where, what=what)
        if finding not in self.findings:
            self.findings.append(finding)

    def count(self, what: str, number: int = 1) -> None:
        """Note that something was checked."""
        self.checked[what] = self.checked.get(what, 0) + number

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Turn what goes wrong inside into a finding at `where`, and carry on."""
        try:
            yield
        except WardgateError as error:
            self.find(where, str(error))
        except MISSHAPEN as error:
            self.find(where, f"signed or named, but of a form that cannot be read ({type(error).__name__})")


def open_folder(root: Path, *, key: bytes | None = None) -> Folder:
    """Read roster and manifest and check them against each other. Files are not looked at yet.

    Args:
        key: The hub's public key, where the auditor knows it from elsewhere.
    """
    folder = Folder(root=root)
    with folder.at(layout.ROSTER):
        parties = _roster(folder.read(layout.ROSTER))
        folder.keys = {party.name: bytes.fromhex(party.public_key) for party in parties}
        simulated = sum(party.simulated for party in parties)
        folder.between_machines = simulated == 0
        if simulated:
            folder.notes.append(
                f"{simulated} of {len(parties)} keys are marked SIMULATED: they show that nothing was altered, and"
                " approve nothing"
            )
    hub = folder.keys.get(layout.HUB)
    if key is not None and hub is not None and key != hub:
        folder.find(layout.ROSTER, "the hub's key is not the one that was given; this run is another hub's")
    _manifest(folder, key or hub)
    if folder.keys:
        folder.count("keys", len(folder.keys))
    return folder


def _roster(data: bytes) -> list[Party]:
    plain = _canonical(data)
    if not isinstance(plain, dict) or set(plain) != {"parties"}:
        raise Broken("expected the list of all parties and nothing else")
    parties = [Party.from_plain(item) for item in plain["parties"]]
    names = [party.name for party in parties]
    hubs = [party.name for party in parties if party.role == "hub"]
    if hubs != [layout.HUB] or len(set(names)) != len(names):
        raise Broken("expected one party called 'hub' with that role, and every site once")
    keys = {party.name: bytes.fromhex(party.public_key) for party in parties}
    short = next((name for name, key in keys.items() if len(key) != 32), None)
    if short is not None or len(set(keys.values())) != len(keys):
        raise Broken(f"expected a key of 32 bytes of its own for every party ({short or 'two share one'})")
    return parties


def _manifest(folder: Folder, key: bytes | None) -> None:
    where = layout.MANIFEST
    try:
        data = folder.read(where)
        peeked = layout.peek(data)
    except (Broken, RecursionError) as error:
        folder.find(where, str(error))
        return
    trusted = True
    try:
        if key is None:
            raise Broken("cannot be verified: the roster does not give the hub's key")
        _check_kind(unseal(data, keys=(key,)))
    except Broken as error:
        trusted = False
        _blame(folder, data, peeked, key, str(error))
    with folder.at(where):
        manifest = Manifest.from_plain(peeked.predicate)
        folder.entries = {entry.path: entry for entry in manifest.files}
        folder.study_sha256 = manifest.study_sha256
        if len(folder.entries) != len(manifest.files):
            raise Broken("it names a file twice")
        wild = next((path for path in folder.entries if not _is_plain(path)), None)
        if wild is not None:
            folder.entries.clear()
            raise Broken(f"it names '{wild}', which is no plain path inside the run")
        if layout.MANIFEST in folder.entries:
            raise Broken("it names itself")
    if trusted:
        folder.count("manifest")


def _check_kind(statement: Statement) -> None:
    if statement.predicate_type != MANIFEST:
        raise Broken(f"expected a manifest, found {statement.predicate_type}")


def _blame(folder: Folder, data: bytes, peeked: Statement, key: bytes | None, why: str) -> None:
    """Say first which of the two was altered: the roster, whose key no longer fits, or the manifest itself.

    The manifest names its key by digest outside what is signed, and the roster by digest inside. Where the key still
    fits the first, the roster's key is whole, whatever an altered manifest says of the roster.
    """
    try:
        whole = key is not None and json.loads(data)["signatures"][0]["keyid"] == sha256(key)
        named = {item["path"]: item["sha256"] for item in peeked.predicate["files"]}
        altered = not whole and sha256(folder.read(layout.ROSTER)) != named[layout.ROSTER]
    except (Broken, *MISSHAPEN):
        altered = False
    if altered:
        folder.find(layout.ROSTER, "the bytes do not match the manifest, so the hub's key is in doubt")
    folder.find(layout.MANIFEST, why)


def _is_plain(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and pure.as_posix() == path and "\\" not in path


def check_files(folder: Folder) -> None:
    """Check that every named file is there with its bytes, and that nothing else lies in the folder."""
    if not folder.entries:
        return
    for path in folder.entries:
        check_file(folder, path)
    known = {layout.MANIFEST, *folder.entries}
    houses = {parent.as_posix() for path in known for parent in PurePosixPath(path).parents}
    for found in sorted(folder.root.rglob("*")):
        path = found.relative_to(folder.root).as_posix()
        if path not in known and (found.is_symlink() or not found.is_dir() or path not in houses):
            folder.find(path, "lies in the run, but the manifest does not name it")


def check_file(folder: Folder, path: str) -> None:
    """Check one file against the manifest."""
    with folder.at(path):
        entry = folder.entries.get(path)
        if entry is None:
            raise Broken("the manifest does not name it")
        data = folder.read(path)
        if len(data) != entry.bytes:
            raise Broken(f"found {len(data)} bytes, the signed manifest says {entry.bytes}")
        if sha256(data) != entry.sha256:
            raise Broken("the bytes do not match the digest in the signed manifest")
        folder.count("files")


def read_study(folder: Folder) -> Study | None:
    """Check the locked study, and that its text says the same; return it where it holds."""
    study: Study | None = None
    with folder.at(layout.STUDY_LOCK):
        plain = _canonical(folder.read(layout.STUDY_LOCK))
        locked = Study.from_plain(plain["study"])
        digest = sha256(locked.to_bytes())
        if plain != {"sha256": digest, "study": locked.plain()}:
            raise Broken("the study in it has another SHA-256 than it states")
        if folder.study_sha256 != digest:
            raise Broken("the manifest speaks of another study")
        study = locked
        folder.count("locked study")
    with folder.at(layout.STUDY_TEXT):
        text = parse(folder.read(layout.STUDY_TEXT).decode(), name=layout.STUDY_TEXT)
        if study is not None and not _says(text, study, ours=_version(folder) == __version__):
            raise Broken("says something else than the locked study")
    if study is not None:
        strangers = set(study.sites) ^ (set(folder.keys) - {layout.HUB})
        if folder.keys and strangers:
            folder.find(layout.ROSTER, f"does not hold the study's sites: '{min(strangers)}' is in one of them only")
    return study


def _version(folder: Folder) -> str:
    """Return the version that wrote the run, and note where it is not this one."""
    try:
        version = str(json.loads(folder.read(layout.RESULTS))["wardgate_version"])
    except (Broken, *MISSHAPEN):
        return __version__
    if version != __version__:
        note = (
            f"written by version {version}, checked by {__version__}: what has changed since (defaults of a study,"
            " rules of the policy, the report's layout) may show as broken or is left out"
        )
        if note not in folder.notes:
            folder.notes.append(note)
    return version


def _says(text: Study, locked: Study, *, ours: bool) -> bool:
    """Whether a study's text says what was locked; of another version's text, whether all that it spells out does."""
    if ours:
        return text.to_bytes() == locked.to_bytes()
    stated = text.model_dump(mode="json", exclude_unset=True, exclude_none=True, by_alias=True)
    return _within(stated, locked.plain())


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _within(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return bool(part == whole)


def _canonical(data: bytes) -> Any:
    try:
        plain = json.loads(data)
        same = canonical(plain) == data
    except (ValueError, RecursionError, Invalid) as error:
        raise Broken("not readable as canonical JSON") from error
    if not same:
        raise Broken("the JSON is not canonical, so something was altered")
    return plain
