"""What a wire knows of itself and its hub: from the files that its hospital signed and was given, checked again."""

from dataclasses import dataclass

from wardgate.hospital.premises import Premises
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import SiteResponse, open_request, open_response, peek_key
from wardgate.records.errors import Broken, Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Keys and names.

    Attributes:
        response: The hub's response, which holds the TLS certificates.
        ward_key: This hospital's public key, from the request that the response names.
    """

    response: SiteResponse
    ward_key: bytes

    @property
    def site(self) -> str:
        """This hospital's name."""
        return self.response.site

    @property
    def consortium(self) -> str:
        """The hub's consortium."""
        return self.response.consortium

    @property
    def hub_key(self) -> bytes:
        """Signs everything that comes in."""
        return bytes.fromhex(self.response.hub_key)


def read_known(premises: Premises) -> Known:
    """Read request and response of a hospital's folder.

    Raises:
        Invalid: one of them is missing.
        Broken: they do not belong together.
    """
    request_file = premises.root / "site.request"
    for path in (request_file, premises.response):
        if not path.is_file():
            raise Invalid(f"{path.name} is missing in {premises.root.name}: the hospital is not enrolled yet")
    sealed, answered = request_file.read_bytes(), premises.response.read_bytes()
    request = open_request(sealed, claimed=peek_key(sealed, field="public_key"))
    response = open_response(answered, claimed=peek_key(answered, field="hub_key"))
    if response.request_sha256 != sha256(sealed) or response.site != request.site:
        raise Broken("hub.response answers another request than site.request: enrol again with the right one")
    return Known(response=response, ward_key=bytes.fromhex(request.public_key))
