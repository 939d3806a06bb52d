"""What the hub last said in greeting, kept for people who ask later: its clock beside ours, its version."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.hospital.premises import Premises
from wardgate.records.errors import Broken

FILE = "greeting.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeted:
    """One greeting.

    Attributes:
        hub_clock, our_clock: Unix seconds at the hub and here, at the same moment but for the way of a message.
        wardgate: Version of the hub's software.
        protocol: Of its conversation.
    """

    hub_clock: int
    our_clock: int
    wardgate: str
    protocol: int


def keep_greeting(premises: Premises, said: Mapping[str, object], *, now: float) -> None:
    """Keep what the hub said, in place of what it said before; nothing where it did not say its time.

    Args:
        said: The hub's greeting, as `road.transfer.Sender.greet` returns it.
        now: Unix seconds here.
    """
    clock, version, protocol = said.get("clock"), said.get("wardgate"), said.get("protocol")
    if type(clock) is not int or not isinstance(version, str) or type(protocol) is not int:
        return
    kept = {"hub_clock": clock, "our_clock": int(now), "wardgate": version[:40], "protocol": protocol}
    partial = premises.wire / f"{FILE}.partial"
    partial.write_text(json.dumps(kept), encoding="utf-8")
    partial.replace(premises.wire / FILE)


def read_greeting(premises: Premises) -> Greeted | None:
    """Return what the hub last said, None where it never did.

    Raises:
        Broken: the file was damaged.
    """
    path = premises.wire / FILE
    if not path.is_file():
        return None
    try:
        return Greeted(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise Broken(f"{FILE} in the wire's folder is damaged; remove it") from error
