"""The hospital's end of the carriage: pre-installed here, named by the hub's job, run for as long as the job lives.

It brings what the ward laid into the spool to the hub, and lays into the spool what the hub sends; both through the
border. Where the spool is, who the hub is and which keys hold, it learns from the hospital's own folder, never from the
job. It holds no signing key and opens nothing of the ward's.
"""

import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from wardgate import __version__
from wardgate.hospital.premises import Premises
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.wire.courier import Border, Seen
from wardgate.hospital.wire.known import Known, read_known
from wardgate.records.errors import Absent, Refused, Unsupported, WardgateError
from wardgate.records.mail import PROTOCOL
from wardgate.road.lane import Lane, holds, taken_into
from wardgate.road.transfer import Receiver, Sender

DOWN, UP = "wardgate.down", "wardgate.up"
"""Topics of the engine's messages, as the hub's end knows them."""

BODY, TOKEN = "wardgate", "token"
"""Keys of a message: a frame of the road, and the proof that this wire sends it."""

POLL_SECONDS = 0.02
GREET_SECONDS = 3.0
ANSWER_SECONDS = 15.0
AGAIN_SECONDS = 0.5
LARGEST = 2 * 2**30

_log = logging.getLogger("wardgate.wire")


class Carrier(Executor):  # type: ignore[misc]
    """Carries for one job.

    Args:
        consortium: Of the hub that sent the job; must be the one that this hospital joined.
        protocol: Of the hub.
        studies: If any, the job is for these alone, and the hospital must have signed each.
    """

    def __init__(self, consortium: str, protocol: int, studies: list[str] | None = None) -> None:
        super().__init__()
        self._consortium = consortium
        self._protocol = protocol
        self._studies = tuple(studies or ())
        self._receiver: Receiver | None = None
        self._lane: Lane | None = None
        self._sender: Sender | None = None
        self._premises: Premises | None = None
        self._heard = 0.0

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """At the start of a run: check the job, open both directions."""
        if event_type != EventType.START_RUN:
            return
        try:
            self._open(fl_ctx)
        except WardgateError as error:
            _log.error("the hub's job is refused: %s", error)
            self.system_panic(f"refused: {error}", fl_ctx)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Carry until the job ends."""
        if task_name != "carry" or self._lane is None:
            return make_reply(ReturnCode.TASK_UNKNOWN)

        def stop() -> bool:
            return bool(abort_signal.triggered)

        greeted = 0.0
        while not stop():
            try:
                if time.monotonic() - greeted > GREET_SECONDS:
                    self._greet()
                    greeted = time.monotonic()
                self._lane.push(stop=stop)
                time.sleep(POLL_SECONDS)
            except (Refused, Unsupported) as error:
                _log.error("the hub does not talk to this wire: %s", error)
                _rest(GREET_SECONDS, stop)
            except WardgateError as error:
                _log.warning("the hub does not answer: %s", error)
                greeted = 0.0
                _rest(AGAIN_SECONDS, stop)
            except OSError as error:
                _log.error("the spool cannot be used: %s", error.strerror)
                _rest(GREET_SECONDS, stop)
        return make_reply(ReturnCode.OK)

    def _open(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        premises = Premises(Path(engine.get_workspace().get_root_dir()).resolve().parent.parent)
        known = read_known(premises)
        self._check(known, premises)
        border = Border(
            site=known.site, hub_key=known.hub_key, ward_key=known.ward_key, seen=Seen(premises.wire / "studies")
        )
        spool = FolderSpool(premises.spool)
        self._premises = premises

        def call(message: bytes) -> bytes:
            return _ask(engine, message)

        self._sender = Sender(call=call, retries=0)
        self._lane = Lane(
            box=spool.box("answers"),
            sender=self._sender,
            check=border.outwards,
            aside=premises.spool / "aside",
            told=lambda name, words: _log.error("parcel %s may not leave: %s", name[:16], words),
        )
        questions = spool.box("questions")
        self._receiver = Receiver(
            partial=premises.spool / "partial",
            accept=taken_into(
                questions,
                border.inwards,
                lambda name, words: _log.error("parcel %s of the hub may not come in: %s", name[:16], words),
            ),
            has=holds(questions),
            largest=LARGEST,
            greeting=lambda _: self._said(),
            free=lambda: shutil.disk_usage(premises.spool).free,
        )
        engine.register_aux_message_handler(DOWN, self._down)

    def _check(self, known: Known, premises: Premises) -> None:
        if self._consortium != known.consortium:
            raise Refused(f"the job is of consortium '{self._consortium}', this hospital joined '{known.consortium}'")
        if self._protocol != PROTOCOL:
            older = "the hub" if self._protocol < PROTOCOL else "this hospital"
            raise Refused(f"the job speaks protocol {self._protocol}, this wire {PROTOCOL}; {older} has to upgrade")
        seen = Seen(premises.wire / "studies")
        for study in self._studies:
            if not seen.takes_part(study):
                raise Refused(f"the job is for study {study[:16]}, which this hospital has not signed")

    def _down(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        message = request.get(BODY)
        if self._receiver is None or not isinstance(message, bytes):
            return make_reply(ReturnCode.BAD_REQUEST_DATA)
        reply = make_reply(ReturnCode.OK)
        reply[BODY] = self._receiver.take(message)
        return reply

    def _greet(self) -> None:
        if self._sender is not None:
            self._sender.greet(self._said())

    def _said(self) -> Mapping[str, object]:
        assert self._premises is not None  # noqa: S101 - set before any handler is registered
        return {
            "protocol": PROTOCOL,
            "wardgate": __version__,
            "clock": int(time.time()),
            "ward": ward_seen(self._premises),
            "refused": self._lane.refused if self._lane is not None else 0,
        }


def ward_seen(premises: Premises) -> int:
    """Return seconds since the ward last showed that it is alive, or -1 where it never did."""
    try:
        return max(0, int(time.time() - (premises.spool / "ward.alive").stat().st_mtime))
    except OSError:
        return -1


def _ask(engine: object, message: bytes) -> bytes:
    request = Shareable()
    request[BODY], request[TOKEN] = message, engine.client.token  # type: ignore[attr-defined]
    replies = engine.send_aux_request(  # type: ignore[attr-defined]
        targets=None,
        topic=UP,
        request=request,
        timeout=ANSWER_SECONDS,
        fl_ctx=engine.new_context(),  # type: ignore[attr-defined]
    )
    reply = next(iter((replies or {}).values()), None)
    body = reply.get(BODY) if isinstance(reply, Shareable) and reply.get_return_code() == ReturnCode.OK else None
    if not isinstance(body, bytes):
        raise Absent(f"no answer within {ANSWER_SECONDS:.0f} s")
    return body


def _rest(seconds: float, stop: object) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():  # type: ignore[operator]
        time.sleep(POLL_SECONDS)
