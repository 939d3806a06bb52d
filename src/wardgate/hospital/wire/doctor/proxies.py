"""Which proxy the engine's transport takes: gRPC reads its own variables, in its own order, in lower case alone.

Reference: gRPC core, `http_proxy_mapper.cc` and doc/environment_variables.md.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

READ = ("grpc_proxy", "https_proxy", "http_proxy")
NOT_FOR = ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy that is asked for a tunnel.

    Attributes:
        variable: That named it.
    """

    host: str
    port: int
    variable: str


def proxy_for(host: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that gRPC asks for a tunnel to `host`, None where it connects directly."""
    variable = next((name for name in READ if environment.get(name)), None)
    if variable is None or _excepted(host, environment):
        return None
    text = environment[variable]
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port or 80
    except ValueError:
        return None
    return Proxy(host=parts.hostname, port=port, variable=variable) if parts.hostname else None


def ignored(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return proxy variables that other programs obey and gRPC does not read."""
    read = any(environment.get(name) for name in READ)
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "all_proxy")
    return () if read else tuple(name for name in names if environment.get(name))


def _excepted(host: str, environment: Mapping[str, str]) -> bool:
    text = next((environment[name] for name in NOT_FOR if environment.get(name)), "")
    return any(_covers(entry.strip(), host) for entry in text.split(",") if entry.strip())


def _covers(entry: str, host: str) -> bool:
    if host.lower().endswith(entry.lower()):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
