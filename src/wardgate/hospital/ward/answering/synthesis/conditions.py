"""Conditions on drawn rows as people write them: `sex=F`, `age=60..80`, `lactate=missing`, `label=1`.

And requests for more of those who meet some: `age=60..80,label=1:2` for twice as many, `sex=F:50%` for half of all.
"""

from collections.abc import Iterable

from wardgate.marginals.sampling import Value
from wardgate.measures.rebalancing import Wanted
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

MISSING = "missing"


def where_of(texts: Iterable[str], dictionary: Dictionary) -> dict[str, Value]:
    """Return the conditions for `Fitted.sample`.

    Raises:
        Invalid: not COLUMN=VALUE, an unknown column, a value of another type, or a column named twice.
    """
    found: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise Invalid(f"found '{text[:60]}', expected COLUMN=VALUE, COLUMN=LOW..HIGH or COLUMN={MISSING}")
        name = LABEL if name == dictionary.label else name
        features = {feature.name: feature for feature in dictionary.columns}
        if name not in features:
            raise Invalid(f"there is no column '{name[:60]}'; expected one of {', '.join(sorted(features)[:12])}")
        if name in found:
            raise Invalid(f"two conditions on '{name}'; one column has one condition")
        found[name] = _value(features[name], value)
    return found


def wanted_of(text: str, dictionary: Dictionary) -> Wanted:
    """Return a request for more of those who meet conditions.

    Raises:
        Invalid: not CONDITION[,CONDITION]:FACTOR or :SHARE%, or a condition is none.
    """
    conditions, colon, amount = text.rpartition(":")
    number: float | None = None
    if colon and conditions:
        try:
            number = float(amount.removesuffix("%"))
        except ValueError:
            number = None
    if number is None:
        raise Invalid(
            f"found '{text[:60]}', expected CONDITION:FACTOR or CONDITION:SHARE%, e.g. label=1:2 or sex=F:50%"
        )
    where = where_of(conditions.split(","), dictionary)
    if amount.endswith("%"):
        return Wanted(where=where, share=number / 100)
    return Wanted(where=where, factor=number)


def _value(feature: Feature, text: str) -> Value:
    if feature.type == "category":
        if text in (feature.values or ()):
            return text
        if text == MISSING:
            return None
        raise Invalid(f"'{feature.name}' has no category '{text[:40]}'; it has {', '.join(feature.values or ())[:200]}")
    if text == MISSING:
        return None
    low, dots, high = text.partition("..")
    try:
        return (float(low), float(high)) if dots else float(low)
    except ValueError:
        pass
    raise Invalid(f"'{feature.name}' is a {feature.type}; expected a number or LOW..HIGH, found '{text[:40]}'")
