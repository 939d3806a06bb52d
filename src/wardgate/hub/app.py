"""The hub in operation: the engine's server as a process of its own, and the conductor that keeps it carrying."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wardgate.carriage.alone import alone
from wardgate.carriage.ending import end_group
from wardgate.carriage.environment import engine_environment
from wardgate.hub.consortium.founding import read_hub
from wardgate.hub.consortium.members import members
from wardgate.hub.engine.conductor import Conductor
from wardgate.hub.engine.job import write_job
from wardgate.hub.engine.lanes import Lanes, read_lanes
from wardgate.hub.engine.session import FlareSession, require_engine
from wardgate.hub.engine.workspace import coordinator_workspace, server_workspace, write_workspaces
from wardgate.hub.home import Home
from wardgate.records.errors import Absent, Broken, Invalid, StepFailed
from wardgate.records.hub_file import HubFile

STEP_SECONDS = 1.0
SESSION_SECONDS = 5.0
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)
STEADY_SECONDS = 60.0
FALSE_STARTS = 3

Told = Callable[[str], None]


def serve(home: Home, *, stop: Callable[[], bool], told: Told = lambda _: None) -> None:
    """Serve a consortium until told to stop: a server for its sites, and one carriage with every connected site in it.

    Args:
        stop: Asked several times a second; True ends the serving.
        told: Hears what happens, in words for people.

    Raises:
        Invalid: no hub's folder, its port is taken, or another process serves it.
        Unsupported: the engine is not installed.
        StepFailed: the engine's server cannot stay up; its log is named.
    """
    hub = read_hub(home)
    require_engine()
    home.engine.mkdir(mode=0o700, exist_ok=True)
    with alone(home.engine / "serving.lock", server_workspace(home).resolve()) as left:
        if left:
            told("an engine that an earlier 'hub serve' left behind was ended")
            _rest(STEP_SECONDS, stop)
        check_port(hub.port)
        _keep_serving(home, hub, stop=stop, told=told)


def _keep_serving(home: Home, hub: HubFile, *, stop: Callable[[], bool], told: Told) -> None:
    pauses = _Pauses()
    while not stop():
        began = time.monotonic()
        with _server(home, hub) as server:
            told(f"the hub of consortium '{hub.consortium}' serves on port {hub.port}")
            _conduct(home, hub, server, stop=stop, told=told)
        if not stop():
            told("the engine's server ended; it is started again")
            pauses.wait(time.monotonic() - began, stop, server_workspace(home) / "process.log")


def check_port(port: int) -> None:
    """Check that the hub can listen: on all addresses of IPv4 and IPv6, whichever the machine has.

    Raises:
        Invalid: the port is taken, or needs rights that this user lacks.
    """
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104 - the hub listens
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return
        except PermissionError:
            raise Invalid(f"port {port} needs more rights than this user has: choose one above 1023") from None
        except OSError as error:
            last = error
            if error.errno in (97, 99):  # address family or address not there: try the other
                continue
            raise Invalid(
                f"port {port} is taken by another process: stop it (perhaps another 'hub serve'), or change hub.yaml"
            ) from None
    raise Invalid(f"this machine has no network address to listen on: {last.strerror}")


@contextmanager
def _server(home: Home, hub: HubFile) -> Iterator["subprocess.Popen[bytes]"]:
    for name in ("jobs", "snapshots"):  # jobs of an earlier life: what they carried lies in its boxes
        shutil.rmtree(home.engine / name, ignore_errors=True)
    shutil.rmtree(server_workspace(home), ignore_errors=True)
    put_out = tuple(site for site, member in members(home).items() if member.revoked_on is not None)
    write_workspaces(home, hub, disabled=put_out)
    workspace = server_workspace(home).resolve()
    log = workspace / "process.log"
    command = [
        *(sys.executable, "-u", "-m", "nvflare.private.fed.app.server.server_train"),
        *("-m", str(workspace), "-s", "fed_server.json"),
        *("--set", "secure_train=true", f"org={hub.consortium}", "config_folder=config"),
    ]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        process = subprocess.Popen(  # noqa: S603 - fixed program, own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=engine_environment(os.environ, scratch=home.engine / "tmp"),
            cwd=workspace,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_group(process, kindly_seconds=8.0)


def _conduct(
    home: Home, hub: HubFile, server: "subprocess.Popen[bytes]", *, stop: Callable[[], bool], told: Told
) -> None:
    """Run the conductor for as long as the server lives."""
    job = write_job(home.engine / "carriage", consortium=hub.consortium)
    session: FlareSession | None = None
    conductor: Conductor | None = None
    try:
        while not stop() and server.poll() is None:
            try:
                if session is None:
                    session = FlareSession(
                        coordinator_workspace(home).resolve(), hub.coordinator, timeout_seconds=SESSION_SECONDS
                    )
                    conductor = conductor or Conductor(
                        session=session,
                        job_folder=job.resolve(),
                        lanes=lambda: _lanes(home),
                        put_out=lambda: _put_out(home),
                        wall=time.time,  # noqa: TID251 - where the clock comes from
                        told=told,
                    )
                    conductor.session = session
                if conductor is not None:
                    conductor.step()
            except Absent as error:
                if session is not None:
                    told(str(error))
                    session.close()
                session = None
            _rest(STEP_SECONDS, stop)
    finally:
        if session is not None:
            session.close()


def _lanes(home: Home) -> Lanes | None:
    try:
        return read_lanes(home)
    except Broken:
        return None


def _put_out(home: Home) -> frozenset[str]:
    return frozenset(site for site, member in members(home).items() if member.revoked_on is not None)


class _Pauses:
    """Growing pauses before a server that ended is started again."""

    def __init__(self) -> None:
        self._ended = self._false_starts = 0

    def wait(self, lived: float, stop: Callable[[], bool], log: Path) -> None:
        self._false_starts = self._false_starts + 1 if lived < PAUSES[2] else 0
        if self._false_starts >= FALSE_STARTS:
            raise StepFailed("engine server", f"see {log}")
        self._ended = 0 if lived > STEADY_SECONDS else self._ended
        _rest(PAUSES[min(self._ended, len(PAUSES) - 1)], stop)
        self._ended += 1


def _rest(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(0.05)
