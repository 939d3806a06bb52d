"""Delays and loses packets: two TAP devices a line, one on the machine and one on the bridge, and this between them.

    python shaper.py '{"seed": 1, "lines": [[machine's process, bridge's process, port, delay in seconds, loss]]}'

Prints `ready` when all devices are there. Rates are the kernel's business (tbf on both devices).
"""

import contextlib
import fcntl
import heapq
import json
import os
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from entering import before_others, enter_network

_TUNSETIFF, _TAP, _NO_HEADER = 0x400454CA, 0x0002, 0x1000
LARGEST_FRAME = 65_550
MOST_WAITING = 20_000
"""Frames a direction that may be on their way; more are lost, as in any full buffer."""


def tap(network: int, name: str) -> int:
    """Make a TAP device in a network namespace and return its file."""
    enter_network(network)
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_HEADER))
    return handle


def main(plan: dict) -> None:
    """Carry frames until ended."""
    import numpy as np

    before_others()

    rng = np.random.default_rng(plan["seed"])
    roads, poll = {}, select.epoll()
    for machine, bridge, port, delay, loss in plan["lines"]:
        near, far = tap(machine, "eth0"), tap(bridge, port)
        for source, sink in ((near, far), (far, near)):
            roads[source] = (sink, delay, loss, deque())
            poll.register(source, select.EPOLLIN)
    print("ready", flush=True)
    due: list[tuple[float, int]] = []  # when the first frame of a road has to leave
    draws: list[float] = []
    while True:
        wait = -1 if not due else max(0.0, due[0][0] - time.monotonic())
        for source, _ in poll.poll(wait):
            _, delay, loss, waiting = roads[source]
            for _ in range(64):
                try:
                    frame = os.read(source, LARGEST_FRAME)
                except OSError:
                    break
                draws = draws or rng.random(4096).tolist()
                if draws.pop() < loss or len(waiting) >= MOST_WAITING:
                    continue
                leaves = time.monotonic() + delay
                if not waiting:
                    heapq.heappush(due, (leaves, source))
                waiting.append((leaves, frame))
        now = time.monotonic()
        while due and due[0][0] <= now:
            _, source = heapq.heappop(due)
            sink, _, _, waiting = roads[source]
            while waiting and waiting[0][0] <= now:
                # A device that is down, or full, loses the frame.
                with contextlib.suppress(OSError):
                    os.write(sink, waiting.popleft()[1])
            if waiting:
                heapq.heappush(due, (waiting[0][0], source))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
