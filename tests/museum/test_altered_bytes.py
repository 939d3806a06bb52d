"""One altered byte, anywhere: the run is refused, and the file is named."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.hub.intake.one_file import audit_file
from wardgate.hub.intake.reading import check_files, open_folder
from wardgate.records.canonical import canonical
from wardgate.records.envelope import Signer

SITE = "eastgate"

KINDS = (
    layout.MANIFEST,
    layout.REPORT,
    layout.RESULTS,
    layout.STUDY_TEXT,
    layout.STUDY_LOCK,
    layout.CATALOGUE,
    layout.corpus_path("northgate"),
    layout.certificate_path("northgate"),
    layout.corpus_path(layout.JOINT),
    layout.certificate_path(layout.JOINT),
    layout.ROSTER,
    layout.VECTORS,
    layout.CHECKPOINT,
    layout.records_path(layout.HUB),
    layout.log_path(layout.HUB),
    layout.records_path(SITE),
    layout.log_path(SITE),
)


@pytest.fixture(scope="module")
def copy(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the run; every test puts back what it changed."""
    root = tmp_path_factory.mktemp("altered") / "run"
    shutil.copytree(whole, root)
    return root


@contextmanager
def altered(path: Path, position: int, mask: int) -> Iterator[None]:
    """Flip bits of one byte, and put it back."""
    data = path.read_bytes()
    path.write_bytes(data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :])
    try:
        yield
    finally:
        path.write_bytes(data)


def positions(root: Path, count: int, *, seed: int) -> Iterator[tuple[str, int, int]]:
    """Yield files, places and bits, each kind of file about equally often."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        path = KINDS[index % len(KINDS)]
        yield path, int(rng.integers((root / path).stat().st_size)), 1 << int(rng.integers(8))


def named(root: Path) -> list[str]:
    """Return where the manifest alone finds something broken."""
    folder = open_folder(root)
    check_files(folder)
    return [finding.where for finding in folder.findings]


def test_every_kind_of_file_is_among_those_that_are_altered(whole: Path) -> None:
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    others = {name for path in files - set(KINDS) for name in (path.replace(path.split("/")[1], SITE),)}
    assert others <= set(KINDS), "a new kind of file must be altered here as well"


def test_a_flipped_bit_anywhere_is_found_and_its_file_named_first(copy: Path) -> None:
    assert named(copy) == []
    for path, position, mask in positions(copy, 40 * len(KINDS), seed=1):
        with altered(copy / path, position, mask):
            found = named(copy)
            assert found and found[0] == path, f"{path} byte {position}: {found[:3]}"
    assert named(copy) == []


def test_a_manifest_that_slanders_the_roster_is_named_itself(copy: Path) -> None:
    data = (copy / layout.MANIFEST).read_bytes()
    envelope = json.loads(data)
    payload = json.loads(base64.b64decode(envelope["payload"]))
    roster = next(entry for entry in payload["predicate"]["files"] if entry["path"] == layout.ROSTER)
    roster["sha256"] = "0" * 64
    envelope["payload"] = base64.b64encode(canonical(payload)).decode()
    (copy / layout.MANIFEST).write_bytes(canonical(envelope))
    try:
        assert named(copy)[0] == layout.MANIFEST
    finally:
        (copy / layout.MANIFEST).write_bytes(data)


def test_a_roster_with_another_key_of_the_hub_is_named_first(copy: Path) -> None:
    data = (copy / layout.ROSTER).read_bytes()
    roster = json.loads(data)
    hub = next(party for party in roster["parties"] if party["name"] == layout.HUB)
    hub["public_key"] = Signer(bytes(32)).public_key.hex()
    (copy / layout.ROSTER).write_bytes(canonical(roster))
    try:
        assert named(copy)[0] == layout.ROSTER
    finally:
        (copy / layout.ROSTER).write_bytes(data)


@pytest.mark.parametrize("path", KINDS)
def test_the_whole_check_names_the_altered_file(copy: Path, path: str) -> None:
    rng = np.random.default_rng(len(path))
    with altered(copy / path, int(rng.integers((copy / path).stat().st_size)), 1 << int(rng.integers(8))):
        found = audit(copy).findings
        assert found[0].where.startswith(path)
        if path != layout.MANIFEST:
            assert audit_file(copy / path).findings != ()


@pytest.mark.slow
def test_a_flipped_bit_anywhere_never_stops_the_whole_check_with_our_own_failure(copy: Path) -> None:
    for path, position, mask in positions(copy, 6 * len(KINDS), seed=2):
        with altered(copy / path, position, mask):
            found = audit(copy).findings
            assert found and found[0].where.startswith(path), f"{path} byte {position}: {found[:3]}"


@pytest.mark.parametrize("path", KINDS)
def test_a_file_cut_short_is_named(copy: Path, path: str) -> None:
    data = (copy / path).read_bytes()
    (copy / path).write_bytes(data[: len(data) * 2 // 3])
    try:
        assert named(copy)[0] == path
    finally:
        (copy / path).write_bytes(data)


@pytest.mark.parametrize("path", KINDS)
def test_a_byte_at_the_end_is_named(copy: Path, path: str) -> None:
    data = (copy / path).read_bytes()
    (copy / path).write_bytes(data + b"\n")
    try:
        assert named(copy)[0] == path
    finally:
        (copy / path).write_bytes(data)


@pytest.mark.parametrize("path", KINDS)
def test_a_missing_file_is_named(copy: Path, path: str) -> None:
    data = (copy / path).read_bytes()
    (copy / path).unlink()
    try:
        found = audit(copy).findings if path in (layout.RESULTS, layout.VECTORS) else open_folder(copy).findings
        assert path in named(copy), found
    finally:
        (copy / path).write_bytes(data)
