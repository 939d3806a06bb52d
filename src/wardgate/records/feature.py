"""Columns of a study or a table, the groups cut from them, and what is known to hold between them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.concepts import TableName
from wardgate.records.record import Name, Number, Record


class Feature(Record):
    """One input of the model, with what every hospital must deliver for it.

    Attributes:
        type: `number` and `integer` need `unit` and `range`; `category` needs `values`; `boolean` needs neither.
        unit: UCUM code of the values in the study; hospitals convert to it.
        range: Plausible range in `unit`. Values outside are counted, then treated as missing.
            The range also maps the feature to [-1, 1] (public, so it costs no privacy).
        values: All categories, the first is the reference.
        aggregation: How several values inside the window become one. `slope` is by least squares, per hour.
        window_hours: Hours relative to the index date, [from, to]; `to` may not pass 0 (no leakage).
        concepts: In a study of events: the concept set whose events give the value.
        categories: In a study of events: each category's concept set; the last event in the window says which.
        built_in: In a study of events: `age` in completed years at the index date.
        table: Only events recorded there.
        value_unit, value_range: Unit and plausible range of single values, where `aggregation: slope` makes them
            other than the feature's own.
        missing: `allowed` adds a missing indicator; `refused` drops persons without the value.
        codes: Terminology codes, e.g. {"loinc": "8480-6"}.
        quasi_identifier: Known to outsiders, so rare combinations of it are guarded.
    """

    name: Name
    type: Literal["number", "integer", "category", "boolean"]
    meaning: str = ""
    unit: str | None = None
    range: tuple[Number, Number] | None = None
    values: tuple[str, ...] | None = None
    aggregation: Literal["last", "first", "mean", "min", "max", "count", "any", "slope"] = "last"
    window_hours: tuple[int, int] = (-24, 0)
    missing: Literal["allowed", "refused"] = "allowed"
    codes: dict[str, str] = Field(default_factory=dict)
    quasi_identifier: bool = False
    concepts: Name | None = None
    categories: dict[str, Name] | None = None
    built_in: Literal["age"] | None = None
    table: TableName | None = None
    value_unit: str | None = None
    value_range: tuple[Number, Number] | None = None

    @property
    def of_events(self) -> bool:
        """Whether the feature says which events give it."""
        return self.concepts is not None or self.categories is not None or self.built_in is not None

    @property
    def sets(self) -> tuple[str, ...]:
        """The concept sets that it asks for."""
        one = () if self.concepts is None else (self.concepts,)
        return (*one, *(self.categories or {}).values())

    @model_validator(mode="after")
    def _asked_one_way(self) -> Self:
        ways = sum(way is not None for way in (self.concepts, self.categories, self.built_in))
        if ways > 1:
            raise ValueError("expected one of 'concepts', 'categories' and 'built_in'")
        if not ways:
            return self
        if (self.categories is not None) != (self.type == "category"):
            raise ValueError("a category feature of events needs 'categories', and no other feature has them")
        if self.categories is not None and set(self.categories) != set(self.values or ()):
            raise ValueError("'categories' needs one concept set for each of 'values'")
        if self.categories is not None and self.aggregation != "last":
            raise ValueError("a category is the last event in the window; no other aggregation is known")
        if self.built_in == "age" and self.unit != "a":
            raise ValueError("age is in completed years; its unit is 'a'")
        if self.type == "boolean" and self.aggregation != "any":
            raise ValueError("a boolean feature of events is whether there is any; write 'aggregation: any'")
        if self.aggregation == "any" and self.type != "boolean":
            raise ValueError("'any' gives a boolean")
        if (self.value_unit is not None or self.value_range is not None) != (self.aggregation == "slope"):
            raise ValueError("a slope, and nothing else, needs 'value_unit' and 'value_range' of single values")
        if self.aggregation == "slope" and (self.value_unit is None or self.value_range is None):
            raise ValueError("a slope needs both 'value_unit' and 'value_range'")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"expected value_range [low, high] with low < high, found {list(self.value_range)}")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.type in ("number", "integer"):
            if self.unit is None or self.range is None:
                raise ValueError(f"a {self.type} feature needs 'unit' (UCUM) and 'range'")
            if self.values is not None:
                raise ValueError(f"a {self.type} feature has no 'values'")
            if not self.range[0] < self.range[1]:
                raise ValueError(f"expected range [low, high] with low < high, found {list(self.range)}")
        else:
            if self.unit is not None or self.range is not None:
                raise ValueError(f"a {self.type} feature has no 'unit' and no 'range'")
            if self.type == "category" and (self.values is None or len(set(self.values)) < 2):
                raise ValueError("a category feature needs 'values' with at least two different entries")
            if self.type == "boolean" and self.values is not None:
                raise ValueError("a boolean feature has no 'values'")
        if self.values is not None and len(set(self.values)) != len(self.values):
            raise ValueError("'values' names a category twice")
        if self.window_hours[0] > self.window_hours[1]:
            raise ValueError(f"expected window_hours [from, to] with from <= to, found {list(self.window_hours)}")
        if self.window_hours[1] > 0:
            raise ValueError("window_hours ends after the index date: the feature would see the future")
        return self


class Subgroup(Record):
    """Groups in which the model is judged apart: the categories of a feature, or bands of a number cut at `cuts`."""

    feature: Name
    cuts: tuple[Number, ...] = ()


class ClinicalRule(Record):
    """A relation that no real patient breaks: `left op right`, right being a feature or a number.

    `when` limits the rule to rows where a feature has one of the given values.
    """

    name: Name
    left: Name
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    right: str
    when: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    source: str = ""


class Relation(Record):
    """A relation between two columns that medicine knows, with its sign and, where it is known, its size.

    Attributes:
        between: Two columns; for `difference` and `log_odds_ratio` the first is yes or no.
        kind: `spearman` (rank correlation), `difference` (of the second's mean, yes minus no, in its unit) or
            `log_odds_ratio` (of two yes-or-no columns).
        sign: The direction that is known.
        size: Range in which the size is known to lie; absent, the sign alone is asked.
        source: Where it is known from.
    """

    name: Name
    between: tuple[Name, Name]
    kind: Literal["spearman", "difference", "log_odds_ratio"] = "spearman"
    sign: Literal["+", "-"]
    size: tuple[Number, Number] | None = None
    source: str = ""
