"""A consortium as its members have it on disk, made quickly: RSA keys are made once a process and used again."""

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.consortium import (
    Asking,
    hub_admit,
    hub_code,
    hub_init,
    site_code,
    site_enrol,
    site_init,
)
from wardgate.hospital.premises import Premises
from wardgate.hub.home import Home

SITES = ("uk", "it", "ch")

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""A day for tests that hold no clock."""


@lru_cache(maxsize=256)
def cached_key(number: int, bits: int = 2048) -> RSAPrivateKey:
    """Return the process's RSA key of a number."""
    return generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(slots=True)
class Keys:
    """Hands out cached keys, a different one each time it is called. Use one for one consortium."""

    made: int = 0

    def __call__(self) -> RSAPrivateKey:
        self.made += 1
        return cached_key(self.made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A hub and the hospitals that it admitted.

    Attributes:
        home: The hub's folder.
        sites: Folders of the hospitals, by name; all of them enrolled.
        asked: What each hospital asked with.
        code: Of the hub's key.
        keys: Where further keys come from.
    """

    home: Home
    sites: Mapping[str, Premises]
    asked: Mapping[str, Asking] = field(default_factory=dict)
    code: str
    keys: Keys


def founded(
    folder: Path,
    *,
    sites: Sequence[str] = SITES,
    host: str = "127.0.0.1",
    port: int = 8443,
    addresses: Sequence[str] = ("localhost",),
    sources: Mapping[str, Path] | None = None,
    policy: Path | None = None,
    consortium: str = "testing",
    seed: str = "",
    now: datetime | None = None,
) -> Founded:
    """Found a hub in `folder/hub` and enrol every site in `folder/<site>`.

    Args:
        port: Nothing listens; ask the kernel for a free one where something will.
        sources: Folder of data by site; without, an empty folder `folder/data/<site>`.
        seed: Two consortia with different seeds have different signing keys.
        now: The clock's time without.
    """
    now = now or datetime.now(UTC)
    keys = Keys()
    home = Home(folder / "hub")
    code = hub_init(
        home,
        consortium=consortium,
        host=host,
        port=port,
        addresses=addresses,
        now=now,
        entropy=UnsafeEntropy(f"hub of {consortium}{seed}"),
        tls_key=keys,
    )
    premises, asked = {}, {}
    for site in sites:
        source = (sources or {}).get(site, folder / "data" / site)
        source.mkdir(parents=True, exist_ok=True)
        premises[site] = Premises(folder / site)
        asked[site] = site_init(
            premises[site],
            site=site,
            source=source,
            policy=policy,
            entropy=UnsafeEntropy(f"{site} of {consortium}{seed}"),
            tls_key=keys,
        )
        enrol(home, premises[site], now=now)
    return Founded(home=home, sites=premises, asked=asked, code=code, keys=keys)


def enrol(home: Home, premises: Premises, *, now: datetime) -> None:
    """Bring a hospital's request to the hub and the response back, with both codes compared."""
    request = (premises.root / "site.request").read_bytes()
    admitted = hub_admit(home, request, now=now, site_code=site_code(premises))
    site_enrol(premises, admitted.response, hub_code=hub_code(home), now=now)


def private_bytes(made: Founded) -> Iterator[bytes]:
    """Yield everything that must never leave: seeds, salts and the secret numbers of keys, in several forms."""
    roots = [made.home.root, *(one.root for one in made.sites.values())]
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.name == "key.json":
                seed = bytes.fromhex(json.loads(path.read_bytes())["seed"])
                yield from (seed, seed.hex().encode(), base64.b64encode(seed).rstrip(b"=")[:-1])
            elif path.name == "salt":
                salt = path.read_bytes()
                yield from (salt, salt.hex().encode(), base64.b64encode(salt).rstrip(b"=")[:-1])
            elif path.suffix == ".key":
                with contextlib.suppress(ValueError):
                    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
                    assert isinstance(key, RSAPrivateKey)
                    lines = path.read_bytes().split(b"\n")[1:-3]
                    secret = key.private_numbers().p.to_bytes(key.key_size // 16, "big")
                    yield from (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")[:-1])
                    yield from lines[len(lines) // 2 :]
