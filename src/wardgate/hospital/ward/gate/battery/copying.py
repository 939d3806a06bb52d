"""The veto: is something of the training persons copied?"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from wardgate.hospital.ward.gate.battery.sample import Sample
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.attacks import copies
from wardgate.measures.attacks.rehearsal import crowded_p, near_p
from wardgate.measures.disclosure import coarse
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

NAMES = ("copies.near", "copies.crowded", "copies.exact", "copies.reused_values", "copies.rare_combinations")


def measures(tables: Tables, sample: Sample) -> Iterator[Measured | Absent]:
    """Yield every measure of copying."""
    level, columns, candidate = tables.level, tables.columns, tables.candidate
    real = pl.concat((tables.train, tables.holdout))
    member = np.arange(real.height) < tables.train.height
    persons = (coarse(tables.train.height), coarse(tables.holdout.height))
    near = min(1.0, len(sample.spaces) * min(near_p(space) for space in sample.spaces.values()))
    note = f"Rows nearest to any person, in the values and in their ranks. {sample.note}".rstrip()
    yield copies.p_value("copies.near", near, persons=persons, level=level, note=note)
    crowd = min(p for space in sample.spaces.values() if (p := crowded_p(space)) is not None)
    note = f"The largest crowd of rows around one training person, against those around others. {sample.note}".rstrip()
    yield copies.p_value("copies.crowded", crowd, persons=persons, level=level, note=note)
    exact = copies.exact_matches(columns, real, candidate, member)
    yield copies.p_value("copies.exact", exact, persons=persons, level=level, note="Whole records, outcome included.")
    reused, holders = copies.reused_values(columns, real, candidate, member)
    note = "Numbers that one person alone has." if holders else "No person has a number that nobody else has."
    yield copies.p_value("copies.reused_values", reused, persons=persons, level=level, note=note)
    known = tables.dictionary.quasi_identifiers
    rare, holders = copies.rare_combinations(known, real, candidate, member)
    note = f"Combinations of {len(known)} traits." if holders else "No combination of traits is rare."
    yield copies.p_value("copies.rare_combinations", rare, persons=persons, level=level, note=note)
