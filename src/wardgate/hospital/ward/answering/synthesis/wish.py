"""What a hospital asks of a generator, and the tables it is asked with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from wardgate.hospital.ward.answering.trials.corpus import Columns, inferred, persons
from wardgate.hospital.ward.cohort import described
from wardgate.hospital.ward.generators import Generator, choose, recommendation, timelines
from wardgate.hospital.ward.generators.recommendation import Recommendation
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A generator and its settings.

    Attributes:
        generator: Its name, or `auto` for the one that is recommended.
        settings: Public settings to change, as text: numbers are read as numbers.
        epsilon, delta: Budget of a private generator; without an epsilon none is chosen.
    """

    generator: str = AUTO
    settings: Mapping[str, str] = field(default_factory=dict)
    epsilon: float | None = None
    delta: float = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Real tables of the hospital.

    Attributes:
        real: Persons to learn from.
        tuning: Other persons, to stop in time and to compare with; never the gate's holdout.
        dictionary: What the columns mean; absent, it is inferred with `columns`.
    """

    real: Path
    tuning: Path | None = None
    dictionary: Dictionary | None = None
    columns: Columns = field(default_factory=Columns)

    def read(self) -> "Read":
        """Return the tables and what they mean.

        Raises:
            Invalid: a table cannot be read, or does not fit the dictionary.
            Refused: persons have several rows and nothing says when, or stand in both tables.
        """
        paths = [self.real, *([self.tuning] if self.tuning else [])]
        meant = self.dictionary or inferred(paths, self.columns)
        table, *more = (described.read(path, meant) for path in paths)
        for part in (table, *more):
            if meant.time is None and meant.person in part.columns and persons(part, meant) < part.height:
                raise Refused(
                    f"persons have several rows by '{meant.person}', and no column says when; give one row a person,"
                    " or name the column of hours with --time"
                )
        if meant.person is not None and more and set(table[meant.person]) & set(more[0][meant.person]):
            raise Refused(
                f"the tuning table holds some of the training persons by '{meant.person}'; it must hold others"
            )
        return Read(
            table=table,
            tuning=more[0] if more else None,
            dictionary=meant,
            persons=persons(table, meant) if meant.person in table.columns else table.height,
            looked=self.dictionary is None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Tables in the table form.

    Attributes:
        persons: Of the training table.
        looked: Whether ranges and categories were read from the patients.
    """

    table: pl.DataFrame
    tuning: pl.DataFrame | None
    dictionary: Dictionary
    persons: int
    looked: bool

    @property
    def features(self) -> pl.DataFrame:
        """The training table as generators of one row a person read it."""
        return _features(self.table, self.dictionary)

    @property
    def tuned(self) -> pl.DataFrame | None:
        """The tuning table in the same form."""
        return None if self.tuning is None else _features(self.tuning, self.dictionary)


def _features(table: pl.DataFrame, dictionary: Dictionary) -> pl.DataFrame:
    if dictionary.time is not None:
        return table
    return table.select([column.name for column in dictionary.columns])


def chosen(wish: Wish, read: Read) -> tuple[Generator, Claim, Recommendation]:
    """Return the generator, what its fit will cost, and what was recommended.

    Raises:
        Invalid: there is no such generator or setting, a private one without an epsilon, or one that does not suit
            the tables.
        Refused: a private generator whose ranges and categories would be read from the patients.
    """
    advice = recommendation(
        read.persons,
        wish.epsilon if wish.epsilon is not None else 1.0,
        dictionary=read.dictionary,
        private=wish.epsilon is not None,
    )
    name = advice.generator if wish.generator == AUTO else wish.generator
    generator = named(name, wish.settings, read.dictionary)
    promised = generator.promise(
        read.dictionary, epsilon=1.0 if wish.epsilon is None else wish.epsilon, delta=wish.delta
    )
    if promised.random and wish.epsilon is None:
        raise Invalid(f"'{name}' is private by design and needs its budget; give --epsilon")
    if promised.random and read.looked:
        raise Refused(
            "without a dictionary, ranges and categories would be read from the patients outside the budget. Let"
            " 'wardgate gate dictionary' draft one, put public ranges into it, and give it with --dictionary"
        )
    return generator, promised, advice


def named(name: str, settings: Mapping[str, str], dictionary: Dictionary) -> Generator:
    """Return a generator for tables, or for timelines where the dictionary names a time.

    Raises:
        Invalid: there is no such generator or setting.
    """
    values = {key: _number(text) for key, text in settings.items()}
    if dictionary.time is not None:
        return choose(name, values, among=timelines.GENERATORS)
    return choose(name, values)


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
