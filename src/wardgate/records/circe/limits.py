"""Circe's three limits -> which entries of a person count."""

from typing import Literal

from wardgate.records.circe.reading import Block, Reading, says

Entries = Literal["first", "first-eligible", "all"]

_ALL, _FIRST = "ALL", "FIRST"


def which(reading: Reading, whole: Block, primary: Block, *, judged: bool, early: bool) -> Entries:
    """Say which entries count, from Circe's three limits.

    Circe limits three times: after the events, after AdditionalCriteria, after the inclusion rules. Here it is once:
    before anything is judged (`first`) or after everything (`first-eligible`).
    """
    listed = reading.items("PrimaryCriteria.CriteriaList", primary.get("CriteriaList"))
    only_first = len(listed) == 1 and _is_first(listed[0])
    limits = {
        path: _limit(reading, path, block)
        for path, block in (
            ("PrimaryCriteria.PrimaryCriteriaLimit", primary.get("PrimaryCriteriaLimit")),
            (
                "QualifiedLimit",
                whole.get("QualifiedLimit") if says(whole.get("AdditionalCriteria")) else {"Type": _ALL},
            ),
            ("ExpressionLimit", whole.get("ExpressionLimit")),
        )
    }
    events, qualified, last = limits.values()
    if only_first:
        return "first-eligible"
    if events == _FIRST and judged:
        if early:
            reading.refuse(
                "PrimaryCriteria.PrimaryCriteriaLimit",
                "the first event that has its observation, age and value, and rules on that one alone",
                "use the limit All with ExpressionLimit First, or 'First' on the event",
            )
        reading.note("the first event counts even where it lies outside observation; Circe takes the first inside")
        return "first"
    if qualified == _FIRST and events == _ALL and says(whole.get("InclusionRules")):
        reading.refuse(
            "QualifiedLimit",
            "the first event that fulfils AdditionalCriteria, and inclusion rules on that one alone",
            "use the limit All, or make AdditionalCriteria an inclusion rule",
        )
    if _FIRST in (events, qualified, last):
        return "first-eligible"
    if not says(whole.get("EndStrategy")) and not says(whole.get("CensoringCriteria")):
        reading.note(
            "all entries were asked for, and each lasts to the end of observation, so that Circe joins those of one "
            "observation period to the first; here a person's first eligible entry counts"
        )
        return "first-eligible"
    reading.note(
        "all entries count, where Circe joins those of a person that overlap until their end; a cohort of all entries "
        "can be checked, but a model needs one row a person: 'entries: first-eligible'"
    )
    return "all"


def _is_first(wrapped: object) -> bool:
    held = next(iter(wrapped.values()), None) if isinstance(wrapped, dict) else None
    return isinstance(held, dict) and says(held.get("First"))


def _limit(reading: Reading, path: str, given: object) -> str:
    kind = str(reading.block(path, given).get("Type") or _FIRST).upper()
    if kind not in (_ALL, _FIRST):
        reading.refuse(f"{path}.Type", f"'{kind}' is not supported", "use First or All")
        return _FIRST
    return kind
