"""A hospital's end of the road, whatever engine carries it: what goes out, what comes in, what it says of itself."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from wardgate import __version__
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.wire.courier import Border, Seen
from wardgate.hospital.wire.greeted import keep_greeting
from wardgate.hospital.wire.known import Known
from wardgate.records.errors import Refused
from wardgate.records.mail import PROTOCOL
from wardgate.road.lane import LARGEST, Lane, holds, taken_into
from wardgate.road.transfer import Call, Receiver, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Roads:
    """Both directions.

    Attributes:
        lane: Answers, decisions and standings on their way out.
        receiver: Answers what the hub sends.
        sender: Carries greetings as well.
        said: What the wire says of itself: protocol, version, clock, and how the ward is.
        heard: Takes what the hub says of itself.
    """

    lane: Lane
    receiver: Receiver
    sender: Sender
    said: Callable[[], Mapping[str, object]]
    heard: Callable[[Mapping[str, object]], None]

    def greet(self) -> None:
        """Tell the hub that this wire is there.

        Raises:
            Absent: no answer.
            Unsupported, Refused: the hub does not talk to this wire.
        """
        self.heard(self.sender.greet(self.said()))


def open_roads(
    premises: Premises, known: Known, *, call: Call, wall: Callable[[], float], told: Callable[[str], None]
) -> Roads:
    """Open both directions over the spool.

    Args:
        call: One request to the hub, one reply.
        wall: Seconds since 1970.
        told: Hears of everything that may not pass, by name and reason, never by content.
    """
    spool = FolderSpool(premises.spool)
    questions = spool.box("questions")
    border = Border(site=known.site, hub_key=known.hub_key, ward_key=known.ward_key, seen=seen_by(premises))
    sender = Sender(call=call, retries=0)
    lane = Lane(
        box=spool.box("answers"),
        sender=sender,
        check=border.outwards,
        aside=premises.spool / "aside",
        told=lambda name, words: told(f"parcel {name[:16]} may not leave: {words}"),
    )

    def said() -> Mapping[str, object]:
        return {
            "protocol": PROTOCOL,
            "wardgate": __version__,
            "clock": int(wall()),
            "ward": ward_seen(premises, now=wall()),
            "refused": lane.refused,
        }

    receiver = Receiver(
        partial=premises.spool / "partial",
        accept=taken_into(
            questions,
            border.inwards,
            lambda name, words: told(f"parcel {name[:16]} of the hub may not come in: {words}"),
        ),
        has=holds(questions),
        largest=LARGEST,
        greeting=lambda _: said(),
        free=lambda: shutil.disk_usage(premises.spool).free,
    )

    def heard(words: Mapping[str, object]) -> None:
        with suppress(OSError):  # it is kept for people who ask later; the road goes on without
            keep_greeting(premises, words, now=wall())

    return Roads(lane=lane, receiver=receiver, sender=sender, said=said, heard=heard)


def check_job(premises: Premises, known: Known, *, consortium: str, protocol: int, studies: Sequence[str]) -> None:
    """Check that a hub's job is for this hospital.

    Raises:
        Refused: of another consortium, another protocol, or for a study that the hospital has not signed.
    """
    if consortium != known.consortium:
        raise Refused(f"the job is of consortium '{consortium}', this hospital joined '{known.consortium}'")
    if protocol != PROTOCOL:
        older = "the hub" if protocol < PROTOCOL else "this hospital"
        raise Refused(f"the job speaks protocol {protocol}, this wire {PROTOCOL}; {older} has to upgrade")
    for study in studies:
        if not seen_by(premises).takes_part(study):
            raise Refused(f"the job is for study {study[:16]}, which this hospital has not signed")


def seen_by(premises: Premises) -> Seen:
    """Return what passed this hospital's wire."""
    return Seen(premises.wire / "studies")


def ward_seen(premises: Premises, *, now: float) -> int:
    """Return seconds since the ward last showed that it is alive, or -1 where it never did."""
    try:
        return max(0, int(now - (premises.spool / "ward.alive").stat().st_mtime))
    except OSError:
        return -1
