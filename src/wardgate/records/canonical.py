"""Canonical bytes (RFC 8785) and digests. Floats never enter signed fields: numbers travel as strings."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from wardgate.records.errors import Invalid


def canonical(value: Any) -> bytes:
    """Return the canonical JSON bytes of `value`.

    Raises:
        Invalid: `value` holds a float, or anything that JSON cannot say exactly.

    Reference: RFC 8785, JSON Canonicalization Scheme.
    """
    _refuse_floats(value, "$")
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError, TypeError) as error:
        raise Invalid(f"cannot be written as canonical JSON: {error}") from error


def _refuse_floats(value: Any, where: str) -> None:
    if isinstance(value, float):
        raise Invalid(f"{where} is a float; signed fields hold numbers as strings or integers")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_floats(item, f"{where}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for index, item in enumerate(value):
            _refuse_floats(item, f"{where}[{index}]")


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def text_of(number: float) -> str:
    """Return the shortest text that reads back as the same double; integers lose their `.0`."""
    value = float(number)
    if math.isfinite(value) and value == math.trunc(value) and abs(value) < 2**53:
        return str(int(value)) if value != 0 else "0"
    return repr(value)


def number_of(text: str | float | int) -> float:
    """Read a number written by `text_of`.

    Raises:
        Invalid: the text is not a number.
    """
    if isinstance(text, bool) or not isinstance(text, str | float | int):
        raise Invalid(f"expected a number, found {type(text).__name__}")
    try:
        return float(text)
    except ValueError as error:
        raise Invalid("expected a number, found a text that is none") from error
