"""Published test vectors: every primitive of the secure sum, recomputed and compared with what is checked in.

Another implementation can be held against the files in `vectors`; docs/secure-sum.md says what stands in them. A
change of one byte here breaks every study that runs, so it needs a new label in the code and a new file beside the old.
To write the files anew: `python tests/sums/test_vectors.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wardgate.entropy import UnsafeEntropy
from wardgate.sums import ring
from wardgate.sums.batch import Batch, Slot, slot_name
from wardgate.sums.deposit import Held, commitment, lock, packet_for, pair_seed, seal, self_key
from wardgate.sums.graph import neighbours, study_coin
from wardgate.sums.keys import pair_secret, public_bytes, sum_key
from wardgate.sums.mask import keystream, net_mask
from wardgate.sums.plan import SumPlan
from wardgate.sums.recovery import recover_total
from wardgate.sums.seat import prepare
from wardgate.sums.shamir import combine, evaluate
from wardgate.sums.survivors import survivors_digest

FOLDER = Path(__file__).parent / "vectors"
STUDY = "ab" * 32
ALICE = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
BOB = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
NAMES = ("ash", "birch", "cedar", "elm", "fir")


def batch() -> Batch:
    return Batch(roster=NAMES, context=b"batch 1", slots=2, threshold=3, colluders=1)


def plan(**changes: Any) -> SumPlan:
    slot = Slot(batch=batch(), index=1, least=3)
    given = {"entries": 3, "persons": 100, "bound": (1.0, 0.25, 8.0), "context": b"sum 1", "slot": slot}
    return SumPlan(roster=NAMES, **{**given, **changes})


def shared(one: str, other: str) -> bytes:
    """A pair secret of the whole-sum vector: 16 times the letters of both names in order, cut to 32 bytes."""
    return ("".join(sorted((one, other))) * 16).encode()[:32]


def keys() -> dict[str, Any]:
    alice, bob = (X25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in (ALICE, BOB))
    secret = pair_secret(alice, site="ash", other="birch", other_public=public_bytes(bob), study_sha256=STUDY)
    return {
        "private_ash": ALICE,
        "private_birch": BOB,
        "public_ash": public_bytes(alice).hex(),
        "public_birch": public_bytes(bob).hex(),
        "study_sha256": STUDY,
        "pair_secret": secret.hex(),
        "context": b"round 1".hex(),
        "sum_key": sum_key(secret, context=b"round 1").hex(),
    }


def graph() -> dict[str, Any]:
    roster = tuple(f"site-{index:03d}" for index in range(60))
    coin = study_coin(STUDY, {site: bytes([index]) * 32 for index, site in enumerate(roster)})
    return {
        "study_sha256": STUDY,
        "long_term_keys": "of site-000 to site-059: the byte of its number, 32 times",
        "coin": coin,
        "partners_of_site-007": {
            str(degree): list(neighbours(roster, coin=bytes.fromhex(coin), degree=degree)["site-007"])
            for degree in (4, 32)
        },
    }


def ring_elements() -> dict[str, Any]:
    found = []
    for bits, exponents, values in ((64, [55, 57, 52], [1.0, -0.25, 7.3]), (32, [20, 20, 20], [1.0, -0.25, 7.3])):
        encoded = ring.encode(values, exponents=np.array(exponents), bound=8.0, persons_here=1, bits=bits)
        found.append({"bits": bits, "exponents": exponents, "values": list(map(repr, values)), "ring": texts(encoded)})
    return {"cases": found, "exponents_of_the_plan": plan().exponents.tolist()}


def masks() -> dict[str, Any]:
    key = bytes(range(32))
    secrets = {"ash": bytes([1]) * 32, "cedar": bytes([2]) * 32}
    mask = net_mask(site="birch", pair_secrets=secrets, context=b"sum 1", entries=3)
    return {
        "key": key.hex(),
        "words_of_64_bits": texts(keystream(key, entries=3)),
        "words_of_32_bits": texts(keystream(key, entries=3, word="<u4")),
        "pair_secrets_of_birch": {other: secret.hex() for other, secret in secrets.items()},
        "context": b"sum 1".hex(),
        "net_mask_of_birch": texts(mask),
    }


def shamir() -> dict[str, Any]:
    coefficients = [2**127 - 2, 3, 2**126 + 5]
    shares = evaluate(coefficients, holders=5)
    return {
        "prime": str(2**127 - 1),
        "coefficients": list(map(str, coefficients)),
        "shares": {str(place): str(share) for place, share in enumerate(shares, start=1)},
        "secret_from_2_3_5": str(combine({place: shares[place - 1] for place in (2, 3, 5)})),
    }


def slots() -> dict[str, Any]:
    name = slot_name(batch(), 1)
    seed, key = bytes(range(16)), bytes(range(16, 32))
    seeds = [pair_seed(shared("ash", other), slot=name) for other in NAMES[1:]]
    held = [Held(self_share=index + 1, lock_share=index + 101) for index in range(2)]
    packet = seal(held, secret=shared("ash", "birch"), salt=bytes(16), batch=batch(), sender="ash", recipient="birch")
    return {
        "batch": {
            "roster": list(NAMES),
            "context": b"batch 1".hex(),
            "slots": 2,
            "threshold": 3,
            "colluders": 1,
            "degree": 32,
            "coin": "",
            "digest": batch().digest.hex(),
        },
        "slot_1": name.hex(),
        "pair_seeds_of_ash": [one.hex() for one in seeds],
        "self_seed": seed.hex(),
        "commitment_of_ash": commitment(seed, site="ash", slot=name).hex(),
        "self_key_of_ash": self_key(seed, site="ash", context=plan().digest).hex(),
        "lock_key": key.hex(),
        "lock_of_ash": lock(seeds, key=key, site="ash", slot=name).hex(),
        "shares_for_birch": [[str(one.self_share), str(one.lock_share)] for one in held],
        "packet_for_birch": packet.hex(),
    }


def digests() -> dict[str, Any]:
    noisy = plan(noise_multiplier=4.0, l2=1.5, tolerated=3)
    return {
        "plan": plan().digest.hex(),
        "plan_without_slot": plan(slot=None).digest.hex(),
        "plan_with_noise": noisy.digest.hex(),
        "plan_with_noise_in_32_bits": plan(noise_multiplier=4.0, l2=1.5, tolerated=3, bits=32).digest.hex(),
        "survivors_of_the_plan": survivors_digest(plan(), ("ash", "birch", "cedar", "fir")).hex(),
    }


def whole_sum() -> dict[str, Any]:
    """Five sites; elm vanishes before it sends a vector."""
    secrets = {site: {other: shared(site, other) for other in NAMES if other != site} for site in NAMES}
    seats, deposits = {}, {}
    for site in NAMES:
        seats[site], deposits[site] = prepare(
            batch(), site=site, pair_secrets=secrets[site], entropy=UnsafeEntropy(site)
        )
    for site, seat in seats.items():
        packets = {
            other: packet_for(batch(), deposits[other], sender=other, recipient=site)
            for other in NAMES
            if other != site
        }
        seat.accept(packets, pair_secrets=secrets[site])
    survivors = ("ash", "birch", "cedar", "fir")
    vectors = {site: [place + 0.5, -place / 4, 2.0**-place] for place, site in enumerate(survivors)}
    masked = {
        site: seats[site].contribute(
            plan(), vector=vector, persons_here=10, pair_secrets=secrets[site], entropy=UnsafeEntropy("no noise")
        )
        for site, vector in vectors.items()
    }
    for site in survivors:
        seats[site].confirm(plan(), survivors)
    reveals = {site: seats[site].reveal(plan(), survivors=survivors, confirmed_by=survivors) for site in survivors}
    found = recover_total(plan(), survivors=survivors, deposits=deposits, masked=masked, reveals=reveals)
    return {
        "pair_secrets": "the names of both sites in order, one after the other, 16 times, cut to 32 bytes",
        "random_bytes": "call i of a site, from 1: SHAKE-256 over its name and i as 8 bytes, big-endian",
        "deposits": {site: deposit.hex() for site, deposit in deposits.items()},
        "vectors": {site: list(map(repr, vector)) for site, vector in vectors.items()},
        "masked": {site: texts(vector) for site, vector in masked.items()},
        "survivors": list(survivors),
        "reveals": {site: data.hex() for site, data in reveals.items()},
        "total": list(map(repr, found.total.tolist())),
    }


def texts(elements: ring.Ring) -> list[str]:
    return [str(int(element)) for element in elements]


VECTORS: dict[str, Callable[[], dict[str, Any]]] = {
    "keys": keys,
    "graph": graph,
    "ring": ring_elements,
    "masks": masks,
    "shamir": shamir,
    "slots": slots,
    "digests": digests,
    "whole_sum": whole_sum,
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_published_vectors_hold(name: str) -> None:
    published = json.loads((FOLDER / f"{name}.json").read_text())
    assert VECTORS[name]() == published


def test_no_vector_is_published_that_nothing_recomputes() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in VECTORS}


def test_the_whole_sum_is_the_sum_of_its_vectors() -> None:
    published = json.loads((FOLDER / "whole_sum.json").read_text())
    columns = zip(*(map(float, vector) for vector in published["vectors"].values()), strict=True)
    assert [sum(column) for column in columns] == list(map(float, published["total"]))


if __name__ == "__main__":
    for name, recompute in VECTORS.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(recompute(), indent=1) + "\n")
