"""A process that is killed at any write leaves nothing or all of it, and the same command then finishes the work."""

import errno
import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from made_consortium import NOW, Founded, Keys, cached_key

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.consortium import (
    hub_admit,
    hub_init,
    hub_members,
    hub_revoke,
    site_ask_again,
    site_enrol,
    site_init,
)
from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.identity import read_identity
from wardgate.hub.home import Home
from wardgate.road import whole

KILLED = 77


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that dies at its `number`-th wait for the disk; return whether it died there."""
    child = os.fork()
    if child == 0:
        waits = 0

        def fsync(handle: int) -> None:
            nonlocal waits
            waits += 1
            if waits == number:
                os._exit(KILLED)

        os.fsync = fsync  # type: ignore[assignment]
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), code
    return code == KILLED


def every_death(work: Callable[[], object], check: Callable[[int], None], *, reset: Callable[[], None]) -> int:
    """Kill `work` at each of its waits in turn; `check` looks at what is left, `reset` begins anew."""
    number = 1
    while True:
        reset()
        died = killed_at(number, work)
        check(number)
        if not died:
            return number - 1
        number += 1


def test_a_hub_that_dies_while_it_is_founded_is_absent_or_whole(tmp_path: Path) -> None:
    for number in (1, 2):
        cached_key(number)
    cached_key(3)
    home = Home(tmp_path / "hub")

    def work() -> None:
        hub_init(
            home,
            consortium="testing",
            host="localhost",
            port=8443,
            now=NOW,
            entropy=UnsafeEntropy("hub"),
            tls_key=Keys(),
        )

    def check(number: int) -> None:
        if home.root.exists():
            assert len([path for path in home.root.rglob("*") if path.is_file()]) == 8
            assert not hub_members(home, now=NOW).members

    deaths = every_death(work, check, reset=lambda: _clear(home.root))
    assert deaths >= 15
    _clear(home.root)
    assert killed_at(5, work)
    assert not home.root.exists()
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o700]
    work()
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_hospital_that_dies_while_it_is_made_is_absent_or_whole(tmp_path: Path) -> None:
    cached_key(1)
    uk = Premises(tmp_path / "uk")

    def work() -> None:
        site_init(uk, site="uk", source=tmp_path, entropy=UnsafeEntropy("uk"), tls_key=Keys())

    def check(number: int) -> None:
        if uk.root.exists():
            assert len([path for path in uk.root.rglob("*") if path.is_file()]) == 5

    assert every_death(work, check, reset=lambda: _clear(uk.root)) >= 10


@pytest.mark.slow
def test_an_admission_that_dies_has_happened_or_not_and_is_finished_by_asking_again(
    fresh: Founded, tmp_path: Path
) -> None:
    fr = Premises(tmp_path / "fr")
    site_init(fr, site="fr", source=tmp_path, entropy=UnsafeEntropy("fr"), tls_key=fresh.keys)
    request = (fr.root / "site.request").read_bytes()

    def check(number: int) -> None:
        known = {member.site: member for member in hub_members(fresh.home, now=NOW).members}
        before = known.get("fr")
        admitted = hub_admit(fresh.home, request, now=NOW + timedelta(days=1))
        if before is not None:
            assert admitted.member == before

    def reset() -> None:
        (fresh.home.members / "fr.json").unlink(missing_ok=True)

    assert every_death(lambda: hub_admit(fresh.home, request, now=NOW), check, reset=reset) == 4


def test_a_revocation_that_dies_is_finished_by_asking_again(fresh: Founded) -> None:
    held = (fresh.home.members / "uk.json").read_bytes()
    listed = fresh.home.engine / "revoked.json"

    def work() -> None:
        hub_revoke(fresh.home, "uk", reason="left", now=NOW)

    def check(number: int) -> None:
        work()
        assert '"sites":["uk"]' in listed.read_text()

    assert every_death(work, check, reset=lambda: (fresh.home.members / "uk.json").write_bytes(held)) == 4


@pytest.mark.slow
def test_an_enrolment_with_a_new_key_that_dies_is_finished_by_enrolling_again(fresh: Founded) -> None:
    uk = fresh.sites["uk"]
    asking = site_ask_again(uk, tls_key=fresh.keys)
    response = hub_admit(fresh.home, asking.request.read_bytes(), now=NOW).response
    held = {path: path.read_bytes() for path in uk.root.rglob("*") if path.is_file()}

    def reset() -> None:
        for path, data in held.items():
            path.write_bytes(data)

    def check(number: int) -> None:
        site_enrol(uk, response, hub_code=fresh.code, now=NOW)
        read_identity(uk, site="uk", now=NOW)
        assert not (uk.root / "site.request.next").exists()

    assert every_death(lambda: site_enrol(uk, response, hub_code=fresh.code, now=NOW), check, reset=reset) == 2


def test_a_full_disk_leaves_nothing_of_a_hub_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def full(path: Path, data: bytes, *, mode: int) -> None:
        nonlocal written
        written += 1
        if written == 6:
            raise OSError(errno.ENOSPC, "no space")
        path.write_bytes(data)

    monkeypatch.setattr("wardgate.hub.consortium.founding.write_new", full)
    with pytest.raises(OSError, match="no space"):
        hub_init(
            Home(tmp_path / "hub"),
            consortium="testing",
            host="localhost",
            port=8443,
            now=NOW,
            entropy=UnsafeEntropy("hub"),
            tls_key=Keys(),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_file_before(fresh: Founded, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in fresh.home.members.iterdir()}

    def full(path: Path, data: bytes, *, mode: int) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(whole, "write_new", full)
    with pytest.raises(OSError, match="no space"):
        hub_revoke(fresh.home, "uk", reason="left", now=NOW)
    assert {path: path.read_bytes() for path in fresh.home.members.iterdir()} == before


def test_two_admissions_of_one_name_at_once_are_one_after_the_other(fresh: Founded, tmp_path: Path) -> None:
    """Two requests under one name from two hospitals: one is a member, the other is refused."""
    requests = []
    for number in range(2):
        folder = Premises(tmp_path / f"fr{number}")
        site_init(folder, site="fr", source=tmp_path, entropy=UnsafeEntropy(str(number)), tls_key=fresh.keys)
        requests.append((folder.root / "site.request").read_bytes())
    children = []
    for request in requests:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                hub_admit(fresh.home, request, now=NOW)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    ends = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert ends == [0, 1]
    (member,) = [one for one in hub_members(fresh.home, now=NOW).members if one.site == "fr"]
    assert len(member.certificates) == 1


def _clear(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
