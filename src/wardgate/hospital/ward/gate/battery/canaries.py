"""Invented records planted in a rehearsal fit: does the generator bring them back?"""

from collections.abc import Iterator

import polars as pl

from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks import canaries
from wardgate.measures.attacks.shadows import Refit
from wardgate.records.errors import Invalid, NotEvaluable, Refused
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

NAMES = ("canaries.planted", "canaries.found")


def measures(tables: Tables, refit: Refit | None) -> Iterator[Measured | Absent]:
    """Yield how many canaries were planted and how many came back.

    Args:
        refit: The candidate's generator, or nothing where the corpus came without it. Nothing is said aloud: 0 planted.
    """
    if refit is None:
        yield _count(0, tables, "The corpus came without its generator, so nothing could be planted.")
        yield Absent(name=NAMES[1], reason="no canary was planted: the corpus came without its generator")
        return
    limits = tables.policy.canaries
    planted = limits.count if limits else 0
    if not planted:
        yield _count(0, tables, "The policy was signed before canaries were planted.")
        yield Absent(name=NAMES[1], reason="no canary was planted: the policy asks for none")
        return
    yield _count(planted, tables, "Invented records; none is a patient's.")
    level = canaries.LEVEL * tables.attempt
    rng = tables.rng
    try:
        drawn = canaries.invent(
            tables.columns, tables.dictionary.rules, planted + canaries.twins_needed(planted, level=level), rng
        )
    except NotEvaluable as fault:
        yield Absent(name=NAMES[1], reason=str(fault))
        return
    shown = pl.concat((tables.train, drawn[:planted].select(tables.train.columns)), how="vertical_relaxed")
    try:
        synthetic = refit(shown[rng.permutation(shown.height)], rng)
    except (Invalid, NotEvaluable, Refused):
        synthetic = None
    if synthetic is None or not synthetic.height:
        yield Absent(name=NAMES[1], reason="the generator could not be fitted to patients and canaries")
        return
    count = canaries.found(
        tables.columns,
        real=tables.train,
        synthetic=synthetic,
        planted=drawn[:planted],
        twins=drawn[planted:],
        level=level,
    )
    yield Measured(
        name=NAMES[1],
        value=count,
        low=count,
        high=count,
        level=tables.level,
        n=(planted, drawn.height - planted),
        note="Canaries planted that came back, beyond what canaries never planted show; n: planted, never planted.",
    )


def _count(planted: int, tables: Tables, note: str) -> Measured:
    return Measured(name=NAMES[0], value=planted, low=planted, high=planted, level=tables.level, n=(), note=note)
