"""A consortium from both ends, for the commands: a hub is founded and admits; a hospital asks and is enrolled."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from wardgate import __version__
from wardgate.entropy import Entropy
from wardgate.federation.two_users import Users as Users
from wardgate.federation.two_users import divide, owners_of
from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.identity import Identity, install, make_identity, new_key
from wardgate.hub.consortium import admission, founding
from wardgate.hub.consortium.members import Expiring, expiring, members, read_member
from wardgate.hub.home import Home
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import (
    SiteRequest,
    check_protocol,
    open_request,
    open_response,
    peek_key,
    seal_request,
)
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported
from wardgate.records.keyring import KeyFile, read_key
from wardgate.records.member_file import MemberFile, check_contact, check_site_name, code_of, same_code
from wardgate.records.policy_file import parse as parse_policy
from wardgate.records.site_file import SCHEMA as SITE_SCHEMA
from wardgate.records.site_file import parse as parse_site
from wardgate.road.whole import make_folder, write_file, write_new

REQUEST = "site.request"
LARGEST = 64 * 1024
LOOPBACK = "127.0.0.1"

TlsKey = Callable[[], RSAPrivateKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A hospital that wants to join.

    Attributes:
        request: The file that goes to the hub; it holds no secret.
        code: Of its own key, to be read to the hub by phone.
    """

    site: str
    request: Path
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A member and the response that its hospital needs."""

    member: MemberFile
    response: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Everybody who was ever admitted, and the certificates that end soon."""

    members: tuple[MemberFile, ...]
    expiring: tuple[Expiring, ...]


def hub_init(
    home: Home,
    *,
    consortium: str,
    host: str,
    port: int,
    addresses: Sequence[str] = (),
    now: datetime,
    entropy: Entropy,
    tls_key: TlsKey = new_key,
) -> str:
    """Found a hub and return the code of its key, which it reads to hospitals by phone. See `founding.found`.

    The hub's certificate holds its loopback too, for its own coordinator: behind a gateway a machine may not reach its
    own public address.

    Raises:
        Unsupported: hospitals are told an IPv6 address, which the engine cannot take apart (`host:port`).
    """
    if ":" in founding.hub_file(consortium=consortium, host=host, port=port, addresses=addresses).host:
        raise Unsupported(
            f"the engine cannot be told the IPv6 address {host}: give the hub a name, in DNS or in the hospitals' hosts"
            " files, and the address beside it"
        )
    founding.found(
        home,
        consortium=consortium,
        host=host,
        port=port,
        addresses=(*addresses, LOOPBACK),
        now=now,
        entropy=entropy,
        tls_key=tls_key,
    )
    return hub_code(home)


def hub_code(home: Home) -> str:
    """Return the code of a hub's key."""
    return code_of(founding.read_hub_key(home).signer.public_key)


def hub_admit(
    home: Home, request: bytes, *, now: datetime, site_code: str | None = None, again: bool = False
) -> Admitted:
    """Admit a hospital. `site_code` is what somebody heard from it by phone; see `admission.admit`."""
    response = admission.admit(home, request, now=now, code=site_code, again=again)
    site = open_response(response, claimed=peek_key(response, field="hub_key")).site
    return Admitted(member=read_member(home, site), response=response)


def hub_members(home: Home, *, now: datetime) -> Membership:
    """Return everybody, and what has to be renewed."""
    return Membership(members=tuple(members(home).values()), expiring=expiring(home, now=now))


def hub_renew(home: Home, site: str, *, now: datetime) -> Admitted:
    """Certify a member for two more years; see `admission.renew`."""
    response = admission.renew(home, site, now=now)
    return Admitted(member=read_member(home, site), response=response)


def hub_response(home: Home, site: str) -> bytes:
    """Return a member's response once more, for a file that was lost or a hub that moved."""
    return admission.response(home, site)


def hub_renew_own(home: Home, *, now: datetime) -> None:
    """Certify the hub's own server and coordinator anew; see `founding.renew_own`."""
    founding.renew_own(home, now=now)


def hub_revoke(home: Home, site: str, *, reason: str, now: datetime) -> MemberFile:
    """Put a site out; see `admission.revoke`."""
    return admission.revoke(home, site, reason=reason, now=now)


def site_init(
    premises: Premises,
    *,
    site: str,
    source: Path,
    policy: Path | None = None,
    contact: str = "",
    entropy: Entropy,
    users: Users | None = None,
    tls_key: TlsKey = new_key,
) -> Asking:
    """Make a hospital's folder, whole or not at all, with a request to join a consortium in it.

    Args:
        premises: Must not exist; its parent must.
        source: Folder of its data; it is not opened, only named.
        policy: The hospital's own floor, which no study may go below.
        contact: Whom the hub may call.
        entropy: Makes the ward's signing key and the secret of its splits.
        users: Divide the folder between two users; needs root. Without, everything is the caller's alone.

    Raises:
        Invalid: the folder exists, a name cannot be used, data or policy are missing, or the users do not fit.
        OSError: no room, or no right to write; nothing is left.
    """
    check_site_name(site)
    check_contact(contact)
    if not source.is_dir():
        raise Invalid(f"no folder of data at {source}; give the folder that holds hospital.yaml and its tables")
    if policy is not None:
        parse_policy(_text(policy), name=policy.name)
    owners = None if users is None else owners_of(users)
    site_yaml = _site_yaml(site, source=source, policy=policy)
    parse_site(site_yaml, name="site.yaml")
    request = b""

    def fill(draft: Path) -> None:
        nonlocal request
        inside = Premises(draft)
        for folder in (inside.ward, inside.memory, inside.studies, inside.wire, inside.spool):
            folder.mkdir(mode=0o700)
        for name in ("questions", "answers", "partial"):
            (inside.spool / name).mkdir(mode=0o700)
        key = KeyFile(name=site, role="site", seed=entropy.bytes(32).hex())
        write_new(inside.ward_key, key.to_bytes(), mode=0o600)
        write_new(inside.salt, entropy.bytes(32), mode=0o600)
        request = _request(inside, key, contact=contact, tls_key=tls_key)
        write_new(inside.site_file, site_yaml.encode(), mode=0o644)
        write_new(draft / REQUEST, request, mode=0o644)
        if owners is not None:
            divide(inside, owners)

    try:
        make_folder(premises.root, fill)
    except FileExistsError:
        raise Invalid(
            f"'{premises.root.name}' exists already: a hospital's folder is made once; choose another name, or ask for"
            " a new certificate with the keys that are there"
        ) from None
    return Asking(site=site, request=premises.root / REQUEST, code=_code(request))


def site_ask_again(premises: Premises, *, contact: str = "", tls_key: TlsKey = new_key) -> Asking:
    """Make a new TLS key and a request for its certificate, with the ward's key as before.

    The wire goes on with the old key until the response is enrolled.

    Raises:
        Invalid: not a hospital's folder, or the ward's key cannot be read by this user.
    """
    check_contact(contact)
    try:
        key = read_key(premises.ward_key.read_bytes())
    except OSError as error:
        raise Invalid(f"the ward's key cannot be read here ({type(error).__name__}); ask as the ward's user") from None
    request = _request(premises, key, contact=contact, tls_key=tls_key)
    place = premises.root / (f"{REQUEST}.next" if premises.response.exists() else REQUEST)
    write_file(place, request, mode=0o644)
    return Asking(site=key.name, request=place, code=_code(request))


def site_code(premises: Premises) -> str:
    """Return the code of a hospital's key, which it reads to the hub by phone."""
    return _code(_bytes(premises.root / REQUEST))


def site_enrol(premises: Premises, response: bytes, *, hub_code: str, now: datetime) -> Identity:
    """Check a hub's response and install it; nothing changes unless all of it holds.

    Args:
        hub_code: The code of the hub's key as somebody typed it after a call with the hub.

    Raises:
        Broken: altered, for another request, or with a certificate that does not fit.
        Refused: the code is of another key, the hub is not the one that this hospital joined, or the dates do not fit.
        Invalid: too large, or not a hospital's folder.
        Unsupported: of another protocol; the message says who has to upgrade.
    """
    if len(response) > LARGEST:
        raise Invalid(f"the file has {len(response)} bytes; a response has at most {LARGEST}: is it another file?")
    check_protocol(response)
    opened = open_response(response, claimed=peek_key(response, field="hub_key"))
    places = [premises.root / REQUEST, premises.root / f"{REQUEST}.next"]
    waiting = {sha256(_bytes(place)): place for place in places if place.exists()}
    if not waiting:
        raise Invalid(f"'{premises.root.name}' holds no request to join; make a hospital's folder first")
    asked = waiting.get(opened.request_sha256)
    if asked is None:
        raise Broken(
            f"the response (for site '{opened.site}') answers another request than this hospital's: ask the hub to"
            f" answer the file {REQUEST} of this folder"
        )
    if not same_code(hub_code, bytes.fromhex(opened.hub_key)):
        raise Refused(
            "the code that was typed is not that of the key in the response: do not enrol; call the hub on a number"
            " that you know, and compare again"
        )
    request = open_request(_bytes(asked), claimed=peek_key(_bytes(asked), field="public_key"))
    if opened.site != request.site:
        raise Broken(f"the response is for site '{opened.site}', the request was of '{request.site}'")
    if premises.response.exists():
        before = _bytes(premises.response)
        joined = open_response(before, claimed=peek_key(before, field="hub_key"))
        if (joined.hub_key, joined.consortium, joined.root) != (opened.hub_key, opened.consortium, opened.root):
            raise Refused(
                f"this hospital joined consortium '{joined.consortium}' with other keys of its hub; for another hub"
                " make another folder"
            )
    identity = install(premises, response, site=request.site, now=now)
    if asked.name != REQUEST:
        asked.replace(premises.root / REQUEST)
    return identity


def _request(premises: Premises, key: KeyFile, *, contact: str, tls_key: TlsKey) -> bytes:
    return seal_request(
        SiteRequest(
            site=key.name,
            public_key=key.public.public_key,
            csr=make_identity(premises, key.name, tls_key=tls_key),
            contact=contact,
            wardgate=__version__,
        ),
        key.signer,
    )


def _code(request: bytes) -> str:
    return code_of(peek_key(request, field="public_key"))


def _site_yaml(site: str, *, source: Path, policy: Path | None) -> str:
    floor = f"policy: {json.dumps(str(policy.resolve()))}" if policy else "# policy: privacy-gate.yaml"
    return f"""# Who this hospital is, and where its data lie. No secret and no patient stands here.
schema: {SITE_SCHEMA}
# Stands in its certificate and in every study: it cannot be changed afterwards.
site: {json.dumps(site)}
# The folder of its data; the ward alone opens it.
source: {json.dumps(str(source.resolve()))}
# The hospital's own floor: no study may ask for less protection.
{floor}
# study: a signed study covers the computations that it names. each: a person approves every one.
questions: study
"""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read ({type(error).__name__})") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path.name} cannot be read ({type(error).__name__})") from None
