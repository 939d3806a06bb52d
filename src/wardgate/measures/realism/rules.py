"""Does every person obey what no real patient breaks? The study's own rules, and a suite of clinical rules.

Reference for judging data by ranges, relations and times: Kahn et al. 2016, doi:10.13063/2327-9214.1244.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.intervals import clopper_pearson
from wardgate.measures.realism.suites import breaks, speaking
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.clinical_rules import Severity, Suite
from wardgate.records.feature import ClinicalRule, Feature
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

SUSPICIOUS_SHARE, SUSPICIOUS_PERSONS = 0.01, 11
"""A rule that more than this share of real persons break, and at least so many of them, is itself in doubt.

Fewer than eleven persons are never spoken of, so that the report tells nobody that one patient is odd.
"""

EXCESS = 3.0
"""A rule in doubt counts all the same where the corpus breaks it more than so many times as often as real persons."""

LEFT_SHARE = 0.002
"""Real persons who may break any of the rules that are left. A corpus true to them still passes a limit of 0.99."""

_NAMED = 5
"""Rules named in a note at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShare:
    """How many synthetic persons break one rule.

    Attributes:
        rule: Its name; the study's own have the severity `impossible`.
        share: Of synthetic persons.
        suspicious: Whether real persons break it too, so that it is not held against the corpus.
    """

    rule: str
    severity: Severity
    share: float
    suspicious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Obedience:
    """What a corpus does to all rules.

    Attributes:
        impossible: Persons who break a rule that nobody can, shape (persons,).
        implausible: Persons who break a rule that hardly anybody does.
        rules: Every rule that speaks here.
        silent: Rules of the suite whose columns are not in the table.
    """

    impossible: Flags
    implausible: Flags
    rules: tuple[RuleShare, ...]
    silent: int


def clinical_rules(
    rules: Sequence[ClinicalRule],
    features: Sequence[Feature],
    synthetic: pl.DataFrame,
    *,
    level: float,
    suite: Suite | None = None,
    real: pl.DataFrame | None = None,
    person: str | None = None,
) -> Measured:
    """Share of persons who break no rule; a rule does not speak where one of its values is missing.

    Real data scores 1 if the rules are right. n is (persons,). Without rules the share is 1 and the note says so.

    Args:
        rules: The study's own.
        suite: Rules of medicine; only its impossible ones count, what is implausible is said in the note.
        real: Real persons; a rule that they break as well is said to be in doubt and does not count.
        person: Column that says whose a row is; a person with one row that breaks a rule breaks it.

    Raises:
        Invalid: a rule compares what cannot be compared.
    """
    found = obedience(rules, features, synthetic, suite=suite, real=real, person=person)
    persons = len(found.impossible)
    obeyed = persons - int(found.impossible.sum())
    low, high = clopper_pearson(obeyed, persons, level=level)
    if not found.rules:
        low = high = 1.0
    return Measured(
        name="realism.clinical_rules",
        value=obeyed / persons,
        low=low,
        high=high,
        level=level,
        n=(persons,),
        note=_note(found),
    )


def obedience(
    rules: Sequence[ClinicalRule],
    features: Sequence[Feature],
    synthetic: pl.DataFrame,
    *,
    suite: Suite | None = None,
    real: pl.DataFrame | None = None,
    person: str | None = None,
) -> Obedience:
    """Judge every synthetic person by every rule; the arguments are those of `clinical_rules`."""
    whose, count = _whose(synthetic, person)
    doubted = {} if real is None else suspicious(rules, features, real, suite=suite, person=person)
    impossible, implausible = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    shares = []
    for name, severity, rows in _broken(rules, features, synthetic, suite):
        broken = _by_person(rows, whose, count)
        share = float(np.mean(broken)) if count else 0.0
        spared = excused(share, doubted.get(name))
        shares.append(RuleShare(rule=name, severity=severity, share=share, suspicious=spared))
        if not spared:
            (impossible if severity == "impossible" else implausible)[broken] = True
    every = 0 if suite is None else sum(rule.kind != "rising" for rule in suite.rules)
    heard = sum(1 for share in shares) - len(rules)
    return Obedience(impossible=impossible, implausible=implausible, rules=tuple(shares), silent=every - heard)


def excused(share: float, real: float | None) -> bool:
    """Whether a rule in doubt, which a share of real persons breaks, is not held against a corpus that breaks it."""
    return real is not None and share <= EXCESS * real


def suspicious(
    rules: Sequence[ClinicalRule],
    features: Sequence[Feature],
    real: pl.DataFrame,
    *,
    suite: Suite | None,
    person: str | None = None,
) -> dict[str, float]:
    """Return the rules that real persons break, and that are therefore in doubt here, with the share that breaks them.

    Those that more than 1 % of them break; then, the most broken first, as many impossible ones as it takes until at
    most 0.2 % of real persons break any that is left. A rule broken by fewer than eleven persons is never returned.
    """
    whose, count = _whose(real, person)
    broken: dict[str, Flags] = {}
    doubted: dict[str, float] = {}
    for name, severity, rows in _broken(rules, features, real, suite):
        found = _by_person(rows, whose, count)
        persons = int(found.sum())
        if persons >= SUSPICIOUS_PERSONS and persons > SUSPICIOUS_SHARE * count:
            doubted[name] = persons / count
        elif persons and severity == "impossible":
            broken[name] = found
    for name, found in sorted(broken.items(), key=lambda item: -int(item[1].sum())):
        left = np.any([flags for other, flags in broken.items() if other not in doubted], axis=0)
        if left.sum() <= LEFT_SHARE * count or found.sum() < SUSPICIOUS_PERSONS:
            break
        doubted[name] = float(found.mean())
    return doubted


def _broken(
    rules: Sequence[ClinicalRule], features: Sequence[Feature], table: pl.DataFrame, suite: Suite | None
) -> Iterator[tuple[str, Severity, Flags]]:
    for rule in rules:
        yield f"study.{rule.name}", "impossible", rule_breakers((rule,), features, table)
    if suite is not None:
        for bound in speaking(suite, features):
            yield bound.rule.name, bound.rule.severity, breaks(bound, table)


def _whose(table: pl.DataFrame, person: str | None) -> tuple[Indices | None, int]:
    """Return the number of each row's person, or nothing where every row is one, and how many persons there are."""
    if person is None:
        return None, table.height
    codes = table[person].rank("dense").to_numpy().astype(np.int64) - 1
    return codes, int(codes.max()) + 1 if len(codes) else 0


def _by_person(rows: Flags, whose: Indices | None, persons: int) -> Flags:
    if whose is None:
        return rows
    found = np.zeros(persons, dtype=np.bool_)
    found[whose[rows]] = True
    return found


def _note(found: Obedience) -> str:
    if not found.rules:
        return "No clinical rule speaks of this table: the study names no clinical rule, so none can be broken."
    said = [f"{len(found.rules)} rules speak of this table" + (f", {found.silent} do not." if found.silent else ".")]
    implausible = float(np.mean(found.implausible)) if len(found.implausible) else 0.0
    if any(rule.severity == "implausible" for rule in found.rules):
        said.append(f"Hold something implausible, which is not judged: {100 * implausible:.2g} % of synthetic persons.")
    broken = [rule for rule in found.rules if rule.share > 0 and not rule.suspicious]
    worst = sorted(broken, key=lambda rule: (rule.severity != "impossible", -rule.share))[:_NAMED]
    if worst:
        said.append("Broken: " + ", ".join(f"{rule.rule} ({100 * rule.share:.2g} %)" for rule in worst) + ".")
    doubted = [rule.rule for rule in found.rules if rule.suspicious]
    if doubted:
        more = f" and {len(doubted) - _NAMED} more" if len(doubted) > _NAMED else ""
        said.append(f"Not counted, since real persons break them too: {', '.join(doubted[:_NAMED])}{more}.")
    return " ".join(said)
