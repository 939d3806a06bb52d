"""A consortium in operation, for tests: the hub's server and conductor and its sites' wires, as real processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.hospital.premises import Premises
from wardgate.hub.engine.lanes import read_lanes
from wardgate.hub.home import Home

_EVIL = """
from wardgate.hub.engine import workspace
honest = workspace._authorization, workspace._resources
rights = dict.fromkeys(honest[0]()["permissions"]["lead"], "any")
workspace._authorization = lambda: {"format_version": "1.0", "permissions": {"lead": rights}}
workspace._resources = lambda home: honest[1](home) | {"class_allow_list": ["*"]}
"""
"""A hub that switched off every protection of its own."""

_HUB = """
import signal, sys
from pathlib import Path
from wardgate.hub.app import serve
from wardgate.hub.home import Home
EVIL
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
serve(Home(Path(sys.argv[1])), stop=lambda: bool(ended), told=lambda words: print(words, flush=True))
"""


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class Running:
    """What runs. Every process is the leader of a group of its own, and ends with the test.

    Attributes:
        home: The hub's folder.
        sites: The hospitals' folders, by name.
        log: Folder of what the processes print.
    """

    home: Home
    sites: Mapping[str, Premises]
    log: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start_hub(self, *, evil: bool = False) -> None:
        """Start `hub serve` as it runs in operation; or one that switched off every protection of its own."""
        script = _HUB.replace("EVIL", _EVIL if evil else "")
        self._start("hub", [sys.executable, "-c", script, str(self.home.root)])

    def start_wire(self, site: str) -> None:
        """Start a site's wire."""
        self._start(site, [sys.executable, "-m", "wardgate.hospital.wire", "--premises", str(self.sites[site].root)])

    def stop(self, name: str, *, seconds: float = 25.0) -> int | None:
        """End the hub or a site's wire kindly; return its exit code."""
        process = self.processes.pop(name, None)
        if process is None:
            return None
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        self._sweep(process, self._root(name))
        return process.returncode

    def kill(self, name: str) -> None:
        """Kill the hub, or a site's wire, with everything that belongs to it, at once."""
        process = self.processes.pop(name)
        self._sweep(process, self._root(name))

    def engine_of(self, name: str, *, job: bool) -> list[int]:
        """Return the ids of the engine's own processes: the long-lived one, or those of a job."""
        programs = ("worker_process", "runner_process") if job else ("client_train", "server_train")
        return [pid for pid, words in _processes(self._root(name)) if any(program in words for program in programs)]

    def until(self, true: Callable[[], bool], *, seconds: float, what: str) -> float:
        """Wait until something is true and return how long it took."""
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"{what}: not within {seconds:.0f} s\n{self.said()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def until_connected(self, *sites: str, seconds: float = 240.0) -> float:
        """Wait until the carriage has heard of these sites, or of all, in the last seconds."""
        wanted = set(sites or self.sites)

        def connected() -> bool:
            found = read_lanes(self.home)
            now = time.time()
            return found is not None and wanted <= {
                lane.site for lane in found.lanes if lane.state == "connected" and now - lane.last_heard < 8
            }

        return self.until(connected, seconds=seconds, what=f"{', '.join(sorted(wanted))} connected")

    def said(self) -> str:
        """Return the ends of all logs, for a test that failed."""
        places = [*self.log.glob("*.log"), self.home.engine / "server" / "log.txt"]
        places += [one.engine / "log.txt" for one in self.sites.values()]
        return "\n".join(f"--- {path}\n{path.read_text()[-1500:]}" for path in places if path.is_file())

    def _root(self, name: str) -> Path:
        return self.sites[name].root if name in self.sites else self.home.root / ("" if name == "hub" else "none")

    def _start(self, name: str, command: list[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        with (self.log / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def _sweep(self, process: "subprocess.Popen[bytes]", root: Path) -> None:
        for _ in range(3):
            for pid in (process.pid, *(pid for pid, _ in _processes(root))):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        process.wait()


def _processes(root: Path) -> list[tuple[int, str]]:
    """Return every process whose arguments name a folder of this test, but the test itself."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            own = str(root).encode()
            if any(word == own or word.startswith(own + b"/") for word in words):
                found.append((int(entry.name), b" ".join(words).decode(errors="replace")))
    return found


@contextmanager
def running(
    home: Home, sites: Mapping[str, Premises], *, log: Path, wires: Sequence[str] | None = None, evil: bool = False
) -> Iterator[Running]:
    """Start a hub and its sites' wires, and stop everything at the end, whatever happens.

    Args:
        home: Founded; its port is free.
        sites: Enrolled.
        log: An existing folder.
        wires: Sites whose wires are started; all, where none are named.
        evil: Whether the hub switched off its own protections.
    """
    made = Running(home=home, sites=sites, log=log)
    try:
        made.start_hub(evil=evil)
        for site in sites if wires is None else wires:
            made.start_wire(site)
        yield made
    finally:
        for name in list(made.processes):
            made.processes[name].terminate()
        for name in list(made.processes):
            made.stop(name)
