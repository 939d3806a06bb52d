"""Who belongs: one file a site in `members/`, and the judgement whether a certificate may still come in.

The files are the truth. `engine/revoked.json` is drawn from them for whoever only needs the list.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from wardgate.hub.consortium.certificates import moment
from wardgate.hub.consortium.founding import COORDINATOR, ROOT, SERVER, read_certificate
from wardgate.hub.home import Home
from wardgate.records.canonical import canonical
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.records.member_file import MemberFile
from wardgate.road.whole import write_file

REVOKED = "wardgate/revoked/1"

WARN_DAYS = 60
"""A hospital needs weeks to move a file through its own approvals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """A certificate that ends soon, or has ended.

    Attributes:
        name: The site, or `hub server`, `hub coordinator`, `authority`.
        days: Whole days left; negative once it is over.
    """

    name: str
    not_after: str
    days: int


def members(home: Home) -> Mapping[str, MemberFile]:
    """Return everybody who was ever admitted, by site, sorted; `revoked_on` says who is out.

    Raises:
        Broken: a file is damaged, or holds another site than its name says.
    """
    return {site: read_member(home, site) for site in _names(home)}


def standing_members(home: Home) -> Mapping[str, MemberFile]:
    """Return the sites that belong now, by name, sorted."""
    return {site: member for site, member in members(home).items() if member.revoked_on is None}


def read_member(home: Home, site: str) -> MemberFile:
    """Return one member's file.

    Raises:
        Invalid: nobody of that name was admitted; the message names those who were.
        Broken: the file is damaged, or holds another site than its name says.
    """
    names = _names(home)
    if site not in names:
        raise Invalid(f"no site '{site[:80]}' in this consortium; it has: {', '.join(names) or 'nobody yet'}")
    try:
        member = MemberFile.from_plain(json.loads((home.members / f"{site}.json").read_bytes()))
    except (OSError, ValueError, RecursionError, Invalid) as error:
        raise Broken(
            f"members/{site}.json cannot be read ({type(error).__name__}); bring it back from a copy"
        ) from None
    if member.site != site:
        raise Broken(f"members/{site}.json holds the site '{member.site}'; bring it back from a copy")
    return member


def write_member(home: Home, member: MemberFile) -> None:
    """Store a member's file, then the list of what is revoked. The file alone decides."""
    write_file(home.members / f"{member.site}.json", member.to_bytes(), mode=0o600)
    write_revoked(home)


def write_revoked(home: Home) -> None:
    """Draw `engine/revoked.json` from the members' files: serials that were revoked, names that are out."""
    everybody = members(home).values()
    home.engine.mkdir(mode=0o700, exist_ok=True)
    plain = {
        "schema": REVOKED,
        "serials": sorted(serial for member in everybody for serial in member.revoked_serials),
        "sites": sorted(member.site for member in everybody if member.revoked_on is not None),
    }
    write_file(home.engine / "revoked.json", canonical(plain), mode=0o600)


def check_name(home: Home, site: str) -> MemberFile:
    """Return a member that may take part now.

    Raises:
        Refused: never admitted, or revoked.
    """
    if site not in _names(home):
        raise Refused(f"no site '{site[:80]}' was admitted to this consortium")
    member = read_member(home, site)
    if member.revoked_on is not None:
        raise Refused(f"site '{site}' was revoked on {member.revoked_on}: {member.reason}")
    return member


def check_certificate(home: Home, pem: bytes, *, now: datetime) -> MemberFile:
    """Return the member whom a presented certificate names, for the engine's door.

    The caller has verified the chain to the root and that the other end holds the key. Here it is asked whether this
    very certificate was issued to a member, still runs and was not revoked.

    Raises:
        Refused: not a certificate of a member, revoked, expired or not yet valid.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        (common,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        name, print_ = str(common.value), certificate.fingerprint(hashes.SHA256()).hex()
    except ValueError:
        raise Refused("no certificate of a member: it cannot be read, or names nobody") from None
    member = check_name(home, name)
    known = next((one for one in member.certificates if one.sha256 == print_), None)
    if known is None:
        raise Refused(f"the certificate that names site '{name}' was not issued to it by this hub")
    if known.revoked_on is not None:
        raise Refused(f"this certificate of site '{name}' was revoked on {known.revoked_on}: {known.reason}")
    at = moment(now)
    if not known.not_before <= at < known.not_after:
        raise Refused(
            f"the certificate of site '{name}' runs from {known.not_before} to {known.not_after}, and it is {at} here:"
            " renew it, or set the clock"
        )
    return member


def expiring(home: Home, *, now: datetime, within_days: int = WARN_DAYS) -> tuple[Expiring, ...]:
    """Return every certificate of the consortium that ends within some days, the most urgent first."""
    own = {
        label: moment(read_certificate(home, name).not_valid_after_utc)
        for label, name in (("authority", ROOT), ("hub server", SERVER), ("hub coordinator", COORDINATOR))
    }
    ends = own | {site: member.not_after for site, member in standing_members(home).items()}
    found = [
        Expiring(name=name, not_after=end, days=(datetime.fromisoformat(end) - now) // timedelta(days=1))
        for name, end in ends.items()
    ]
    return tuple(sorted((one for one in found if one.days <= within_days), key=lambda one: (one.days, one.name)))


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Wait until nobody else changes the members of this hub."""
    try:
        handle = os.open(home.members / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Invalid(f"no hub in '{home.root.name}' (members: {type(error).__name__})") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _names(home: Home) -> list[str]:
    try:
        found = [path.name for path in home.members.iterdir()]
    except OSError as error:
        raise Invalid(
            f"no hub in '{home.root.name}' (members: {type(error).__name__}): found one with `wardgate hub init`"
        ) from None
    return sorted(name[:-5] for name in found if name.endswith(".json") and not name.startswith("."))
