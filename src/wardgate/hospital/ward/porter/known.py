"""Keys that this hospital has seen under a name: another one under the same name is refused until a person forgets it.

The first signature pins them, as a first visit does for the keys of a remote machine. Before it, people compare codes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.records.keyring import Hex32
from wardgate.records.mail import Proposal
from wardgate.records.member_file import code_of
from wardgate.records.record import Name, Record

HUB = "hub"
"""No site may be called so (records/study.py), so it names the hub's key among the others."""


class Pin(Record):
    """A key under a name, since the day of the first signature that held it."""

    name: Name
    key: Hex32
    since: str

    @property
    def code(self) -> str:
        """For people to compare."""
        return code_of(bytes.fromhex(self.key))


class KnownKeys:
    """The pinned keys of one hospital.

    Args:
        ward: The ward's own folder.
    """

    def __init__(self, ward: Path) -> None:
        self._path = ward / "known.json"

    def all(self) -> dict[str, Pin]:
        """Return every pin by name.

        Raises:
            Broken: the file cannot be read; nobody can then tell whether a key changed.
        """
        data = GrowingFile(self._path).read()
        try:
            pins = [Pin.from_plain(one) for one in json.loads(data or b"[]")]
        except (ValueError, TypeError, RecursionError, Invalid):
            pins = None
        if pins is None:
            raise Broken("known.json cannot be read; restore it from its backup, or compare all fingerprints anew")
        return {pin.name: pin for pin in pins}

    def check(self, proposal: Proposal) -> None:
        """Hold a proposal's keys against the pins.

        Raises:
            Refused: a name has another key than before, or a key another name.
        """
        known = self.all()
        names = {pin.key: pin.name for pin in known.values()}
        for name, key in _keys(proposal):
            pin = known.get(name)
            if pin is not None and pin.key != key:
                raise Refused(
                    f"the key of '{name}' is another one than at the signature of {pin.since[:10]}: then"
                    f" {pin.code}, now {code_of(bytes.fromhex(key))}. Ask '{name}' by phone whether it has a new key;"
                    " if so, forget the old one and sign again"
                )
            if names.get(key, name) != name:
                raise Refused(
                    f"the key of '{name}' is known here as the key of '{names[key]}'; one of the names is wrong"
                )

    def check_hub(self, key: str) -> None:
        """Hold the hub's key against its pin.

        Raises:
            Refused: the hub has another key than before.
        """
        pin = self.all().get(HUB)
        if pin is not None and pin.key != key:
            raise Refused(
                f"the hub's key is another one than at the signature of {pin.since[:10]}: then {pin.code}, now"
                f" {code_of(bytes.fromhex(key))}. Ask the hub by phone; if it has a new key, forget '{HUB}'"
            )

    def pin(self, proposal: Proposal, *, at: str) -> None:
        """Remember a signed proposal's keys; what is known already keeps its day."""
        with self._changed() as known:
            for name, key in _keys(proposal):
                known.setdefault(name, Pin(name=name, key=key, since=at))

    def forget(self, name: str) -> Pin:
        """Forget the key of a name and return what it was.

        Raises:
            Invalid: no key is known under that name.
        """
        with self._changed() as known:
            pin = known.pop(name, None)
            if pin is None:
                raise Invalid(f"no key is known under the name '{name}'; known: {', '.join(sorted(known)) or 'none'}")
            return pin

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Pin]]:
        file = GrowingFile(self._path)
        with file.held():
            known = self.all()
            yield known
            plain = [pin.plain() for _, pin in sorted(known.items())]
            file.write_beside(self._path.name, json.dumps(plain, indent=1).encode())


def _keys(proposal: Proposal) -> Iterator[tuple[str, str]]:
    yield HUB, proposal.hub_key
    for member in proposal.members:
        yield member.site, member.public_key
