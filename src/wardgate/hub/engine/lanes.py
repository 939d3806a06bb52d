"""What a hub knows of the roads to its sites right now: `engine/lanes.json`, for whoever shows it to people."""

import json
from pathlib import Path
from typing import Any, Literal

from wardgate.hub.home import Home
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Name, Record
from wardgate.road.whole import write_file


class LaneState(Record):
    """The road to one site.

    Attributes:
        state: `connected`, `away` (not heard of lately) or `refused`, with the reason in `words`.
        last_heard: Seconds since 1970 (UTC); 0 for never.
        bytes_out, bytes_in: Carried in this life of the carriage, messages as they travelled.
        parcels_out, parcels_in: Likewise.
        refused: Parcels put aside here, and those that the site said it put aside.
        clock_difference: The site's clock minus the hub's, in seconds; absent until it greeted.
        wardgate: The wire's version.
        ward_seconds: Since the site's ward last showed that it is alive; -1 where it never did.
    """

    site: Name
    state: Literal["connected", "away", "refused"]
    last_heard: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    parcels_out: int = 0
    parcels_in: int = 0
    refused: int = 0
    clock_difference: int | None = None
    wardgate: str = ""
    ward_seconds: int | None = None
    words: str = ""


class Lanes(Record):
    """All of them.

    Attributes:
        at: When this was written, seconds since 1970 (UTC).
        job: The engine's id of the carriage that wrote it.
        carried: The sites of that carriage; the others are kept from earlier ones.
    """

    at: int
    job: str = ""
    carried: tuple[Name, ...] = ()
    lanes: tuple[LaneState, ...]


def lanes_file(home: Home) -> Path:
    """Return where the state of the roads lies."""
    return home.engine / "lanes.json"


def write_lanes(home: Home, lanes: Lanes) -> None:
    """Write the state of the roads, whole or not at all."""
    write_file(lanes_file(home), lanes.to_bytes(), mode=0o600)


def read_lanes(home: Home) -> Lanes | None:
    """Read the state of the roads; None where nothing was ever carried.

    Raises:
        Broken: the file is damaged.
    """
    try:
        plain: Any = json.loads(lanes_file(home).read_bytes())
        return Lanes.from_plain(plain)
    except FileNotFoundError:
        return None
    except (ValueError, Invalid) as error:
        raise Broken("engine/lanes.json is damaged; it is written anew while the hub serves") from error
