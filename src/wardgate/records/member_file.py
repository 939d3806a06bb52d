"""A member of a consortium as its hub keeps it, the names that members may bear, and the codes that people compare."""

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from wardgate.records.canonical import sha256
from wardgate.records.errors import Invalid
from wardgate.records.keyring import Hex32
from wardgate.records.record import Digest, Name, Record

SITE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")

TAKEN = frozenset({"hub", "server", "coordinator", "admin", "client", "relay", "all", "partial", "localhost"})
"""Names that the engine, the hub's folders or TLS use for something else."""

LONGEST_CONTACT = 200

Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
"""UTC to the second, as 2026-01-31T08:00:00Z; such texts sort by time."""


def code_of(public_key: bytes) -> str:
    """Five groups of four letters for one public key, to be read out by phone. 80 bits of SHA-256.

    Somebody who wants to pass for another has to find a key with the same code: 2^80 keys.
    """
    digits = sha256(b"wardgate/key-code/1\x00" + public_key)[:20]
    return "-".join(digits[start : start + 4] for start in range(0, 20, 4))


def same_code(typed: str, public_key: bytes) -> bool:
    """Whether a person typed this key's code; spaces, hyphens and capitals do not matter."""
    return re.sub(r"[\s-]", "", typed).lower() == code_of(public_key).replace("-", "")


def check_site_name(site: str) -> None:
    """Check that a site's name can stand in a certificate, a path of the engine and a host name.

    Raises:
        Invalid: it cannot; the message says what can.
    """
    if not SITE_NAME.fullmatch(site):
        raise Invalid(
            f"the site's name '{site[:80]}' cannot be used in a consortium: expected 1 to 63 letters, digits, - and _,"
            " the first and last a letter or digit (no dot and no +)"
        )
    if site.lower() in TAKEN:
        raise Invalid(f"the name '{site}' means something else in a consortium; choose another for the hospital")


def check_contact(contact: str) -> None:
    """Check that a contact is one line that a terminal may show.

    Raises:
        Invalid: longer than 200 characters, or with control characters.
    """
    if len(contact) > LONGEST_CONTACT or not contact.isprintable():
        raise Invalid(f"expected a contact of one line, at most {LONGEST_CONTACT} printable characters")


class Issued(Record):
    """One certificate that the hub issued.

    Attributes:
        serial: In lower-case hexadecimal, without leading zeros.
        sha256: Fingerprint: SHA-256 of its DER bytes.
        tls_key: SHA-256 of its public key (SubjectPublicKeyInfo, DER).
        pem: The certificate.
        revoked_on: When it was revoked; absent while it stands.
        reason: Why.
    """

    serial: Annotated[str, StringConstraints(pattern=r"^[1-9a-f][0-9a-f]{0,39}$")]
    sha256: Digest
    tls_key: Digest
    not_before: Moment
    not_after: Moment
    pem: str
    revoked_on: Moment | None = None
    reason: str = ""


class MemberFile(Record):
    """A hospital as the hub knows it: `members/<site>.json`. These files are the truth about who belongs.

    Attributes:
        public_key: Of the ward; checks every release.
        request: The signed request, as it came.
        request_sha256: Its digest.
        contact: Whom to call.
        compared: Whether somebody typed the code of the hospital's key, heard by phone, when admitting it.
        admitted_on: When this request was admitted.
        certificates: All that were issued to the name, oldest first; the last is in use.
        revoked_on: When the hospital was put out; absent for a member.
        reason: Why.
    """

    schema_: Literal["wardgate/member/1"] = Field(default="wardgate/member/1", alias="schema")
    site: Name
    public_key: Hex32
    request: str
    request_sha256: Digest
    contact: str
    compared: bool
    admitted_on: Moment
    certificates: tuple[Issued, ...] = Field(min_length=1)
    revoked_on: Moment | None = None
    reason: str = ""

    @property
    def current(self) -> Issued:
        """The certificate in use, or the last that was."""
        return self.certificates[-1]

    @property
    def serial(self) -> str:
        """Of the certificate in use."""
        return self.current.serial

    @property
    def certificate_sha256(self) -> str:
        """Fingerprint of the certificate in use."""
        return self.current.sha256

    @property
    def not_after(self) -> str:
        """When the certificate in use expires."""
        return self.current.not_after

    @property
    def raw_key(self) -> bytes:
        """The 32 bytes of the ward's public key."""
        return bytes.fromhex(self.public_key)

    @property
    def code(self) -> str:
        """What the hospital reads out of its own key."""
        return code_of(self.raw_key)

    @property
    def revoked_serials(self) -> tuple[str, ...]:
        """Serials that no engine may admit."""
        return tuple(one.serial for one in self.certificates if one.revoked_on is not None)
