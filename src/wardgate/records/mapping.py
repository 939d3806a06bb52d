"""A hospital's own mapping from its files to the study's fields. Local: it never leaves the hospital.

`hospital.yaml` names the hospital; `mapping.yaml` says where each field is found and how it is coded.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.feature import Feature
from wardgate.records.record import Name, Number, Record
from wardgate.records.study import GeneratorName, Study
from wardgate.records.yaml_file import Findings, check_schema, read, validate

SCHEMA = "wardgate/mapping/1"

_RANGE = re.compile(r"^(?P<low>[A-Z]?\d+(?:\.\d+)?)(?:-(?P<high>[A-Z]?\d+(?:\.\d+)?))?$")


class Person(Record):
    """Who a row is about.

    Attributes:
        column: The person's identifier; it stays inside the hospital.
        each_row: The source has no identifier and every row is another person; its number in the file stands in.
        order: Puts a person's entries in time order (numbers by size, text as ISO dates); for `entries: first`.
        link: Persons with the same value stay in one split (twins, households).
    """

    column: str | None = None
    each_row: bool = False
    order: str | None = None
    link: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (not self.each_row):
            raise ValueError("expected either 'column' or 'each_row: true'")
        return self


class SiteColumn(Record):
    """Where a public data set that holds several hospitals says which. Only the demo's divider reads it.

    Attributes:
        names: Source text to site name, where the text is no safe name.
        prefix: Put before every other name, e.g. `h` makes `h12` of 12.
    """

    column: str
    prefix: str = ""
    names: dict[str, Name] = Field(default_factory=dict)


class FieldSource(Record):
    """Where one field of the study is found, and how it is coded there.

    Attributes:
        column: Column of the source.
        unit: UCUM unit of the source; needed where the study gives one.
        recode: Source text to the study's category, or `true` and `false`.
        ranges: The study's category to ranges of codes, e.g. circulatory: ["390-459", "785"]. A range ends
            before the next integer, so 785.51 is in 785.
        otherwise: Category of every present value that neither `recode` nor `ranges` names.
        numbers: Source text to a number in `unit`, e.g. "[70-80)" to 75.
        missing: Codes that mean missing here, beside those of the whole mapping.
    """

    column: str
    unit: str | None = None
    recode: dict[str, str] = Field(default_factory=dict)
    ranges: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    otherwise: str | None = None
    numbers: dict[str, Number] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _kinds(self) -> Self:
        if self.numbers and (self.recode or self.ranges or self.otherwise):
            raise ValueError("'numbers' is for numeric fields; 'recode', 'ranges' and 'otherwise' are for categories")
        spans = sorted(bounds(span) for listed in self.ranges.values() for span in listed)
        for (letter, _, stop), (other, low, _) in itertools.pairwise(spans):
            if letter == other and low < stop:
                raise ValueError("'ranges' overlap; a code may belong to one category")
        return self


class LabelSource(Record):
    """Where the outcome is found. Values in neither list are unknown: those persons are left out and counted."""

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if not self.positive or not self.negative:
            raise ValueError("'positive' and 'negative' each need at least one value")
        if set(self.positive) & set(self.negative):
            raise ValueError("a value is in both 'positive' and 'negative'")
        return self


class Mapping(Record):
    """How one hospital's files give the fields of one or several studies.

    Attributes:
        files: CSV, CSV.gz or Parquet files beside the mapping, all with the same columns.
        encoding: Of CSV files.
        delimiter: Of CSV files.
        missing: Texts that mean missing in every field. Empty text always does.
        sites: By the study's id, so that several studies divide one public data set differently.
        labels: By the label's name in the study, so that several studies share one mapping.
    """

    schema_: Literal["wardgate/mapping/1"] = Field(alias="schema")
    files: tuple[str, ...] = Field(min_length=1)
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    person: Person
    sites: dict[Name, SiteColumn] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()
    fields: dict[Name, FieldSource]
    labels: dict[Name, LabelSource]

    @model_validator(mode="after")
    def _safe(self) -> Self:
        for file in self.files:
            if file.startswith(("/", "\\")) or ".." in file.replace("\\", "/").split("/") or ":" in file:
                raise ValueError("'files' are named relative to the mapping, inside its folder")
        return self


class GeneratorChoice(Record):
    """A hospital's own choice of generator; the gate judges it all the same."""

    name: GeneratorName
    min_leaf: int | None = Field(default=None, ge=1)


class Hospital(Record):
    """`hospital.yaml`: who this is.

    Attributes:
        population: Opaque name of the people whose data these are, where the hospital keeps several apart that share
            nobody; absent, all its studies draw on one population and one budget.
    """

    id: Name
    note: str = ""
    population: Name | None = None
    generator: GeneratorChoice | None = None


def bounds(span: str) -> tuple[str, float, float]:
    """Read a range of codes.

    Returns:
        The letter before the number (or nothing), the low end, and the end before which it stops.

    Raises:
        ValueError: not a range such as `390-459`, `250` or `E800-E999`, or the wrong way round.

    >>> bounds("390-459"), bounds("V57"), bounds("250.0-250.9")
    (('', 390.0, 460.0), ('V', 57.0, 58.0), ('', 250.0, 250.91))
    """
    found = _RANGE.match(span)
    if found is None:
        raise ValueError("expected a range of codes such as '390-459', '250' or 'E800-E999'")
    low, high = found["low"], found["high"] or found["low"]
    letter = low[0] if low[0].isalpha() else ""
    other = high[0] if high[0].isalpha() else ""
    if found["high"] and other != letter:
        raise ValueError("expected both ends of a range of codes with the same letter")
    start, end = float(low.removeprefix(letter)), float(high.removeprefix(letter))
    if end < start:
        raise ValueError("expected a range of codes that goes up")
    stop = end + 1 if end == int(end) and "." not in high else round(end + 0.01, 6)
    return letter, start, stop


def parse(text: str, *, name: str) -> Mapping:
    """Read a mapping.

    Raises:
        Findings: everything that is wrong in it, each with its line.
    """
    parsed = read(text, name=name, what="a mapping")
    check_schema(parsed, (SCHEMA,))
    return validate(parsed, Mapping)


def parse_hospital(text: str, *, name: str) -> Hospital:
    """Read `hospital.yaml`.

    Raises:
        Findings: everything that is wrong in it, each with its line.
    """
    return validate(read(text, name=name, what="a hospital"), Hospital)


def parse_for(text: str, study: Study, *, name: str) -> Mapping:
    """Read a mapping and check that it serves a study.

    Raises:
        Findings: also where a field or the label of the study is not mapped, or is coded in a way the study cannot use.
    """
    mapping = parse(text, name=name)
    parsed = read(text, name=name, what="a mapping")
    findings = [parsed.finding(path, found=found, expected=expected) for path, found, expected in gaps(mapping, study)]
    if findings:
        raise Findings(findings)
    return mapping


Gap = tuple[tuple[str, ...], str, str]


def gaps(mapping: Mapping, study: Study) -> Iterator[Gap]:
    """Yield where a mapping does not serve a study: field path, what was found, what was expected."""
    features = {feature.name: feature for feature in study.features}
    required = [requirement.field for requirement in study.cohort.requires]
    for name in dict.fromkeys((*features, *required)):
        if name not in mapping.fields:
            yield ("fields", name), "nothing", f"where '{name}' of study '{study.id}' is found"
        elif name in features:
            yield from _coding_gaps(features[name], mapping.fields[name])
    if study.label.name not in mapping.labels:
        yield ("labels", study.label.name), "nothing", "where the study's label is found"
    if study.cohort.entries == "first" and mapping.person.order is None:
        yield ("person", "order"), "nothing", "the column that orders a person's entries (entries: first)"


def _coding_gaps(feature: Feature, source: FieldSource) -> Iterator[Gap]:
    here = ("fields", feature.name)
    if feature.type in ("number", "integer"):
        if source.unit is None:
            yield (*here, "unit"), "nothing", f"the source's UCUM unit (the study uses {feature.unit})"
        if source.recode or source.ranges or source.otherwise:
            yield here, "codes for categories", f"a number, since the study says {feature.type}"
        return
    if source.unit is not None or source.numbers:
        yield here, "a unit or numbers", f"codes, since the study says {feature.type}"
    known = (feature.values or ()) if feature.type == "category" else ("true", "false")
    targets = {**dict.fromkeys(source.recode.values()), **dict.fromkeys(source.ranges)}
    for target in (*targets, *([source.otherwise] if source.otherwise is not None else [])):
        if target not in known:
            yield here, f"the category '{target}'", f"one of the study's: {', '.join(known)}"
