"""Tables from anywhere: what their columns are, by inference or by a dictionary, and their persons in the table form.

No message quotes a cell; names of columns and of files are quoted.
"""

import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from wardgate.hospital.ward.source.files import ROW, Source, opened
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.record import NAME

MISSING = ("", "na", "nan", "n/a", "null", "none", ".")
"""What stands for a missing value, in any case of letters."""

YES, NO = ("1", "1.0", "true", "yes", "y", "t"), ("0", "0.0", "false", "no", "n", "f")

MOST_CATEGORIES = 1_000
"""Distinct texts above which a column is free text or an identifier, which never leaves."""

WIDEST_SHARE = 0.5
"""Share of different texts among the values above which a text column is taken for names or free text."""

LONGEST = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One column of one file, as far as inference needs it.

    Attributes:
        present: Cells that are not missing.
        numbers: Of them, those that are numbers; `whole` those without a fraction.
        yes_no: Of them, those that say yes or no.
        ends: Least and largest finite number.
        distinct: Different texts, counted to one above `MOST_CATEGORIES`.
        longest: Characters of the longest text.
        dates: Cells that are dates.
    """

    name: str
    rows: int
    present: int
    numbers: int
    whole: int
    yes_no: int
    ends: tuple[float, float]
    distinct: int
    longest: int
    dates: int


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the columns of a file."""
    with _opened(path, ()) as source:
        return source.columns


def _opened(path: Path, wanted: Sequence[str]) -> AbstractContextManager[Source]:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    return opened(path.parent, [path.name], wanted=wanted, delimiter=delimiter, memory_limit_mb=3_000)


def infer(
    paths: Sequence[Path],
    *,
    label: str | None,
    person: str | None,
    time: str | None,
    period: str | None,
    known: Sequence[str],
    sensitive: Sequence[str],
    dropped: Sequence[str] = (),
) -> Dictionary:
    """Return a dictionary of files with the same columns, for a person to review.

    Ranges and categories are read from all files together. That reads real data, so a claim of differential privacy
    that needs them public has to bring a dictionary of its own.

    Args:
        label, person, time, period: Special columns, as in `Dictionary`.
        known: Columns that outsiders know.
        sensitive: Columns that an attacker would like to infer; none named, all others.
        dropped: Columns left out.

    Raises:
        Invalid: the files differ in columns, or a column cannot be judged (dates, free text, only missing values).
    """
    headers = {path: columns_of(path) for path in paths}
    first = headers[paths[0]]
    unseen = {person, period} if time is None else {period}  # a synthetic row need not be anybody's
    for path, header in headers.items():
        differing = sorted((set(header) ^ set(first)) - unseen)
        if differing:
            raise Invalid(
                f"{path.name} and {paths[0].name} differ in columns ({_few(differing)}); the tables must have the same"
            )
    special = [name for name in (label, person, time, period) if name is not None]
    for name in (*special, *known, *sensitive, *dropped):
        if name not in first:
            raise Invalid(f"no table has a column '{name}'; the columns are {_few(first)}")
    wanted = [name for name in first if name not in (*special, *dropped)]
    if LABEL in wanted:
        raise Invalid(f"a column is called '{LABEL}'; say that it is the outcome with --label {LABEL}, or rename it")
    if not wanted:
        raise Invalid("no column is left to judge")
    for name in (*wanted, *special):
        if not re.fullmatch(NAME, name):
            raise Invalid(f"a column is called '{name[:40]}'; expected letters, digits and _ . + - alone; rename it")
    profiles = [_profiles(path, wanted) for path in paths]
    features = []
    for place, name in enumerate(wanted):
        parts = [found[place] for found in profiles]
        features.append(_feature(parts, paths, known=name in known))
    return Dictionary(
        schema="wardgate/dictionary/1",
        features=tuple(features),
        label=label,
        person=person,
        time=time,
        period=period,
        sensitive=tuple(sensitive) or None,
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _profiles(path: Path, names: Sequence[str]) -> list[Profile]:
    """Profile the columns of one file, in one pass for the numbers and one for the texts."""
    parts = []
    for place, name in enumerate(names):
        text, number = _text(name), f"TRY_CAST({_text(name)} AS DOUBLE)"
        finite = f"CASE WHEN isfinite({number}) THEN {number} END"
        parts.append(
            f"count({text}) AS p{place}, count({number}) AS n{place}, "
            f"count(*) FILTER (WHERE {finite} = floor({finite})) AS w{place}, "
            f"count(*) FILTER (WHERE lower({text}) IN ({_list((*YES, *NO))})) AS y{place}, "
            f"min({finite}) AS l{place}, max({finite}) AS h{place}, "
            f"approx_count_distinct({text}) AS d{place}, max(length({text})) AS c{place}, "
            f"count(*) FILTER (WHERE {number} IS NULL AND TRY_CAST({text} AS TIMESTAMP) IS NOT NULL) AS t{place}"
        )
    with _opened(path, names) as source:
        (row,) = pl.concat(source.batches(f"SELECT count(*) AS rows, {', '.join(parts)} FROM source")).to_dicts()  # noqa: S608 - quoted names
    if not row["rows"]:
        raise Invalid(f"{path.name} has a header and no row")
    return [
        Profile(
            name=name,
            rows=row["rows"],
            present=row[f"p{place}"],
            numbers=row[f"n{place}"],
            whole=row[f"w{place}"],
            yes_no=row[f"y{place}"],
            ends=(
                math.inf if row[f"l{place}"] is None else row[f"l{place}"],
                -math.inf if row[f"h{place}"] is None else row[f"h{place}"],
            ),
            distinct=row[f"d{place}"],
            longest=row[f"c{place}"] or 0,
            dates=row[f"t{place}"],
        )
        for place, name in enumerate(names)
    ]


def _feature(parts: Sequence[Profile], paths: Sequence[Path], *, known: bool) -> Feature:
    name = parts[0].name
    present = sum(part.present for part in parts)
    missing = "allowed" if any(part.present < part.rows for part in parts) else "refused"
    more = {"name": name, "missing": missing, "quasi_identifier": known}
    if not present:
        raise Invalid(f"column '{name}' holds no value in any table; leave it out with --drop {name}")
    if sum(part.yes_no for part in parts) == present:
        return Feature.model_validate({**more, "type": "boolean"})
    if sum(part.numbers for part in parts) == present:
        low, high = min(part.ends[0] for part in parts), max(part.ends[1] for part in parts)
        if not low < high:
            low, high = (low - 0.5, low + 0.5) if math.isfinite(low) else (0.0, 1.0)
        kind = "integer" if sum(part.whole for part in parts) == present else "number"
        return Feature.model_validate({**more, "type": kind, "unit": "1", "range": (low, high)})
    if sum(part.dates for part in parts) == present:
        raise Invalid(
            f"column '{name}' holds dates, which never leave; turn them into days since the index date, or leave the"
            f" column out with --drop {name}"
        )
    widest = max(part.distinct / max(part.present, 1) for part in parts)
    distinct = max(part.distinct for part in parts)
    if distinct > MOST_CATEGORIES or (distinct > 50 and widest > WIDEST_SHARE) or max(p.longest for p in parts) > 200:
        raise Invalid(
            f"column '{name}' holds free text, names or identifiers, which never leave; leave it out with --drop {name}"
        )
    values = sorted(set().union(*(_values(path, name) for path in paths)))
    if any(len(value) > LONGEST for value in values):
        raise Invalid(f"column '{name}' holds long text, which never leaves; leave it out with --drop {name}")
    values = values if len(values) > 1 else [*values, "(other)"]
    return Feature.model_validate({**more, "type": "category", "values": tuple(values)})


def _values(path: Path, name: str) -> set[str]:
    with _opened(path, (name,)) as source:
        sql = f"SELECT DISTINCT {_text(name)} AS value FROM source"  # noqa: S608 - quoted name
        return set(pl.concat(source.batches(sql))["value"].drop_nulls())


def read(path: Path, dictionary: Dictionary) -> pl.DataFrame:
    """Return a file in the table form: features, `label`, and person, time and period under their own names.

    Raises:
        Invalid: the file lacks a column, or a column holds something else than the dictionary says.
    """
    here = columns_of(path)
    special = [name for name in (dictionary.person, dictionary.time, dictionary.period) if name is not None]
    if dictionary.time is None:  # a synthetic row need not be anybody's
        special = [name for name in special if name in here]
    label = [dictionary.label] if dictionary.label is not None else []
    names = [feature.name for feature in dictionary.features]
    lacking = sorted({*names, *special, *label} - set(here))
    if lacking:
        raise Invalid(f"{path.name} lacks {_few(lacking)}; every table needs all columns of the dictionary")
    parts = [f"{_typed(feature)} AS {_quoted(feature.name)}" for feature in dictionary.features]
    wrong = [f"{_wrong(feature)} AS {_quoted(feature.name)}" for feature in dictionary.features]
    if label:
        outcome = Feature(name=label[0], type="boolean")
        parts.append(f"{_typed(outcome)} AS {_quoted(LABEL)}")
        wrong.append(f"{_wrong(outcome)} AS {_quoted(LABEL)}")
    for name in special:
        kind = f"TRY_CAST({_text(name)} AS DOUBLE)" if name == dictionary.time else _text(name)
        parts.append(f"{kind} AS {_quoted(name)}")
    with _opened(path, (*names, *label, *special)) as source:
        counted = pl.concat(source.batches(f"SELECT {', '.join(wrong)} FROM source"))  # noqa: S608 - quoted names
        for column in counted.columns:
            if counted[column].item():
                kind = "0 or 1" if column == LABEL else _expected(dictionary.feature(column))
                raise Invalid(f"column '{column}' of {path.name} holds something else than {kind}")
        batches = list(source.batches(f"SELECT {', '.join(parts)} FROM source ORDER BY {_quoted(ROW)}"))  # noqa: S608 - quoted names
    if not batches or not sum(batch.height for batch in batches):
        raise Invalid(f"{path.name} has a header and no row")
    table = pl.concat(batches)
    if label:
        table = table.with_columns(pl.col(LABEL).cast(pl.Int8))
    if dictionary.person in special and table[dictionary.person].null_count():
        raise Invalid(f"{path.name} has rows without a person in '{dictionary.person}'")
    return table


def _expected(feature: Feature) -> str:
    return {
        "number": "numbers",
        "integer": "numbers",
        "boolean": "yes and no (1 and 0)",
        "category": "the categories of the dictionary",
    }[feature.type]


def _typed(feature: Feature) -> str:
    text = _text(feature.name)
    if feature.type == "category":
        return text
    if feature.type == "boolean":
        return f"CASE WHEN lower({text}) IN ({_list(YES)}) THEN 1.0 WHEN lower({text}) IN ({_list(NO)}) THEN 0.0 END"
    return f"TRY_CAST({text} AS DOUBLE)"


def _wrong(feature: Feature) -> str:
    text = _text(feature.name)
    if feature.type == "category":
        return f"count(*) FILTER (WHERE {text} IS NOT NULL AND {text} NOT IN ({_list(feature.values or ())}))"
    return f"count(*) FILTER (WHERE {text} IS NOT NULL AND {_typed(feature)} IS NULL)"


def _text(name: str) -> str:
    """A cell as text, missing ones as NULL."""
    cell = f"trim({_quoted(name)})"
    return f"CASE WHEN lower({cell}) IN ({_list(MISSING)}) THEN NULL ELSE {cell} END"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
