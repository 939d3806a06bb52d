"""Ward and wire as two users of one machine: each sees its own part and the spool, and nothing of the other."""

import grp
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_consortium import NOW, Founded, Keys

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.consortium import Users, hub_admit, site_ask_again, site_enrol, site_init
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.records.errors import Invalid
from wardgate.records.parcel import Parcel

WARD, WIRE, SHARED = 64101, 64102, 64103
USERS = Users(ward="wardgate-ward", wire="wardgate-wire", group="wardgate-spool")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can lend files to two users")


@pytest.fixture
def made_users(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Two users and a group that this machine need not have: to the kernel they are numbers."""

    def make(*, members: tuple[str, ...] = (USERS.ward, USERS.wire), wire: int = WIRE) -> None:
        known = {
            USERS.ward: SimpleNamespace(pw_name=USERS.ward, pw_uid=WARD, pw_gid=WARD),
            USERS.wire: SimpleNamespace(pw_name=USERS.wire, pw_uid=wire, pw_gid=wire),
            "root": SimpleNamespace(pw_name="root", pw_uid=0, pw_gid=0),
        }
        group = SimpleNamespace(gr_gid=SHARED, gr_mem=list(members))
        monkeypatch.setattr(pwd, "getpwnam", known.__getitem__)
        monkeypatch.setattr(grp, "getgrnam", {USERS.group: group}.__getitem__)

    return make


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; those of the tests are root's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_user(user: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child of that user; return whether it went well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([SHARED])
            os.setgid(user)
            os.setuid(user)
            os.umask(0o007)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def make(folder: Path) -> Premises:
    uk = Premises(folder / "fr")
    site_init(uk, site="fr", source=folder, entropy=UnsafeEntropy("fr"), users=USERS, tls_key=Keys(made=30))
    return uk


@needs_root
def test_each_user_opens_its_own_part_alone(open_folder: Path, made_users: Callable[..., None]) -> None:
    made_users()
    uk = make(open_folder)
    for user, own, other in ((WARD, uk.ward_key, uk.tls_key), (WIRE, uk.tls_key, uk.ward_key)):
        assert as_user(user, own.read_bytes)
        assert not as_user(user, other.read_bytes)
        assert not as_user(user, lambda other=other: list(other.parent.iterdir()))  # type: ignore[misc]
        assert as_user(user, uk.site_file.read_text)
        assert not as_user(user, lambda: uk.site_file.write_text("x"))
        assert not as_user(user, lambda: (uk.root / "hub.response").write_bytes(b"x"))
    assert not as_user(WIRE, uk.salt.read_bytes)


@needs_root
def test_parcels_pass_between_two_users_in_both_directions(open_folder: Path, made_users: Callable[..., None]) -> None:
    made_users()
    uk = make(open_folder)
    parcel = Parcel(envelope=b"{}", blobs=(b"abc",))
    for box, writer, reader in (("questions", WIRE, WARD), ("answers", WARD, WIRE)):
        assert as_user(writer, lambda box=box: FolderSpool(uk.spool).put(box, parcel))  # type: ignore[misc]
        (name,) = FolderSpool(uk.spool).box(box).names()  # type: ignore[arg-type]
        assert as_user(reader, lambda box=box, name=name: FolderSpool(uk.spool).take(box, name))  # type: ignore[misc]
        assert FolderSpool(uk.spool).box(box).names() == []  # type: ignore[arg-type]
    assert {stat.S_IMODE(path.stat().st_mode) for path in uk.spool.iterdir()} == {0o2770}
    assert {path.stat().st_gid for path in (uk.spool, *uk.spool.iterdir())} == {SHARED}


@needs_root
def test_what_root_writes_later_belongs_to_whom_it_is_for(
    open_folder: Path, made_users: Callable[..., None], fresh: Founded
) -> None:
    made_users()
    uk = make(open_folder)
    response = hub_admit(fresh.home, (uk.root / "site.request").read_bytes(), now=NOW).response
    site_enrol(uk, response, hub_code=fresh.code, now=NOW)
    asking = site_ask_again(uk, tls_key=Keys(made=40))
    assert uk.wire.joinpath("tls.key.next").stat().st_uid == WIRE
    site_enrol(uk, hub_admit(fresh.home, asking.request.read_bytes(), now=NOW).response, hub_code=fresh.code, now=NOW)
    assert (uk.tls_key.stat().st_uid, stat.S_IMODE(uk.tls_key.stat().st_mode)) == (WIRE, 0o600)
    for user in (WARD, WIRE):
        assert as_user(user, uk.response.read_bytes)
        assert not as_user(user, uk.response.unlink)


@needs_root
@pytest.mark.parametrize(
    ("changed", "users", "words"),
    [
        ({"members": (USERS.ward,)}, USERS, "usermod --append"),
        ({"wire": WARD}, USERS, "two users"),
        ({}, Users(ward="root", wire=USERS.wire, group=USERS.group), "neither of them root"),
        ({}, Users(ward="nobody-here", wire=USERS.wire, group=USERS.group), "no such user or group"),
        ({}, Users(ward=USERS.ward, wire=USERS.wire, group="no-group"), "no such user or group"),
    ],
)
def test_users_between_whom_nothing_lies_are_refused(
    tmp_path: Path, made_users: Callable[..., None], changed: dict, users: Users, words: str
) -> None:
    made_users(**changed)
    with pytest.raises(Invalid, match=words):
        site_init(Premises(tmp_path / "fr"), site="fr", source=tmp_path, entropy=UnsafeEntropy("fr"), users=users)
    assert list(tmp_path.iterdir()) == []


def test_only_root_divides_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Invalid, match="only root"):
        site_init(Premises(tmp_path / "fr"), site="fr", source=tmp_path, entropy=UnsafeEntropy("fr"), users=USERS)
    assert list(tmp_path.iterdir()) == []
