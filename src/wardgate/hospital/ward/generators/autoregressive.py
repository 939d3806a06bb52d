"""Close to the data and without a guarantee: an any-order autoregressive network, for corpora that the gate judges."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.marginals.sampling import Where, keep_rules
from wardgate.measures.encoding import LABEL, labels
from wardgate.networks.installed import require_torch
from wardgate.networks.tables.bins import Column, columns_of, decode, encode
from wardgate.networks.tables.conditions import Conditions, conditions
from wardgate.networks.tables.pieces import Codes
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule

if TYPE_CHECKING:
    from wardgate.networks.tables.autoregressive import Trained, Training

CHUNK = 20_000
"""Rows that are drawn and checked at a time."""

LEAST_GROUPS = 10
"""Persons expected at least, in groups of `min_persons`."""

LEAST_TUNING = 50
"""Tuning persons by whom training can be stopped; with fewer, a part of the training persons serves."""

TUNING_SHARE = 0.1

EXCLUDES = (
    "everything: shares and a network are fitted to real persons without noise",
    "memorisation is only held down, by early stopping and least numbers of persons; the gate measures what is left",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoregressive:
    """A network foretells every column from any others; it protects nobody by design, so the gate has to judge.

    Attributes:
        bins: Bins of a number at most; a bin also holds at least `persons_per_bin` persons.
        persons_per_bin: Persons wanted in a bin, so that few persons get few bins.
        min_persons: Least persons behind a bin, a repeated value or a category.
        most_levels: Categories with a code of their own at most; the rarer ones are one.
        early_stopping: Off, persons are learnt by heart; it exists to show the gate refusing that.
        width, blocks, waves, dropout, weight_decay, learning_rate, batch, most_epochs: See
            `networks.tables.autoregressive.Training`.
    """

    bins: int = 48
    persons_per_bin: int = 60
    min_persons: int = 11
    most_levels: int = 100
    width: int = 128
    blocks: int = 2
    waves: int = 5
    dropout: float = 0.2
    weight_decay: float = 0.01
    learning_rate: float = 3e-3
    batch: int = 256
    most_epochs: int = 200
    early_stopping: bool = True
    name: str = "autoregressive"

    def __post_init__(self) -> None:
        least = {"bins": 2, "persons_per_bin": 1, "min_persons": 1, "most_levels": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise Invalid(f"expected {name} of at least {value}, found {getattr(self, name)}")

    def promise(
        self,
        dictionary: Dictionary,
        *,
        epsilon: float,
        delta: float,
        noise_source: NoiseSource = "system",
    ) -> Claim:
        """Return the claim of any fit: none, and what that excludes."""
        del dictionary, epsilon, delta, noise_source
        return Claim(kind="none", excludes=EXCLUDES)

    def fit(
        self,
        table: pl.DataFrame,
        dictionary: Dictionary,
        *,
        tuning: pl.DataFrame | None = None,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> "FittedNetwork":
        """Fit a table of training persons, one row each. Takes no budget and gives no guarantee.

        Training stops when tuning persons are no longer foretold better. Equal seeds give equal corpora on one kind of
        machine with one number of threads.

        Args:
            tuning: Other persons; with fewer than `LEAST_TUNING`, a tenth of the training persons is left out of the
                fit instead. Never the gate's holdout.

        Raises:
            Unsupported: torch is not installed.
            Invalid: the table does not fit the dictionary, every column is constant, or the loss is no number.
            Refused: too few persons, or too few of one class of the label.
        """
        require_torch("the generator 'autoregressive'")
        from wardgate.networks.tables.autoregressive import train

        del entropy
        features = dictionary.columns
        self._enough(table, dictionary)
        persons = table.height
        if tuning is None or tuning.height < LEAST_TUNING:
            order = rng.permutation(persons)
            cut = max(round(TUNING_SHARE * persons), 1)
            table, tuning = table[order[cut:]], table[order[:cut]]
        columns = columns_of(
            features,
            table,
            bins=max(2, min(self.bins, table.height // self.persons_per_bin)),
            min_persons=self.min_persons,
            most_levels=self.most_levels,
        )
        varying = [place for place, column in enumerate(columns) if column.codes > 1]
        if not varying:
            raise Invalid("every column has one value only; there is nothing to learn")
        trained = train(
            [columns[place] for place in varying],
            encode(columns, table)[:, varying],
            encode(columns, tuning)[:, varying],
            training=self._training(),
            rng=rng,
        )
        return FittedNetwork(
            rules=dictionary.rules,
            columns=columns,
            varying=tuple(varying),
            trained=trained,
            persons=persons,
            claim=self.promise(dictionary, epsilon=epsilon, delta=delta),
        )

    def _training(self) -> "Training":
        from wardgate.networks.tables.autoregressive import Training

        return Training(
            width=self.width,
            blocks=self.blocks,
            waves=self.waves,
            dropout=self.dropout,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate,
            batch=self.batch,
            most_epochs=self.most_epochs,
            early_stopping=self.early_stopping,
        )

    def _enough(self, table: pl.DataFrame, dictionary: Dictionary) -> None:
        least = LEAST_GROUPS * self.min_persons
        if table.height < least:
            raise Refused(f"expected at least {least} training persons; fewer are a case for the joint corpus")
        if dictionary.label is not None:
            outcome = labels(table)
            if min(int(outcome.sum()), int((1 - outcome).sum())) < self.min_persons:
                raise Refused(
                    f"one class of the label has fewer than {self.min_persons} persons; nothing can be learnt of it"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedNetwork:
    """A trained network with its bins. It never leaves the ward, and refuses to be pickled or copied.

    Attributes:
        columns: All columns in the order of the dictionary, the outcome last.
        varying: Those that the network knows; the others have one code.
        persons: Training rows, exactly: nothing here is noisy.
    """

    rules: tuple[ClinicalRule, ...]
    columns: tuple[Column, ...]
    varying: tuple[int, ...]
    trained: "Trained"
    persons: int
    claim: Claim

    def __reduce__(self) -> NoReturn:
        raise Refused("a fitted network holds what it learnt of patients; its weights never leave the ward")

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows, under conditions if there are any; see `stream`."""
        parts = list(self.stream(rows, rng=rng, where=where))
        return pl.concat(parts) if parts else self._rows(0, conditions(self.columns, where or {}), rng)

    def stream(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> Iterator[pl.DataFrame]:
        """Draw rows in parts of at most `CHUNK`, in the memory of one part.

        Conditions hold in every row and the other columns follow the network's distribution given them. A range
        allows the bins that it cuts, each with the share of persons expected in the cut. The dictionary's clinical
        rules are kept by drawing again.

        Raises:
            Invalid: a negative number of rows, or conditions or rules that nobody meets.
        """
        if rows < 0:
            raise Invalid(f"expected a number of rows from 0 up, found {rows}")
        met = conditions(self.columns, where or {})
        features = tuple(column.feature for column in self.columns if column.feature.name != LABEL)
        for start in range(0, rows, CHUNK):
            yield keep_rules(
                lambda count: self._rows(count, met, rng),
                min(CHUNK, rows - start),
                rules=self.rules,
                features=features,
                rng=rng,
            )

    def _rows(self, rows: int, met: Conditions, rng: np.random.Generator) -> pl.DataFrame:
        from wardgate.networks.tables.any_order import draw_codes

        inner = {place: position for position, place in enumerate(self.varying)}
        codes: Codes = np.zeros((rows, len(self.columns)), dtype=np.int32)
        codes[:, list(self.varying)] = draw_codes(
            self.trained,
            len(self.varying),
            rows,
            given={inner[place]: code for place, code in met.given.items() if place in inner},
            limits={inner[place]: allowed for place, allowed in met.limits.items()},
            last=next((inner[place] for place in self.varying if self.columns[place].feature.name == LABEL), None),
            rng=rng,
        )
        return pl.DataFrame([decode(column, codes[:, place], rng=rng) for place, column in enumerate(met.columns)])
