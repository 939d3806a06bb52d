"""Who is admitted, under which name, for how long; and every wish that is refused."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from made_consortium import NOW, Founded, cached_key, founded, private_bytes

from wardgate import __version__
from wardgate.federation.consortium import hub_admit, hub_members, hub_renew, hub_response, hub_revoke, site_ask_again
from wardgate.hub.consortium.members import check_certificate, check_name, standing_members
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import SiteRequest, open_response, peek_key, seal_request
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported
from wardgate.records.member_file import code_of, same_code

WARD = Signer(b"w" * 32)
STRANGER = Signer(b"s" * 32)


def csr(
    site: str,
    key: object = None,
    *,
    extension: x509.ExtensionType | None = None,
    subject: list[tuple[x509.ObjectIdentifier, str]] | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> str:
    names = [(NameOID.COMMON_NAME, site)] if subject is None else subject
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    made = builder.sign(key or cached_key(100), digest or hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.PEM).decode()


def asks(site: str = "at", *, signer: Signer = WARD, **changed: object) -> bytes:
    said = {"site": site, "public_key": signer.public_key.hex(), "csr": csr(site), "wardgate": __version__} | changed
    return seal_request(SiteRequest(**said), signer)  # type: ignore[arg-type]


def files(made: Founded) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in made.home.root.rglob("*") if path.is_file()}


def test_a_member_gets_a_certificate_for_its_name_as_a_client_alone(fresh: Founded) -> None:
    admitted = hub_admit(fresh.home, asks(contact="Dr. Müller, +43 1"), now=NOW, site_code=code_of(WARD.public_key))
    response = open_response(admitted.response, claimed=peek_key(admitted.response, field="hub_key"))
    certificate = x509.load_pem_x509_certificate(response.certificate.encode())
    assert {part.oid: part.value for part in certificate.subject} == {
        NameOID.COMMON_NAME: "at",
        NameOID.ORGANIZATION_NAME: "at",
        NameOID.UNSTRUCTURED_NAME: "site",
    }
    use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.public_key() == cached_key(100).public_key()
    assert (admitted.member.compared, admitted.member.contact) == (True, "Dr. Müller, +43 1")
    assert f"{certificate.serial_number:x}" == admitted.member.serial
    assert admitted.member.not_after == "2028-11-21T12:00:00Z"
    assert fresh.home.out("at").is_dir()
    assert fresh.home.inbox("at").is_dir()


def test_the_same_request_twice_is_one_admission(fresh: Founded) -> None:
    first = hub_admit(fresh.home, asks(), now=NOW)
    before = files(fresh)
    again = hub_admit(fresh.home, asks(), now=NOW + timedelta(days=3))
    assert again == first
    assert files(fresh) == before
    compared = hub_admit(fresh.home, asks(), now=NOW, site_code=code_of(WARD.public_key))
    assert compared.response == first.response
    assert compared.member.compared
    assert compared.member.certificates == first.member.certificates


def test_a_code_of_another_key_admits_nobody(fresh: Founded) -> None:
    with pytest.raises(Refused, match="do not admit"):
        hub_admit(fresh.home, asks(), now=NOW, site_code=code_of(STRANGER.public_key))
    assert "at" not in standing_members(fresh.home)


def test_codes_are_typed_as_people_type() -> None:
    code = code_of(WARD.public_key)
    assert len(code) == 24
    assert same_code(f"  {code.upper().replace('-', ' ')} ", WARD.public_key)
    assert not same_code(code[:-1], WARD.public_key)
    assert not same_code("", WARD.public_key)
    assert not same_code(code, STRANGER.public_key)


REFUSED: dict[str, tuple[Callable[[], bytes], type[Exception], str]] = {
    "another hospital's signing request": (lambda: asks(csr=csr("uk")), Broken, "somebody else"),
    "a name beside the name": (
        lambda: asks(csr=csr("at", subject=[(NameOID.COMMON_NAME, "at"), (NameOID.COMMON_NAME, "uk")])),
        Broken,
        "somebody else",
    ),
    "a role of its own choice": (
        lambda: asks(csr=csr("at", subject=[(NameOID.COMMON_NAME, "at"), (NameOID.UNSTRUCTURED_NAME, "lead")])),
        Broken,
        "somebody else",
    ),
    "no name": (lambda: asks(csr=csr("at", subject=[])), Broken, "somebody else"),
    "to be an authority": (
        lambda: asks(csr=csr("at", extension=x509.BasicConstraints(ca=True, path_length=None))),
        Refused,
        "to be an authority",
    ),
    "to be the hub's server": (
        lambda: asks(csr=csr("at", extension=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))),
        Refused,
        "asks for 1 extensions",
    ),
    "the hub's address": (
        lambda: asks(csr=csr("at", extension=x509.SubjectAlternativeName([x509.DNSName("localhost")]))),
        Refused,
        "other names",
    ),
    "a weak key": (
        lambda: asks(csr=csr("at", generate_private_key(public_exponent=65537, key_size=1024))),
        Refused,
        "1024 bits",
    ),
    "an odd exponent": (
        lambda: asks(csr=csr("at", generate_private_key(public_exponent=3, key_size=2048))),
        Refused,
        "exponent 3",
    ),
    "an elliptic key": (lambda: asks(csr=csr("at", ec.generate_private_key(ec.SECP256R1()))), Refused, "not RSA"),
    "a signature key": (lambda: asks(csr=edwards()), Refused, "not RSA"),
    "a weak digest": (lambda: asks(csr=csr("at", digest=hashes.SHA224())), Refused, "weak digest"),
    "two lines of contact": (lambda: asks(contact="a\nb"), Invalid, "one line"),
    "a contact that paints the terminal": (lambda: asks(contact="\x1b[31mtrust me"), Invalid, "printable"),
    "a contact without end": (lambda: asks(contact="x" * 201), Invalid, "at most 200"),
    "the ward's key of a member": (lambda: asks(signer=member_key()), Refused, "'uk' already"),
    "a newer protocol": (lambda: asks(protocol=2, wardgate="9.1"), Unsupported, "this machine has to upgrade"),
    "an older protocol": (lambda: asks(protocol=0, wardgate="0.1"), Unsupported, "the sender has to upgrade"),
    **{
        f"the name {name}": (lambda name=name: asks(name, csr=csr("at")), Invalid, words)  # type: ignore[misc]
        for name, words in {
            "plus+sign": "cannot be used",
            "dot.ted": "cannot be used",
            "x" * 64: "cannot be used",
            "ends-": "cannot be used",
            "server": "means something else",
            "Hub": "means something else",
            "partial": "means something else",
            "localhost": "means something else",
        }.items()
    },
}


def edwards() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "at")])
    )
    made = builder.sign(ed25519.Ed25519PrivateKey.from_private_bytes(b"e" * 32), None)
    return made.public_bytes(serialization.Encoding.PEM).decode()


def member_key() -> Signer:
    return Signer(bytes.fromhex(_SEED[0]))


_SEED: list[str] = []


@pytest.mark.parametrize("wish", REFUSED)
def test_a_wish_that_is_refused_changes_nothing(standing: Founded, wish: str) -> None:
    from wardgate.records.keyring import read_key

    _SEED[:] = [read_key(standing.sites["uk"].ward_key.read_bytes()).seed]
    request, error, words = REFUSED[wish]
    before = files(standing)
    with pytest.raises(error, match=words) as caught:
        hub_admit(standing.home, request(), now=NOW)
    assert str(caught.value).isprintable()
    assert caught.value.exit_code > 1  # type: ignore[attr-defined]
    after = files(standing)
    after.pop(standing.home.members / ".lock")
    before.pop(standing.home.members / ".lock", None)
    assert after == before


def test_a_signing_request_whose_sender_does_not_hold_the_key_is_refused(fresh: Founded) -> None:
    """Proof of possession: the public key of somebody else, under a signature of one's own."""
    stolen = x509.load_pem_x509_csr(csr("at", cached_key(101)).encode())
    mine = x509.load_pem_x509_csr(csr("at", cached_key(100)).encode())
    forged = mine.public_bytes(serialization.Encoding.DER).replace(
        mine.tbs_certrequest_bytes, stolen.tbs_certrequest_bytes
    )
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(Broken, match="does not hold the key"):
        hub_admit(fresh.home, asks(csr=pem), now=NOW)


def test_a_request_that_names_another_key_than_its_own_is_refused(fresh: Founded) -> None:
    said = SiteRequest(site="at", public_key=WARD.public_key.hex(), csr=csr("at"), wardgate=__version__)
    with pytest.raises(Broken, match="signed by a key that is not expected"):
        hub_admit(fresh.home, seal_request(said, STRANGER), now=NOW)


def test_a_second_hospital_does_not_get_an_existing_name(fresh: Founded) -> None:
    held = standing_members(fresh.home)["uk"]
    with pytest.raises(Refused, match="belongs to another key"):
        hub_admit(fresh.home, asks("uk"), now=NOW)
    with pytest.raises(Refused, match="in capitals alone"):
        hub_admit(fresh.home, asks("UK"), now=NOW)
    assert standing_members(fresh.home)["uk"] == held


def test_a_hospital_is_not_called_as_the_hub_is_reached(tmp_path: Path) -> None:
    made = founded(tmp_path, sites=(), host="wardgate", now=NOW)
    with pytest.raises(Refused, match="where the hub is reached"):
        hub_admit(made.home, asks("Wardgate"), now=NOW)


def test_one_tls_key_serves_one_hospital(fresh: Founded) -> None:
    hub_admit(fresh.home, asks("at"), now=NOW)
    with pytest.raises(Refused, match="TLS key is that of 'at'"):
        hub_admit(fresh.home, asks("de", signer=STRANGER), now=NOW)


def test_no_byte_of_a_request_can_be_altered(fresh: Founded) -> None:
    request = asks(contact="call me")
    before = files(fresh)
    # Every byte of the outer form, and every seventh of the long base64 text between.
    positions = [*range(60), *range(60, len(request) - 200, 7), *range(len(request) - 200, len(request))]
    for position in positions:
        altered = bytearray(request)
        altered[position] ^= 1
        with pytest.raises((Broken, Unsupported)):
            hub_admit(fresh.home, bytes(altered), now=NOW)
    after = files(fresh)
    assert {path: data for path, data in after.items() if path.name != ".lock"} == {
        path: data for path, data in before.items() if path.name != ".lock"
    }


def test_a_request_cut_anywhere_is_refused(fresh: Founded) -> None:
    request = asks()
    for length in (*range(80), *range(80, len(request), 97), len(request) - 1):
        with pytest.raises(Broken):
            hub_admit(fresh.home, request[:length], now=NOW)


def test_a_new_tls_key_of_the_same_ward_revokes_the_certificates_before(fresh: Founded) -> None:
    old = standing_members(fresh.home)["uk"]
    later = NOW + timedelta(days=30)
    asking = site_ask_again(fresh.sites["uk"], tls_key=fresh.keys)
    admitted = hub_admit(fresh.home, asking.request.read_bytes(), now=later)
    assert admitted.member.public_key == old.public_key
    assert admitted.member.compared
    assert admitted.member.revoked_serials == (old.serial,)
    check_certificate(fresh.home, admitted.member.current.pem.encode(), now=later)
    with pytest.raises(Refused, match="replaced by a new request"):
        check_certificate(fresh.home, old.current.pem.encode(), now=later)
    assert old.serial in (fresh.home.engine / "revoked.json").read_text()


def test_a_renewed_member_keeps_its_key_and_its_old_certificate_until_it_ends(fresh: Founded) -> None:
    old = standing_members(fresh.home)["uk"]
    later = NOW + timedelta(days=700)
    assert [one.name for one in hub_members(fresh.home, now=later).expiring][-1:] == ["uk"]
    renewed = hub_renew(fresh.home, "uk", now=later)
    assert renewed.response == hub_response(fresh.home, "uk")
    assert renewed.member.current.tls_key == old.current.tls_key
    for issued in renewed.member.certificates:
        check_certificate(fresh.home, issued.pem.encode(), now=later)
    with pytest.raises(Refused, match="renew it, or set the clock"):
        check_certificate(fresh.home, old.current.pem.encode(), now=NOW + timedelta(days=731))
    assert "uk" not in [one.name for one in hub_members(fresh.home, now=later).expiring]


def test_a_revoked_member_is_out_by_name_and_by_certificate(fresh: Founded) -> None:
    pem = standing_members(fresh.home)["uk"].current.pem.encode()
    check_certificate(fresh.home, pem, now=NOW)
    revoked = hub_revoke(fresh.home, "uk", reason="its TLS key was stolen", now=NOW)
    assert revoked.revoked_on == "2026-11-22T12:00:00Z"
    assert list(standing_members(fresh.home)) == ["it"]
    with pytest.raises(Refused, match="stolen"):
        check_certificate(fresh.home, pem, now=NOW)
    with pytest.raises(Refused, match="stolen"):
        check_name(fresh.home, "uk")
    for step in (hub_renew,):
        with pytest.raises(Refused, match="not renewed"):
            step(fresh.home, "uk", now=NOW)
    with pytest.raises(Refused, match="stolen"):
        hub_response(fresh.home, "uk")
    assert (fresh.home.engine / "revoked.json").read_text() == (
        '{"schema":"wardgate/revoked/1","serials":["' + revoked.serial + '"],"sites":["uk"]}'
    )
    once_more = hub_revoke(fresh.home, "uk", reason="another", now=NOW + timedelta(days=1))
    assert once_more == revoked


def test_who_was_put_out_comes_back_only_if_that_is_said_and_with_a_new_tls_key(fresh: Founded) -> None:
    request = fresh.asked["uk"].request.read_bytes()
    hub_revoke(fresh.home, "uk", reason="left the study", now=NOW)
    with pytest.raises(Refused, match="has to be said"):
        hub_admit(fresh.home, request, now=NOW)
    with pytest.raises(Refused, match="makes a new one"):
        hub_admit(fresh.home, request, now=NOW, again=True)
    asking = site_ask_again(fresh.sites["uk"], tls_key=fresh.keys)
    back = hub_admit(fresh.home, asking.request.read_bytes(), now=NOW, again=True)
    assert list(standing_members(fresh.home)) == ["it", "uk"]
    assert len(back.member.revoked_serials) == 1


def test_a_name_that_was_revoked_may_go_to_a_new_key(fresh: Founded) -> None:
    hub_revoke(fresh.home, "uk", reason="the ward's key was lost", now=NOW)
    back = hub_admit(fresh.home, asks("uk"), now=NOW, again=True, site_code=code_of(WARD.public_key))
    assert back.member.public_key == WARD.public_key.hex()
    assert back.member.compared


def test_a_member_who_returns_with_another_key_is_not_taken_for_compared(fresh: Founded) -> None:
    hub_revoke(fresh.home, "uk", reason="the ward's key was lost", now=NOW)
    assert not hub_admit(fresh.home, asks("uk"), now=NOW, again=True).member.compared


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 501])
def test_a_revocation_has_its_reason(standing: Founded, reason: str) -> None:
    with pytest.raises(Invalid, match="reason"):
        hub_revoke(standing.home, "uk", reason=reason, now=NOW)


def test_an_unknown_site_is_named_with_those_that_are_known(standing: Founded) -> None:
    with pytest.raises(Invalid, match="it has: ch, it, uk"):
        hub_revoke(standing.home, "fr", reason="left", now=NOW)
    with pytest.raises(Refused, match="was admitted"):
        check_name(standing.home, "../ca/root")


def test_a_certificate_of_another_consortium_is_nobodys(standing: Founded, tmp_path: Path) -> None:
    other = founded(tmp_path, sites=("uk",), consortium="other", now=NOW)
    pem = standing_members(other.home)["uk"].current.pem.encode()
    with pytest.raises(Refused, match="was not issued to it"):
        check_certificate(standing.home, pem, now=NOW)
    with pytest.raises(Refused, match="cannot be read"):
        check_certificate(standing.home, b"-----BEGIN CERTIFICATE-----", now=NOW)
    root = (standing.home.authority / "root.crt").read_bytes()
    with pytest.raises(Refused, match="was admitted"):
        check_certificate(standing.home, root, now=NOW)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 5000, b"\xff", b'{"site": "uk"}', b"null"])
def test_a_damaged_members_file_is_named_and_nobody_is_let_in(fresh: Founded, data: bytes) -> None:
    pem = standing_members(fresh.home)["uk"].current.pem.encode()
    (fresh.home.members / "uk.json").write_bytes(data)
    with pytest.raises(Broken, match=r"members/uk\.json"):
        check_certificate(fresh.home, pem, now=NOW)


def test_a_members_file_under_another_name_is_found(fresh: Founded) -> None:
    (fresh.home.members / "fr.json").write_bytes((fresh.home.members / "uk.json").read_bytes())
    with pytest.raises(Broken, match="holds the site 'uk'"):
        check_name(fresh.home, "fr")


def test_private_keys_never_travel(standing: Founded) -> None:
    travelling = b"".join(
        (one.root / name).read_bytes() for one in standing.sites.values() for name in ("site.request", "hub.response")
    )
    import base64
    import json

    inner = b"".join(
        base64.b64decode(json.loads((one.root / name).read_bytes())["payload"])
        for one in standing.sites.values()
        for name in ("site.request", "hub.response")
    )
    kept = b"".join(path.read_bytes() for path in standing.home.members.glob("*.json"))
    secrets = list(private_bytes(standing))
    assert len(secrets) > 50
    for secret in secrets:
        assert secret not in travelling + inner + kept
    # The search has teeth: a public key is found where it belongs.
    assert bytes.fromhex(standing_members(standing.home)["uk"].public_key).hex().encode() in inner
    assert sha256((standing.sites["uk"].root / "site.request").read_bytes()).encode() in inner
