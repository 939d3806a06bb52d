"""A federated estimator of networks in the manner of scikit-learn: parameters first, `fit(federation, study)` then.

The model is an ordinary one: it predicts from a table of the study's features, without torch and without a federation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from wardgate.computations.model_scores import ModelScores
from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import NetworkUpdate, Work
from wardgate.computations.network_votes import NetworkVotes
from wardgate.entropy import SystemEntropy
from wardgate.federation.compare import recommend
from wardgate.federation.estimators import drive_listed
from wardgate.federation.session import Federation
from wardgate.hub.pooling import enrolment
from wardgate.hub.pooling.networks.algorithms import Algorithm, algorithm_of
from wardgate.hub.pooling.networks.allowed import Least
from wardgate.hub.pooling.networks.checkpoint import Checkpoint
from wardgate.hub.pooling.networks.course import Introduce
from wardgate.hub.pooling.networks.gather import Gather
from wardgate.hub.pooling.networks.groups import groups_of
from wardgate.hub.pooling.networks.private import Private, PrivateChanges, private_training
from wardgate.hub.pooling.networks.robust import Robust, RobustGather, robust_gather
from wardgate.hub.pooling.networks.rounds import PATIENCE, TUNE_EVERY, OnRound, Trained, train
from wardgate.measures.layers.start import start
from wardgate.models.network import NetworkModel
from wardgate.records.errors import CheckFailed, Invalid, Unsupported
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.graph import FULL_UP_TO

AUTO = "auto"

MakeGather = Callable[[Federation], Gather]
"""Makes another gathering for an open federation; whoever gives one sees to what it wants at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedNetwork:
    """A neural network of the study, trained over its hospitals.

    Attributes:
        network: Its name under the study's `networks`.
        algorithm: A name of `ALGORITHMS`, an `Algorithm`, or `auto`: what suits simulated hospitals made of `commons`.
        rounds: At most.
        work: Other settings of the hospitals' work, such as `{"rate": 0.05, "steps": 40}`.
        tune_every, patience: Rounds between two judgings on tuning persons, and judgings without a better one before
            training stops; None never judges. With noise nobody judges.
        epsilon, delta: Train with noise that together costs so much. The study's delta by default.
        private: How, with an epsilon: by gradients (`PrivateSteps`, the default) or by changes (`PrivateChanges`).
        robust: Groups of hospitals bear hostile ones, and hospitals vote on the finished model; one sum over all by
            default. See docs/networks/robustness.md.
        commons: Corpora of the study's commons, for `auto`.
    """

    network: str
    algorithm: Algorithm | str = "fedavg"
    rounds: int = 50
    work: Mapping[str, Any] = field(default_factory=dict)
    tune_every: int | None = TUNE_EVERY
    patience: int = PATIENCE
    epsilon: float | None = None
    delta: float | None = None
    private: Private | None = None
    robust: Robust | MakeGather | None = None
    commons: Sequence[pl.DataFrame] = ()

    def run(
        self, federation: Federation, study: Study, *, resume: bytes | None = None, on_round: OnRound | None = None
    ) -> Trained:
        """Train, and return the model with its history, checkpoint, claim and alarms.

        Args:
            resume: Bytes of a checkpoint of the same study, network, algorithm and noise.
            on_round: Called after every round; `to_bytes()` of what it is given is a checkpoint to keep.

        Raises:
            Invalid: another study's federation, an analysis or network that the study does not list, settings that do
                not suit each other, a policy or budget that would refuse, or a checkpoint of something else.
            NotEvaluable: no hospital could train, or none has tuning persons.
            CheckFailed: the first sum stayed closed.
            Unsupported: noise together with robust gathering; or `auto` without torch.
        """
        federation.check(study)
        if self.network not in study.networks:
            known = ", ".join(f"'{name}'" for name in sorted(study.networks)) or "none"
            raise Invalid(f"the locked study has no network '{self.network}' under 'networks'; it has {known}")
        if self.epsilon is not None:
            return self._privately(federation, study, resume, on_round)
        if self.private is not None or self.delta is not None:
            raise Invalid("settings of private training were given without an epsilon; give one, or leave them out")
        chosen = self._chosen(federation, study)
        gather, groups = self._gather(federation, study, resume)
        votes = gather if isinstance(gather, RobustGather) and gather.settings.judge else None
        steps = train(
            study=study,
            sites=federation.sites,
            network=self.network,
            algorithm=chosen,
            rounds=self.rounds,
            gather=gather,
            groups=groups,
            tune_every=self.tune_every,
            patience=self.patience,
            least=least_of(federation),
            introduce=introduce_of(federation),
            coin=federation.exchange.coin,
            resume=resume,
            on_round=on_round,
        )
        judges = [ModelScores.name] if self.tune_every is not None and chosen.whole else []
        judges += [] if votes is None else [NetworkVotes.name]
        trained = drive_listed(federation, study, steps, NetworkUpdate.name, *judges)
        if votes is not None and not trained.refused:
            alarms = federation.drive(votes.confirm(trained.model.vector))
            trained = replace(trained, alarms=(*trained.alarms, *alarms))
        return trained

    def fit(
        self, federation: Federation, study: Study, *, resume: bytes | None = None, on_round: OnRound | None = None
    ) -> NetworkModel:
        """Train over all hospitals that take part and return the model.

        Where norms or heads stay at the hospitals (`fedbn`, `local-head`), the model predicts only together with them.

        Raises:
            CheckFailed: an alarm says that the weights are not to be used.
            WardgateError: as `run`.
        """
        trained = self.run(federation, study, resume=resume, on_round=on_round)
        if trained.refused:
            raise CheckFailed(trained.refused)
        return trained.model

    def _gather(
        self, federation: Federation, study: Study, resume: bytes | None
    ) -> tuple[Gather | None, tuple[tuple[str, ...], ...]]:
        """Return how changes come together, and who is in one sum where that is not everybody."""
        if self.robust is None:
            return None, ()
        if isinstance(self.robust, Robust):
            coin, introduce = federation.exchange.coin, introduce_of(federation)
            gather: Gather = robust_gather(study, self.robust, coin=coin, introduce=introduce)
        else:
            gather = self.robust(federation)
        if not isinstance(gather, RobustGather):
            return gather, ()
        groups = groups_of(federation.sites, coin=gather.coin or study.fingerprint())
        if resume is not None:
            resumed(gather, federation, network=self.network, point=Checkpoint.from_bytes(resume))
        return gather, groups

    def _chosen(self, federation: Federation, study: Study) -> Algorithm:
        if isinstance(self.algorithm, Algorithm):
            return self.algorithm.working(**self.work) if self.work else self.algorithm
        if self.algorithm != AUTO:
            return algorithm_of(self.algorithm, **self.work)
        if not self.commons:
            raise Invalid(
                "'auto' tries algorithms on simulated hospitals made of synthetic corpora: give 'commons', tables of"
                " the study's commons; or name an algorithm"
            )
        sizes = [federation.enrolled.persons_at_least(site) for site in federation.sites]
        found, _ = recommend(study, self.commons, network=self.network, entropy=SystemEntropy(), sizes=sizes)
        return found.working(**self.work) if self.work else found

    def _privately(
        self, federation: Federation, study: Study, resume: bytes | None, on_round: OnRound | None
    ) -> Trained:
        if self.robust is not None:
            raise Unsupported("groups each bear noise of their own, which no claim here covers; train without 'robust'")
        if self.work or self.algorithm != "fedavg":
            raise Invalid("with noise, how hospitals work is said by 'private': PrivateSteps or PrivateChanges")
        steps = private_training(
            study=study,
            sites=federation.sites,
            network=self.network,
            epsilon=self.epsilon or 0.0,
            delta=self.delta,
            rounds=self.rounds,
            settings=self.private,
            persons_at_least=federation.persons_at_least("train"),
            resume=resume,
            on_round=on_round,
        )
        asked = NetworkUpdate if isinstance(self.private, PrivateChanges) else NetworkGradient
        return drive_listed(federation, study, steps, asked.name)


def resumed(gather: RobustGather, federation: Federation, *, network: str, point: Checkpoint) -> None:
    """Let a gathering over groups go on where a checkpoint stands: with the groups of all hospitals as first drawn.

    A checkpoint knows which hospitals are left. Drawn anew from those, groups would differ from the earlier ones by
    single hospitals, and every gate would refuse their sums.
    """
    gather.groups = groups_of(federation.sites, coin=gather.coin or federation.study.fingerprint())
    gather.voters = federation.sites
    architecture = federation.study.networks[network]
    gather.anchor = start(architecture)
    gather.last = NetworkUpdate(
        network=network,
        sha256=architecture.sha256,
        number=point.rounds,
        weights=point.weights,
        work=Work(),
        control=np.zeros(0),
    )


def least_of(federation: Federation) -> Least:
    """Return how many persons of a split some sites hold at least, by the bands that they signed."""

    def least(sites: tuple[str, ...], split: SplitName) -> int:
        persons = sum(federation.enrolled.persons_at_least(site) for site in sites)
        return int(persons * getattr(federation.study.splits, split))

    return least


def introduce_of(federation: Federation) -> Introduce | None:
    """Return what introduces a smaller roster, where the mask graph depends on it; None where everybody met all."""
    if len(federation.sites) <= FULL_UP_TO:
        return None
    return lambda sites: enrolment.introduce(
        federation.enrolled,
        sites=sites,
        keys=federation.exchange.site_keys,
        coin=federation.exchange.coin,
        drop_out=federation.study.drop_out,
    )
