"""Keys for one study: X25519 pairs, and one secret for every two sites, bound to who they are."""

import hashlib
import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardgate.entropy import Entropy
from wardgate.records.errors import Invalid

KEY_BYTES = 32
_INFO = b"wardgate/pair-secret/1"


def private_key(*, entropy: Entropy) -> X25519PrivateKey:
    """Make a private key. It stays in the ward, and lives for one study."""
    return X25519PrivateKey.from_private_bytes(entropy.bytes(KEY_BYTES))


def public_bytes(private: X25519PrivateKey) -> bytes:
    """Return the 32 public bytes, which the site signs and enrols."""
    return private.public_key().public_bytes_raw()


def pair_secret(private: X25519PrivateKey, *, site: str, other: str, other_public: bytes, study_sha256: str) -> bytes:
    """Return the 32-byte secret that `site` and `other` share in this study.

    HKDF-SHA256 over the X25519 result, bound to the study, to both names in lexical order and to both public
    keys. A hub that swaps a key, a name or the study leaves the two sites with different secrets, so their
    masks do not cancel; that the key belongs to the site at all is what the signed enrolment says.

    Args:
        private: The key of `site`.
        other_public: 32 bytes, from the signed enrolment of `other`.
        study_sha256: Digest of the locked study, in hexadecimal.

    Raises:
        Invalid: a key of another length, a key of low order, the site's own key or name, or no study digest.
    """
    own_public = public_bytes(private)
    if site == other or own_public == other_public:
        raise Invalid(f"'{other}' enrolled the name or key of '{site}'; a site shares no secret with itself")
    if len(study_sha256) != 64 or any(letter not in "0123456789abcdef" for letter in study_sha256):
        raise Invalid("expected the study's SHA-256 in lower-case hexadecimal")
    shared = _exchange(private, other, other_public)
    (first, first_key), (second, second_key) = sorted(((site, own_public), (other, other_public)))
    parts = (_INFO, bytes.fromhex(study_sha256), first.encode(), second.encode(), first_key, second_key)
    info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(shared)


def pair_secrets(
    private: X25519PrivateKey, *, site: str, publics: Mapping[str, bytes], study_sha256: str
) -> dict[str, bytes]:
    """Return the secrets with every other site of `publics`; see `pair_secret`."""
    return {
        other: pair_secret(private, site=site, other=other, other_public=public, study_sha256=study_sha256)
        for other, public in publics.items()
        if other != site
    }


def sum_key(secret: bytes, *, context: bytes) -> bytes:
    """Return the key of one sum: HMAC-SHA256 of its context under the pair's secret."""
    return hmac.digest(secret, context, hashlib.sha256)


def _exchange(private: X25519PrivateKey, other: str, other_public: bytes) -> bytes:
    if len(other_public) != KEY_BYTES:
        raise Invalid(f"expected a public key of {KEY_BYTES} bytes from '{other}', found {len(other_public)}")
    shared = b""
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(other_public))
    except ValueError:
        shared = bytes(KEY_BYTES)
    if hmac.compare_digest(shared, bytes(KEY_BYTES)):
        raise Invalid(f"the public key of '{other}' is of low order: the secret would be known to everyone")
    return shared
