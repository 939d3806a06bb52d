"""Marked patients at every hospital of a real consortium; every byte that left, or lies outside a ward, is searched.

What TLS carries is noise in a capture, so three roads are searched: the packets, the frames that the engine was given
before TLS, and all that hub, wire and spool hold on their disks afterwards. Meanwhile wards are killed with core dumps
allowed, wires are killed, and a source breaks in the middle of the study with a patient's words in it.
"""

import mmap
import os
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wall" / "canary"))

import leaks
import made_up
import wiretap
from capture import besides, streams
from consortium_in_namespaces import HUB, Consortium, consortium
from namespaces import why_not

from wardgate.federation.studies import status
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.slow,
]

TEXTS = [text for one in made_up.ALL_MARKED for text in one.texts]
NUMBERS = [number for one in made_up.ALL_MARKED for number in one.numbers]
FIRST = {site: made_up.marked(site)[0] for site in made_up.SITES}
"""The marked patient of each site who takes part in everything."""

PATIENCE_SECONDS = 1500


def _of_files(folder: Path) -> Iterator[leaks.Piece]:
    """Everything in a folder, parcels opened: their envelopes as text, their vectors as the noise that they are."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder.parent).as_posix()
        yield leaks.Piece(f"the name {name}", name.encode())
        if not path.is_file() or path.name.startswith("core"):
            continue  # a core dump is too large for every form of every value; `_holds` looks into it
        data = path.read_bytes()
        try:
            parcel = Parcel.from_bytes(data)
        except Broken:
            yield from leaks.pieces(name, data, masked=path.name in ("vectors.bin",) or path.suffix == ".partial")
            continue
        yield from leaks.pieces(f"{name} envelope", parcel.envelope)
        for number, blob in enumerate(parcel.blobs):
            yield from leaks.pieces(f"{name} blob {number}", blob, masked=blob[:4] != b"PAR1")


def _of_frames(folder: Path) -> Iterator[leaks.Piece]:
    """What the engine was given, as it was given and with everything unpacked that the road had compressed."""
    for path in sorted(folder.iterdir()):
        data, start = path.read_bytes(), 0
        yield leaks.Piece(path.name, data, random=True)
        while (start := data.find(b"\x78\x9c", start) + 1) > 0:
            try:
                inner = zlib.decompressobj().decompress(data[start - 1 :], 2**26)
            except zlib.error:
                continue
            yield from leaks.pieces(f"{path.name} unpacked at {start - 1}", inner, masked=True)


def _outside_wards(given: Consortium, *more: Path) -> Iterator[leaks.Piece]:
    """All that lies where no ward is: the hub, the wires, the spools, what was printed, what the engine was given."""
    for folder in (given.home, *more):
        yield from _of_files(folder)
    for site, premises in given.premises.items():
        for part in (premises / "wire", premises / "spool"):
            yield from _of_files(part)
        for path in premises.iterdir():
            if path.is_file():
                yield leaks.Piece(f"{site} {path.name}", path.read_bytes())
    for path in sorted(given.lab.folder.glob("*/*.out")) + sorted(given.lab.folder.glob("*/*.err")):
        yield leaks.Piece(path.name, path.read_bytes())


def _packets(given: Consortium) -> Iterator[leaks.Piece]:
    seen = set()
    for name, path in given.lab.heard().items():
        yield leaks.Piece(f"{name} besides TCP", besides(path), random=True)
        for key, data in streams(path).items():
            if data not in seen:
                seen.add(data)
                yield leaks.Piece(f"{name} port {key[1]} to {key[3]}", data, random=True)


def _found(given: Consortium, *more: Path) -> list[str]:
    found = leaks.leaks(_outside_wards(given, *more), texts=TEXTS, numbers=NUMBERS)
    first = FIRST.values()
    texts, numbers = [one.texts[0] for one in first], [number for one in first for number in one.numbers]
    return found + leaks.leaks(_packets(given), texts=texts, numbers=numbers)


def _holds(path: Path, texts: list[str]) -> bool:
    """Whether a file of any size holds one of the texts."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(text.encode()) >= 0 for text in texts)


def _until(true, given: Consortium, *, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, given.words()
        time.sleep(0.2)


def _round(given: Consortium, digest: str) -> int:
    """The round of a study, as its hub's folder says; nobody has to be asked for it."""
    return status(hub=given.home, study=digest).round or 0


def _processes(given: Consortium, site: str, word: str) -> list[int]:
    return [pid for pid, line in given.lab[site].processes().items() if word in line and "unshare" not in line]


def test_no_marked_patient_is_in_any_packet_or_anywhere_outside_a_ward(tmp_path: Path) -> None:
    sources = made_up.hospitals(tmp_path / "sources")
    study, out, frames = tmp_path / "study.yaml", tmp_path / "out", tmp_path / "frames"
    study.write_text(made_up.study_text())
    (tmp_path / "consortium").mkdir()
    environment = wiretap.tapped(tmp_path / "python", frames)
    hospitals = {site: sources / site for site in made_up.SITES}
    with consortium(tmp_path / "consortium", hospitals, seed=1, environment=environment, typed=False) as given:
        for name in (HUB, *hospitals):
            given.serve(name, core=True)
        digest = given.propose(study)
        given.sign(digest)
        run = given.run(digest, out)
        _until(lambda: run.popen.poll() is not None or _round(given, digest) >= 3, given)
        assert run.popen.poll() is None, run.said()

        for pid in _processes(given, "westgate", "wardgate.hospital.ward"):
            os.kill(pid, signal.SIGABRT)
        for pid in _processes(given, "southgate", "worker_process"):
            os.kill(pid, signal.SIGABRT)
        source = sources / "eastgate" / made_up.FILES["eastgate"]
        whole, secret = source.read_bytes(), " ".join(FIRST["eastgate"].texts)
        source.write_bytes(f"person,age\n{secret}\n{secret},{secret},{secret}\n".encode())
        for pid in _processes(given, "eastgate", "wardgate.hospital.ward"):
            os.kill(pid, signal.SIGKILL)
        time.sleep(20)
        source.write_bytes(whole)

        _until(lambda: run.popen.poll() is not None, given)
        assert run.popen.returncode in (0, 1), run.said()
        cores = [path for path in given.lab.folder.glob("*/core*") if path.is_file()]
        for name in (*hospitals, HUB):
            given.serving[name].stop(patience_seconds=30)
        of_wires = [
            path for wire in given.premises.values() for path in (wire / "wire").rglob("core*") if path.is_file()
        ]
        found = _found(given, *([out] if out.exists() else []))
        found += leaks.leaks(_of_frames(frames), texts=TEXTS, numbers=NUMBERS)

    assert found == []
    assert sum(path.stat().st_size for path in frames.iterdir()) > 200_000, "the tap heard nothing"
    assert cores, "no core was dumped, so that road was not tried"
    assert not any(_holds(path, TEXTS) for path in of_wires)
    assert any(_holds(path, TEXTS) for path in cores), "a ward's core holds patients; if not even there, what does?"


def test_a_ward_that_puts_one_row_into_an_answer_is_caught_on_the_hubs_disk_and_before_tls(tmp_path: Path) -> None:
    """The broken twin: without it, a search that finds nothing proves nothing."""
    sources = made_up.hospitals(tmp_path / "sources")
    study, out, frames = tmp_path / "study.yaml", tmp_path / "out", tmp_path / "frames"
    study.write_text(made_up.study_text())
    (tmp_path / "consortium").mkdir()
    row = dict(FIRST["northgate"].values)
    environment = wiretap.talking(tmp_path / "python", frames, site="site-northgate", row=row)
    hospitals = {site: sources / site for site in made_up.SITES}
    with consortium(tmp_path / "consortium", hospitals, seed=1, environment=environment, typed=False) as given:
        for name in (HUB, *hospitals):
            given.serve(name)
        digest = given.propose(study)
        given.sign(digest)
        run = given.run(digest, out)
        _until(lambda: run.popen.poll() is not None or _round(given, digest) >= 2, given)
        run.stop()
        text, number = FIRST["northgate"].texts[0], FIRST["northgate"].numbers[0]
        at_the_hub = leaks.leaks(_of_files(given.home), texts=[text], numbers=[number])
        sent = leaks.leaks(_of_frames(frames), texts=[text], numbers=[number])
    assert any(text in one for one in at_the_hub), run.said()
    assert any(repr(number) in one for one in at_the_hub)
    assert any(text in one for one in sent), "the tap did not hear what the hub got"
