"""A conditional GAN for tables, without a guarantee: the gate judges what it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.marginals.sampling import Where
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit as fit_logistic
from wardgate.networks.gan.layout import Layout, Rows, fitted_layout
from wardgate.networks.installed import require_torch
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused

if TYPE_CHECKING:
    from wardgate.networks.gan.drawing import Model
    from wardgate.networks.gan.networks import Networks

LEAST = 100
"""Training persons; fewer cannot fill a batch."""

LEAST_TUNING = 50
"""Tuning persons by whom training can be stopped; with fewer, a part of the training persons is left out instead."""

TUNING_SHARE = 0.1

EXCLUDES = (
    "everything: a network is trained on real persons without noise",
    "memorisation is only held down, by an early stop and least numbers of persons; the gate measures what is left",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularGan:
    """A generator and a critic of the CTGAN family (Xu et al. 2019, arXiv:1907.00503). It protects nobody by design.

    Attributes:
        modes: Modes of a number at most.
        persons_per_mode: Least persons behind a mode.
        min_persons: Least persons behind a category; rarer ones are never drawn.
        hidden: Units of each hidden layer.
        pack: Rows that the critic judges together.
        steps: Training steps at most.
        batch: Rows of a step.
        moments: Weight of two-way tables beside the critic's judgement; 0 leaves the critic alone.
        early_stopping: Off, training runs to its end; it exists to show what that costs.
    """

    modes: int = 12
    persons_per_mode: int = 20
    min_persons: int = 11
    hidden: int = 128
    pack: int = 1
    steps: int = 1_500
    batch: int = 300
    moments: float = 1.0
    early_stopping: bool = True
    name: str = "tabular-gan"

    def __post_init__(self) -> None:
        least = {"modes": 1, "persons_per_mode": 1, "min_persons": 1, "hidden": 1, "pack": 1, "steps": 1, "moments": 0}
        for name, value in (*least.items(), ("batch", 2 * self.pack)):
            if not getattr(self, name) >= value:
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
    ) -> "FittedGan":
        """Fit a table of training persons, one row each, on the processor. Takes no budget and gives no guarantee.

        Training stops when tuning persons find the corpus no better. Equal seeds give equal corpora on one machine
        with one number of threads.

        Args:
            tuning: Other persons; with fewer than `LEAST_TUNING`, a tenth of the training persons is left out of the
                fit instead. Never the gate's holdout.

        Raises:
            Unsupported: torch is not installed.
            Invalid: the table does not fit the dictionary, or the dictionary names no outcome.
            Refused: too few persons or too few of one class of the label; or the losses were no longer finite.
        """
        require_torch("the generator 'tabular-gan'")
        from wardgate.networks.gan.drawing import Model, Placed, frequencies_of
        from wardgate.networks.gan.networks import Sizes
        from wardgate.networks.gan.training import Steps, train

        del epsilon, delta, entropy
        if dictionary.label is None:
            raise Invalid("tabular-gan asks every row for an outcome, and this dictionary names none; name one")
        sizes = Sizes(hidden=self.hidden, pack=self.pack)
        steps = Steps(most=self.steps, batch=self.batch, moments=self.moments)
        persons = table.height
        _enough(table, self.min_persons)
        if self.early_stopping and (tuning is None or tuning.height < LEAST_TUNING):
            order = rng.permutation(persons)
            cut = round(TUNING_SHARE * persons)
            table, tuning = table[order[cut:]], table[order[:cut]]
            _enough(table, self.min_persons)
        layout = fitted_layout(
            dictionary.features,
            table,
            modes=self.modes,
            persons_per_mode=self.persons_per_mode,
            min_persons=self.min_persons,
        )
        rows = layout.encode(table)
        whole = layout.common(rows, rng=rng)
        score = None
        if self.early_stopping and tuning is not None:
            score = _score(layout, dictionary, tuning, int(rng.integers(2**31)), rows=table.height)
        found, step = train(layout, whole, sizes=sizes, steps=steps, rng=rng, score=score)
        frequencies = frequencies_of(whole.codes, found)
        return FittedGan(
            model=Model(
                networks=found,
                frequencies=frequencies,
                rules=dictionary.rules,
                domain=layout.domain,
                decode=Placed(layout=layout),
            ),
            persons=persons,
            steps=step,
            claim=Claim(kind="none", excludes=EXCLUDES),
        )


def _enough(table: pl.DataFrame, floor: int) -> None:
    if table.height < LEAST:
        raise Refused(
            f"a GAN needs at least {LEAST} training persons, found {table.height}; take part in the joint corpus"
        )
    least = int(np.bincount(labels(table), minlength=2).min())
    if least < floor:
        raise Refused(
            f"one class of the label has fewer than {floor} persons; the generator would learn them by heart: take "
            "part in the joint corpus"
        )


def _score(
    layout: Layout, dictionary: Dictionary, tuning: pl.DataFrame, seed: int, *, rows: int
) -> Callable[["Networks"], float]:
    """Return how good drawn rows are to others: what they teach of the label, less how far two-way tables are."""
    from wardgate.networks.arrays import seeded
    from wardgate.networks.gan.conditions import only_label
    from wardgate.networks.gan.networks import sampled

    features = dictionary.features
    real = layout.encode(tuning)
    outcome = labels(tuning)
    design = design_matrix(features, tuning)
    two_classes = 0 < int(outcome.sum()) < len(outcome)
    tables = _tables(layout, real)
    share = float(outcome.mean())
    pairs = len(layout.sizes) * (len(layout.sizes) - 1)

    def score(networks: "Networks") -> float:
        again = np.random.default_rng(seed)
        label = (again.random(min(rows, 5_000)) < share).astype(np.int64)
        drawn = sampled(networks, only_label(label), draws=seeded(again))
        apart = float(np.abs(_tables(layout, drawn) - tables).sum()) / 2 / pairs
        if not two_classes or not 0 < int(label.sum()) < len(label):
            return -apart
        corpus = layout.decode(drawn, rng=again)
        beta = fit_logistic(design_matrix(features, corpus), labels(corpus), ridge=dictionary.ridge)
        return float(auroc(outcome, design @ beta).value) - apart

    return score


def _tables(layout: Layout, rows: Rows) -> np.ndarray:
    hot = layout.matrix(rows)[:, : layout.indicators]
    return np.asarray(hot.T @ hot / max(len(hot), 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedGan:
    """A fitted generator. It never leaves the ward.

    Attributes:
        persons: Training rows, exactly: nothing here is noisy.
        steps: After how many steps the generator that is kept was found.
        device: What it was trained on. Networks of this size gain nothing from a graphics processor, so none is used.
    """

    model: "Model"
    persons: int
    steps: int
    claim: Claim
    device: Literal["cpu"] = "cpu"

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows; see `networks.gan.drawing.sample`."""
        from wardgate.networks.gan.drawing import sample

        return sample(self.model, rows, rng=rng, where=where)
