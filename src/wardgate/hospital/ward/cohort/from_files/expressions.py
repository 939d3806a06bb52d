"""Study + mapping -> one query, written once as Ibis expressions over an unbound table of text.

The table has the columns that the mapping names, and the row's number. Nothing here sees a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import ibis

from wardgate.hospital.ward.cohort.units import Linear, conversion
from wardgate.hospital.ward.source.duckdb_engine import compiled
from wardgate.hospital.ward.source.events import Expression
from wardgate.hospital.ward.source.files import ROW, VIEW
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.mapping import FieldSource, LabelSource, Mapping, bounds
from wardgate.records.study import Requirement, Study

MISSING, PRESENT, OUT_OF_RANGE, UNREADABLE = 0, 1, 2, 3
"""What a cell is: absent, usable, a number outside the plausible range, or a text with no meaning here."""

_TRUTH = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query over the view `source`: one row an entry.

    Columns, numbered by the study's features and requirements: `person`, `link`, `label` (0, 1 or null);
    `f<i>` the value in the study's unit or null; `s<i>` what the cell is; `r<i>` whether a requirement is met.

    Attributes:
        units: Per numeric feature its conversion, or None where the source's unit cannot be converted.
    """

    sql: str
    units: dict[str, Linear | None]


def wanted(study: Study, mapping: Mapping) -> tuple[str, ...]:
    """Return the source columns that a study needs.

    Raises:
        Invalid: the mapping lacks a field or the label of the study.
    """
    person = mapping.person
    columns = [column for column in (person.column, person.order, person.link) if column is not None]
    columns += [_field(mapping, name).column for name in _fields(study)]
    if study.label.name not in mapping.labels:
        raise Invalid(f"the mapping has no label '{study.label.name}'; add it under 'labels'")
    return tuple(dict.fromkeys((*columns, mapping.labels[study.label.name].column)))


def query(study: Study, mapping: Mapping) -> Query:
    """Compile the query. Hospitals with the same mapping share one compilation."""
    return _compiled(study.to_bytes(), mapping.to_bytes())


@lru_cache(maxsize=64)
def _compiled(study_bytes: bytes, mapping_bytes: bytes) -> Query:
    study, mapping = Study.model_validate_json(study_bytes), Mapping.model_validate_json(mapping_bytes)
    schema = dict.fromkeys(wanted(study, mapping), "string") | {ROW: "int64"}
    source = ibis.table(schema, name=VIEW)
    units = {
        feature.name: conversion(_field(mapping, feature.name).unit or "", feature)
        for feature in study.features
        if feature.type in ("number", "integer")
    }
    return Query(sql=compiled(_entries(source, study, mapping, units), dialect="duckdb"), units=units)


def _fields(study: Study) -> list[str]:
    names = [feature.name for feature in study.features]
    return list(dict.fromkeys([*names, *(requirement.field for requirement in study.cohort.requires)]))


def _field(mapping: Mapping, name: str) -> FieldSource:
    if name not in mapping.fields:
        raise Invalid(f"the mapping has no field '{name}'; add it under 'fields'")
    return mapping.fields[name]


def _entries(source: Expression, study: Study, mapping: Mapping, units: dict[str, Linear | None]) -> Expression:
    """One row an entry, typed; with `entries: first`, each person's first alone.

    Stages: cells as text, codes for missing taken out, numbers and categories, values with what they are, requirements.
    """
    person, first = mapping.person, study.cohort.entries == "first"
    if first and person.order is None:
        raise Invalid("the study keeps first entries, but the mapping names no 'person.order'")
    fields = {name: _field(mapping, name) for name in _fields(study)}
    at = {name: index for index, name in enumerate(fields)}
    features = {feature.name: feature for feature in study.features}
    numeric = [name for name in fields if _is_number(name, study)]
    table = source.select(
        person=source[ROW].cast("string") if person.column is None else _stripped(source[person.column]),
        link=_stripped(source[person.link]) if person.link else ibis.null("string"),
        outcome=_text(source[mapping.labels[study.label.name].column]),
        **({"order": _stripped(source[person.order]), "row": source[ROW]} if first and person.order else {}),
        **{f"t{at[name]}": _text(source[field.column]) for name, field in fields.items()},
    )
    table = table.mutate(**{f"t{at[name]}": _known(table[f"t{at[name]}"], fields[name], mapping) for name in fields})
    table = table.mutate(**{f"n{at[name]}": _plain_number(table[f"t{at[name]}"], fields[name]) for name in numeric})
    table = table.mutate(
        **{
            f"n{at[name]}": _finite(table[f"n{at[name]}"], (units.get(name) or Linear()) if name in features else None)
            for name in numeric
        },
        **{
            f"c{at[name]}": _category(table[f"t{at[name]}"], fields[name], _codes_of(feature))
            for name, feature in features.items()
            if name not in numeric
        },
    )
    columns: dict[str, Expression] = {}
    for name, feature in features.items():
        text = table[f"t{at[name]}"]
        if name in numeric:
            value, state = _number(text, table[f"n{at[name]}"], feature, convertible=units[name] is not None)
        else:
            value, state = _coded(text, table[f"c{at[name]}"], feature)
        columns[f"f{at[name]}"], columns[f"s{at[name]}"] = value, state
    table = table.mutate(**columns, label=_label(table.outcome, mapping.labels[study.label.name]))
    met = {
        f"r{index}": _met(table, requirement, at[requirement.field], features, fields)
        for index, requirement in enumerate(study.cohort.requires)
    }
    table = table.mutate(**met)
    if first:
        by_time = [
            table.order.try_cast("float64").asc(nulls_first=False),
            table.order.asc(nulls_first=False),
            table.row,
        ]
        rank = ibis.row_number().over(ibis.window(group_by=table.person, order_by=by_time))
        table = table.mutate(rank=rank).filter(lambda t: (t["rank"] == 0) | t["person"].isnull())
    return table.select(
        "person",
        "link",
        "label",
        *met,
        **{
            f"f{at[name]}": table[f"f{at[name]}"].round().cast("float64")
            if feature.type == "integer"
            else table[f"f{at[name]}"]
            for name, feature in features.items()
        },
        **{f"s{at[name]}": table[f"s{at[name]}"] for name in features},
    )


def _is_number(name: str, study: Study) -> bool:
    """Whether a field is read as a number: by its feature, else by what the requirements ask of it."""
    feature = next((feature for feature in study.features if feature.name == name), None)
    if feature is not None:
        return feature.type in ("number", "integer")
    return any(requirement.field == name and requirement.range for requirement in study.cohort.requires)


def _stripped(text: Expression) -> Expression:
    return text.strip().nullif("")


def _text(column: Expression) -> Expression:
    """A cell as codes are compared: no spaces around it, whole numbers without `.0`."""
    return _stripped(column).re_replace(r"^([+-]?[0-9]+)\.0+$", r"\1")


def _code(code: str) -> str:
    """A code of the mapping in the form that `_text` gives a cell."""
    text = code.strip()
    head, dot, tail = text.partition(".")
    return head if dot and tail and not tail.strip("0") and head.lstrip("+-").isdigit() else text


def _known(text: Expression, field: FieldSource, mapping: Mapping) -> Expression:
    """The cell, or null where it is a code for missing."""
    codes = sorted({_code(code) for code in (*mapping.missing, *field.missing)} - {""})
    return ibis.ifelse(text.isin(codes), ibis.null("string"), text) if codes else text


def _codes_of(feature: Feature) -> tuple[str, ...]:
    return tuple(_TRUTH) if feature.type == "boolean" else feature.values or ()


def _coded(text: Expression, category: Expression, feature: Feature) -> tuple[Expression, Expression]:
    """A category or a Boolean, and what the cell is."""
    if feature.type == "boolean":
        cases = [(category == code, value) for code, value in _TRUTH.items()]
        value = ibis.cases(*cases, else_=ibis.null("float64")).cast("float64")
    else:
        value = ibis.ifelse(category.isin(list(_codes_of(feature))), category, ibis.null("string"))
    state = ibis.cases((text.isnull(), MISSING), (value.isnull(), UNREADABLE), else_=PRESENT)
    return value, state.cast("int8")


def _plain_number(text: Expression, field: FieldSource) -> Expression:
    number = text.try_cast("float64")
    if not field.numbers:
        return number
    return ibis.cases(*[(text == _code(code), value) for code, value in field.numbers.items()], else_=number)


def _finite(number: Expression, linear: Linear | None) -> Expression:
    """A finite number, converted; else null."""
    value = number * linear.factor + linear.offset if linear is not None and linear.changes else number
    return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), value)


def _number(
    text: Expression, value: Expression, feature: Feature, *, convertible: bool
) -> tuple[Expression, Expression]:
    """A number in the study's unit, and what the cell is. An integer is inside if it rounds to inside."""
    low, high = feature.range or (0.0, 0.0)
    inside = (value > low - 0.5) & (value < high + 0.5) if feature.type == "integer" else value.between(low, high)
    state = ibis.cases((text.isnull(), MISSING), (value.isnull(), UNREADABLE), (inside, PRESENT), else_=OUT_OF_RANGE)
    usable = ibis.ifelse(inside, value, ibis.null("float64")) if convertible else ibis.null("float64")
    return usable, state.cast("int8")


def _category(text: Expression, field: FieldSource, known: Sequence[str]) -> Expression:
    """Recode a cell; what no rule names stays as it is where the study knows it, else becomes `otherwise`."""
    cases = [(text == _code(code), target) for code, target in field.recode.items()]
    for target, spans in field.ranges.items():
        for span in spans:
            letter, low, stop = bounds(span)
            number = (text if not letter else text.substr(1)).try_cast("float64")
            inside = (number >= low) & (number < stop)
            cases.append((inside if not letter else text.upper().startswith(letter) & inside, target))
    if field.otherwise is not None:
        cases += [(text.isin(list(known)), text), (text.notnull(), field.otherwise)]
    return ibis.cases(*cases, else_=text) if cases else text


def _met(
    typed: Expression,
    requirement: Requirement,
    at: int,
    features: dict[str, Feature],
    fields: dict[str, FieldSource],
) -> Expression:
    feature = features.get(requirement.field)
    if requirement.range is not None:
        number = typed[f"n{at}"] if feature is None else typed[f"f{at}"]
        return number.between(*requirement.range).fill_null(False)
    values = requirement.values or ()
    if feature is not None and feature.type == "boolean":
        met = typed[f"f{at}"].isin([_TRUTH[text] for text in values if text in _TRUTH])
    elif feature is not None:
        met = typed[f"f{at}"].isin(list(values))
    else:
        met = _category(typed[f"t{at}"], fields[requirement.field], values).isin([_code(value) for value in values])
    return met.fill_null(False)


def _label(text: Expression, label: LabelSource) -> Expression:
    known = ibis.cases(
        (text.isin([_code(code) for code in label.positive]), 1),
        (text.isin([_code(code) for code in label.negative]), 0),
        else_=None,
    )
    return known.cast("int8")


def would_fit(study: Study, mapping: Mapping, feature: Feature, linears: Sequence[Linear]) -> str:
    """Compile a query that counts the numbers of one feature that each conversion would put inside its range."""
    field = _field(mapping, feature.name)
    source = ibis.table({field.column: "string"}, name=VIEW)
    number = _finite(_plain_number(_known(_text(source[field.column]), field, mapping), field), None)
    low, high = feature.range or (0.0, 0.0)
    counts = {"n": number.count()}
    for index, linear in enumerate(linears):
        counts[f"fit{index}"] = _finite(number, linear).between(low, high).sum().fill_null(0)
    return compiled(source.aggregate(**counts), dialect="duckdb")
