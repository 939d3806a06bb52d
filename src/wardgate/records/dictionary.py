"""The data dictionary: what the columns of a table mean, whichever study or hospital it comes from."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.feature import ClinicalRule, Feature, Relation, Subgroup
from wardgate.records.record import Name, Number, Record

SCHEMA = "wardgate/dictionary/1"

LABEL = "label"
"""The column that holds the outcome in every table, whatever it is called at its source."""

OUTCOME = Feature(name=LABEL, type="boolean", missing="refused")
"""The outcome as a column like any other, for whoever knows a patient."""


class Dictionary(Record):
    """What the gate has to know of a table in order to judge it.

    Attributes:
        features: Every column but the outcome, the person and the time.
        label: Name of the outcome's column at the source, 0 or 1; absent where there is none.
        person: Column that says whose a row is; absent where every row is a person.
        time: Column with the hours since the person's index date, for timelines of several rows a person.
        static: Columns that never change within a person, where persons have several rows. A private generator of
            timelines needs to be told; absent, whoever may look finds out.
        period: Column with the calendar period of a person (year or date); it is looked at, never released.
        subgroups: Groups that are attacked and judged apart.
        rules: Relations that no real patient breaks.
        relations: Relations known from medicine, with sign and size, that a good corpus shows.
        joint: Groups of three or more columns whose joint distribution matters.
        sensitive: Columns that an attacker would like to infer; absent, all that are no quasi-identifiers.
        ridge: L2 penalty of the model that is trained for the comparison of use.
    """

    schema_: Literal["wardgate/dictionary/1"] = Field(default="wardgate/dictionary/1", alias="schema")
    features: tuple[Feature, ...]
    label: Name | None = None
    person: Name | None = None
    time: Name | None = None
    static: tuple[Name, ...] | None = None
    period: Name | None = None
    subgroups: tuple[Subgroup, ...] = ()
    rules: tuple[ClinicalRule, ...] = ()
    relations: tuple[Relation, ...] = ()
    joint: tuple[tuple[Name, ...], ...] = ()
    sensitive: tuple[Name, ...] | None = None
    ridge: Number = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if not names:
            raise ValueError("a dictionary needs at least one feature")
        special = [name for name in (self.label, self.person, self.time, self.period) if name is not None]
        every = [*names, *special]
        if len(set(every)) != len(every):
            raise ValueError("two columns have the same name")
        if LABEL in names:
            raise ValueError(f"no feature may be called '{LABEL}'; that is the outcome's column")
        if self.time is not None and self.person is None:
            raise ValueError("a table with 'time' needs 'person': whose the rows are")
        mentioned = [
            *((f"subgroup '{one.feature}'", one.feature) for one in self.subgroups),
            *((f"rule '{one.name}'", name) for one in self.rules for name in (one.left, *one.when)),
            *((f"relation '{one.name}'", name) for one in self.relations for name in one.between),
            *(("joint", name) for group in self.joint for name in group),
            *(("sensitive", name) for name in self.sensitive or ()),
            *(("static", name) for name in self.static or ()),
        ]
        for where, name in mentioned:
            if name not in (*names, LABEL):
                raise ValueError(f"{where} names '{name}', which is not a feature")
        return self

    @property
    def columns(self) -> tuple[Feature, ...]:
        """All columns that a person's record has: the features, and the outcome where there is one."""
        return (*self.features, OUTCOME) if self.label is not None else self.features

    @property
    def quasi_identifiers(self) -> tuple[Feature, ...]:
        """Columns that outsiders know: those declared, else those of the subgroups, else categories."""
        declared = tuple(feature for feature in self.features if feature.quasi_identifier)
        grouped = {subgroup.feature for subgroup in self.subgroups}
        return (
            declared
            or tuple(feature for feature in self.features if feature.name in grouped)
            or tuple(feature for feature in self.features if feature.type in ("category", "boolean"))
        )

    @property
    def targets(self) -> tuple[Feature, ...]:
        """Columns that an attacker would like to infer."""
        known = {feature.name for feature in self.quasi_identifiers}
        wanted = self.sensitive
        return tuple(
            column for column in self.columns if (column.name not in known if wanted is None else column.name in wanted)
        )

    def feature(self, name: str) -> Feature:
        """Return the column called `name`."""
        return next(column for column in self.columns if column.name == name)
