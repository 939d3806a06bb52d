"""Names and connections: does the hub have an address here, and does its port open?"""

import socket
import threading
from dataclasses import dataclass, field

from wardgate.hospital.wire.doctor.proxies import Proxy
from wardgate.records.examination import Check, State

FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}


@dataclass(slots=True, kw_only=True)
class Addresses:
    """Addresses of a name by family; a family whose question got no answer in time is in `silent`."""

    found: dict[str, tuple[str, ...]] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


def addresses_of(host: str, *, timeout_seconds: float) -> Addresses:
    """Ask for the addresses of a name, for each family by itself.

    The system's own look-up knows no time limit, so it is left behind in its thread when it takes too long.
    """
    result, waiting = Addresses(), {}
    for family, number in FAMILIES.items():
        thread = threading.Thread(target=_ask, args=(host, family, number, result.found), daemon=True)
        thread.start()
        waiting[family] = thread
    for thread in waiting.values():
        thread.join(timeout_seconds)
    result.silent = tuple(family for family, thread in waiting.items() if thread.is_alive())
    return result


def _ask(host: str, family: str, number: int, found: dict[str, tuple[str, ...]]) -> None:
    try:
        entries = socket.getaddrinfo(host, None, family=number, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    found[family] = tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))


def check_name(host: str, addresses: Addresses) -> Check:
    """Say what is known of the hub's name."""
    said = []
    for family in FAMILIES:
        known = addresses.found.get(family)
        silent = "no answer in time" if family in addresses.silent else "none"
        said.append(f"{family}: {', '.join(known) if known else silent}")
    state: State = "ok" if addresses.found else "fail"
    do = ""
    if not addresses.found:
        do = (
            f"ask the network team for a DNS entry of {host} that this machine can read, or write the hub's address"
            " into this machine's hosts file"
        )
    return Check(name="name of the hub", side="wire", state=state, found=f"{host}: {'; '.join(said)}", do=do)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection that was tried: its socket where it opened, and the check."""

    check: Check
    line: socket.socket | None = None


def connect(host: str, port: int, addresses: Addresses, *, proxy: Proxy | None, timeout_seconds: float) -> Opened:
    """Open a connection to the hub as the engine would: directly, or through its proxy."""
    if proxy is not None:
        return _through(proxy, host, port, timeout_seconds=timeout_seconds)
    every = [address for family in FAMILIES for address in addresses.found.get(family, ())]
    failures = []
    for address in every:
        try:
            line = socket.create_connection((address, port), timeout=timeout_seconds)
        except OSError as error:
            failures.append(f"{address}: {_words(error, timeout_seconds)}")
            continue
        also = f"; before it, {'; '.join(failures)}" if failures else ""
        return Opened(line=line, check=_connection("ok", f"{address} port {port} opened{also}"))
    if not every:
        return Opened(check=_connection("not checked", "the hub's name has no address here"))
    do = (
        "if the hub runs, a firewall stands between: ask the network team for the rule printed below. Refused at once"
        " means that a machine answers and nobody listens there, or that a firewall says no; no answer means dropped"
    )
    return Opened(check=_connection("fail", f"port {port} does not open: {'; '.join(failures)}", do))


def _through(proxy: Proxy, host: str, port: int, *, timeout_seconds: float) -> Opened:
    place = f"the proxy {proxy.host}:{proxy.port} ({proxy.variable})"
    do = (
        f"let the proxy pass CONNECT to {host}:{port}, or let the wire go around it with no_proxy={host} in its"
        " environment and the rule printed below"
    )
    try:
        line = socket.create_connection((proxy.host, proxy.port), timeout=timeout_seconds)
    except (OSError, UnicodeError) as error:
        words = _words(error, timeout_seconds) if isinstance(error, OSError) else "its name is none"
        return Opened(check=_connection("fail", f"{place} does not open: {words}", do))
    try:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        line.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        status = _status(_head(line))
    except OSError as error:
        line.close()
        return Opened(check=_connection("fail", f"{place} gave no answer: {_words(error, timeout_seconds)}", do))
    if status != "200":
        line.close()
        return Opened(check=_connection("fail", f"{place} refuses a tunnel to {target} with status {status}", do))
    return Opened(line=line, check=_connection("ok", f"{place} opened a tunnel to {target}"))


def _head(line: socket.socket) -> bytes:
    """Read a proxy's answer up to the empty line, byte by byte, so that nothing of what follows is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < 65_536:
        more = line.recv(1)
        if not more:
            break
        head += more
    return head


def _status(head: bytes) -> str:
    parts = head.split(None, 2)
    code = parts[1] if len(parts) > 1 and head.startswith(b"HTTP/") else b""
    return code.decode() if len(code) == 3 and code.isdigit() else "that is none of HTTP"


def _words(error: OSError, timeout_seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_seconds:.0f} s"
    return (error.strerror or type(error).__name__).lower()


def _connection(state: State, found: str, do: str = "") -> Check:
    return Check(name="connection to the hub", side="wire", state=state, found=found, do=do)
