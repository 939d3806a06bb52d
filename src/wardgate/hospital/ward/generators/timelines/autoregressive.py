"""An autoregressive network of timelines: true to life, without a guarantee. The gate has to judge what it makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.sampling import Where
from wardgate.measures.attacks.persons import constants, typed
from wardgate.measures.lines import Lines, read, written
from wardgate.networks.installed import require_torch
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid, Refused

if TYPE_CHECKING:
    from wardgate.networks.timelines.coding import Coding

TRIES = 20
"""Draws of persons' static columns before rules count as such that nobody keeps."""

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

LEAST_PERSONS = 100
"""Below this a network learns persons, not what they have in common."""

LEAST_TUNING = 20
"""Tuning persons that say when to stop."""

TUNING_SHARE = 0.15
"""Share of training persons that become tuning persons where none are given."""

AT_ONCE = 2_000
"""Persons drawn at once."""

SPARE = 8
"""Persons drawn for one that meets a condition on several columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoregressiveTimelines:
    """Static columns, then row by row the gap, what is measured and every value, each given all before.

    Protects nobody by design. What holds memorising back: bins and categories of at least `floor` persons, nothing
    beyond the values and lengths that as many reach, dropout, and stopping as soon as tuning persons gain nothing.

    Attributes:
        bins: Bins of a number at about equal shares.
        floor: Persons behind every bin, category, extreme and length.
        most_rows: Rows of a person at most.
        memory: Width of the recurrent memory.
        epochs: Passes over the persons at most.
        patience: Passes without gain on tuning persons before stopping; 0 never stops.
        drop: Share of inner values left out while fitting.
    """

    bins: int = 32
    floor: int = 11
    most_rows: int = 200
    memory: int = 64
    epochs: int = 14
    patience: int = 3
    drop: float = 0.1
    name: str = "autoregressive-timelines"

    def __post_init__(self) -> None:
        whole = {"bins": 2, "floor": 1, "most_rows": 1, "memory": 1, "epochs": 1, "patience": 0}
        for name, least in whole.items():
            if getattr(self, name) < least:
                raise Invalid(f"expected {name} of at least {least}, found {getattr(self, name)}")
        if not 0 <= self.drop < 1:
            raise Invalid(f"expected drop from 0 to below 1, found {self.drop}")

    def promise(
        self,
        dictionary: Dictionary,
        *,
        epsilon: float,
        delta: float,
        noise_source: NoiseSource = "system",
    ) -> Claim:
        """Return the claim of any fit: none.

        Raises:
            Invalid: the dictionary describes no timelines.
        """
        del epsilon, delta, noise_source
        if dictionary.person is None or dictionary.time is None:
            raise Invalid("timelines need a dictionary with 'person' and 'time'")
        return Claim(kind="none", excludes=("everything: the network is fitted to real persons without noise",))

    def fit(
        self,
        lines: pl.DataFrame,
        dictionary: Dictionary,
        *,
        tuning: pl.DataFrame | None = None,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> "FittedNetwork":
        """Fit the rows of training persons. Takes no budget and gives no guarantee.

        Args:
            tuning: Rows of other persons, at least 20; absent, 15 % of the training persons are kept apart.

        Raises:
            Unsupported: torch is not installed.
            Invalid: the rows do not fit the dictionary.
            Refused: fewer than 100 persons, or fewer than `floor` with one of the two outcomes.
            NotEvaluable: the loss became no number.
        """
        require_torch("the autoregressive generator of timelines")
        from wardgate.networks.timelines.coding import coded, coding_of
        from wardgate.networks.timelines.network import Sizes
        from wardgate.networks.timelines.training import Schedule, train

        claim = self.promise(dictionary, epsilon=epsilon, delta=delta)
        del entropy
        still = None if dictionary.static is not None else constants(typed(lines, dictionary, "training"), dictionary)
        if dictionary.static is None:
            lines = _settled(lines, dictionary, still or ())
        every = read(lines, dictionary, still=still)
        if every.persons < LEAST_PERSONS:
            raise Refused(f"fewer than {LEAST_PERSONS} persons; too few for a network, take part in a joint corpus")
        if tuning is None:
            order = rng.permutation(every.persons)
            apart = max(LEAST_TUNING, round(TUNING_SHARE * every.persons))
            stopping, learning = subset(every, np.sort(order[:apart])), subset(every, np.sort(order[apart:]))
        else:
            if dictionary.static is None:
                tuning = _settled(tuning, dictionary, still or ())
            stopping, learning = read(tuning, dictionary, still=still), every
            if stopping.persons < LEAST_TUNING:
                raise Refused(f"fewer than {LEAST_TUNING} tuning persons; they cannot say when to stop")
        coding = coding_of(learning, bins=self.bins, floor=self.floor, most_rows=self.most_rows)
        found = train(
            coding,
            coded(learning, coding),
            coded(stopping, coding),
            sizes=Sizes(memory=self.memory),
            schedule=Schedule(epochs=self.epochs, patience=self.patience, drop=self.drop),
            rng=rng,
        )
        return FittedNetwork(
            dictionary=dictionary,
            coding=coding,
            weights=found.weights,
            memory=self.memory,
            persons=every.persons,
            claim=claim,
            epochs=found.epochs,
            tuning_loss=found.tuning_loss,
        )


def _settled(lines: pl.DataFrame, dictionary: Dictionary, still: Sequence[str] | frozenset[str]) -> pl.DataFrame:
    """Give every person one value of what hardly ever changes within persons: the first that is not missing."""
    person, time = dictionary.person or "", dictionary.time or ""
    return lines.sort(person, time, maintain_order=True).with_columns(
        pl.col(name).drop_nulls().first().over(person) for name in sorted(still)
    )


def subset(lines: Lines, persons: Indices) -> Lines:
    """Return some persons, in the order named."""
    rows = np.concatenate([np.arange(lines.first[one], lines.first[one] + lines.rows[one]) for one in persons])
    return Lines(
        statics=lines.statics,
        features=lines.features,
        people=lines.people[persons.tolist()],
        rows=lines.rows[persons],
        time=lines.time[rows],
        values=lines.values[rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedNetwork:
    """A fitted network. Its weights may remember persons; they never leave the ward.

    Attributes:
        epochs: Passes made until stopping.
        tuning_loss: Nats a row of the persons that said when to stop.
    """

    dictionary: Dictionary
    coding: "Coding"
    weights: Mapping[str, NDArray[np.float32]]
    memory: int
    persons: int
    claim: Claim
    epochs: int
    tuning_loss: float

    def sample(self, persons: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw the rows of so many persons, numbered from 0, ordered by time.

        Rules of the dictionary are kept: a row that breaks one is drawn again, and if that does not help, what
        breaks it is left unmeasured.

        Args:
            where: Conditions on static columns and the label.

        Raises:
            Invalid: a negative number of persons, a condition on a column that changes or is unknown, or one that
                nobody meets; or nobody's static columns keep the rules.
            Unsupported: torch is not installed.
        """
        require_torch("the autoregressive generator of timelines")
        from wardgate.networks.timelines.drawing import draw_rows
        from wardgate.networks.timelines.network import Sizes
        from wardgate.networks.timelines.people import allowed_codes
        from wardgate.networks.timelines.rules import broken_values

        if persons < 0:
            raise Invalid(f"expected a number of persons from 0 up, found {persons}")
        allowed = allowed_codes(self.coding, where or {})
        parts = []
        for start in range(0, max(persons, 1), AT_ONCE):
            size = min(AT_ONCE, persons - start)
            codes, people = self._people(size, allowed, where or {}, rng)
            drawn = draw_rows(
                self.coding,
                dict(self.weights),
                codes,
                sizes=Sizes(memory=self.memory),
                broken=broken_values(self.dictionary.rules, self.coding, people),
                rng=rng,
            )
            parts.append(
                Lines(
                    statics=tuple(one for one in self.coding.columns if one.name != LABEL),
                    features=self.coding.features,
                    people=people,
                    rows=drawn.rows,
                    time=drawn.time,
                    values=drawn.values,
                )
            )
        tables, person = [], self.dictionary.person or ""
        for at, part in enumerate(parts):
            tables.append(written(part, self.dictionary).with_columns(pl.col(person) + at * AT_ONCE))
        return pl.concat(tables)

    def _people(
        self, persons: int, allowed: tuple[Flags, ...], where: Where, rng: np.random.Generator
    ) -> tuple[Indices, pl.DataFrame]:
        """Draw persons who meet the conditions and keep the rules among static columns."""
        from wardgate.networks.timelines.people import meets
        from wardgate.networks.timelines.rules import broken_persons

        def fit(people: pl.DataFrame) -> Flags:
            return ~broken_persons(self.dictionary.rules, self.coding, people) & meets(people, where)

        codes, people = self._candidates(persons, allowed, where, rng)
        for _ in range(TRIES):
            good = fit(people)
            if good.all():
                return codes, people
            more, others = self._candidates(persons, allowed, where, rng)
            codes = np.concatenate([codes[good], more])
            people = pl.concat([people.filter(good), others])
            chosen = fit(people)
            keep = np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)])[:persons]
            codes, people = codes[keep], people[keep.tolist()]
        good = fit(people)
        if not good.any():
            raise Invalid("nobody who is drawn meets the conditions and keeps the rules; check both")
        picked = rng.choice(np.flatnonzero(good), size=persons)
        return codes[picked], people[picked.tolist()]

    def _candidates(
        self, persons: int, allowed: tuple[Flags, ...], where: Where, rng: np.random.Generator
    ) -> tuple[Indices, pl.DataFrame]:
        from wardgate.networks.timelines.drawing import decoded, draw_statics
        from wardgate.networks.timelines.network import Sizes
        from wardgate.networks.timelines.people import people_of

        restricted = any(name != self.coding.columns[0].name for name in where)
        codes, chance = draw_statics(
            self.coding,
            dict(self.weights),
            persons * SPARE if restricted else persons,
            sizes=Sizes(memory=self.memory),
            allowed=allowed,
            rng=rng,
        )
        if persons and not chance.sum() > 0:
            raise Invalid("nobody meets these conditions")
        if restricted:
            codes = codes[rng.choice(len(codes), size=persons, p=chance / chance.sum())] if persons else codes
        return codes, people_of(self.coding.columns, decoded(self.coding.statics, codes, rng=rng), where, rng)
