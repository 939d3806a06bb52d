"""Persons into training, tuning, holdout and locked test, by keyed hash; committed before any fit."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import polars as pl

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Splits

NAMES: tuple[SplitName, ...] = ("train", "tuning", "holdout", "locked_test")
_MIN_SALT_BYTES = 16


def split(
    persons: Sequence[str], splits: Splits, *, salt: bytes, groups: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Put every person into one split.

    Where a person goes depends on that person (or the link group), the salt and the shares alone: not on the order
    of rows, nor on who else is there. So a person never moves when others are added, and linked persons stay together.

    Args:
        persons: Identifiers, each once.
        splits: The shares.
        salt: The site's secret, at least 16 bytes; without it nobody can tell who is where.
        groups: Link group of each person.

    Returns:
        Persons of `train`, `tuning`, `holdout` and `locked_test`, in the order given.

    Raises:
        Invalid: a person stands there twice, or the salt is short.
    """
    if len(set(persons)) != len(persons):
        raise Invalid("a person is listed twice; expected every person once")
    found: dict[str, list[str]] = {name: [] for name in NAMES}
    for person, group in zip(persons, persons if groups is None else groups, strict=True):
        found[_place(group, splits, salt=salt)].append(person)
    return found


def tables(cohort: Cohort, splits: Splits, *, salt: bytes) -> dict[str, pl.DataFrame]:
    """Return the cohort's table of each split, rows sorted by person."""
    places = [_place(group, splits, salt=salt) for group in cohort.groups.to_list()]
    column = pl.Series("place", places, dtype=pl.String)
    return {name: cohort.table.filter(column == name) for name in NAMES}


def commitment(parts: Mapping[SplitName, Sequence[str]], *, salt: bytes) -> dict[str, str]:
    """Commit to who is in which split, without saying who.

    Returns:
        Per split the SHA-256 over the sorted keyed hashes of its persons. Anything moved, added or dropped later
        changes it; without the salt it says nothing of anybody.

    Raises:
        Invalid: a person is in two splits, or the salt is short.
    """
    disjoint(parts)
    found: dict[str, str] = {}
    for name, persons in parts.items():
        hashes = sorted(_keyed(b"commit/" + name.encode(), person, salt=salt) for person in persons)
        found[name] = hashlib.sha256(b"wardgate/split/1\0" + name.encode() + b"\0" + b"".join(hashes)).hexdigest()
    return found


def disjoint(parts: Mapping[SplitName, Sequence[str]]) -> None:
    """Check that no person is in two splits.

    Raises:
        Invalid: one is; the message names the splits and never the person.
    """
    where: dict[str, str] = {}
    for name, persons in parts.items():
        for person in persons:
            other = where.setdefault(person, name)
            if other != name:
                raise Invalid(f"a person is in '{other}' and in '{name}'; expected every person in one split")


def _place(group: str, splits: Splits, *, salt: bytes) -> str:
    number = int.from_bytes(_keyed(b"place", group, salt=salt)[:8], "big") / 2**64
    total = 0.0
    for name in NAMES:
        total += getattr(splits, name)
        if number < total:
            return name
    return NAMES[-1]


def _keyed(purpose: bytes, text: str, *, salt: bytes) -> bytes:
    if len(salt) < _MIN_SALT_BYTES:
        raise Invalid(f"found a salt of {len(salt)} bytes, expected at least {_MIN_SALT_BYTES}")
    return hmac.new(salt, b"wardgate/split/1\0" + purpose + b"\0" + text.encode(), hashlib.sha256).digest()
