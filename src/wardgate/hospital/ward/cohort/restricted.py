"""Tables and their dictionary with something held back."""

from collections.abc import Sequence

import polars as pl

from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.restriction import Restriction


def restricted_dictionary(dictionary: Dictionary, restrictions: Sequence[Restriction]) -> Dictionary:
    """Return the dictionary of what is left.

    Raises:
        Invalid: a restriction names a column that is not there or does not fit its type, or leaves no column.
    """
    features = {feature.name: feature for feature in dictionary.features}
    for one in restrictions:
        feature = features.get(one.column)
        if feature is None:
            raise Invalid(f"'{one.column}' cannot be restricted: it is no feature of the tables, or dropped already")
        _check(one, feature)
        if one.way == "drop":
            del features[one.column]
        elif one.way == "coarsen" and one.values is not None:
            kept = [value for value in feature.values or () if value not in one.values]
            features[one.column] = feature.model_copy(update={"values": (*kept, _joined(one)) if kept else None})
            if not kept:
                raise Invalid(f"joining all categories of '{one.column}' leaves nothing; drop it instead")
    if not features:
        raise Invalid("the restrictions leave no column")
    gone = {feature.name for feature in dictionary.features} - features.keys()
    coarse = {one.column for one in restrictions if one.way == "coarsen" and one.values is not None}
    return dictionary.model_copy(
        update={
            "features": tuple(features.values()),
            "subgroups": tuple(part for part in dictionary.subgroups if part.feature not in gone),
            "rules": tuple(
                rule for rule in dictionary.rules if not {rule.left, rule.right, *rule.when} & (gone | coarse)
            ),
            "relations": tuple(part for part in dictionary.relations if not set(part.between) & gone),
            "joint": tuple(group for group in dictionary.joint if not set(group) & gone),
            "sensitive": None
            if dictionary.sensitive is None
            else tuple(name for name in dictionary.sensitive if name not in gone) or None,
        }
    )


def restricted(table: pl.DataFrame, dictionary: Dictionary, restrictions: Sequence[Restriction]) -> pl.DataFrame:
    """Return a table in the table form with the restrictions applied in their order.

    Raises:
        Invalid: a restriction leaves no person.
    """
    kinds = {feature.name: feature.type for feature in dictionary.features}
    for one in restrictions:
        column = pl.col(one.column)
        if one.way == "drop":
            table = table.drop(one.column)
        elif one.step is not None:
            table = table.with_columns((column / one.step).round() * one.step)
        elif one.way == "coarsen":
            joined = pl.when(column.is_in(list(one.values or ()))).then(pl.lit(_joined(one))).otherwise(column)
            table = table.with_columns(joined.alias(one.column))
        else:
            values = list(one.values or ())
            wanted = [float(value in ("1", "true", "yes")) for value in values]
            inside = column.is_in(values if kinds[one.column] == "category" else wanted)
            table = table.filter(~inside.fill_null(False))
    if not table.height:
        raise Invalid("the restrictions leave no person in one of the tables")
    return table


def _check(one: Restriction, feature: Feature) -> None:
    numeric = feature.type in ("number", "integer")
    if one.step is not None and not numeric:
        raise Invalid(f"'{one.column}' is no number; join its categories with COLUMN=VALUE+VALUE")
    if one.way != "drop" and one.values is not None and numeric:
        raise Invalid(f"'{one.column}' is a number; coarsen it with COLUMN=STEP")
    known = ("0", "1", "true", "false", "yes", "no") if feature.type == "boolean" else feature.values or ()
    strange = sorted(set(one.values or ()) - set(known))
    if strange or (one.way == "coarsen" and one.values is not None and feature.type == "boolean"):
        raise Invalid(f"'{one.column}' has no category '{strange[0] if strange else '+'.join(one.values or ())}'")


def _joined(one: Restriction) -> str:
    return "+".join(one.values or ())
