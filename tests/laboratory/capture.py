"""Records every packet of every machine: one packet socket in each network namespace, one pcap file each.

    python capture.py FOLDER '{"name": process that holds the namespace}'

Prints `ready` when it listens everywhere. Ended by SIGTERM it takes what still waits, and writes FOLDER/counts.json:
packets seen, and packets that the kernel had no room for.
"""

import contextlib
import json
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from entering import before_others, enter_network

_ALL_PROTOCOLS, _BUFFER_FORCE, _SOL_PACKET, _STATISTICS = 0x0003, 33, 263, 6
_MAGIC, _ETHERNET, SNAP = 0xA1B2C3D4, 1, 262_144
WAITING_BYTES = 64 * 2**20


def listen(network: int) -> socket.socket:
    """Open a packet socket for all interfaces of a network namespace."""
    enter_network(network)
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
    found.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, WAITING_BYTES)
    found.setblocking(False)
    return found


def main(folder: Path, networks: dict[str, int]) -> None:
    """Record until ended."""
    before_others()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    poll, open_ones = select.epoll(), {}
    with contextlib.ExitStack() as stack:
        for name, network in networks.items():
            ear = stack.enter_context(listen(network))
            file = stack.enter_context((folder / f"{name}.pcap").open("wb"))
            file.write(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, SNAP, _ETHERNET))
            open_ones[ear.fileno()] = (name, ear, file)
            poll.register(ear.fileno(), select.EPOLLIN)
        counts = dict.fromkeys(networks, 0)
        print("ready", flush=True)
        while True:
            ready = poll.poll(0 if ended else 0.5)
            for number, _ in ready:
                name, ear, file = open_ones[number]
                with contextlib.suppress(BlockingIOError):
                    for _ in range(256):
                        data = ear.recv(SNAP)
                        now = time.time()
                        file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(data), len(data)) + data)
                        counts[name] += 1
            if ended and not ready:
                break
        result = {}
        for name, ear, _ in open_ones.values():
            _, dropped = struct.unpack("II", ear.getsockopt(_SOL_PACKET, _STATISTICS, 8))
            result[name] = {"packets": counts[name], "dropped": dropped}
    (folder / "counts.json").write_text(json.dumps(result))


def packets(path: Path) -> Iterator[bytes]:
    """Yield the frames of a capture file."""
    data, position = path.read_bytes(), 24
    while position + 16 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 8)
        yield data[position + 16 : position + 16 + length]
        position += 16 + length


def streams(path: Path) -> dict[tuple[bytes, int, bytes, int], bytes]:
    """Return what was sent over each TCP connection in one direction, in order and without repeats.

    Packets may split a value in two, so a search needs what they carried together. The key is source address and port,
    destination address and port. Bytes that were never captured leave a gap that is closed without a sign.
    """
    parts: dict[tuple[bytes, int, bytes, int], dict[int, bytes]] = {}
    first: dict[tuple[bytes, int, bytes, int], int] = {}
    for frame in packets(path):
        found = _segment(frame)
        if found is None:
            continue
        key, number, start, payload = found
        if start:
            first[key] = number + 1
            parts[key] = {}
        elif payload:
            offset = (number - first.setdefault(key, number)) % 2**32
            held = parts.setdefault(key, {})
            if offset < 2**31 and len(held.get(offset, b"")) < len(payload):
                held[offset] = payload
    whole = {}
    for key, held in parts.items():
        data, reached = bytearray(), 0
        for offset, payload in sorted(held.items()):
            fresh = payload[max(0, reached - offset) :]
            data += fresh
            reached = max(reached, offset + len(payload))
        whole[key] = bytes(data)
    return whole


def besides(path: Path) -> bytes:
    """Return all frames that are no TCP, one after another: name look-ups, and whatever else was tried."""
    return b"".join(frame for frame in packets(path) if _segment(frame) is None)


def _segment(frame: bytes) -> tuple[tuple[bytes, int, bytes, int], int, bool, bytes] | None:
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 34 and frame[23] == 6:
        start = 14 + (frame[14] & 15) * 4
        end = 14 + struct.unpack_from(">H", frame, 16)[0]
        addresses = frame[26:30], frame[30:34]
    elif kind == b"\x86\xdd" and len(frame) >= 54 and frame[20] == 6:
        start, end = 54, 54 + struct.unpack_from(">H", frame, 18)[0]
        addresses = frame[22:38], frame[38:54]
    else:
        return None
    if len(frame) < start + 20:
        return None
    end = end if end > start else len(frame)  # large segments that the kernel cuts later may declare no length
    source, destination, number = struct.unpack_from(">HHI", frame, start)
    payload = frame[start + (frame[start + 12] >> 4) * 4 : end]
    return (addresses[0], source, addresses[1], destination), number, bool(frame[start + 13] & 2), payload


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
