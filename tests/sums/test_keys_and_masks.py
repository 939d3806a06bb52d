"""Keys and masks: known answers, bindings, and what a swapped key does."""

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from scipy import stats

from wardgate.entropy import SystemEntropy, UnsafeEntropy
from wardgate.records.errors import Invalid
from wardgate.sums.keys import pair_secret, pair_secrets, private_key, public_bytes, sum_key
from wardgate.sums.mask import keystream, net_mask

STUDY = "ab" * 32
# The key pairs and the shared secret of RFC 7748, section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")

SECRET_HEX = "bd562f4392a09990c0b3dc247583e460240a3c61eebcdf3c57cd339b65a103d0"
SUM_KEY_HEX = "dcac30ce041494844ac8830fa4e38ae97f832e4f7d055dd28994f4d007ade142"
STREAM = [5409084436171574215, 13497610162923147130, 9845076950728281697]

LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


def secret(**changes: object) -> bytes:
    private = X25519PrivateKey.from_private_bytes(ALICE)
    return pair_secret(
        private, **{"site": "a", "other": "b", "other_public": BOB_PUBLIC, "study_sha256": STUDY, **changes}
    )


def test_the_known_answers_hold() -> None:
    found = secret()
    assert found.hex() == SECRET_HEX
    assert sum_key(found, context=b"round 1").hex() == SUM_KEY_HEX
    assert keystream(sum_key(found, context=b"round 1"), entries=3).tolist() == STREAM


def test_the_secret_is_the_hkdf_of_rfc_5869_over_the_rfc_7748_result() -> None:
    parts = (b"wardgate/pair-secret/1", bytes.fromhex(STUDY), b"a", b"b", ALICE_PUBLIC, BOB_PUBLIC)
    info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    extracted = hmac.digest(bytes(32), SHARED, hashlib.sha256)
    assert secret() == hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def test_the_keystream_is_the_chacha20_of_rfc_8439() -> None:
    # RFC 8439, appendix A.1, test vector 1: zero key, zero nonce, block 0.
    block = bytes.fromhex(
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    assert keystream(bytes(32), entries=8).astype("<u8").tobytes() == block


def test_both_ends_find_one_secret() -> None:
    bob = X25519PrivateKey.from_private_bytes(BOB)
    assert public_bytes(bob) == BOB_PUBLIC
    assert pair_secret(bob, site="b", other="a", other_public=ALICE_PUBLIC, study_sha256=STUDY) == secret()


@pytest.mark.parametrize(
    "change",
    [
        {"study_sha256": "ac" * 32},
        {"other": "c"},
        {"site": "c"},
        {"other_public": public_bytes(private_key(entropy=UnsafeEntropy("hub")))},
    ],
)
def test_another_study_name_or_key_gives_another_secret(change: dict[str, object]) -> None:
    assert secret(**change) != secret()


def test_names_cannot_be_shifted_into_one_another() -> None:
    assert secret(site="ab", other="c") != secret(site="a", other="bc")


@pytest.mark.parametrize("public", LOW_ORDER, ids=range(len(LOW_ORDER)))
def test_keys_of_low_order_are_refused(public: bytes) -> None:
    with pytest.raises(Invalid, match="low order"):
        secret(other_public=public)


@pytest.mark.parametrize(
    "change",
    [
        {"other_public": b""},
        {"other_public": bytes(31)},
        {"other_public": BOB_PUBLIC + b"\x00"},
        {"other_public": ALICE_PUBLIC},
        {"other": "a"},
        {"study_sha256": ""},
        {"study_sha256": "AB" * 32},
        {"study_sha256": "zz" * 32},
    ],
)
def test_broken_key_material_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        secret(**change)


def test_keys_come_from_the_entropy_alone() -> None:
    assert public_bytes(private_key(entropy=UnsafeEntropy("k"))) == public_bytes(
        private_key(entropy=UnsafeEntropy("k"))
    )
    assert public_bytes(private_key(entropy=SystemEntropy())) != public_bytes(private_key(entropy=SystemEntropy()))


def three() -> tuple[dict[str, X25519PrivateKey], dict[str, bytes]]:
    privates = {site: private_key(entropy=UnsafeEntropy(site)) for site in "abc"}
    return privates, {site: public_bytes(private) for site, private in privates.items()}


def masks(privates: dict[str, X25519PrivateKey], seen: dict[str, dict[str, bytes]]) -> np.ndarray:
    return sum(
        net_mask(
            site=site,
            pair_secrets=pair_secrets(privates[site], site=site, publics=seen[site], study_sha256=STUDY),
            context=b"sum",
            entries=500,
        )
        for site in privates
    )


def test_masks_cancel_and_do_not_when_the_hub_swaps_a_key() -> None:
    privates, publics = three()
    assert not masks(privates, dict.fromkeys("abc", publics)).any()
    swapped = {**publics, "b": public_bytes(private_key(entropy=UnsafeEntropy("hub")))}
    left = masks(privates, {"a": swapped, "b": publics, "c": publics})
    assert stats.kstest(left / 2.0**64, "uniform").pvalue > 1e-4


def test_masks_do_not_cancel_between_two_contexts() -> None:
    privates, publics = three()
    secrets = {s: pair_secrets(privates[s], site=s, publics=publics, study_sha256=STUDY) for s in "abc"}
    contexts = {"a": b"round 1", "b": b"round 1", "c": b"round 2"}
    left = sum(net_mask(site=s, pair_secrets=secrets[s], context=contexts[s], entries=500) for s in "abc")
    assert np.count_nonzero(left) == 500
