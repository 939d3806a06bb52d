"""The laboratory keeps its word: what its lines do to packets, what it records, and what it leaves behind."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from capture import packets, streams
from namespaces import Line, Machine, laboratory, python, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ECHO = """
import socket, sys
with socket.create_server(("", 7000), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("up", flush=True)
    while True:
        ear, _ = server.accept()
        while data := ear.recv(65536):
            ear.sendall(data)
        ear.close()
"""

SAY = """
import socket, sys, threading, time
start = time.monotonic()
with socket.create_connection((sys.argv[1], 7000), timeout=20) as line:
    connected = time.monotonic() - start
    data = sys.argv[2].encode() * int(sys.argv[3])
    threading.Thread(target=lambda: (line.sendall(data), line.shutdown(socket.SHUT_WR))).start()
    back = b""
    while more := line.recv(65536):
        back += more
print(connected, time.monotonic() - start, back == data)
"""

COUNT = """
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
    ear.bind(("", 7001))
    ear.settimeout(3)
    print("up", flush=True)
    seen = 0
    try:
        while ear.recv(100):
            seen += 1
    except TimeoutError:
        print(seen)
"""

SEND = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
    for number in range(2000):
        mouth.sendto(b"x", (sys.argv[1], 7001))
        time.sleep(0.0005)
"""


def _echo(machine: Machine):
    program = machine.start(*python("-c", ECHO))
    _until(lambda: "up" in program.said())
    return program


def _until(true, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Whether a process lives; one that ended and was not yet counted has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def _say(machine: Machine, to: str, word: str, times: int = 1) -> tuple[float, float]:
    connected, whole, same = machine.run(*python("-c", SAY, to, word, str(times))).split()
    assert same == "True"
    return float(connected), float(whole)


def test_machines_reach_each_other_by_name_and_by_ipv6_and_nothing_else(tmp_path: Path) -> None:
    with laboratory(tmp_path, {"hub": Line(), "north": Line()}, seed=1) as lab:
        _echo(lab["hub"])
        _say(lab["north"], "hub", "hello")
        _say(lab["north"], lab["hub"].address6, "hello")
        with pytest.raises(RuntimeError, match="Network is unreachable"):
            _say(lab["north"], "192.0.2.1", "hello")


def test_every_packet_of_a_connection_is_in_the_capture_of_both_ends_and_of_no_third(tmp_path: Path) -> None:
    word = "CANARY-crossing"
    with laboratory(tmp_path, {"hub": Line(), "north": Line(), "south": Line()}, seed=1) as lab:
        _echo(lab["hub"])
        _say(lab["north"], "hub", word, 20_000)
        heard = lab.heard()
    for name in ("hub", "north"):
        carried = [data for data in streams(heard[name]).values() if data]
        assert sorted(map(len, carried)) == [len(word) * 20_000] * 2
        assert all(data == word.encode() * 20_000 for data in carried)
    assert not any(word.encode() in frame for frame in packets(heard["south"]))


def test_a_slow_line_is_as_slow_as_it_says(tmp_path: Path) -> None:
    """A round trip takes twice the delay, and 2.5 MB need 2 s at 10 Mbit/s, less what the bucket holds at the start."""
    with laboratory(tmp_path, {"hub": Line(), "north": Line(mbit=10, delay_seconds=0.05)}, seed=1) as lab:
        _echo(lab["hub"])
        connected, whole = _say(lab["north"], "hub", "x" * 1000, 2500)
    assert connected >= 0.1
    assert whole >= (2_500_000 - 300_000) * 8 / 10e6


@pytest.mark.slow
def test_a_lossy_line_loses_its_share(tmp_path: Path) -> None:
    """Of 2000 packets, 200 are lost on average; fewer than 130 or more than 280 has a chance below 1e-6."""
    with laboratory(tmp_path, {"hub": Line(), "north": Line(loss=0.1)}, seed=1) as lab:
        counter = lab["hub"].start(*python("-c", COUNT))
        _until(lambda: "up" in counter.said())
        lab["north"].run(*python("-c", SEND, "hub"))
        counter.wait(20)
        seen = int(counter.said().split()[-1])
    assert 130 <= 2000 - seen <= 280


@pytest.mark.parametrize("line", [Line(), Line(delay_seconds=0.001)], ids=["plain", "shaped"])
def test_a_cut_line_carries_nothing_until_it_is_mended(line: Line, tmp_path: Path) -> None:
    with laboratory(tmp_path, {"hub": Line(), "north": line}, seed=1) as lab:
        _echo(lab["hub"])
        lab["north"].cut()
        waiting = lab["north"].start(*python("-c", SAY, "hub", "after the cut", "1"))
        time.sleep(0.5)
        assert waiting.popen.poll() is None
        lab["north"].mend()
        assert waiting.wait(20) == 0
        assert "True" in waiting.said()


def test_a_power_cut_ends_everything_on_a_machine_and_leaves_the_others(tmp_path: Path) -> None:
    orphan = "import subprocess,sys; subprocess.Popen(['setsid', 'sleep', '1234.5']); print('up', flush=True)"
    with laboratory(tmp_path, {"hub": Line(), "north": Line()}, seed=1) as lab:
        _echo(lab["hub"])
        lab["north"].run(*python("-c", orphan))
        _until(lambda: any("1234.5" in line for line in lab["north"].processes().values()))
        gone = lab["north"].processes()
        lab["north"].power_off()
        assert not any(_runs(pid) for pid in gone)
        lab["north"].power_on()
        _say(lab["north"], "hub", "back again")


def test_nothing_is_left_on_the_system(tmp_path: Path) -> None:
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    with laboratory(tmp_path, {"hub": Line(), "north": Line(loss=0.5)}, seed=1) as lab:
        _echo(lab["hub"])
        held = [lab["hub"].network, lab["north"].network, *lab["hub"].processes()]
    assert not any(_runs(pid) for pid in held)
    assert subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout == before
