"""The hub's end of the carriage: one long task a site, and mail as messages within it.

The task only keeps the engine's job alive at a site; everything travels as requests and replies of the engine, which
take 12 to 19 ms both ways where a task would wait to be polled.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller, Task
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from wardgate.carriage.words import BODY, DOWN, TASK, TOKEN, UP
from wardgate.hub.consortium.members import check_name, read_member
from wardgate.hub.engine.lane import SiteLane
from wardgate.hub.engine.lanes import Lanes, read_lanes, write_lanes
from wardgate.hub.home import Home
from wardgate.records.errors import Absent, Broken, Refused, WardgateError

POLL_SECONDS = 0.02
IDLE_POLL_SECONDS = 0.1
IDLE_AFTER_SECONDS = 10.0
AGAIN_SECONDS = 0.5
REFUSED_SECONDS = 5.0
ANSWER_SECONDS = 15.0
LANES_SECONDS = 1.0
STANDING_SECONDS = 2.0

_log = logging.getLogger("wardgate.hub")


class Carriage(Controller):  # type: ignore[misc]
    """Carries for one job.

    Args:
        consortium, protocol: Said to the sites by the job; not used here.
    """

    def __init__(self, consortium: str, protocol: int) -> None:
        super().__init__(task_check_period=0.5)
        self._named = (consortium, protocol)
        self._lanes: dict[str, SiteLane] = {}
        self._tokens: dict[str, str] = {}
        self._home, self._job = Home(Path()), ""

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Open a lane for each site of the job."""
        engine = fl_ctx.get_engine()
        self._home = Home(Path(engine.get_workspace().get_root_dir()).resolve().parent.parent)
        self._job = str(fl_ctx.get_job_id())
        before = _before(self._home)
        for client in engine.get_clients():
            try:
                self._open(engine, client, before)
            except WardgateError as error:
                _log.error("%s takes no part in the carriage: %s", client.name, error)
        engine.register_aux_message_handler(UP, self._up)

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Carry until the job is stopped."""
        self.broadcast(task=Task(name=TASK, data=Shareable(), timeout=0), fl_ctx=fl_ctx, min_responses=0)

        def stop() -> bool:
            return bool(abort_signal.triggered)

        threads = [Thread(target=_keep_pushing, args=(lane, stop), daemon=True) for lane in self._lanes.values()]
        for thread in threads:
            thread.start()
        while not stop():
            self._write_lanes()
            time.sleep(LANES_SECONDS)
        for thread in threads:
            thread.join(timeout=2.0)

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing is left to do: what was not carried lies in its box."""

    def process_result_of_unknown_task(
        self, client: object, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Ignore the end of an earlier carriage's task."""

    def _open(self, engine: object, client: object, before: dict[str, object]) -> None:
        site: str = client.name  # type: ignore[attr-defined]
        member = read_member(self._home, site)
        self._tokens[site] = client.token  # type: ignore[attr-defined]

        def call(message: bytes) -> bytes:
            return _ask(engine, site, message)

        self._lanes[site] = SiteLane(
            self._home,
            site,
            site_key=member.raw_key,
            call=call,
            standing=_every(STANDING_SECONDS, lambda: check_name(self._home, site)),
            before=before.get(site),  # type: ignore[arg-type]
            wall=_now,
            told=lambda words: _log.warning("%s", words),
        )

    def _up(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        peer = fl_ctx.get_peer_context()
        site = peer.get_identity_name() if peer is not None else ""
        lane, message = self._lanes.get(site), request.get(BODY)
        if lane is None or request.get(TOKEN) != self._tokens[site]:
            return make_reply(ReturnCode.UNSAFE_JOB)
        if not isinstance(message, bytes):
            return make_reply(ReturnCode.BAD_REQUEST_DATA)
        reply = make_reply(ReturnCode.OK)
        reply[BODY] = lane.take(message)
        return reply

    def _write_lanes(self) -> None:
        now = _now()
        try:
            others = {site: state for site, state in _before(self._home).items() if site not in self._lanes}
            states = {site: lane.state(now) for site, lane in self._lanes.items()} | others
            write_lanes(
                self._home,
                Lanes(
                    at=int(now),
                    job=self._job,
                    carried=tuple(sorted(self._lanes)),
                    lanes=tuple(states[site] for site in sorted(states)),
                ),
            )
        except OSError as error:
            _log.error("the state of the roads cannot be written: %s", error.strerror)


def _keep_pushing(lane: SiteLane, stop: Callable[[], bool]) -> None:
    busy = time.monotonic()
    while not stop():
        try:
            if lane.push(stop):
                busy = time.monotonic()
            idle = time.monotonic() - busy > IDLE_AFTER_SECONDS
            time.sleep(IDLE_POLL_SECONDS if idle else POLL_SECONDS)
        except Absent:
            time.sleep(AGAIN_SECONDS)
        except WardgateError as error:
            lane.refuse(str(error))
            time.sleep(REFUSED_SECONDS)
        except OSError as error:
            lane.refuse(f"the hub's mail cannot be read: {error.strerror}")
            time.sleep(REFUSED_SECONDS)


def _now() -> float:
    return time.time()  # noqa: TID251 - the engine makes the controller, so that nobody can hand it a clock


def _before(home: Home) -> dict[str, object]:
    try:
        found = read_lanes(home)
    except Broken:
        return {}
    return {} if found is None else {lane.site: lane for lane in found.lanes}


def _every(seconds: float, check: Callable[[], object]) -> Callable[[], None]:
    """Return a check that really checks once in a while, and says the same in between."""
    last = 0.0
    refused: Refused | None = None

    def checked() -> None:
        nonlocal last, refused
        if time.monotonic() - last > seconds:
            last, refused = time.monotonic(), None
            try:
                check()
            except WardgateError as error:
                refused = Refused(str(error))
        if refused is not None:
            raise refused

    return checked


def _ask(engine: object, site: str, message: bytes) -> bytes:
    request = Shareable()
    request[BODY] = message
    replies = engine.send_aux_request(  # type: ignore[attr-defined]
        targets=[site],
        topic=DOWN,
        request=request,
        timeout=ANSWER_SECONDS,
        fl_ctx=engine.new_context(),  # type: ignore[attr-defined]
        optional=True,
    )
    reply = (replies or {}).get(site)
    body = reply.get(BODY) if isinstance(reply, Shareable) and reply.get_return_code() == ReturnCode.OK else None
    if not isinstance(body, bytes):
        raise Absent(f"{site} did not answer")
    return body
