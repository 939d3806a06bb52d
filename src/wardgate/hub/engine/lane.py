"""The hub's end of the road to one site: mail out, mail in, and what is known of the other end."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from wardgate import __version__
from wardgate.hub.engine.lanes import LaneState
from wardgate.hub.home import Home
from wardgate.records.envelope import unseal
from wardgate.records.errors import Broken, WardgateError
from wardgate.records.mail import DECISION, PROTOCOL, STANDING
from wardgate.records.messages import ANSWER
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box
from wardgate.road.lane import LARGEST, Lane, holds, taken_into
from wardgate.road.transfer import Call, Receiver, Sender, check_protocol

AWAY_SECONDS = 12


class SiteLane:
    """Both directions of one site, for one life of the carriage.

    Args:
        site: Its name; the engine has authenticated the certificate.
        site_key: Public key of its ward. Only what this key signed comes in.
        call: The request and reply of the engine towards this site.
        standing: Raises Refused when the site does not belong any more.
        before: What an earlier life counted.
        wall: Seconds since 1970.
        told: Hears words for the log.
    """

    def __init__(
        self,
        home: Home,
        site: str,
        *,
        site_key: bytes,
        call: Call,
        standing: Callable[[], None],
        before: LaneState | None,
        wall: Callable[[], float],
        told: Callable[[str], None],
    ) -> None:
        for folder in (home.road, home.road / site):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.site = site
        self._key = site_key
        self._standing = standing
        self._told = told
        self._wall = wall
        self._before = before or LaneState(site=site, state="away")
        self._heard = float(self._before.last_heard)
        self._said: Mapping[str, object] = {}
        self._difference: int | None = None
        self._words = ""
        self._bytes_in = self._parcels_in = self._refused_in = 0
        inbox = Box(home.inbox(site))
        self._lane = Lane(
            box=Box(home.out(site)),
            sender=Sender(call=call, retries=0),
            check=None,
            aside=home.road / site / "aside",
            told=lambda name, words: told(f"parcel {name[:16]} for {site} was put aside: {words}"),
        )
        self._receiver = Receiver(
            partial=home.road / site / "partial",
            accept=self._counted(taken_into(inbox, self._check, self._not_taken, blobs=False)),
            has=holds(inbox),
            largest=LARGEST,
            greeting=self._greeted,
            free=lambda: shutil.disk_usage(home.road).free,
        )

    def push(self, stop: Callable[[], bool]) -> int:
        """Bring over what waits for the site.

        Raises:
            Absent: it does not answer.
            Refused: it does not belong any more.
        """
        self._standing()
        left = self._lane.push(stop=stop)
        if left:
            self._heard = self._wall()
        return left

    def take(self, message: bytes) -> bytes:
        """Answer one message of the site."""
        self._heard = self._wall()
        self._bytes_in += len(message)
        return self._receiver.take(message)

    def refuse(self, words: str) -> None:
        """Keep why nothing is carried, to be shown to people; empty where all is well."""
        if words and words != self._words:
            self._told(f"{self.site}: {words}")
        self._words = words

    def state(self, now: float) -> LaneState:
        """Return what is known now."""
        before, lane = self._before, self._lane
        here: Literal["connected", "away", "refused"] = "connected" if now - self._heard < AWAY_SECONDS else "away"
        return LaneState(
            site=self.site,
            state="refused" if self._words else here,
            last_heard=int(self._heard),
            bytes_out=before.bytes_out + lane.bytes,
            bytes_in=before.bytes_in + self._bytes_in,
            parcels_out=before.parcels_out + lane.sent,
            parcels_in=before.parcels_in + self._parcels_in,
            refused=lane.refused + self._refused_in + _whole(self._said.get("refused")),
            clock_difference=self._difference,
            wardgate=str(self._said.get("wardgate", before.wardgate))[:40],
            ward_seconds=_whole(self._said.get("ward"), absent=-1) if self._said else before.ward_seconds,
            words=self._words,
        )

    def _greeted(self, said: Mapping[str, object]) -> Mapping[str, object]:
        ours = {"protocol": PROTOCOL, "wardgate": __version__, "clock": int(self._wall())}
        self._said = said
        self._difference = _whole(said.get("clock")) - int(self._wall())
        try:
            self._standing()
            check_protocol(ours, said)
        except WardgateError as error:
            self.refuse(str(error))
            raise
        self.refuse("")
        return ours

    def _check(self, parcel: Parcel) -> None:
        self._standing()
        statement = unseal(parcel.envelope, keys=(self._key,))
        if statement.predicate_type not in (ANSWER, DECISION, STANDING):
            raise Broken(f"a site sends answers, decisions and standings; found {statement.predicate_type}")
        if statement.predicate.get("site") != self.site:
            raise Broken(f"mail in the name of another site came from {self.site}")

    def _not_taken(self, name: str, words: str) -> None:
        self._refused_in += 1
        self._told(f"parcel {name[:16]} of {self.site} was not taken: {words}")

    def _counted(self, accept: Callable[[Path, str], None]) -> Callable[[Path, str], None]:
        def counted(path: Path, name: str) -> None:
            accept(path, name)
            self._parcels_in += 1

        return counted


def _whole(found: object, absent: int = 0) -> int:
    return found if type(found) is int else absent
