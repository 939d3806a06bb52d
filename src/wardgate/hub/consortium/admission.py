"""A hospital becomes a member, gets a new certificate, or is put out.

Each change is one write of the member's file; the response is worked out from it and is the same as often as it is
asked for.
"""

from datetime import datetime

from wardgate import __version__
from wardgate.hub.consortium.certificates import issued, moment, pem_of, tls_key_id
from wardgate.hub.consortium.founding import ROOT, read_authority, read_certificate, read_hub, read_hub_key
from wardgate.hub.consortium.members import alone, members, read_member, write_member
from wardgate.hub.consortium.requests import Asked, check_request
from wardgate.hub.home import Home
from wardgate.records.enrolment_file import SiteResponse, seal_response
from wardgate.records.errors import Invalid, Refused
from wardgate.records.hub_file import IDENTITY
from wardgate.records.member_file import Issued, MemberFile, same_code


def admit(home: Home, request: bytes, *, now: datetime, code: str | None = None, again: bool = False) -> bytes:
    """Admit a hospital, or certify a member's new TLS key, and return the hub's signed response.

    The same request twice changes nothing and gives the same response. A member who asks with the same ward key and a
    new TLS key gets a new certificate, and all its earlier ones are revoked.

    Args:
        request: The file `site.request` of the hospital, which holds no secret.
        code: The code of the hospital's key as somebody typed it after a call; the member's file says whether it was.
        again: Take back a site that was revoked, also with another ward key.

    Raises:
        Broken, Invalid, Unsupported, Refused: see `check_request`.
        Refused: the code is of another key, the name or a key belongs to somebody else, or the site was revoked.
    """
    asked = check_request(request)
    if code is not None and not same_code(code, bytes.fromhex(asked.request.public_key)):
        raise Refused(
            f"the code that was typed is not that of the key in the request of '{asked.request.site}': do not admit it;"
            " call the hospital on a number that you know, and compare again"
        )
    with alone(home):
        everybody = dict(members(home))
        _check_free(home, asked, everybody)
        before = everybody.get(asked.request.site)
        if before is not None and before.revoked_on is not None:
            _check_return(asked, before, again=again)
        member = _member(home, asked, before, request, compared=code is not None, now=now)
        if member is not before:
            for folder in (home.road / member.site, home.out(member.site), home.inbox(member.site)):
                folder.mkdir(mode=0o700, exist_ok=True)
            write_member(home, member)
    return response(home, member.site)


def renew(home: Home, site: str, *, now: datetime) -> bytes:
    """Certify a member's present TLS key for two more years and return the new response.

    The certificate before stands until it ends, so that the hospital is not cut off until the file has arrived.

    Raises:
        Invalid: no such site.
        Refused: it was revoked, or the authority has expired.
    """
    with alone(home):
        member = read_member(home, site)
        if member.revoked_on is not None:
            raise Refused(f"site '{site}' was revoked on {member.revoked_on} ({member.reason}); it is not renewed")
        key = check_request(member.request.encode()).tls_key
        fresh = issued(read_authority(home).for_site(site, key, now=now))
        write_member(home, member.model_copy(update={"certificates": (*member.certificates, fresh)}))
    return response(home, site)


def revoke(home: Home, site: str, *, reason: str, now: datetime) -> MemberFile:
    """Put a site out and revoke all its certificates. Twice is once; the first reason stands.

    What it contributed to sums and corpora already finished stays in them.

    Raises:
        Invalid: no such site, or no reason.
    """
    if not reason.strip() or len(reason) > 500 or not reason.isprintable():
        raise Invalid("a revocation needs its reason, one line of at most 500 printable characters")
    with alone(home):
        member = read_member(home, site)
        if member.revoked_on is None:
            at = moment(now)
            member = member.model_copy(
                update={
                    "revoked_on": at,
                    "reason": reason,
                    "certificates": _revoked(member.certificates, at=at, reason=reason),
                }
            )
        write_member(home, member)
    return member


def response(home: Home, site: str) -> bytes:
    """Return the hub's signed response to a member's request, as it stands now.

    The bytes follow from the member's file and `hub.yaml`, so a lost file is had again without a new certificate.

    Raises:
        Invalid: no such site.
        Refused: it was revoked.
    """
    member, hub, key = read_member(home, site), read_hub(home), read_hub_key(home)
    if member.revoked_on is not None:
        raise Refused(f"site '{site}' was revoked on {member.revoked_on} ({member.reason})")
    root = read_certificate(home, ROOT)
    return seal_response(
        SiteResponse(
            request_sha256=member.request_sha256,
            site=site,
            consortium=hub.consortium,
            hub_key=key.public.public_key,
            host=hub.host,
            port=hub.port,
            identity=IDENTITY,
            certificate=member.current.pem,
            root=pem_of(root).decode(),
            wardgate=__version__,
        ),
        key.signer,
    )


def _member(
    home: Home, asked: Asked, before: MemberFile | None, request: bytes, *, compared: bool, now: datetime
) -> MemberFile:
    """Return the member's file after this request; `before` itself where nothing changes."""
    if before is not None and before.revoked_on is None and before.request_sha256 == asked.sha256:
        return before if before.compared or not compared else before.model_copy(update={"compared": True})
    at = moment(now)
    earlier = before.certificates if before is not None else ()
    fresh = issued(read_authority(home).for_site(asked.request.site, asked.tls_key, now=now))
    same_ward = before is not None and before.public_key == asked.request.public_key
    return MemberFile(
        site=asked.request.site,
        public_key=asked.request.public_key,
        request=request.decode(),
        request_sha256=asked.sha256,
        contact=asked.request.contact,
        compared=compared or (same_ward and before is not None and before.compared),
        admitted_on=at,
        certificates=(*_revoked(earlier, at=at, reason="replaced by a new request of the site"), fresh),
    )


def _check_free(home: Home, asked: Asked, everybody: dict[str, MemberFile]) -> None:
    """Check that neither the name nor a key of the request is somebody else's."""
    request = asked.request
    hub = read_hub(home)
    if request.site.lower() in (text.lower() for text in hub.reached_at):
        raise Refused(f"'{request.site}' is where the hub is reached; a hospital cannot be called so")
    if request.public_key == read_hub_key(home).public.public_key:
        raise Refused("the request holds the hub's own signing key; everybody has a key of their own")
    wanted = tls_key_id(asked.tls_key)
    for member in everybody.values():
        if member.site == request.site:
            if member.revoked_on is None and member.public_key != request.public_key:
                raise Refused(
                    f"the name '{member.site}' belongs to another key (code {member.code}) since"
                    f" {member.admitted_on}: if the hospital lost its key, revoke the name first"
                )
            continue
        if member.site.lower() == request.site.lower():
            raise Refused(f"the name '{request.site}' differs from the member '{member.site}' in capitals alone")
        if member.public_key == request.public_key:
            raise Refused(f"the ward's key is that of '{member.site}' already; everybody has a key of their own")
        if any(one.tls_key == wanted for one in member.certificates):
            raise Refused(f"the TLS key is that of '{member.site}' already; everybody has a key of their own")


def _check_return(asked: Asked, before: MemberFile, *, again: bool) -> None:
    """Check that a site that was put out may come back with this request."""
    if not again:
        raise Refused(
            f"site '{before.site}' was revoked on {before.revoked_on} ({before.reason}); taking it back has to be said"
            " (--again)"
        )
    wanted = tls_key_id(asked.tls_key)
    if any(one.tls_key == wanted for one in before.certificates):
        raise Refused(
            f"the TLS key of '{before.site}' was revoked with it; the hospital makes a new one, then asks again"
        )


def _revoked(certificates: tuple[Issued, ...], *, at: str, reason: str) -> tuple[Issued, ...]:
    return tuple(
        one if one.revoked_on is not None else one.model_copy(update={"revoked_on": at, "reason": reason})
        for one in certificates
    )
