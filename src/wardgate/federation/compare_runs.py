"""Ways to learn over one division of corpora into simulated hospitals, each giving its log-odds of the held-out rows.

All of them use the drivers and the ward's answers that hospitals would be asked, over tables in the open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.computations.network_update import NetworkUpdate, Work
from wardgate.entropy import Entropy
from wardgate.federation.plain import Plain, PlainSite, plain_sites
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.boosting import boosting
from wardgate.hub.pooling.boosting_private import private_boosting
from wardgate.hub.pooling.glm import glm
from wardgate.hub.pooling.networks.algorithms import Algorithm
from wardgate.hub.pooling.networks.private import Private, private_training
from wardgate.hub.pooling.networks.rounds import train
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.boosting import Growth
from wardgate.measures.calibration import observed_over_expected, slope_of_counts
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.start import start
from wardgate.measures.logistic import probability
from wardgate.measures.random_trees import RandomGrowth
from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel
from wardgate.records.comparison import Kind, Tried
from wardgate.records.errors import CheckFailed, Invalid, WardgateError
from wardgate.records.messages import SplitName
from wardgate.records.network import Architecture
from wardgate.records.study import Study
from wardgate.simulate.splits import Tables

Vector = NDArray[np.float64]

FEWEST_OF_A_CLASS = 10
"""Held-out events and non-events of a hospital whose own AUROC counts as the worst."""

TREES = Growth(trees=60, depth=3, learning_rate=0.15)

EVERYTHING = 1e6
"""L2 norm to which a change is cut where nobody needs protection: never."""

PATIENCE = 5
"""Rounds after the best on tuning rows, after which pooled and local training end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What one way to learn came to.

    Attributes:
        held_out: Log-odds of every held-out row, shape (n,).
        tuning: The same of every tuning row.
        rounds, moved: Sums asked for, and bytes both ways.
    """

    held_out: Vector
    tuning: Vector
    rounds: int = 0
    moved: int = 0


@dataclass(frozen=True, kw_only=True)
class Division:
    """Corpora divided into simulated hospitals, once.

    Attributes:
        network: Name in the study.
        way, seed: How they were divided.
        tables: By hospital and split.
        entropy: For the noise of sums that bear it.
    """

    study: Study
    network: str
    way: str
    seed: int
    tables: Tables
    entropy: Entropy

    @property
    def architecture(self) -> Architecture:
        """The network as the study locks it."""
        return self.study.networks[self.network]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the hospitals."""
        return tuple(sorted(self.tables))

    def plain(self) -> Plain:
        """Return the hospitals anew, with nothing remembered."""
        sites = plain_sites(self.study, self.tables, entropy=self.entropy, seed=self.seed)
        return Plain(study=self.study, sites=sites, entropy=self.entropy)

    @cached_property
    def held_out(self) -> pl.DataFrame:
        """All held-out rows, hospital by hospital."""
        return self._all("holdout")

    @cached_property
    def tuning(self) -> pl.DataFrame:
        """All tuning rows, hospital by hospital."""
        return self._all("tuning")

    def _all(self, split: SplitName) -> pl.DataFrame:
        return pl.concat([self.tables[name][split] for name in self.names])

    @cached_property
    def _encoded(self) -> Mapping[str, tuple[Vector, NDArray[np.int8]]]:
        tables = {"holdout": self.held_out, "tuning": self.tuning}
        return {name: (design_matrix(self.study.features, one)[:, 1:], labels(one)) for name, one in tables.items()}

    def of_weights(self, weights: Vector, *, rounds: int = 0, moved: int = 0) -> Learnt:
        """Return what a network of these weights says."""
        held_out, tuning = (logits(self.architecture, weights, self._encoded[one][0]) for one in ("holdout", "tuning"))
        return Learnt(held_out=held_out, tuning=tuning, rounds=rounds, moved=moved)

    def of_model(self, model: LinearModel | BoostingModel, *, rounds: int, moved: int) -> Learnt:
        """Return what a model of the study's features says."""
        score = model.linear_predictor if isinstance(model, LinearModel) else model.decision_function
        return Learnt(held_out=score(self.held_out), tuning=score(self.tuning), rounds=rounds, moved=moved)

    def tuning_loss(self, models: Sequence[Learnt]) -> float:
        """Return the mean loss of models on tuning rows."""
        return float(np.mean([loss(one.tuning, self._encoded["tuning"][1]) for one in models]))

    def judged(
        self, name: str, kind: Kind, models: Sequence[Learnt], *, rate: float | None = None, whole: bool = False
    ) -> Tried:
        """Return the figures of a model on held-out rows, or the means of several models' figures."""
        y = self._encoded["holdout"][1]
        events: Vector = y.astype(np.float64)
        expected = [float(probability(one.held_out).sum()) for one in models]
        oe = [observed_over_expected(float(events.sum()), found, persons=len(y)).value for found in expected]
        return Tried(
            candidate=name,
            kind=kind,
            way=self.way,
            seed=self.seed,
            rate=rate,
            whole=whole,
            auroc=float(np.mean([auroc(y, one.held_out).value for one in models])),
            oe=float(np.exp(np.mean(np.log(oe)))),
            slope=float(np.mean([slope_of_counts(one.held_out, events, 1.0 - events).value for one in models])),
            worst=float(np.mean([self._worst(one.held_out, y) for one in models])),
            rounds=models[0].rounds,
            moved=models[0].moved,
        )

    def failed(self, name: str, kind: Kind, error: WardgateError) -> Tried:
        """Return that there are no figures, and why."""
        return Tried(candidate=name, kind=kind, way=self.way, seed=self.seed, failed=str(error))

    def _worst(self, score: Vector, y: NDArray[np.int8]) -> float:
        ends = np.cumsum([self.tables[name]["holdout"].height for name in self.names])[:-1]
        found = [
            auroc(here, there).value
            for here, there in zip(np.split(y, ends), np.split(score, ends), strict=True)
            if FEWEST_OF_A_CLASS <= here.sum() <= len(here) - FEWEST_OF_A_CLASS
        ]
        return min(found, default=np.nan)


def loss(score: Vector, y: NDArray[np.int8]) -> float:
    """Return the mean loss of log-odds; infinite where there is nobody."""
    return float(np.mean(np.logaddexp(0.0, score) - y * score)) if len(y) else np.inf


def regression(at: Division, *, epsilon: float | None = None, delta: float = 1e-6) -> Learnt:
    """Fit logistic regression by the sums of hospitals; with `epsilon` by noisy ones.

    Raises:
        Invalid: it has no finite solution.
        NotEvaluable: noise drowns the rows.
    """
    if epsilon is None:
        fitted = at.plain().drive(glm(study=at.study, sites=at.names, ridge=at.study.model.ridge))
    else:
        fitted = at.plain().drive(noisy_glm(study=at.study, sites=at.names, epsilon=epsilon, delta=delta))
    return at.of_model(fitted.model, rounds=fitted.rounds, moved=fitted.bytes_moved)


def boosted(at: Division, *, epsilon: float | None = None, delta: float = 1e-6) -> Learnt:
    """Grow boosted trees by the sums of hospitals; with `epsilon` random trees with noisy leaves.

    Raises:
        NotEvaluable: too few rows, or noise drowns them.
    """
    if epsilon is None:
        exact = at.plain().drive(boosting(study=at.study, sites=at.names, growth=TREES))
        model = BoostingModel.of(exact.bins, exact.trees, noise="")
        return at.of_model(model, rounds=exact.sums, moved=exact.bytes_moved)
    noisy = at.plain().drive(
        private_boosting(
            study=at.study, sites=at.names, growth=RandomGrowth(), epsilon=epsilon, delta=delta, public_seed=at.seed
        )
    )
    model = BoostingModel.of(noisy.bins, noisy.trees, noise=f"Gaussian, epsilon {epsilon:g}")
    return at.of_model(model, rounds=noisy.sums, moved=noisy.bytes_moved)


def networked(at: Division, algorithm: Algorithm, *, rounds: int) -> Learnt:
    """Train the network by an algorithm over hospitals; the round is the best on their tuning rows, as it would be.

    Raises:
        NotEvaluable: no hospital could train.
        CheckFailed: a hospital refused.
    """
    found = at.plain().drive(
        train(study=at.study, sites=at.names, network=at.network, algorithm=algorithm, rounds=rounds)
    )
    return at.of_weights(found.model.vector, rounds=len(found.history), moved=found.bytes_moved)


def privately(at: Division, how: Private, *, rounds: int, epsilon: float) -> Learnt:
    """Train the network with noise that costs `epsilon` in all rounds.

    Raises:
        Invalid: a budget beyond the study's, or a network that does not suit noise.
        CheckFailed: a hospital refused.
    """
    persons = sum(splits["train"].height for splits in at.tables.values())
    found = at.plain().drive(
        private_training(
            study=at.study,
            sites=at.names,
            network=at.network,
            epsilon=epsilon,
            rounds=rounds,
            settings=how,
            persons_at_least=persons,
        )
    )
    return at.of_weights(found.model.vector, rounds=len(found.history), moved=found.bytes_moved)


def pooled(at: Division, *, work: Work, rounds: int, rates: Sequence[float]) -> Learnt:
    """Train the network on all rows as if one hospital had them: as many steps a round as all hospitals make together.

    The rate and the round are those that are best on the tuning rows.
    """
    one = Plain(study=at.study, sites=_together(at), entropy=at.entropy)
    (name,) = one.sites
    together = replace(work, steps=work.steps * len(at.names))
    tried = [alone(at, one, name, work=replace(together, rate=rate), rounds=rounds) for rate in rates]
    found = [at.of_weights(weights) for weights in tried if weights is not None]
    if not found:
        raise Invalid("the network could not be trained on all rows together")
    return min(found, key=lambda one: at.tuning_loss([one]))


def local(at: Division, *, work: Work, rounds: int) -> tuple[Learnt, ...]:
    """Train the network at each hospital alone; what each one's model says of the rows of all hospitals.

    A hospital that cannot train, say because its rows are of one class, has no model to judge.

    Raises:
        Invalid: no hospital could train.
    """
    plain = at.plain()
    trained = [alone(at, plain, name, work=work, rounds=rounds) for name in at.names]
    found = tuple(at.of_weights(weights) for weights in trained if weights is not None)
    if not found:
        raise Invalid("the network could not be trained at any hospital alone")
    return found


def alone(at: Division, plain: Plain, name: str, *, work: Work, rounds: int) -> Vector | None:
    """Return the weights that one hospital by itself comes to, the best on its tuning rows; None where it cannot."""
    architecture, site = at.architecture, plain.sites[name]
    weights, best, least, since = start(architecture), None, np.inf, 0
    alike = replace(work, scaffold=False, personal=None, stays=(), towards=0.0, longest=EVERYTHING, weighing="persons")
    for number in range(rounds):
        asked = NetworkUpdate(
            network=at.network,
            sha256=architecture.sha256,
            number=number,
            weights=weights,
            work=alike,
            control=np.zeros(0),
        )
        try:
            told = plain.ask(sum_ask(asked, what="training alone", study=at.study, sites=(name,)))
            weights = weights + asked.heard(told.sum(), study=at.study, sites=1).change
        except (Invalid, CheckFailed):
            return best
        tuning = site.part("tuning")
        here = loss(logits(architecture, weights, tuning.x[:, 1:]), tuning.y)
        since += 1
        if here < least or best is None:
            best, least, since = weights, here, 0
        if since >= PATIENCE:
            break
    return best


def _together(at: Division) -> dict[str, PlainSite]:
    splits: tuple[SplitName, ...] = ("train", "tuning", "holdout")
    whole = {split: pl.concat([at.tables[name][split] for name in at.names]) for split in splits}
    return plain_sites(at.study, {"pooled": whole}, entropy=at.entropy, seed=at.seed)
