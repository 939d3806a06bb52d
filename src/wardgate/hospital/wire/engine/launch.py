"""Starts the engine's client at a hospital and keeps it running; speaks for the wire, opens nothing of the ward's."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from wardgate.carriage.alone import alone
from wardgate.carriage.ending import end_group
from wardgate.carriage.environment import engine_environment
from wardgate.hospital.premises import FINAL, Premises
from wardgate.hospital.wire.engine.workspace import write_workspace
from wardgate.hospital.wire.known import Known, read_known
from wardgate.records.errors import Invalid, Refused, Unsupported, WardgateError

PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)
STEADY_SECONDS = 60.0
HEART_BEAT_SECONDS = 4
OWN_FOLDERS = ("startup", "local", "transfer")
KEPT_JOBS = 5


def main(arguments: Sequence[str]) -> int:
    """Run the wire of one hospital until a signal ends it; return an exit code."""
    parser = argparse.ArgumentParser(prog="wardgate.hospital.wire")
    parser.add_argument("--premises", required=True, type=Path)
    parser.add_argument("--strict", action="store_true", help="refuse to run where the ward's folder can be read")
    parser.add_argument("--served-by", type=int, default=None, help="end when this is no longer the parent process")
    given = parser.parse_args(arguments)
    try:
        return run(Premises(given.premises.resolve()), strict=given.strict, served_by=given.served_by)
    except WardgateError as error:
        print(f"the wire cannot run: {error}", file=sys.stderr)
        return FINAL


def run(premises: Premises, *, strict: bool, served_by: int | None = None) -> int:
    """Write the engine's workspace and keep its client running.

    Args:
        served_by: Process that started this one; when it was killed, this one ends too.

    Raises:
        Refused: `strict`, and the ward's folder can be read from here.
        Invalid: the hospital is not enrolled, or another process is its wire.
        Unsupported: the engine is not installed.
    """
    known = read_known(premises)
    check_apart(premises, strict=strict)
    try:
        import nvflare  # noqa: F401
    except ImportError:
        raise Unsupported("the engine is not installed: pip install 'wardgate[engine]'") from None
    if not os.access(premises.tls_key, os.R_OK):
        raise Invalid(f"{premises.tls_key.name} cannot be read by this user: the wire needs its TLS key")
    with alone(premises.wire / "serving.lock", premises.engine.resolve()):
        write_workspace(premises, known.response)
        forget_jobs(premises)
        return _Kept(premises, known, served_by).run()


def forget_jobs(premises: Premises) -> None:
    """Remove the folders of jobs that are over, but for the last few, whose logs may say why something was refused."""
    jobs = [path for path in premises.engine.iterdir() if path.is_dir() and path.name not in OWN_FOLDERS]
    for old in sorted(jobs, key=lambda path: path.stat().st_mtime_ns)[:-KEPT_JOBS]:
        shutil.rmtree(old, ignore_errors=True)


def check_apart(premises: Premises, *, strict: bool) -> None:
    """Say, or with `strict` refuse, where this process could read what belongs to the ward. Nothing is opened.

    Raises:
        Refused: it could.
    """
    if os.access(premises.ward, os.R_OK | os.X_OK):
        words = (
            f"the wire's user can read {premises.ward.name}/ of {premises.root.name}: run ward and wire as two users"
        )
        if strict:
            raise Refused(words)
        print(f"warning: {words}", file=sys.stderr)


class _Kept:
    """The engine's client, started again whenever it ends."""

    def __init__(self, premises: Premises, known: Known, served_by: int | None) -> None:
        self._premises = premises
        self._known = known
        self._served_by = served_by
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> int:
        for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(kind, self._stop)
        ended = 0
        while not self._over():
            began = time.monotonic()
            self._process = self._start()
            while self._process.poll() is None and not self._over():
                time.sleep(0.1)
            self._end()
            if self._over():
                break
            ended = 0 if time.monotonic() - began > STEADY_SECONDS else ended
            pause = PAUSES[min(ended, len(PAUSES) - 1)]
            print(f"the engine's client ended ({self._process.returncode}); again in {pause:.0f} s", file=sys.stderr)
            until = time.monotonic() + pause
            while time.monotonic() < until and not self._over():
                time.sleep(0.1)
            ended += 1
        return 0

    def _start(self) -> "subprocess.Popen[bytes]":
        site, root = self._known.site, self._premises.engine
        command = [
            *(sys.executable, "-u", "-m", "nvflare.private.fed.app.client.client_train"),
            *("-m", str(root), "-s", "fed_client.json"),
            *("--set", "secure_train=true", f"uid={site}", f"org={site}", "config_folder=config"),
            f"heart_beat_interval={HEART_BEAT_SECONDS}",
        ]
        environment = engine_environment(os.environ, scratch=self._premises.wire / "tmp")
        return subprocess.Popen(  # noqa: S603 - fixed program, own arguments
            command,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=root,
            start_new_session=True,
        )

    def _over(self) -> bool:
        return self._stopped or (self._served_by is not None and os.getppid() != self._served_by)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True

    def _end(self) -> None:
        if self._process is not None:
            end_group(self._process, kindly_seconds=6.0)
