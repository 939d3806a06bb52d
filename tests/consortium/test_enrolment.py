"""A hospital takes a response only of the hub that its people called, for its own request and key, in its time."""

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from made_consortium import NOW, Founded, cached_key, founded

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.consortium import (
    hub_admit,
    hub_code,
    hub_renew,
    site_ask_again,
    site_code,
    site_enrol,
    site_init,
)
from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.identity import read_identity
from wardgate.hub.consortium.certificates import Authority, make_root, pem_of
from wardgate.hub.consortium.founding import read_authority, read_hub_key
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import open_response, peek_key, seal_response
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported, WardgateError
from wardgate.records.site_file import parse as parse_site


def response_of(made: Founded, site: str) -> bytes:
    return made.sites[site].response.read_bytes()


def forged(made: Founded, **changed: Any) -> bytes:
    """A response that the hub itself signs, with something changed."""
    envelope = response_of(made, "uk")
    response = open_response(envelope, claimed=peek_key(envelope, field="hub_key"))
    return seal_response(response.model_copy(update=changed), read_hub_key(made.home).signer)


def newcomer(made: Founded, **changed: Any) -> Premises:
    """A hospital that was admitted and has not enrolled."""
    premises = Premises(made.home.root.parent / "fr")
    source = made.home.root.parent / "data" / "uk"
    site_init(premises, site="fr", source=source, entropy=UnsafeEntropy("fr"), tls_key=made.keys, **changed)
    return premises


def certificate(made: Founded, site: str, key: int, *, now: datetime = NOW) -> str:
    return pem_of(read_authority(made.home).for_site(site, cached_key(key).public_key(), now=now)).decode()


def test_a_hospitals_folder_is_divided_and_its_secrets_are_its_owners(standing: Founded) -> None:
    uk = standing.sites["uk"]
    assert {path.name for path in uk.root.iterdir()} == {
        "site.yaml",
        "site.request",
        "hub.response",
        "ward",
        "wire",
        "spool",
    }
    assert {path.name for path in uk.spool.iterdir()} == {"questions", "answers", "partial"}
    for folder in (uk.root, uk.ward, uk.wire, uk.memory, uk.studies):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for secret in (uk.ward_key, uk.salt, uk.tls_key):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(uk.salt.read_bytes()) == 32
    told = parse_site(uk.site_file.read_text(), name="site.yaml")
    assert (told.site, told.questions, told.policy) == ("uk", "study", None)
    assert Path(told.source).is_absolute()


def test_two_hospitals_share_no_secret(standing: Founded) -> None:
    seeds = {one.salt.read_bytes() for one in standing.sites.values()}
    assert len(seeds) == len({site_code(one) for one in standing.sites.values()}) == 3


def test_an_enrolled_hospital_knows_its_hub(standing: Founded) -> None:
    identity = read_identity(standing.sites["uk"], site="uk", now=NOW)
    assert (identity.response.host, identity.response.port, identity.response.identity) == ("127.0.0.1", 8443, "hub")
    assert identity.not_after == NOW + timedelta(days=730)
    assert identity.key == standing.sites["uk"].tls_key


def test_a_hospital_that_is_not_enrolled_is_told_so(fresh: Founded) -> None:
    with pytest.raises(Invalid, match="not enrolled"):
        read_identity(newcomer(fresh), site="fr", now=NOW)


def test_enrolling_twice_changes_nothing(fresh: Founded) -> None:
    uk = fresh.sites["uk"]
    before = {path: path.read_bytes() for path in uk.root.rglob("*") if path.is_file()}
    site_enrol(uk, response_of(fresh, "uk"), hub_code=fresh.code, now=NOW)
    assert {path: path.read_bytes() for path in uk.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("code", ["", "0000-0000-0000-0000-0000", "the right one, surely"])
def test_a_hub_whose_code_was_not_heard_is_refused(fresh: Founded, code: str) -> None:
    fr = newcomer(fresh)
    response = hub_admit(fresh.home, (fr.root / "site.request").read_bytes(), now=NOW).response
    with pytest.raises(Refused, match="do not enrol"):
        site_enrol(fr, response, hub_code=code, now=NOW)
    assert not fr.response.exists()
    site_enrol(fr, response, hub_code=f" {fresh.code.upper()} ", now=NOW)


def test_somebody_between_who_answers_with_a_hub_of_his_own_is_found_by_the_code(
    fresh: Founded, tmp_path: Path
) -> None:
    """The broken twin: whoever types the code that stands in the very file lets him in."""
    (tmp_path / "between").mkdir()
    between = founded(tmp_path / "between", sites=(), seed="between", now=NOW)
    fr = newcomer(fresh)
    response = hub_admit(between.home, (fr.root / "site.request").read_bytes(), now=NOW).response
    with pytest.raises(Refused, match="do not enrol"):
        site_enrol(fr, response, hub_code=hub_code(fresh.home), now=NOW)
    site_enrol(fr, response, hub_code=hub_code(between.home), now=NOW)


def test_a_hospital_stays_with_the_hub_it_joined(fresh: Founded, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = founded(tmp_path / "other", sites=(), consortium="other", now=NOW)
    uk = fresh.sites["uk"]
    before = uk.response.read_bytes()
    response = hub_admit(other.home, (uk.root / "site.request").read_bytes(), now=NOW).response
    with pytest.raises(Refused, match="joined consortium 'testing'"):
        site_enrol(uk, response, hub_code=other.code, now=NOW)
    assert uk.response.read_bytes() == before


def wrong_root(made: Founded) -> dict[str, str]:
    other = Authority(make_root("testing", cached_key(60), now=NOW), cached_key(60))
    site_key = read_site_key(made)
    return {"certificate": pem_of(other.for_site("uk", site_key, now=NOW)).decode()}


def read_site_key(made: Founded) -> Any:
    envelope = response_of(made, "uk")
    pem = open_response(envelope, claimed=peek_key(envelope, field="hub_key")).certificate
    return x509.load_pem_x509_certificate(pem.encode()).public_key()


def signed(made: Founded, site: str, now: datetime) -> dict[str, str]:
    return {"certificate": pem_of(read_authority(made.home).for_site(site, read_site_key(made), now=now)).decode()}


BAD: dict[str, tuple[Callable[[Founded], bytes], type[WardgateError], str]] = {
    "for another hospital's request": (lambda made: response_of(made, "it"), Broken, "answers another request"),
    "for another name": (lambda made: forged(made, site="it"), Broken, "is for site 'it'"),
    "a certificate for another key": (
        lambda made: forged(made, certificate=certificate(made, "uk", 61)),
        Broken,
        "another key than this hospital's",
    ),
    "a certificate that names another site": (
        lambda made: forged(made, **signed(made, "it", NOW)),
        Broken,
        "does not name site 'uk'",
    ),
    "a certificate of another authority": (
        lambda made: forged(made, **wrong_root(made)),
        Broken,
        "signed by the consortium's authority",
    ),
    "an expired certificate": (
        lambda made: forged(made, **signed(made, "uk", NOW - timedelta(days=731))),
        Refused,
        "expired on 2026-11-21",
    ),
    "a certificate of next week": (
        lambda made: forged(made, **signed(made, "uk", NOW + timedelta(days=7))),
        Refused,
        "set this machine's clock",
    ),
    "no certificate": (lambda made: forged(made, certificate="none"), Broken, "no readable certificates"),
    "half a certificate": (
        lambda made: forged(made, certificate=certificate(made, "uk", 61)[:400]),
        Broken,
        "no readable certificates",
    ),
    "two certificates": (
        lambda made: forged(made, certificate=certificate(made, "uk", 61) * 2),
        Broken,
        "no readable certificates",
    ),
    "a newer protocol": (lambda made: forged(made, protocol=7), Unsupported, "this machine has to upgrade"),
    "signed by a stranger": (
        lambda made: seal_response(
            open_response(response_of(made, "uk"), claimed=read_hub_key(made.home).signer.public_key),
            Signer(b"x" * 32),
        ),
        Broken,
        "signed by a key that is not expected",
    ),
    "a request": (lambda made: (made.sites["uk"].root / "site.request").read_bytes(), Broken, "names no key"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_response_that_does_not_hold_changes_nothing(fresh: Founded, kind: str) -> None:
    make, error, words = BAD[kind]
    uk = fresh.sites["uk"]
    envelope = make(fresh)
    before = {path: path.read_bytes() for path in uk.root.rglob("*") if path.is_file()}
    with pytest.raises(error, match=words) as caught:
        site_enrol(uk, envelope, hub_code=fresh.code, now=NOW)
    assert str(caught.value).isprintable()
    assert {path: path.read_bytes() for path in uk.root.rglob("*") if path.is_file()} == before


def test_another_root_under_the_same_hub_is_refused_by_who_joined_and_by_who_joins(fresh: Founded) -> None:
    other = Authority(make_root("testing", cached_key(60), now=NOW), cached_key(60))
    changed = {"root": pem_of(other.certificate).decode()}
    with pytest.raises(Refused, match="other keys of its hub"):
        site_enrol(fresh.sites["uk"], forged(fresh, **changed), hub_code=fresh.code, now=NOW)
    envelope = forged(fresh, **changed)
    fresh.sites["uk"].response.unlink()
    with pytest.raises(Broken, match="signed by the consortium's authority"):
        site_enrol(fresh.sites["uk"], envelope, hub_code=fresh.code, now=NOW)


def test_a_leaf_cannot_stand_in_for_the_authority(fresh: Founded) -> None:
    """A member signs a certificate with its own and calls that the root."""
    leaf = make_leaf_authority(fresh)
    envelope = forged(fresh, **leaf)
    fresh.sites["uk"].response.unlink()
    with pytest.raises(Broken, match="signed by the consortium's authority"):
        site_enrol(fresh.sites["uk"], envelope, hub_code=fresh.code, now=NOW)


def make_leaf_authority(made: Founded) -> dict[str, str]:
    root = read_authority(made.home)
    leaf = root.for_site("it", cached_key(62).public_key(), now=NOW)
    below = Authority(leaf, cached_key(62)).for_site("uk", read_site_key(made), now=NOW)
    return {"root": pem_of(leaf).decode(), "certificate": pem_of(below).decode()}


def test_no_byte_of_a_response_can_be_altered(fresh: Founded) -> None:
    uk, envelope = fresh.sites["uk"], response_of(fresh, "uk")
    positions = [*range(60), *range(60, len(envelope) - 200, 11), *range(len(envelope) - 200, len(envelope))]
    for position in positions:
        altered = bytearray(envelope)
        altered[position] ^= 1
        with pytest.raises((Broken, Unsupported)):
            site_enrol(uk, bytes(altered), hub_code=fresh.code, now=NOW)
    assert uk.response.read_bytes() == envelope


def test_a_clock_wrong_by_a_day_enrols_and_one_wrong_by_years_is_told(fresh: Founded) -> None:
    fr = newcomer(fresh)
    response = hub_admit(fresh.home, (fr.root / "site.request").read_bytes(), now=NOW).response
    with pytest.raises(Refused, match="set this machine's clock, or the hub's"):
        site_enrol(fr, response, hub_code=fresh.code, now=datetime(2000, 1, 1, tzinfo=UTC))
    site_enrol(fr, response, hub_code=fresh.code, now=NOW - timedelta(days=1))
    with pytest.raises(Refused, match="ask the hub to renew it"):
        read_identity(fr, site="fr", now=NOW + timedelta(days=731))


def test_the_wire_goes_on_with_its_old_key_until_the_new_certificate_is_there(fresh: Founded) -> None:
    uk = fresh.sites["uk"]
    old = uk.tls_key.read_bytes()
    asking = site_ask_again(uk, tls_key=fresh.keys)
    assert asking.code == site_code(uk)
    assert uk.tls_key.read_bytes() == old
    read_identity(uk, site="uk", now=NOW)
    admitted = hub_admit(fresh.home, asking.request.read_bytes(), now=NOW)
    site_enrol(uk, admitted.response, hub_code=fresh.code, now=NOW)
    assert uk.tls_key.read_bytes() != old
    assert stat.S_IMODE(uk.tls_key.stat().st_mode) == 0o600
    assert sorted(path.name for path in uk.wire.iterdir()) == ["tls.key"]
    assert not (uk.root / "site.request.next").exists()
    assert sha256((uk.root / "site.request").read_bytes()) == admitted.member.request_sha256
    read_identity(uk, site="uk", now=NOW)


def test_a_renewed_certificate_is_enrolled_under_the_same_key(fresh: Founded) -> None:
    uk = fresh.sites["uk"]
    key, later = uk.tls_key.read_bytes(), NOW + timedelta(days=700)
    identity = site_enrol(uk, hub_renew(fresh.home, "uk", now=later).response, hub_code=fresh.code, now=later)
    assert identity.not_after == later + timedelta(days=730)
    assert uk.tls_key.read_bytes() == key


def test_a_key_that_was_exchanged_or_damaged_is_found(fresh: Founded) -> None:
    uk, it = fresh.sites["uk"], fresh.sites["it"]
    uk.tls_key.write_bytes(it.tls_key.read_bytes())
    with pytest.raises(Broken, match="not the one in its certificate"):
        read_identity(uk, site="uk", now=NOW)
    uk.tls_key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Broken, match="is damaged"):
        read_identity(uk, site="uk", now=NOW)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"site": "plus+sign"}, "cannot be used"),
        ({"site": "../fr"}, "cannot be used"),
        ({"site": "Server"}, "means something else"),
        ({"contact": "two\nlines"}, "one line"),
        ({"source": Path("/nowhere/at/all")}, "no folder of data"),
        ({"policy": Path("/nowhere/policy.yaml")}, "cannot be read"),
    ],
)
def test_a_hospital_that_cannot_be_made_leaves_nothing(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    said = {"site": "fr", "source": tmp_path} | changed
    with pytest.raises(Invalid, match=words):
        site_init(Premises(tmp_path / "fr"), entropy=UnsafeEntropy("fr"), **said)
    assert list(tmp_path.iterdir()) == []


def test_a_policy_with_a_mistake_is_found_before_anything_is_made(tmp_path: Path) -> None:
    policy = tmp_path / "privacy-gate.yaml"
    policy.write_text("schema: wardgate/privacy-gate/1\nno_such_rule: 1\n")
    with pytest.raises(Invalid, match=r"privacy-gate\.yaml:2"):
        site_init(Premises(tmp_path / "fr"), site="fr", source=tmp_path, policy=policy, entropy=UnsafeEntropy("fr"))
    assert [path.name for path in tmp_path.iterdir()] == ["privacy-gate.yaml"]


def test_a_hospitals_folder_is_made_once(fresh: Founded) -> None:
    key = fresh.sites["uk"].ward_key.read_bytes()
    with pytest.raises(Invalid, match="exists already"):
        site_init(fresh.sites["uk"], site="uk", source=fresh.home.root, entropy=UnsafeEntropy("again"))
    assert fresh.sites["uk"].ward_key.read_bytes() == key


def test_a_name_that_yaml_would_take_for_something_else_is_kept(tmp_path: Path) -> None:
    for site in ("no", "007", "1e3"):
        site_init(
            Premises(tmp_path / site),
            site=site,
            source=tmp_path,
            entropy=UnsafeEntropy(site),
            tls_key=lambda: cached_key(1),
        )
        told = parse_site(Premises(tmp_path / site).site_file.read_text(), name="site.yaml")
        assert told.site == site
