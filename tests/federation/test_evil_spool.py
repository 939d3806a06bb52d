"""What somebody may try who can write in a hospital's spool: nothing but whole signed parcels is read or carried."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_town import SIX, Town, town

from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.wire.courier import Border, Seen
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Absent, Broken
from wardgate.records.mail import Decision, seal_mail
from wardgate.records.messages import open_answer
from wardgate.records.parcel import Parcel, pack_bytes, pack_vector
from wardgate.road import box as box_room
from wardgate.road.box import MOST_BYTES, Box
from wardgate.road.lane import Lane
from wardgate.road.transfer import Sender

PATIENT = b"person,age,dead\nCANARY-4711,93,1\n" * 40
MAIL = Parcel(b'{"signed":1}', (b"blob", b""))


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """A file that only the ward's side may read."""
    path = tmp_path / "patients.csv"
    path.write_bytes(PATIENT)
    return path


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "answers")


def put_raw(tmp_path: Path, data: bytes, *, name: str = "") -> str:
    """Write bytes into the spool by hand, under their digest or another name."""
    name = name or sha256(data)
    (tmp_path / "answers" / f"{name}.parcel").write_bytes(data)
    return name


def in_time(act: Callable[[], object]) -> None:
    """Fail where something waits for ever."""
    done = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    assert done.wait(20), "it hangs"
    if failures:
        raise failures[0]


def carried(tmp_path: Path, box: Box) -> tuple[bytes, list[str]]:
    """Let a lane that finds nothing wrong carry the box; return every byte it sent, and what it complained of."""
    sent: list[bytes] = []
    told: list[str] = []

    def call(message: bytes) -> bytes:
        sent.append(message)
        raise Absent("nobody answers, but the bytes are out")

    sender = Sender(call=call, retries=0)
    lane = Lane(
        box=box,
        sender=sender,
        check=lambda parcel: None,
        aside=tmp_path / "aside",
        told=lambda name, words: told.append(words),
    )
    with contextlib.suppress(Absent):
        lane.push(stop=lambda: False)
    return b"".join(sent), told


def test_a_link_to_a_patients_file_is_neither_listed_read_nor_carried(tmp_path: Path, box: Box, patients: Path) -> None:
    """Named by the digest of what it points at, it would pass every check of names and digests."""
    name = sha256(PATIENT)
    link = tmp_path / "answers" / f"{name}.parcel"
    link.symlink_to(patients)
    assert box.names() == []
    assert not box.holds(name)
    for look in (box.read, box.path, box.open):
        with pytest.raises(Broken, match="holds no parcel"):
            look(name)
    with pytest.raises(Broken, match="holds no parcel"):
        Sender(call=lambda message: message).send(box, name)
    sent, _ = carried(tmp_path, box)
    assert b"CANARY" not in sent


def test_without_that_care_the_patients_file_would_be_on_the_line(
    tmp_path: Path, box: Box, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sha256(PATIENT)
    (tmp_path / "answers" / f"{name}.parcel").symlink_to(patients)
    monkeypatch.setattr(box_room, "_opened", lambda path: path.open("rb"))
    sent: list[bytes] = []

    def call(message: bytes) -> bytes:
        sent.append(message)
        raise Absent("nobody answers, but the bytes are out")

    monkeypatch.setattr("wardgate.road.transfer.pack", lambda data: (data, False))
    with pytest.raises(Absent):
        Sender(call=call, retries=0).send(box, name)
    assert b"CANARY-4711" in b"".join(sent)


def test_a_link_in_the_place_of_a_parcel_is_replaced_and_never_written_through(tmp_path: Path, patients: Path) -> None:
    """Whoever knows what the ward will say cannot make it write over its own files."""
    box = Box(tmp_path / "answers")
    name = sha256(MAIL.to_bytes())
    final = tmp_path / "answers" / f"{name}.parcel"
    draft = tmp_path / "answers" / f"{name}.{os.getpid()}.partial"
    final.symlink_to(patients)
    draft.symlink_to(patients)
    assert box.put(MAIL) == name
    assert patients.read_bytes() == PATIENT
    assert not final.is_symlink()
    assert box.read(name) == MAIL


def test_a_link_in_the_place_of_a_folder_of_the_spool_brings_no_file_of_another_name(
    tmp_path: Path, patients: Path
) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/answers").symlink_to(tmp_path)
    spool = FolderSpool(tmp_path / "spool")
    assert spool.box("answers").names() == []
    with pytest.raises(Broken):
        spool.take("answers", sha256(PATIENT))
    assert patients.read_bytes() == PATIENT


@pytest.fixture(params=["pipe", "folder", "socket", "dangling", "loop"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, box: Box) -> Iterator[str]:
    """The name of something in the box that is no file."""
    name = sha256(request.param.encode())
    path = tmp_path / "answers" / f"{name}.parcel"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    elif request.param == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as opened:
                opened.bind(path.name)
        finally:
            os.chdir(here)
    elif request.param == "dangling":
        path.symlink_to(tmp_path / "nothing")
    else:
        path.symlink_to(path)
    yield name


def test_what_is_no_file_is_not_listed_and_nothing_waits_for_it(tmp_path: Path, box: Box, odd: str) -> None:
    whole = box.put(MAIL)
    in_time(lambda: box.names())
    assert box.names() == [whole]
    for look in (box.read, box.path, box.open):
        with pytest.raises(Broken, match="holds no parcel"):
            in_time(lambda look=look: look(odd))
    found: list[tuple[bytes, list[str]]] = []
    in_time(lambda: found.append(carried(tmp_path, box)))
    ((sent, told),) = found
    assert told == []
    assert odd.encode() not in sent and whole.encode() in sent


def test_a_pipe_that_somebody_holds_open_is_not_waited_for(tmp_path: Path, box: Box) -> None:
    name = sha256(b"held")
    os.mkfifo(tmp_path / "answers" / f"{name}.parcel")
    handle = os.open(tmp_path / "answers" / f"{name}.parcel", os.O_RDWR)
    try:
        os.write(handle, PATIENT)
        with pytest.raises(Broken, match="no regular file"):
            in_time(lambda: box.read(name))
    finally:
        os.close(handle)


def test_a_file_with_a_huge_hole_is_refused_before_a_byte_is_read(tmp_path: Path, box: Box) -> None:
    name = sha256(b"huge")
    path = tmp_path / "answers" / f"{name}.parcel"
    path.touch()
    os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(Broken, match="expected at most"):
        box.read(name)
    with pytest.raises(Broken, match="expected at most"):
        Sender(call=lambda message: message).send(box, name)
    _, told = carried(tmp_path, box)
    assert ["expected at most" in words for words in told] == [True]


def test_a_hole_within_the_limit_does_not_fill_the_memory(tmp_path: Path, box: Box) -> None:
    name = sha256(b"hole")
    path = tmp_path / "answers" / f"{name}.parcel"
    path.touch()
    os.truncate(path, 256 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(Broken, match="altered"):
            box.read(name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_parcel_cut_off_at_any_place_is_broken_under_its_old_name_and_its_new(tmp_path: Path, box: Box) -> None:
    data = MAIL.to_bytes()
    for length in range(len(data)):
        for name in (sha256(data), sha256(data[:length])):
            put_raw(tmp_path, data[:length], name=name)
            with pytest.raises(Broken):
                box.read(name)
    for longer in (data + b"x", data + data, b"x" + data):
        with pytest.raises(Broken):
            box.read(put_raw(tmp_path, longer))


def test_a_parcel_that_declares_more_parts_or_bytes_than_it_has_is_broken(tmp_path: Path, box: Box) -> None:
    data = bytearray(MAIL.to_bytes())
    for place in range(9, 13 + 8):
        for value in (0xFF, 0x7F, 0x01):
            changed = bytearray(data)
            if changed[place] == value:
                continue
            changed[place] = value
            with pytest.raises(Broken):
                box.read(put_raw(tmp_path, bytes(changed)))


def test_a_parcel_under_another_parcels_name_is_broken(tmp_path: Path, box: Box) -> None:
    first, second = box.put(MAIL), box.put(Parcel(b'{"signed":2}'))
    place = tmp_path / "answers"
    (place / f"{first}.parcel").replace(place / f"{second}.parcel")
    with pytest.raises(Broken, match="was altered"):
        box.read(second)
    with pytest.raises(Broken, match="holds no parcel"):
        box.read(first)


def test_mail_that_was_altered_in_the_box_is_written_again_when_it_comes_again(tmp_path: Path, box: Box) -> None:
    """Otherwise one altered file would stop its parcel for good."""
    name = box.put(MAIL)
    put_raw(tmp_path, b"something else", name=name)
    assert box.put(MAIL) == name
    assert box.read(name) == MAIL


@pytest.mark.parametrize("name", ["x", "AB" * 32, "ab" * 32 + "\n", "../answers/" + "ab" * 32, "ab" * 31, "ab" * 33])
def test_a_file_with_another_kind_of_name_is_no_mail(tmp_path: Path, box: Box, name: str) -> None:
    if "/" not in name:
        (tmp_path / "answers" / f"{name}.parcel").write_bytes(MAIL.to_bytes())
    assert box.names() == []
    with pytest.raises(Broken):
        box.read(name)
    with pytest.raises(Broken):
        box.remove(name)


def test_a_file_that_this_user_may_not_read_is_said_to_be_so_and_does_not_end_the_lane(
    tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, opened = box.put(MAIL), os.open
    fine = box.put(Parcel(b'{"signed":2}'))

    def denied(path: Any, *args: Any, **more: Any) -> int:
        if closed in str(path):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **more)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(Broken, match="Permission denied; expected a regular file that this user may read"):
        box.read(closed)
    sent, told = carried(tmp_path, box)
    assert len(told) == 1 and "Permission denied" in told[0]
    assert fine.encode() in sent


def test_what_is_put_into_the_spool_is_readable_by_owner_and_group_at_most(tmp_path: Path) -> None:
    command = (
        "import os, sys; os.umask(0); from pathlib import Path; from wardgate.road.box import Box;"
        "from wardgate.records.parcel import Parcel; Box(Path(sys.argv[1])).put(Parcel(b'x'))"
    )
    subprocess.run([sys.executable, "-c", command, str(tmp_path / "answers")], check=True)
    (path,) = (tmp_path / "answers").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE((tmp_path / "answers").stat().st_mode) == 0o700


# What only signatures can tell: whole parcels with right names, in the wrong place.


def border(shared: Any, site: str, tmp_path: Path) -> Border:
    """The wire of one site, which saw its ward sign the study."""
    seen = Seen(tmp_path / f"seen-{site}")
    keys = shared.keys
    wire = Border(site=site, hub_key=shared.hub.public_key, ward_key=keys[site], seen=seen)
    decision = Decision(
        proposal_sha256="ab" * 32,
        study_sha256=shared.digest,
        site=site,
        outcome="signed",
        number=1,
        code="0000-0000-0000-0000-0000",
        at="2026-01-02T00:00:00Z",
    )
    wire.outwards(Parcel(seal_mail(decision, shared.wards[site].signer)))
    return wire


def newton(shared: Any) -> Parcel:
    """An honest question for a sum."""
    terms = shared.terms(shared.sites, 15)
    return shared.question([pack_vector("beta", np.zeros(4))], computation="newton", split="train", sum=terms)[1]


def test_an_honest_question_and_its_answer_pass_so_that_the_attacks_have_teeth(shared: Any, tmp_path: Path) -> None:
    wire, question = border(shared, "h0", tmp_path), newton(shared)
    wire.inwards(question)
    wire.outwards(shared.carry("h0", question))


def test_a_patients_file_wrapped_as_a_parcel_is_not_carried(shared: Any, tmp_path: Path) -> None:
    """Whole, rightly named, and signed by nobody; or signed by somebody, as a blob that the record does not name."""
    wire, question = border(shared, "h0", tmp_path), newton(shared)
    wire.inwards(question)
    honest = shared.carry("h0", question)
    for forged in (
        Parcel(PATIENT),
        Parcel(b"", (PATIENT,)),
        Parcel(honest.envelope, (PATIENT,)),
        Parcel(honest.envelope, (*honest.blobs, PATIENT)),
        Parcel(honest.envelope, honest.blobs[:-1]),
        Parcel(honest.envelope, tuple(b"" for _ in honest.blobs)),
    ):
        with pytest.raises(Broken):
            wire.outwards(forged)
    decision = Decision(
        proposal_sha256="ab" * 32,
        study_sha256=shared.digest,
        site="h0",
        outcome="refused",
        reason="no",
        number=2,
        code="",
        at="",
    )
    with pytest.raises(Broken, match="0 blobs, the parcel holds 1"):
        wire.outwards(Parcel(seal_mail(decision, shared.wards["h0"].signer), (PATIENT,)))


def test_a_question_laid_among_the_answers_and_an_answer_among_the_questions_go_nowhere(
    shared: Any, tmp_path: Path
) -> None:
    wire, question = border(shared, "h0", tmp_path), newton(shared)
    wire.inwards(question)
    answer = shared.carry("h0", question)
    with pytest.raises(Broken):
        wire.outwards(question)
    with pytest.raises(Broken):
        wire.inwards(answer)
    name = shared.wards["h0"].spool.put("questions", answer)
    with pytest.raises(Broken, match="not expected here"):
        shared.wards["h0"].answer(name)


def test_an_answer_to_a_question_that_never_came_in_is_not_carried(shared: Any, tmp_path: Path) -> None:
    """Somebody who writes a question into the spool by hand gets nothing out, even if it was signed by the hub."""
    wire, question = border(shared, "h0", tmp_path), newton(shared)
    answer = shared.carry("h0", question)
    with pytest.raises(Broken, match="did not come in here"):
        wire.outwards(answer)


def test_another_sites_answer_in_this_spool_is_not_carried(shared: Any, tmp_path: Path) -> None:
    wire, question = border(shared, "h0", tmp_path), newton(shared)
    wire.inwards(question)
    other = shared.carry("h1", question)
    with pytest.raises(Broken, match="not expected here"):
        wire.outwards(other)


def test_a_question_that_lost_or_changed_its_blobs_in_the_spool_touches_no_person(shared: Any) -> None:
    """The wire brought it whole; it was changed in the folder between wire and ward."""
    ledger = shared.wards["h2"]._bench.door.ledger
    before = ledger.exact_answers("train")
    for blobs in ((), (pack_vector("beta", np.ones(4))[1],), (b"short",)):
        question = newton(shared)
        name = shared.wards["h2"].spool.put("questions", Parcel(question.envelope, blobs))
        try:
            answer = shared.wards["h2"].spool.take("answers", shared.wards["h2"].answer(name))
        except Broken:
            continue
        said = open_answer(answer.envelope, site_key=shared.keys["h2"])
        assert said.outcome == "refused"
        assert answer.blobs == ()
    assert ledger.exact_answers("train") == before


def test_a_question_forged_in_the_spool_reaches_no_patient(shared: Any) -> None:
    """Whoever can write there holds neither the hub's key nor a ward's."""
    for signer in (Signer(bytes(32)), shared.wards["h1"].signer):
        _, forged = shared.question([pack_bytes("x", b"x")], computation="close", signer=signer)
        name = shared.wards["h0"].spool.put("questions", forged)
        with pytest.raises(Broken, match="not expected here"):
            shared.wards["h0"].answer(name)


# A porter at work beside all that.


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Three hospitals of one consortium."""
    return town(tmp_path_factory.mktemp("street"), SIX[:3], persons=60)


def questions(met: Town, site: str) -> Path:
    return met.hospitals[site].premises.spool / "questions"


@pytest.mark.parametrize("name", ["ab" * 32, "not-a-digest"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "loop", "hole", "bytes", "cut"])
def test_a_porter_deals_with_honest_mail_whatever_else_lies_in_its_box(street: Town, kind: str, name: str) -> None:
    hospital = street.hospitals["h0"]
    path = questions(street, "h0") / f"{name}.parcel"
    patients = hospital.data / "patients.csv"
    before = patients.read_bytes()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
        (path / "x").write_bytes(b"x")
    elif kind == "link":
        path.symlink_to(patients)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "hole":
        path.touch()
        os.truncate(path, 8 * 2**30)
    else:
        path.write_bytes(b"nothing" if kind == "bytes" else street.proposal().to_bytes()[:-7])
    try:
        found: list[list[Parcel]] = []
        in_time(lambda: found.append(hospital.say(street.proposal())))
        assert found == [[]]
        assert hospital.proposed.study.id == "attacked"
        assert patients.read_bytes() == before
        aside = hospital.premises.ward / "refused"
        kept = [one.read_bytes() for one in aside.glob("*")] if aside.is_dir() else []
        assert not any(before[:40] in one for one in kept), "a link was followed"
        assert sum(map(len, kept)) < 64 * 2**20
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def test_sixty_pieces_of_rubbish_are_worked_off_and_honest_mail_comes_through(street: Town) -> None:
    hospital = street.hospitals["h1"]
    for number in range(60):
        data = f"rubbish {number}".encode()
        (questions(street, "h1") / f"{sha256(data)}.parcel").write_bytes(data)
    found: list[list[Parcel]] = []
    in_time(lambda: found.append(hospital.say(street.proposal())))
    assert found == [[]]
    assert hospital.proposed.study.id == "attacked"
    assert list(questions(street, "h1").iterdir()) == []
    assert len(list((hospital.premises.ward / "refused").iterdir())) <= 50
