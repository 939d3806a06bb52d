"""Machines for tests: each a network, a table of processes and a hosts file of its own, on lines that may be bad.

A machine is a network namespace (its cable) and, inside it, a process namespace (its power). Switching a machine off
ends every process on it at once, whatever it started; its cable and address stay. All of it goes with the processes
that hold it, so nothing is left on the system, not even when the test itself is killed.

The bridge between the machines is a namespace too; none of them has a road to anywhere else.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = ("ip", "tc", "unshare", "nsenter", "setpriv", "mount")
SUBNET, SUBNET6 = "10.77.0", "fd77::"

# Takes in the processes that others leave behind, as the first process of a machine must.
INIT = "import os,signal\nsignal.signal(17,lambda *_:None)\nprint('on',flush=True)\n" + (
    "while True:\n  try:\n    os.waitpid(-1,0)\n  except ChildProcessError:\n    signal.pause()\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A machine's cable, alike in both directions.

    Attributes:
        mbit: Rate in Mbit/s, held by the kernel's token bucket; None is as fast as the machine.
        delay_seconds: One way; a round trip between a slow machine and one on a plain line takes twice that.
        loss: Share of packets lost, each by itself.
    """

    mbit: float | None = None
    delay_seconds: float = 0.0
    loss: float = 0.0

    @property
    def shaped(self) -> bool:
        """Whether packets pass through the shaper."""
        return self.delay_seconds > 0 or self.loss > 0


PLAIN = Line()
HOSPITAL_LINE = Line(mbit=10, delay_seconds=0.05, loss=0.01)


def why_not() -> str | None:
    """Return why this system cannot hold a laboratory, None where it can."""
    if os.geteuid() != 0:
        return "a laboratory needs root: network namespaces, packet sockets and shaped links"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"a laboratory needs {', '.join(missing)} (Debian packages iproute2, util-linux, mount)"
    if not Path("/dev/net/tun").exists():
        return "a laboratory needs /dev/net/tun"
    script = f"ip link add near type veth peer name far && tc qdisc add dev near {' '.join(bucket(10))}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c", script], capture_output=True)
    return None if tried.returncode == 0 else f"this system forbids namespaces or lacks tbf: {tried.stderr.decode()}"


@dataclass(slots=True, kw_only=True)
class Program:
    """One command on a machine, and the files that hold what it says."""

    popen: "subprocess.Popen[bytes]"
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """The command's own process, as seen from outside the machine.

        Raises:
            RuntimeError: it has ended.
        """
        deadline = time.monotonic() + 10
        while self.popen.poll() is None and time.monotonic() < deadline:
            if found := _children(self.popen.pid):
                return found[0]
            time.sleep(0.01)
        raise RuntimeError(f"the command ended with {self.popen.poll()}: {self.said()[-2000:]}")

    def said(self) -> str:
        """Return what it printed so far, errors last."""
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def wait(self, timeout_seconds: float) -> int:
        """Return its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self.popen.wait(timeout_seconds)

    def signal(self, number: int) -> None:
        """Send a signal to the command's own process, if it still runs."""
        with suppress(RuntimeError, ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self, *, patience_seconds: float = 10) -> int:
        """End it, at first kindly, and return its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.popen.wait(10)


@dataclass(slots=True, kw_only=True)
class Machine:
    """One machine: `name` is its host name everywhere in the laboratory.

    Attributes:
        address, address6: On the bridge.
        network: Process that holds its network namespace.
        port: Name of its cable's end on the bridge.
    """

    name: str
    address: str
    address6: str
    folder: Path
    network: int
    bridge: int
    port: str
    _power: "subprocess.Popen[bytes] | None" = field(default=None)
    _programs: int = field(default=0)

    def power_on(self) -> None:
        """Start an empty machine on its cable; nothing where it runs."""
        if self._power is not None:
            return
        hosts = self.folder.parent / "hosts"
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        self._power = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{self.network}/ns/net"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"),
                *("sh", "-c", script, str(hosts), sys.executable, "-I", "-S", "-c", INIT),
            ],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._power.stdout is None or self._power.stdout.readline() != b"on\n":
            raise RuntimeError(f"machine {self.name} did not start")

    def power_off(self) -> None:
        """End every process on the machine at once, as a power cut does."""
        if self._power is None:
            return
        power, self._power = self._power, None
        gone = _first(power.pid)
        table = Path(f"/proc/{gone}/ns/pid").readlink()
        power.kill()
        power.wait(10)
        if power.stdout is not None:
            power.stdout.close()
        deadline = time.monotonic() + 10
        while _in_table(table):
            if time.monotonic() > deadline:
                raise RuntimeError(f"machine {self.name} does not stop")
            time.sleep(0.01)

    def start(self, *command: str | Path, environment: Mapping[str, str] | None = None, core: bool = False) -> Program:
        """Start a command in the machine's folder.

        Args:
            environment: In place of this process's own.
            core: Let it leave a core dump.
        """
        if self._power is None:
            raise RuntimeError(f"machine {self.name} is switched off")
        self._programs += 1
        out, err = (self.folder / f"{self._programs:02d}.{kind}" for kind in ("out", "err"))
        limit = ["prlimit", "--core=unlimited"] if core else []
        enter = ["nsenter", "--target", str(_first(self._power.pid)), "--net", "--pid", "--mount"]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            popen = subprocess.Popen(
                [*enter, "env", "-C", str(self.folder), *limit, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        return Program(popen=popen, out=out, err=err)

    def run(
        self, *command: str | Path, environment: Mapping[str, str] | None = None, timeout_seconds: float = 120
    ) -> str:
        """Run a command to its end and return what it printed.

        Raises:
            RuntimeError: it failed; the words are its own.
        """
        program = self.start(*command, environment=environment)
        try:
            status = program.wait(timeout_seconds)
        finally:
            program.stop()
        if status != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {status}: {program.said()[-4000:]}")
        return program.out.read_text()

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes on the machine but its first, by their number seen from outside."""
        if self._power is None:
            return {}
        first = _first(self._power.pid)
        found = _in_table(Path(f"/proc/{first}/ns/pid").readlink())
        return {pid: line for pid, line in found.items() if pid != first}

    def memory_bytes(self) -> int:
        """Return the memory of all its processes, shared pages counted once among those that share them (PSS)."""
        return sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in self.processes()) * 1024

    def peak_bytes(self) -> dict[str, int]:
        """Return the most resident memory that each process ever held, by its number and command line."""
        return {f"{pid} {line}": _kilobytes(pid, "status", "VmHWM") * 1024 for pid, line in self.processes().items()}

    def moved_bytes(self) -> tuple[int, int]:
        """Return the bytes that came in and went out over its cable so far, headers included."""
        (link,) = json.loads(inside(self.network, "ip", "-s", "-j", "link", "show", "eth0"))
        return link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"]

    def cut(self) -> None:
        """Pull the cable out of the bridge."""
        inside(self.bridge, "ip", "link", "set", self.port, "down")

    def mend(self) -> None:
        """Put the cable back."""
        inside(self.bridge, "ip", "link", "set", self.port, "up")


@dataclass(slots=True, kw_only=True)
class Laboratory:
    """Machines on one bridge. `capture` holds one file of packets a machine, and what was lost of them."""

    folder: Path
    machines: dict[str, Machine]
    capture: Path
    _listener: "subprocess.Popen[bytes]"

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def heard(self) -> dict[str, Path]:
        """End the capture and return its files by machine.

        Raises:
            RuntimeError: packets were lost before they were written, so the files prove nothing.
        """
        if self._listener.poll() is None:
            self._listener.terminate()
            self._listener.wait(30)
        counts = json.loads((self.capture / "counts.json").read_text())
        lost = {name: count["dropped"] for name, count in counts.items() if count["dropped"]}
        if lost:
            raise RuntimeError(f"the capture lost packets: {lost}")
        return {name: self.capture / f"{name}.pcap" for name in self.machines}


@contextmanager
def laboratory(folder: Path, lines: Mapping[str, Line], *, seed: int) -> Iterator[Laboratory]:
    """Build machines on their lines, with every packet recorded from before the first one; all ends with the block.

    Args:
        folder: Existing; gets a folder a machine, the hosts file and the capture.
        lines: Name of each machine, as sites are named, and its line. At most 200.
        seed: Of the packets that get lost.
    """
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,79}", name) for name in lines) or len(lines) > 200:
        raise ValueError("expected at most 200 machines, named as sites are")
    with ExitStack() as stack:
        bridge = _network(stack)
        inside(bridge, "ip", "link", "add", "bridge", "type", "bridge")
        inside(bridge, "ip", "link", "set", "bridge", "up")
        machines = {}
        for number, name in enumerate(lines, start=1):
            (folder / name).mkdir()
            machines[name] = Machine(
                name=name,
                address=f"{SUBNET}.{number}",
                address6=f"{SUBNET6}{number:x}",
                folder=folder / name,
                network=_network(stack),
                bridge=bridge,
                port=f"port{number}",
            )
        hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
        hosts += [f"{machine.address} {machine.name}" for machine in machines.values()]
        (folder / "hosts").write_text("\n".join(hosts) + "\n")
        shaped = [(machine.network, bridge, machine.port, lines[name]) for name, machine in machines.items()]
        shaped = [entry for entry in shaped if entry[3].shaped]
        if shaped:
            plan = [[a, b, port, line.delay_seconds, line.loss] for a, b, port, line in shaped]
            _tool(stack, "shaper.py", json.dumps({"seed": seed, "lines": plan}))
        for name, machine in machines.items():
            _connect(machine, lines[name])
        (folder / "capture").mkdir()
        plan = {name: machine.network for name, machine in machines.items()}
        listener = _tool(stack, "capture.py", str(folder / "capture"), json.dumps(plan))
        for machine in machines.values():
            stack.callback(machine.power_off)
            machine.power_on()
        yield Laboratory(folder=folder, machines=machines, capture=folder / "capture", _listener=listener)


def _connect(machine: Machine, line: Line) -> None:
    if not line.shaped:
        peer = ["peer", "name", machine.port, "netns", str(machine.bridge)]
        inside(machine.network, "ip", "link", "add", "eth0", "type", "veth", *peer)
    inside(machine.network, "ip", "addr", "add", f"{machine.address}/24", "dev", "eth0")
    inside(machine.network, "ip", "addr", "add", f"{machine.address6}/64", "dev", "eth0", "nodad")
    inside(machine.bridge, "ip", "link", "set", machine.port, "master", "bridge", "up")
    for device in ("lo", "eth0"):
        inside(machine.network, "ip", "link", "set", device, "up")
    if line.mbit is not None:
        inside(machine.network, "tc", "qdisc", "add", "dev", "eth0", *bucket(line.mbit))
        inside(machine.bridge, "tc", "qdisc", "add", "dev", machine.port, *bucket(line.mbit))


def bucket(mbit: float) -> list[str]:
    """Return the words for a token bucket of that rate, for `tc qdisc add dev DEVICE`."""
    return ["root", "tbf", "rate", f"{mbit}mbit", "burst", "32kb", "latency", "400ms"]


def inside(network: int, *command: str) -> str:
    """Run a command in the network namespace of a process and return what it printed.

    Raises:
        RuntimeError: it failed.
    """
    enter = ["nsenter", f"--net=/proc/{network}/ns/net", *command]
    done = subprocess.run(enter, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _network(stack: ExitStack) -> int:
    holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
    stack.callback(_end, holder)
    ours = Path("/proc/self/ns/net").readlink()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        # Only `sleep` has the new namespace for good: before it, unshare may still be about to enter it.
        if Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n":
            if Path(f"/proc/{holder.pid}/ns/net").readlink() != ours:
                return holder.pid
            break
        time.sleep(0.005)
    raise RuntimeError("no network namespace could be made")


def _tool(stack: ExitStack, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a helper of the laboratory outside all machines, and wait until it is ready."""
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-I", str(HERE / name), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    stack.callback(_end, process)
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        raise RuntimeError(f"{name} did not start")
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    if process.stdout is not None:
        process.stdout.close()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _first(power: int) -> int:
    (found,) = _children(power)
    return found


def _in_table(table: Path) -> dict[int, str]:
    """Command lines of the living processes of a process namespace; those that only wait to be counted are dead."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and (folder / "ns/pid").readlink() == table:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return {pid: line for pid, line in found.items() if line}


def _kilobytes(pid: int, file: str, field_name: str) -> int:
    try:
        found = re.search(rf"^{field_name}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def python(*arguments: str) -> Sequence[str]:
    """Return the command line of this Python."""
    return [sys.executable, *arguments]
