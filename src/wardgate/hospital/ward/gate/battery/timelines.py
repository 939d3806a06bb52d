"""Timelines of several rows a person: what only they can lose. Everything else is measured on persons."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from wardgate.hospital.ward.gate.battery.sample import LEAST
from wardgate.measures.attacks.persons import typed
from wardgate.measures.realism import timelines
from wardgate.measures.realism.within import within_person
from wardgate.records.clinical_rules import Suite
from wardgate.records.dictionary import Dictionary
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

NAMES = (
    "timelines.visits",
    "timelines.gaps",
    "timelines.order",
    "timelines.within_person",
    "timelines.time_to_event",
)


def measures(
    *,
    real: pl.DataFrame,
    candidate: pl.DataFrame,
    dictionary: Dictionary,
    suite: Suite | None,
    level: float,
    rng: np.random.Generator,
) -> Iterator[Measured | Absent]:
    """Yield every measure of timelines, or why there is none. A table without a time has none, and nothing is said.

    Args:
        real: Rows of persons whom the generator never saw.
        candidate: The synthetic rows.
        dictionary: With `person` and `time`; of the rows, not of the derived columns.
        suite: Clinical rules about times, and what may only rise.
        level: Two-sided level of the intervals.
        rng: Resampling of persons; it protects nobody.

    Raises:
        Invalid: a table lacks a column, a person or a time.
    """
    if dictionary.time is None or dictionary.person is None:
        return
    seen, unseen = typed(real, dictionary, "real"), typed(candidate, dictionary, "candidate")
    if not unseen.height or seen[dictionary.person].n_unique() < LEAST:
        reason = f"fewer than {LEAST} real persons" if unseen.height else "the candidate has no rows"
        yield from (Absent(name=name, reason=reason) for name in NAMES)
        return
    lines, others = timelines.arranged(seen, dictionary), timelines.arranged(unseen, dictionary)
    yield timelines.visits(lines, others, level=level, rng=rng)
    gaps = timelines.gaps(lines, others, level=level, rng=rng)
    yield gaps or Absent(name="timelines.gaps", reason="too few real persons have two rows")
    yield timelines.order(lines, others, dictionary, level=level, suite=suite)
    within = within_person(lines, others, dictionary, level=level, rng=rng)
    reason = "the real persons are too few, or have too few rows, to tell how their rows belong together"
    yield within or Absent(name="timelines.within_person", reason=reason)
    curve = timelines.time_to_event(lines, others, dictionary, level=level, rng=rng)
    yield curve or Absent(name="timelines.time_to_event", reason="too few real persons are observed")
