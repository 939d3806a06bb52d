"""Sites with keys, as a study would enrol them."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.sums.graph import neighbours
from wardgate.sums.keys import pair_secrets, private_key, public_bytes

STUDY = "5" * 64
COIN = b"a public coin of the study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    roster: tuple[str, ...]
    publics: dict[str, bytes]
    secrets: dict[str, dict[str, bytes]]


def enrol(count: int) -> Enrolled:
    roster = tuple(f"site-{index:03d}" for index in range(count))
    privates = {site: private_key(entropy=UnsafeEntropy(site)) for site in roster}
    publics = {site: public_bytes(private) for site, private in privates.items()}
    around = neighbours(roster, coin=COIN)
    secrets = {
        site: pair_secrets(
            privates[site],
            site=site,
            publics={other: publics[other] for other in around[site]},
            study_sha256=STUDY,
        )
        for site in roster
    }
    return Enrolled(roster=roster, publics=publics, secrets=secrets)


@pytest.fixture(scope="session")
def enrolled() -> Callable[[int], Enrolled]:
    known: dict[int, Enrolled] = {}

    def of(count: int) -> Enrolled:
        if count not in known:
            known[count] = enrol(count)
        return known[count]

    return of
