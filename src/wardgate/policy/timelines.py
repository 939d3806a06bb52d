"""Rules for corpora of timelines, several rows a person: do they run like real ones?

A table without a time has no timelines, and its evidence speaks of none: then there is nothing to rule on. As soon as
it speaks of one of these measures it must hold all of them, so that no single one can be left out.
"""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Case, Judge, Judgement, Rule, bounded
from wardgate.records.dictionary import Dictionary
from wardgate.records.gate_policy import GatePolicy, Timelines
from wardgate.records.verdict import Evidence

NAMES = (
    "timelines.visits",
    "timelines.gaps",
    "timelines.order",
    "timelines.within_person",
    "timelines.time_to_event",
)


def unspoken(evidence: Evidence, dictionary: Dictionary) -> tuple[str, ...]:
    """Return the measures that evidence on a table with a time must speak of, and does not.

    For whoever has the dictionary of a corpus and did not make its evidence: anything here means that the verdict is
    on something else than timelines.
    """
    spoken = {part.name for part in evidence.measured} | {part.name for part in evidence.absent}
    return () if dictionary.time is None else tuple(name for name in NAMES if name not in spoken)


def _limited(name: str, most: Callable[[Timelines], float]) -> Judge:
    def limit(policy: GatePolicy) -> float:
        return most(policy.timelines) if policy.timelines is not None else float("-inf")

    judge = bounded(name, most=limit)

    def judged(case: Case) -> Judgement | None:
        if case.policy.timelines is None or not any(case.mentions(part) for part in NAMES):
            return None
        return judge(case)

    return judged


def _rule(name: str, most: Callable[[Timelines], float], *, tests: str, meaning: str, source: str = CHOICE) -> Rule:
    return Rule(
        name=name,
        kinds=("corpus", "joint-corpus"),
        tests=tests,
        attacker="Nothing; this is about use, not privacy.",
        meaning=meaning,
        source=source,
        judge=_limited(name, most),
    )


RULES: tuple[Rule, ...] = (
    _rule(
        "timelines.visits",
        lambda limits: limits.visits_max,
        tests="How far the number of rows a patient has differs between real and synthetic patients.",
        meaning="At 0.10, ten in a hundred patients would need more or fewer visits or readings to match reality.",
    ),
    _rule(
        "timelines.gaps",
        lambda limits: limits.gaps_max,
        tests="How far the hours between two rows of a patient differ, every patient weighing the same.",
        meaning="At 0.10, ten in a hundred intervals between readings are longer or shorter than in reality.",
    ),
    _rule(
        "timelines.order",
        lambda limits: limits.order_violations_max,
        tests="Share of synthetic patients with an order that no real one has: rows after death, falling age, "
        "changing sex, two rows at one time, dates out of order.",
        meaning="A patient who is younger at the next visit, or seen after death, is nobody.",
        source=CHOICE + "; the kinds of check follow Kahn et al. 2016, doi:10.13063/2327-9214.1244",
    ),
    _rule(
        "timelines.within_person",
        lambda limits: limits.within_person_max,
        tests="Largest difference, over all columns, in how the rows of one patient belong together: how much of a "
        "value belongs to the person, from row to row, and two columns within a person.",
        meaning="A corpus that draws row by row may be right in every column and have no patient in it.",
    ),
    _rule(
        "timelines.time_to_event",
        lambda limits: limits.time_to_event_max,
        tests="Largest difference of the Kaplan-Meier curves of real and synthetic patients.",
        meaning="At 0.10, at some time ten in a hundred more, or fewer, are still free of the event than in reality.",
    ),
)
