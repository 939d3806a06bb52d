"""Timelines of several rows a person as one row a person, so that whoever attacks, attacks persons.

An attack on rows understates: a patient with forty rows is found if one of them is, and forty rows that each look
like chance are together one patient. All comparisons of the gate are therefore made on these columns.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import polars as pl

from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature, Relation

MOST_COLUMNS = 200
"""Derived columns at most, as long as every column keeps one: statistics are left out from the end of their list."""

OF_NUMBERS = ("mean", "last", "min", "max", "first", "slope")
OF_CATEGORIES = ("last", "mode", "share", "first")
"""What is kept of a column, the most telling first. `slope` is the change of a straight line over the person's time,
`share` that of the most frequent category, or of yes."""

CHANGING_SHARE = 0.01
"""A column counts as constant within persons where at most this share of them has two values of it."""

MOST_ROWS, MOST_HOURS = 2000, 87_660
"""Public ranges of the counts and spans: rows of one person, and ten years."""

_NUMBERS = ("number", "integer")


def typed(table: pl.DataFrame, dictionary: Dictionary, name: str) -> pl.DataFrame:
    """Return the dictionary's columns in its types, person and time among them, rows in the order they are in.

    Raises:
        Invalid: a column is absent or cannot be read, a person or time is missing, or a number is infinite.
    """
    if dictionary.person is None:
        raise Invalid("the dictionary names no 'person'; whose the rows are cannot be told")
    features = dictionary.columns
    special = [part for part in (dictionary.person, dictionary.time) if part is not None]
    lacking = [part for part in (*special, *(feature.name for feature in features)) if part not in table.columns]
    if lacking:
        raise Invalid(f"the {name} table lacks {', '.join(lacking)}; every table needs all columns of the dictionary")
    kinds = {feature.name: pl.String if feature.type == "category" else pl.Float64 for feature in features}
    kinds |= {dictionary.time: pl.Float64} if dictionary.time is not None else {}
    period = [dictionary.period] if dictionary.period in table.columns else []
    found = _cast(table.select(dictionary.person, *kinds, *period), kinds, name)
    for part in special:
        if found[part].null_count():
            raise Invalid(
                f"column '{part}' of the {name} table has missing values; every row needs its person and time"
            )
    for part, kind in kinds.items():
        if kind == pl.Float64 and not bool(found[part].drop_nulls().is_finite().all()):
            raise Invalid(f"column '{part}' of the {name} table holds a number that is not finite; missing is null")
    return found


def _cast(table: pl.DataFrame, kinds: Mapping[str, Any], name: str) -> pl.DataFrame:
    for part, kind in kinds.items():
        try:
            table = table.with_columns(pl.col(part).cast(kind))
        except pl.exceptions.PolarsError:
            break
    else:
        return table
    raise Invalid(f"column '{part}' of the {name} table holds what the dictionary does not say")


def constants(events: pl.DataFrame, dictionary: Dictionary) -> frozenset[str]:
    """Return the features that do not change within a person: sex, age at the index date.

    Decide it once, on the real training table, and hand it to `per_person` for all tables: what is compared must have
    the same columns.
    """
    if not events.height:
        return frozenset()
    names = [feature.name for feature in dictionary.features]
    changing = events.group_by(dictionary.person).agg(pl.col(name).drop_nulls().n_unique() > 1 for name in names)
    return frozenset(name for name in names if int(changing[name].sum()) <= CHANGING_SHARE * changing.height)


def per_person(
    events: pl.DataFrame, dictionary: Dictionary, *, constant: Collection[str] | None = None
) -> tuple[pl.DataFrame, Dictionary]:
    """Turn timelines into one row a person, with a dictionary of the derived columns.

    Of a number `name.mean`, `.last`, `.min`, `.max`, `.first` and `.slope`; of a category `.last`, `.mode`, `.share`
    and `.first`; `rows`, and with a time `gap.mean`, `gap.max` and `span` in hours; the last label. Where that is
    more than `MOST_COLUMNS`, statistics are left out from the end, the same of every column. Codes and clinical rules
    stay behind: they speak of single rows.

    Args:
        events: In the dictionary's types (`typed`), at least the dictionary's columns.
        constant: Features that stay one column (`constants` of the training table); absent, those of this table.

    Returns:
        One row a person, ordered by person, without person and time; and what its columns mean.

    Raises:
        Invalid: the dictionary has no person, or a derived name is too long or taken.
    """
    if dictionary.person is None:
        raise Invalid("the dictionary names no 'person'; every row is a person already")
    still = constants(events, dictionary) if constant is None else frozenset(constant)
    shape = _Shape(dictionary, still)
    person, time = dictionary.person, dictionary.time
    order = [person] if time is None else [person, time]
    table = events.sort(order, maintain_order=True)
    if time is not None:
        same = pl.col(person) == pl.col(person).shift()
        table = table.with_columns(
            pl.when(same).then(pl.col(time) - pl.col(time).shift()).alias("__gap"),
            (pl.col(time) - pl.col(time).first().over(person)).alias("__time"),
        )
    found = table.group_by(person, maintain_order=True).agg(shape.expressions())
    for feature in dictionary.features:
        if feature.type == "category" and feature.name not in still and shape.keeps(feature, "mode", "share"):
            found = found.join(_mode(table, person, feature.name), on=person, how="left", maintain_order="left")
    columns = [column.name for column in shape.columns]
    beside = [name for name in (LABEL if dictionary.label is not None else None, dictionary.period) if name]
    return found.select(*columns, *(name for name in beside if name in found.columns)), shape.dictionary()


def _mode(table: pl.DataFrame, person: str, name: str) -> pl.DataFrame:
    """Return each person's most frequent category, the first in the alphabet of equals, and its share."""
    counts = table.select(person, name).drop_nulls().group_by(person, name).len()
    best = counts.sort(person, "len", name, descending=[False, True, False]).group_by(person, maintain_order=True)
    return best.agg(
        pl.col(name).first().alias(f"{name}.mode"),
        (pl.col("len").first() / pl.col("len").sum()).alias(f"{name}.share"),
    )


class _Shape:
    """Which columns are derived, and what they mean. The same for every table of one dictionary and its constants."""

    def __init__(self, dictionary: Dictionary, still: frozenset[str]) -> None:
        self._of, self._still = dictionary, still
        varying = [feature for feature in dictionary.features if feature.name not in still]
        numeric = sum(feature.type in _NUMBERS for feature in varying)
        fixed = len(dictionary.features) - len(varying) + (1 if dictionary.time is None else 4)
        depth = len(OF_NUMBERS)
        while depth > 1 and fixed + numeric * depth + (len(varying) - numeric) * min(depth, 4) > MOST_COLUMNS:
            depth -= 1
        self._depth = depth
        self.columns = tuple(self._columns())
        names = [column.name for column in self.columns]
        long = [name for name in names if len(name) > 80]
        if long:
            raise Invalid(f"'{long[0]}' is longer than 80 letters; give the column a shorter name in the dictionary")
        if len(set(names)) != len(names):
            raise Invalid("a derived column (NAME.mean, rows, span) has the name of another; rename it")

    def statistics(self, feature: Feature) -> tuple[str, ...]:
        """What is kept of a column that changes."""
        every: tuple[str, ...] = OF_NUMBERS if feature.type in _NUMBERS else OF_CATEGORIES
        if feature.type == "boolean":
            every = tuple(part for part in every if part != "mode")
        return tuple(part for part in every[: self._depth] if part != "slope" or self._of.time is not None)

    def keeps(self, feature: Feature, *wanted: str) -> bool:
        return any(part in self.statistics(feature) for part in wanted)

    def _columns(self) -> Iterator[Feature]:
        for feature in self._of.features:
            if feature.name in self._still:
                yield feature.model_copy(update={"codes": {}})
            else:
                yield from (self._derived(feature, part) for part in self.statistics(feature))
        yield Feature(name="rows", type="integer", unit="1", range=(0, MOST_ROWS), meaning="rows of the person")
        if self._of.time is not None:
            for name, meaning in (("gap.mean", "mean gap"), ("gap.max", "longest gap"), ("span", "first to last row")):
                yield Feature(name=name, type="number", unit="h", range=(0, MOST_HOURS), meaning=meaning)

    def _derived(self, feature: Feature, part: str) -> Feature:
        name, meaning = f"{feature.name}.{part}", f"{part} of {feature.name} within the person"
        known = feature.quasi_identifier and part == self.statistics(feature)[0]
        if part == "share":
            return Feature(name=name, type="number", unit="1", range=(0, 1), meaning=meaning)
        update: dict[str, Any] = {"name": name, "meaning": meaning, "codes": {}, "quasi_identifier": known}
        update["missing"] = "allowed"
        if feature.range is not None and part in ("mean", "slope"):
            low, high = feature.range
            reach = 1.5 * (high - low)
            update |= {"type": "number", "range": (-reach, reach) if part == "slope" else feature.range}
        return feature.model_copy(update=update)

    def expressions(self) -> Iterator[pl.Expr]:
        """What a group of one person's rows becomes; modes of categories are joined afterwards."""
        for feature in self._of.features:
            if feature.name in self._still:
                yield pl.col(feature.name).drop_nulls().first()
                continue
            for part in self.statistics(feature):
                if part != "mode" and (part != "share" or feature.type == "boolean"):
                    yield _statistic(feature, part).alias(f"{feature.name}.{part}")
        yield pl.len().cast(pl.Float64).alias("rows")
        if self._of.time is not None:
            yield pl.col("__gap").mean().alias("gap.mean")
            yield pl.col("__gap").max().alias("gap.max")
            yield pl.col("__time").last().alias("span")
        if self._of.label is not None:
            yield pl.col(LABEL).drop_nulls().last().cast(pl.Int8)

    def dictionary(self) -> Dictionary:
        """What the derived columns mean. What was said of a column is said of its first statistic."""
        of, still = self._of, self._still
        one = {LABEL: LABEL}
        for feature in of.features:
            one[feature.name] = (
                feature.name if feature.name in still else f"{feature.name}.{self.statistics(feature)[0]}"
            )
        every = {name: [name] for name in one if name in still or name == LABEL}
        for feature in of.features:
            if feature.name not in still:
                every[feature.name] = [f"{feature.name}.{part}" for part in self.statistics(feature)]
        wanted = of.sensitive
        sensitive = None if wanted is None else tuple(name for part in wanted for name in every[part])
        return Dictionary(
            features=self.columns,
            label=of.label,
            period=of.period,
            subgroups=tuple(group.model_copy(update={"feature": one[group.feature]}) for group in of.subgroups),
            relations=tuple(self._relation(relation, one) for relation in of.relations),
            joint=tuple(tuple(one[name] for name in group) for group in of.joint),
            sensitive=sensitive,
            ridge=of.ridge,
        )

    def _relation(self, relation: Relation, one: Mapping[str, str]) -> Relation:
        """A relation between rows holds between persons in its sign; its size is another there."""
        first, second = (one[name] for name in relation.between)
        same = (first, second) == relation.between
        return relation.model_copy(update={"between": (first, second), "size": relation.size if same else None})


def _statistic(feature: Feature, part: str) -> pl.Expr:
    column = pl.col(feature.name)
    match part:
        case "first":
            return column.drop_nulls().first()
        case "last":
            return column.drop_nulls().last()
        case "min":
            return column.min()
        case "max":
            return column.max()
        case "slope":
            return _slope(feature)
    return column.mean()


def _slope(feature: Feature) -> pl.Expr:
    """Change of the least-squares line over the time from the first to the last value, within 1.5 ranges."""
    value = pl.col(feature.name)
    time = pl.when(value.is_not_null()).then(pl.col("__time"))
    spread = (time * time).mean() - time.mean() ** 2
    change = ((time * value).mean() - time.mean() * value.mean()) / spread * (time.max() - time.min())
    low, high = feature.range or (0.0, 1.0)
    reach = 1.5 * (high - low)
    return pl.when(spread > 1e-9).then(change.clip(-reach, reach))
