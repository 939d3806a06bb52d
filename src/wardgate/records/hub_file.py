"""`hub.yaml`: which consortium this hub serves, and where hospitals find it. People may edit it."""

import ipaddress
import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from wardgate.records.record import Record
from wardgate.records.yaml_file import check_schema, read, validate

SCHEMA = "wardgate/hub/1"

IDENTITY = "hub"
"""Common name of the hub's TLS certificate; every site of the consortium expects it."""

_CONSORTIUM = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def address(text: str) -> str:
    """Return a host name or an IP address as certificates hold it: no brackets, lower case.

    Raises:
        ValueError: it is neither, or an address that nobody can connect to.
    """
    bare = text.strip().removeprefix("[").removesuffix("]").lower()
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return _host(bare)
    if found.is_unspecified or found.is_multicast or "%" in bare:
        raise ValueError("expected an address that hospitals can connect to, not a wildcard, a group or a local zone")
    return str(found)


def _host(bare: str) -> str:
    labels = bare.removesuffix(".").split(".")
    if len(bare) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError(
            "expected an IPv4 or IPv6 address, or a host name of letters, digits and - between dots (names in other"
            " letters in their form that begins with xn--)"
        )
    return bare.removesuffix(".")


def consortium_name(text: str) -> str:
    """Return the name of a consortium as certificates and the engine hold it.

    Raises:
        ValueError: other characters, or too many.
    """
    if not _CONSORTIUM.fullmatch(text):
        raise ValueError("expected 1 to 40 letters, digits and -, the first and last a letter or digit")
    return text


Address = Annotated[str, AfterValidator(address)]
"""A host name or an IP address."""


class HubFile(Record):
    """Where a consortium's hub is.

    Attributes:
        consortium: Its name, also that of its certificate authority: letters, digits and -, at most 40.
        host: What hospitals connect to.
        port: TCP, one for everything.
        addresses: Other names and addresses of the same hub; its certificate holds them all.
    """

    schema_: Literal["wardgate/hub/1"] = Field(default="wardgate/hub/1", alias="schema")
    consortium: Annotated[str, AfterValidator(consortium_name)]
    host: Address
    port: int = Field(ge=1, le=65535)
    addresses: tuple[Address, ...] = ()

    @property
    def reached_at(self) -> tuple[str, ...]:
        """Every name and address of the hub, each once, the host first."""
        return tuple(dict.fromkeys((self.host, *self.addresses)))

    @property
    def coordinator(self) -> str:
        """Common name of the hub's own right to submit jobs to the engine, in the form of an address of mail."""
        return f"coordinator@{self.consortium}.hub"


def parse(text: str, *, name: str = "hub.yaml") -> HubFile:
    """Read `hub.yaml`.

    Raises:
        Findings: everything that is wrong, each with its line.
    """
    parsed = read(text, name=name, what="a hub")
    check_schema(parsed, [SCHEMA])
    return validate(parsed, HubFile)


def text_of(hub: HubFile) -> str:
    """Return `hub.yaml` with its comments."""
    return f"""# The hub of a consortium. The certificate authority and all keys lie beside this file.
schema: {SCHEMA}
# Stands in every certificate: it cannot be changed afterwards.
consortium: {json.dumps(hub.consortium)}
# What hospitals connect to, outbound only. After a change: renew the hub's own certificate, and send each hospital
# a new response.
host: {json.dumps(hub.host)}
port: {hub.port}
# Other names and addresses under which hospitals reach the same hub.
addresses: {json.dumps(list(hub.addresses))}
"""
