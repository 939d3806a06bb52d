"""A synthetic table from anywhere, against two real tables of the hospital."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import ks_2samp

from wardgate.hospital.ward.answering.trials.record import Asked, Found, Judged, judge
from wardgate.hospital.ward.cohort import described
from wardgate.hospital.ward.cohort.restricted import restricted, restricted_dictionary
from wardgate.hospital.ward.gate.battery import Lines, measure
from wardgate.measures.attacks.persons import constants, per_person, typed
from wardgate.records.bands import band
from wardgate.records.corpus_file import write_corpus
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Refused
from wardgate.records.restriction import Restriction

PERIOD_LEVEL = 1e-6
"""Chance below which the periods of holdout and training persons are not those of one random split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a caller says of the columns where there is no dictionary."""

    label: str | None = None
    person: str | None = None
    time: str | None = None
    period: str | None = None
    known: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Where the real tables are, and what their columns mean.

    Attributes:
        real: Persons whom the generator, or the model, saw.
        holdout: Persons whom it never saw.
        tuning: Further persons for reference, where there are.
        dictionary: What the columns mean; absent, it is inferred with `columns`.
    """

    real: Path
    holdout: Path
    tuning: Path | None = None
    dictionary: Dictionary | None = None
    columns: Columns = field(default_factory=Columns)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All real tables: training, holdout, then tuning."""
        return (self.real, self.holdout, *([self.tuning] if self.tuning else []))

    def meant(self, *more: Path, dropped: Sequence[str] = ()) -> Dictionary:
        """Return the dictionary: the given one, or what is inferred from the real tables and `more`."""
        return self.dictionary or inferred([*self.paths, *more], self.columns, dropped=dropped)


def judge_corpus(
    asked: Asked, tables: Tables, *, synthetic: Path, restrictions: tuple[Restriction, ...] = ()
) -> Judged:
    """Judge a synthetic table.

    Args:
        restrictions: What is held back, of all tables alike.

    Raises:
        Refused: the policy is weaker than its floor, the attempts are used up, or the tables share persons.
        Invalid: a table or the dictionary cannot be used.
        Broken: the gate's book was changed.
    """

    def found(attempt: int, seed: int) -> Found:
        return _measured(asked, tables, synthetic, restrictions, attempt=attempt, seed=seed)

    return judge(
        asked, real=(tables.real, tables.holdout), candidate=synthetic, restrictions=restrictions, measure=found
    )


def _measured(
    asked: Asked,
    tables: Tables,
    synthetic: Path,
    restrictions: tuple[Restriction, ...],
    *,
    attempt: int,
    seed: int,
) -> Found:
    dropped = tuple(one.column for one in restrictions if one.way == "drop")
    meant = tables.meant(synthetic, dropped=dropped)
    left = restrictions if tables.dictionary else tuple(one for one in restrictions if one.way != "drop")
    dictionary = restricted_dictionary(meant, left)
    paths = (synthetic, *tables.paths)
    candidate, real, holdout, *more = (restricted(described.read(path, meant), meant, left) for path in paths)
    apart(real, holdout, dictionary)
    tuning = more[0] if more else real.clear()
    judged = Persons(train=real, tuning=tuning, holdout=holdout, candidate=candidate, dictionary=dictionary)
    if dictionary.time is not None or persons(real, dictionary) < real.height:
        judged = of_lines(judged)
    measured, absent = measure(
        train=judged.train,
        tuning=judged.tuning,
        holdout=judged.holdout,
        candidate=judged.candidate,
        dictionary=judged.dictionary,
        policy=asked.policy,
        attempt=attempt,
        no_control=no_control(real, holdout, dictionary),
        lines=judged.lines,
        rng=np.random.default_rng(seed),
    )
    return Found(
        persons_train=band(persons(real, dictionary)),
        measured=measured,
        absent=absent,
        name="corpus.parquet",
        subgroups=tuple(dict.fromkeys(one.feature for one in dictionary.subgroups)),
        released=lambda: _marked(candidate, dictionary),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Persons:
    """One row a person, and the rows behind them where persons have several."""

    train: pl.DataFrame
    tuning: pl.DataFrame
    holdout: pl.DataFrame
    candidate: pl.DataFrame
    dictionary: Dictionary
    lines: Lines | None = None


def of_lines(rows: Persons) -> Persons:
    """Turn rows into persons: who attacks, attacks persons.

    Raises:
        Invalid: a column is absent or cannot be read, or a person or time is missing.
    """
    dictionary = rows.dictionary
    train, tuning, holdout, candidate = (
        typed(table, dictionary, name)
        for table, name in (
            (rows.train, "training"),
            (rows.tuning, "tuning"),
            (rows.holdout, "holdout"),
            (rows.candidate, "candidate"),
        )
    )
    still = constants(train, dictionary)
    _, plan = per_person(train, dictionary, constant=still)
    made = [per_person(table, dictionary, constant=still)[0] for table in (train, tuning, holdout, candidate)]
    return Persons(
        train=made[0],
        tuning=made[1],
        holdout=made[2],
        candidate=made[3],
        dictionary=plan,
        lines=Lines(dictionary=dictionary, train=train, holdout=holdout, candidate=candidate),
    )


def _marked(table: pl.DataFrame, dictionary: Dictionary) -> bytes:
    names = {} if dictionary.label is None else {LABEL: dictionary.label}
    kept = [column for column in table.columns if column != dictionary.period]
    return write_corpus(table.select(kept).rename(names), study_sha256="none")


def persons(table: pl.DataFrame, dictionary: Dictionary) -> int:
    """Return how many persons a real table holds."""
    return table.height if dictionary.person is None else table[dictionary.person].n_unique()


def apart(real: pl.DataFrame, holdout: pl.DataFrame, dictionary: Dictionary) -> None:
    """Check that no person stands in both real tables; such a one would stand on both sides of every comparison.

    Raises:
        Refused: some do, by the dictionary's person.
    """
    if dictionary.person is not None and set(real[dictionary.person]) & set(holdout[dictionary.person]):
        raise Refused(
            f"the holdout overlaps the training table: both hold some of the same persons by '{dictionary.person}';"
            " a control group must never have been used"
        )


def no_control(real: pl.DataFrame, holdout: pl.DataFrame, dictionary: Dictionary) -> str:
    """Return why the holdout is no control, by its calendar periods, or nothing.

    Without a column of periods nothing is said here; the battery tests whether both tables are of one population.
    """
    if dictionary.period is None:
        return ""
    both = pl.concat((real[dictionary.period], holdout[dictionary.period])).fill_null("").rank("dense").to_numpy()
    chance = ks_2samp(both[: real.height], both[real.height :]).pvalue
    if not chance < PERIOD_LEVEL:
        return ""
    return "the holdout is of another period than the training persons, so it is a control that is no control"


def inferred(paths: Sequence[Path], columns: Columns, *, dropped: Sequence[str] = ()) -> Dictionary:
    """Return the dictionary that the gate would infer, for a person to review."""
    return described.infer(
        paths,
        label=columns.label,
        person=columns.person,
        time=columns.time,
        period=columns.period,
        known=columns.known,
        sensitive=columns.sensitive,
        dropped=dropped,
    )
