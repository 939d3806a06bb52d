"""Canonical bytes (RFC 8785) and digests. Floats never enter signed fields: numbers travel as strings."""

import hashlib
import json
import math
from typing import Any

import rfc8785

from wardgate.records.errors import Invalid

LARGEST_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return the canonical JSON bytes of `value`.

    Plain ASCII, which nearly every record is, takes a quick road with the same result; the rest goes through rfc8785.

    Raises:
        Invalid: `value` holds a float, or anything that JSON cannot say exactly.

    Reference: RFC 8785, JSON Canonicalization Scheme.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        json.loads(text, parse_float=_no_float, parse_int=_exact_integer)
        if text.isascii():
            _check_keys(value)
            return text.encode()
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError, TypeError, RecursionError) as error:
        raise Invalid(f"cannot be written as canonical JSON: {error}") from error


def _no_float(text: str) -> None:
    raise ValueError("it holds a float; signed fields hold numbers as text or integers")


def _exact_integer(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST_INTEGER:
        raise ValueError("it holds an integer beyond 2^53, which not every reader takes exactly; write it as text")
    return number


def _check_keys(value: Any) -> None:
    """Refuse keys that are no text: json would turn them into text silently."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key is {type(key).__name__}, expected text")
            if isinstance(item, dict | list | tuple):
                _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, dict | list | tuple):
                _check_keys(item)


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
