"""The hospital's end of the carriage: pre-installed here, named by the hub's job, run for as long as the job lives.

It brings what the ward laid into the spool to the hub, and lays into the spool what the hub sends; both through the
border. Where the spool is, who the hub is and which keys hold, it learns from the hospital's own folder, never from the
job. It holds no signing key and opens nothing of the ward's.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from wardgate.carriage.words import BODY, DOWN, TASK, TOKEN, UP
from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.known import read_known
from wardgate.hospital.wire.roads import Roads, check_job, open_roads
from wardgate.records.errors import Absent, Refused, Unsupported, WardgateError

POLL_SECONDS = 0.02
IDLE_POLL_SECONDS = 0.1
IDLE_AFTER_SECONDS = 10.0
GREET_SECONDS = 2.0
ANSWER_SECONDS = 15.0
AGAIN_SECONDS = 0.5

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
        self._named = (consortium, protocol, tuple(studies or ()))
        self._roads: Roads | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """At the start of a run: check the job, open both directions."""
        if event_type != EventType.START_RUN:
            return
        try:
            self._open(fl_ctx.get_engine())
        except WardgateError as error:
            _log.error("the hub's job is refused: %s", error)
            self.system_panic(f"refused: {error}", fl_ctx)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Carry until the job ends."""
        roads = self._roads
        if task_name != TASK or roads is None:
            return make_reply(ReturnCode.TASK_UNKNOWN)

        def stop() -> bool:
            return bool(abort_signal.triggered)

        while not stop():
            try:
                _carry(roads, stop)
            except (Refused, Unsupported) as error:
                _log.error("the hub does not talk to this wire: %s", error)
                _rest(GREET_SECONDS, stop)
            except WardgateError as error:
                _log.warning("the hub does not answer: %s", error)
                _rest(AGAIN_SECONDS, stop)
            except OSError as error:
                _log.error("the spool cannot be used: %s", error.strerror)
                _rest(GREET_SECONDS, stop)
        return make_reply(ReturnCode.OK)

    def _open(self, engine: Any) -> None:
        premises = Premises(Path(engine.get_workspace().get_root_dir()).resolve().parent.parent)
        known = read_known(premises)
        consortium, protocol, studies = self._named
        check_job(premises, known, consortium=consortium, protocol=protocol, studies=studies)
        self._roads = open_roads(
            premises,
            known,
            call=lambda message: _ask(engine, message),
            wall=time.time,  # noqa: TID251 - the engine makes this class, so that nobody can hand it a clock
            told=lambda words: _log.error("%s", words),
        )
        engine.register_aux_message_handler(DOWN, self._down)

    def _down(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        message = request.get(BODY)
        if self._roads is None or not isinstance(message, bytes):
            return make_reply(ReturnCode.BAD_REQUEST_DATA)
        reply = make_reply(ReturnCode.OK)
        reply[BODY] = self._roads.receiver.take(message)
        return reply


def _carry(roads: Roads, stop: Callable[[], bool]) -> None:
    """Greet once in a while and push what waits, until something is in the way."""
    greeted, busy = -GREET_SECONDS, time.monotonic()
    while not stop():
        if time.monotonic() - greeted >= GREET_SECONDS:
            roads.greet()
            greeted = time.monotonic()
        if roads.lane.push(stop=stop):
            busy = time.monotonic()
        time.sleep(IDLE_POLL_SECONDS if time.monotonic() - busy > IDLE_AFTER_SECONDS else POLL_SECONDS)


def _ask(engine: Any, message: bytes) -> bytes:
    request = Shareable()
    request[BODY], request[TOKEN] = message, engine.client.token
    replies = engine.send_aux_request(
        targets=None,
        topic=UP,
        request=request,
        timeout=ANSWER_SECONDS,
        fl_ctx=engine.new_context(),
        optional=True,
    )
    reply = next(iter((replies or {}).values()), None)
    body = reply.get(BODY) if isinstance(reply, Shareable) and reply.get_return_code() == ReturnCode.OK else None
    if not isinstance(body, bytes):
        raise Absent(f"no answer within {ANSWER_SECONDS:.0f} s")
    return body


def _rest(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(POLL_SECONDS)
