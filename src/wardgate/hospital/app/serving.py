"""A hospital in operation: its ward as a process without a network, its wire as a process without the data.

Both are told the hospital's folder and nothing else; between them lies the spool. A process that ends is started
again, with growing pauses; one that cannot stay up is given up with the place of its log. On separate machines or
users, each side is served alone.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wardgate.hospital.app.isolated import NAMESPACE, check_isolation
from wardgate.hospital.premises import FINAL, Premises
from wardgate.records.errors import Invalid, StepFailed

Side = Literal["ward", "wire"]

PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before a process that ended is started again; after the last it stays at that."""

STEADY = 60.0
"""Seconds after which a process counts as steady, and its pauses begin anew."""

AT_ONCE = 5.0
"""A process that ends sooner did not start at all."""

FALSE_STARTS = 3
"""So many of them in a row end the serving."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


@dataclass(slots=True, kw_only=True)
class Served:
    """One side's process.

    Attributes:
        log: Where its standard output and error go; the ward's may quote patients.
    """

    side: Side
    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    next_start: float = 0.0
    false_starts: int = 0
    ended: int = 0
    words: str = field(default="")

    def start(self, now: float) -> None:
        """Start the process."""
        environment = {**os.environ, **ONE_THREAD}
        if self.side == "ward":
            environment = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            self.process = subprocess.Popen(  # noqa: S603 - fixed program, own arguments
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.started = now

    def watch(self, now: float) -> None:
        """Start the process again where it ended.

        Raises:
            StepFailed: it cannot stay up.
        """
        if self.process is None:
            if now >= self.next_start:
                self.start(now)
            return
        code = self.process.poll()
        if code is None:
            return
        lived = now - self.started
        self.false_starts = self.false_starts + 1 if lived < AT_ONCE else 0
        if code == FINAL or self.false_starts >= FALSE_STARTS:
            raise StepFailed(f"{self.side} process", f"exit {code}, see {self.log}")
        self.ended = 0 if lived > STEADY else self.ended
        self.next_start = now + PAUSES[min(self.ended, len(PAUSES) - 1)]
        self.ended += 1
        self.process = None

    def stop(self) -> None:
        """End the process: kindly first, so that it finishes what it has in hand."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()


def command_of(side: Side, premises: Premises, *, alone: bool = False) -> list[str]:
    """Return the command of one side; the ward's begins with the namespace that takes its network away.

    Args:
        alone: The other side is another user's or machine's, so a wire that could read the ward's folder refuses.
    """
    own = [sys.executable, "-m", f"wardgate.hospital.{side}", "--premises", str(premises.root.resolve())]
    own += ["--served-by", str(os.getpid())]
    if side == "ward":
        return [*NAMESPACE, *own]
    return [*own, "--strict"] if alone else own


def serve(
    premises: Premises,
    *,
    sides: Sequence[Side] = ("ward", "wire"),
    clock: Callable[[], float],
    pause: Callable[[], bool],
    on_start: Callable[[Side, int], None] = lambda _side, _pid: None,
) -> None:
    """Run a hospital until told to stop.

    Args:
        sides: Both, or one where the other runs elsewhere.
        clock: Seconds, monotonic.
        pause: Waits a moment; True ends the serving.
        on_start: Told of every process that starts.

    Raises:
        Invalid: not a hospital's folder, or not yet enrolled.
        Unsupported: the system does not let the ward run without a network.
        StepFailed: a side cannot stay up.
    """
    if not premises.site_file.is_file():
        raise Invalid(f"{premises.root} is no hospital's folder: site.yaml is missing; make one with 'site init'")
    if not premises.response.is_file():
        raise Invalid(
            f"{premises.root} is not enrolled: send site.request to the hub and give its response to 'site enrol'"
        )
    if "ward" in sides:
        check_isolation()
    served = [
        Served(
            side=side,
            command=command_of(side, premises, alone=len(sides) == 1),
            log=(premises.ward if side == "ward" else premises.wire) / "process.log",
        )
        for side in sides
    ]
    known: dict[Side, int] = {}
    try:
        while True:
            for one in served:
                one.watch(clock())
                if one.process is not None and known.get(one.side) != one.process.pid:
                    known[one.side] = one.process.pid
                    on_start(one.side, one.process.pid)
            if pause():
                return
    finally:
        for one in served:
            one.stop()
