"""Names of persons under a secret of the hospital: the same person over studies, and nobody to anyone else."""

import hashlib
import hmac
from pathlib import Path

from wardgate.entropy import Entropy
from wardgate.hospital.ward.gate.book import write_whole
from wardgate.records.errors import Broken

KEY_BYTES = 32
HASH_BYTES = 12
"""Two of a million persons share a keyed hash of 96 bits with a probability below 10^-17."""


def secret(path: Path, entropy: Entropy) -> bytes:
    """Return the secret in a file, made once.

    Raises:
        Broken: the file is cut off.
    """
    if not path.exists():
        write_whole(path, entropy.bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Broken("the secret of the memory of earlier cohorts is cut off; restore it before anything leaves")
    return key


def keyed(key: bytes, person: str) -> bytes:
    """Return a person's name under the secret."""
    return hmac.digest(key, b"wardgate/cohort/1\0" + person.encode(), hashlib.sha256)[:HASH_BYTES]
