"""A corpus with one row a person in the tables of OMOP CDM 5.4, for partners whose tools read nothing else.

Each synthetic person gets a `person` row, one observation period around the index date, and one row for each value:
numbers in `measurement`, categories and yes-or-no in `observation`. The concept of a feature is its declared code of
the terminology `omop`; a feature without one gets concept 0 ("no matching concept") and its name as source value, as
the CDM asks. Nothing is guessed: sex, race and ethnicity concepts stay 0 unless a feature declares them by its code.

Reference: OMOP Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

import datetime
from collections.abc import Mapping

import polars as pl

from wardgate.records.corpus_file import LABEL_TEXT
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

TERMINOLOGY = "omop"
INDEX = datetime.date(2000, 1, 1)
"""Everybody's index date: public, and nobody's."""

TYPE_CONCEPT = 0
PERSON, DATE = "person_id", "date"


def concept_of(feature: Feature) -> int:
    """Return the declared OMOP concept of a feature, 0 where it has none.

    Raises:
        Invalid: the code is no concept id.
    """
    code = feature.codes.get(TERMINOLOGY, "0")
    if not code.isdecimal():
        raise Invalid(
            f"feature '{feature.name}' has the OMOP code '{code[:40]}'; expected a concept id, a whole number"
        )
    return int(code)


def omop_tables(table: pl.DataFrame, dictionary: Dictionary, *, first_person: int = 1) -> Mapping[str, pl.DataFrame]:
    """Return `person`, `observation_period`, `measurement` and `observation`.

    Args:
        table: One row a person in the table form of `measures.encoding`.
        first_person: Number of the first person, so that batches can be written one after the other.

    Raises:
        Invalid: the dictionary describes timelines, or a code is no concept id.
    """
    if dictionary.time is not None:
        raise Invalid("timelines are exported in MEDS form; OMOP form is for one row a person")
    persons = pl.Series(PERSON, range(first_person, first_person + table.height), dtype=pl.Int64)
    held = table.with_columns(persons)
    numbers = [one for one in dictionary.features if one.type in ("number", "integer")]
    others = [one for one in dictionary.features if one.type in ("category", "boolean")]
    measurement = _stacked([_measured(held, one) for one in numbers], _MEASUREMENT)
    outcome = [_observed(held, dictionary, None)] if dictionary.label is not None else []
    observation = _stacked([*(_observed(held, dictionary, one) for one in others), *outcome], _OBSERVATION)
    return {
        "person": pl.DataFrame(
            {
                PERSON: persons,
                **{name: [0] * table.height for name in ("gender_concept_id", "race_concept_id")},
                "ethnicity_concept_id": [0] * table.height,
                "year_of_birth": [_YEAR_UNKNOWN] * table.height,
                "person_source_value": [LABEL_TEXT] * table.height,
            }
        ),
        "observation_period": pl.DataFrame(
            {
                "observation_period_id": persons,
                PERSON: persons,
                "observation_period_start_date": [INDEX] * table.height,
                "observation_period_end_date": [INDEX] * table.height,
                "period_type_concept_id": [TYPE_CONCEPT] * table.height,
            }
        ),
        "measurement": _numbered(measurement, "measurement_id", first_person),
        "observation": _numbered(observation, "observation_id", first_person),
    }


_YEAR_UNKNOWN = 1900
_MEASUREMENT = ("measurement", "value_as_number", "unit_source_value")
_OBSERVATION = ("observation", "value_as_string", "qualifier_source_value")


def _measured(held: pl.DataFrame, feature: Feature) -> pl.DataFrame:
    return _rows(held, feature.name, concept_of(feature), _MEASUREMENT, pl.col(feature.name).cast(pl.Float64), feature)


def _observed(held: pl.DataFrame, dictionary: Dictionary, feature: Feature | None) -> pl.DataFrame:
    if feature is None:
        value = pl.col(LABEL).cast(pl.Int64).cast(pl.String)
        return _rows(held, LABEL, 0, _OBSERVATION, value, None, source=str(dictionary.label))
    value = pl.col(feature.name)
    if feature.type == "boolean":
        value = value.cast(pl.Int64).cast(pl.String)
    return _rows(held, feature.name, concept_of(feature), _OBSERVATION, value, feature)


def _rows(
    held: pl.DataFrame,
    column: str,
    concept: int,
    form: tuple[str, str, str],
    value: pl.Expr,
    feature: Feature | None,
    source: str = "",
) -> pl.DataFrame:
    name, holds, unit = form
    return held.filter(pl.col(column).is_not_null()).select(
        PERSON,
        pl.lit(concept, dtype=pl.Int64).alias(f"{name}_concept_id"),
        pl.lit(INDEX).alias(f"{name}_date"),
        pl.lit(TYPE_CONCEPT, dtype=pl.Int64).alias(f"{name}_type_concept_id"),
        value.alias(holds),
        pl.lit(source or column).alias(f"{name}_source_value"),
        pl.lit(None if feature is None else feature.unit, dtype=pl.String).alias(unit),
    )


def _stacked(parts: list[pl.DataFrame], form: tuple[str, str, str]) -> pl.DataFrame:
    if parts:
        return pl.concat(parts)
    name, holds, unit = form
    kind = pl.Float64 if form is _MEASUREMENT else pl.String
    return pl.DataFrame(
        schema={
            PERSON: pl.Int64,
            f"{name}_concept_id": pl.Int64,
            f"{name}_date": pl.Date,
            f"{name}_type_concept_id": pl.Int64,
            holds: kind,
            f"{name}_source_value": pl.String,
            unit: pl.String,
        }
    )


def _numbered(rows: pl.DataFrame, name: str, first_person: int) -> pl.DataFrame:
    """Number rows apart from those of other batches: persons times the most columns a table may have."""
    most = 10_000
    start = (first_person - 1) * most
    return rows.with_columns(pl.int_range(start + 1, start + 1 + pl.len(), dtype=pl.Int64).alias(name)).select(
        name, pl.exclude(name)
    )
