"""Mail between real processes over mutual TLS: both ways, late comers, those who are refused, and everybody killed."""

import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from made_consortium import Founded, founded
from made_mail import answer, decision, hub_signer, question, ward_signer
from running import Running

from wardgate.federation.consortium import hub_revoke
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.wire.known import read_known
from wardgate.hub.app import serve
from wardgate.hub.consortium.certificates import Authority, key_pem, make_root, pem_of
from wardgate.hub.consortium.founding import read_authority
from wardgate.hub.engine.lanes import LaneState, read_lanes
from wardgate.records.enrolment_file import seal_response
from wardgate.records.errors import Invalid
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box

pytestmark = pytest.mark.slow

Served = tuple[Founded, Running]


def lane(made: Founded, site: str) -> LaneState | None:
    found = read_lanes(made.home)
    return next((one for one in found.lanes if one.site == site), None) if found else None


def signs(made: Founded, run: Running, site: str) -> None:
    """The site's ward says that it signed the study, and the hub hears of it."""
    premises = made.sites[site]
    name = FolderSpool(premises.spool).put("answers", decision(ward_signer(premises), site))
    arrives(run, Box(made.home.inbox(site)), name)


def arrives(run: Running, box: Box, name: str, *, seconds: float = 120.0) -> Parcel:
    """Wait for a parcel, and return it with its box emptied of it."""
    run.until(lambda: name in box.names(), seconds=seconds, what=f"parcel {name[:8]} arrives")
    found = box.read(name)
    box.remove(name)
    return found


def there_and_back(made: Founded, run: Running, site: str, number: int, *, blob: bytes = b"") -> None:
    """A question goes in, an answer comes out; both with the same blob."""
    asked = question(hub_signer(made.home), number, blob=blob)
    out, spool = Box(made.home.out(site)), FolderSpool(made.sites[site].spool)
    name = out.put(asked)
    assert arrives(run, spool.box("questions"), name) == asked
    given = answer(ward_signer(made.sites[site]), site, asked, blob=blob)
    back = spool.put("answers", given)
    assert arrives(run, Box(made.home.inbox(site)), back) == given
    run.until(lambda: not out.names(), seconds=30, what="the sender lets its parcel go")
    run.until(lambda: not spool.box("answers").names(), seconds=30, what="the wire lets its parcel go")


def test_parcels_travel_both_ways_small_and_large(served: Served) -> None:
    made, run = served
    for site in ("uk", "it"):
        signs(made, run, site)
        there_and_back(made, run, site, 1)
    there_and_back(made, run, "uk", 2, blob=os.urandom(10_000_000))
    counted = lane(made, "uk")
    assert counted is not None
    run.until(lambda: (lane(made, "uk") or counted).parcels_out >= 2, seconds=5, what="the hub counts")
    now = lane(made, "uk")
    assert now is not None
    assert now.clock_difference is not None
    assert abs(now.clock_difference) <= 2
    assert now.bytes_out > 10_000_000


def test_what_a_hospital_has_not_signed_does_not_enter_its_spool(served: Served) -> None:
    made, run = served
    out = Box(made.home.out("it"))
    name = out.put(question(hub_signer(made.home), 7, study="f" * 64))
    run.until(lambda: name not in out.names(), seconds=30, what="the hub puts it aside")
    assert FolderSpool(made.sites["it"].spool).box("questions").names() == []
    assert (made.home.road / "it" / "aside" / f"{name}.aside").is_file()


def test_a_ward_that_speaks_for_another_hospital_is_stopped_at_its_own_wire(served: Served) -> None:
    made, run = served
    spool = FolderSpool(made.sites["uk"].spool)
    forged = decision(ward_signer(made.sites["uk"]), "it", outcome="left", number=9)
    name = spool.put("answers", forged)
    run.until(lambda: name not in spool.box("answers").names(), seconds=30, what="the wire puts it aside")
    assert (made.sites["uk"].spool / "aside" / f"{name}.aside").is_file()
    assert Box(made.home.inbox("uk")).names() == Box(made.home.inbox("it")).names() == []


def test_a_site_that_comes_late_is_taken_into_a_new_carriage_and_the_others_lose_nothing(served: Served) -> None:
    made, run = served
    name = FolderSpool(made.sites["ch"].spool).put("answers", decision(ward_signer(made.sites["ch"]), "ch"))
    run.start_wire("ch")
    arrives(run, Box(made.home.inbox("ch")), name)
    there_and_back(made, run, "uk", 11)
    there_and_back(made, run, "ch", 12)


def never_joins(run: Running, made: Founded, premises: Premises, site: str) -> str:
    """Start a wire that must not come in, and return what it and the server logged of it."""
    before = (made.home.engine / "server" / "log.txt").read_text()
    stranger = Running(home=made.home, sites={site: premises}, log=run.log)
    try:
        stranger.start_wire(site)
        log = premises.engine / "log.txt"
        run.until(lambda: log.is_file() and "ObjectStreamer.Abort" in log.read_text(), seconds=90, what="it knocks")
        with pytest.raises(AssertionError):
            run.until(lambda: f"New client {site}@" in _since(made, before), seconds=15, what="it is let in")
    finally:
        stranger.kill(site)
    return _since(made, before)


def _since(made: Founded, before: str) -> str:
    return (made.home.engine / "server" / "log.txt").read_text()[len(before) :]


def copied(made: Founded, folder: Path, *, authority: Authority, key: RSAPrivateKey, now: datetime) -> Premises:
    """The hospital `it` once more, with a certificate of its own from some authority, of some day."""
    premises = Premises(folder / "it")
    shutil.copytree(made.sites["it"].root, premises.root, ignore=shutil.ignore_patterns("engine", "tmp", "spool"))
    premises.spool.mkdir()
    certificate = pem_of(authority.for_site("it", key.public_key(), now=now)).decode()
    response = read_known(premises).response.model_copy(update={"certificate": certificate})
    premises.response.write_bytes(seal_response(response, hub_signer(made.home)))
    premises.tls_key.write_bytes(key_pem(key))
    return premises


def test_a_certificate_of_another_authority_does_not_come_in(served: Served, tmp_path: Path) -> None:
    made, run = served
    now = datetime.now(UTC)
    own, root = (generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    rogue = Authority(make_root("testing", root, now=now), root)
    said = never_joins(run, made, copied(made, tmp_path, authority=rogue, key=own, now=now), "it")
    assert "SSL it" not in said


def test_an_expired_certificate_does_not_come_in(served: Served, tmp_path: Path) -> None:
    made, run = served
    own, long_ago = generate_private_key(public_exponent=65537, key_size=2048), datetime.now(UTC) - timedelta(days=800)
    expired = copied(made, tmp_path, authority=read_authority(made.home), key=own, now=long_ago)
    said = never_joins(run, made, expired, "it")
    assert "SSL it" not in said


def test_a_certificate_that_this_hub_did_not_issue_does_not_come_in_even_under_its_own_authority(
    served: Served, tmp_path: Path
) -> None:
    made, run = served
    port = int(next(line for line in made.home.hub_file.read_text().splitlines() if line.startswith("port")).split()[1])
    twin = founded(tmp_path, sites=("it",), port=port)
    assert "was not issued to it by this hub" in never_joins(run, made, twin.sites["it"], "it")


def test_a_revoked_site_is_put_out_while_it_is_connected_and_does_not_come_back(served: Served) -> None:
    made, run = served
    run.until_connected("ch")
    hub_revoke(made.home, "ch", reason="left the consortium", now=datetime.now(UTC))
    run.until(
        lambda: (one := lane(made, "ch")) is not None and one.state == "refused", seconds=60, what="the lane refuses"
    )
    said = lane(made, "ch")
    assert said is not None
    assert "left the consortium" in said.words
    name = FolderSpool(made.sites["ch"].spool).put("answers", decision(ward_signer(made.sites["ch"]), "ch", number=2))
    run.kill("ch")
    run.start_wire("ch")
    run.until(
        lambda: "Reject disabled client registration: ch" in (made.home.engine / "server" / "log.txt").read_text(),
        seconds=120,
        what="the engine refuses the name",
    )
    run.kill("ch")
    assert Box(made.home.inbox("ch")).names() == []
    assert name in FolderSpool(made.sites["ch"].spool).box("answers").names()


def test_a_site_whose_processes_are_killed_comes_back_by_itself_with_its_mail(served: Served) -> None:
    made, run = served
    asked = question(hub_signer(made.home), 21)
    for pid in run.engine_of("uk", job=True):
        os.kill(pid, signal.SIGKILL)
    name = Box(made.home.out("uk")).put(asked)
    arrives(run, FolderSpool(made.sites["uk"].spool).box("questions"), name)
    run.kill("uk")
    back = FolderSpool(made.sites["uk"].spool).put("answers", answer(ward_signer(made.sites["uk"]), "uk", asked))
    run.start_wire("uk")
    arrives(run, Box(made.home.inbox("uk")), back)


def test_a_hub_that_is_killed_goes_on_with_its_mail_and_the_sites_find_it_again(served: Served) -> None:
    made, run = served
    run.kill("hub")
    asked = question(hub_signer(made.home), 31)
    name = Box(made.home.out("it")).put(asked)
    run.start_hub()
    arrives(run, FolderSpool(made.sites["it"].spool).box("questions"), name)
    there_and_back(made, run, "uk", 32)
    assert len(run.engine_of("hub", job=False)) == 1


def test_a_second_process_for_the_same_hub_says_so_and_leaves_the_first_alone(served: Served) -> None:
    made, run = served
    with pytest.raises(Invalid, match="already served"):
        serve(made.home, stop=lambda: True)
    assert len(run.engine_of("hub", job=False)) == 1


def test_an_engine_that_a_killed_hub_left_behind_is_ended_by_the_next(served: Served) -> None:
    made, run = served
    before = run.engine_of("hub", job=False)
    run.processes.pop("hub").kill()
    assert run.engine_of("hub", job=False) == before
    run.start_hub()
    run.until(lambda: run.engine_of("hub", job=False) not in ([], before), seconds=60, what="a new server")
    there_and_back(made, run, "uk", 41)
