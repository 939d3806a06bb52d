"""Who shares masks with whom."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from wardgate.records.errors import Invalid

FULL_UP_TO = 50
DEGREE = 32
"""Mask partners of a site in a larger roster. Taking colluders of a share g of n sites, placed at random by
the coin, the honest sites fall apart only if two runs of 16 neighbouring colluders cut the circle: at most
n^2/2 x g^32, which is 6e-11 for 464 sites and a third, 3e-5 for a half (docs/secure-sum.md)."""
MIN_COIN_BYTES = 16


def study_coin(study_sha256: str, keys: Mapping[str, bytes]) -> str:
    """Return the public coin of a study: fixed by it and all sites' long-term keys, before any exchange key.

    Args:
        keys: Long-term public key of every site of the study.
    """
    listed = "".join(f"{site}:{keys[site].hex()};" for site in sorted(keys))
    return hashlib.sha256(f"{study_sha256};{listed}".encode()).hexdigest()


@lru_cache(maxsize=64)
def neighbours(roster: tuple[str, ...], *, coin: bytes, degree: int = DEGREE) -> dict[str, tuple[str, ...]]:
    """Return the mask partners of every site; the same at every site, and mutual.

    Up to 50 sites everybody pairs with everybody. Beyond, sites stand in a circle in an order drawn by the
    public coin, and each pairs with the 16 on either side (a Harary graph after a random permutation); with
    another `degree`, with half of it on either side, and with everybody where that is the whole circle.

    Args:
        roster: Names of the sites in the sum.
        coin: Public bytes that no party could choose after seeing who takes part; unused up to 50 sites.
        degree: Mask partners of a site beyond 50 sites, an even number.

    Raises:
        Invalid: fewer than 3 sites, a site named twice, a coin shorter than 16 bytes where it is needed, or an odd
            degree.

    Reference: Bell et al. (2020), Secure Single-Server Aggregation with (Poly)Logarithmic Overhead, CCS '20,
        doi:10.1145/3372297.3417885.
    """
    if len(roster) < 3 or len(set(roster)) != len(roster):
        raise Invalid(f"expected at least 3 different sites, found {len(set(roster))} in a roster of {len(roster)}")
    if degree < 2 or degree % 2:
        raise Invalid(f"expected an even number of mask partners of at least 2, found {degree}")
    if len(roster) <= FULL_UP_TO or degree >= len(roster) - 1:
        return {site: tuple(other for other in sorted(roster) if other != site) for site in roster}
    if len(coin) < MIN_COIN_BYTES:
        raise Invalid(f"expected a public coin of at least {MIN_COIN_BYTES} bytes, found {len(coin)}")
    circle = _permuted(roster, coin)
    reach = degree // 2
    count = len(circle)
    return {
        site: tuple(sorted(circle[(place + step) % count] for step in range(-reach, reach + 1) if step))
        for place, site in enumerate(circle)
    }


def _permuted(roster: Sequence[str], coin: bytes) -> list[str]:
    """Order the sites by a hash keyed with the coin: a permutation nobody can steer without steering the coin."""
    key = hashlib.sha256(b"wardgate/mask-graph/1\x00" + coin).digest()
    return sorted(roster, key=lambda site: (hashlib.blake2b(site.encode(), key=key).digest(), site))
