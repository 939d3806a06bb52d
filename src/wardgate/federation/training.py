"""One training of a network for the command line, from its choice to its figures; see also `federation.networks`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from wardgate.computations.model_scores import ModelScores
from wardgate.entropy import Entropy
from wardgate.federation.compare import PRIVATE, OnEvent, Settings, algorithm_of, compare
from wardgate.federation.networks import AUTO, FederatedNetwork, introduce_of
from wardgate.federation.session import Federation
from wardgate.hub.pooling.model_scores import evaluation
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS, Algorithm
from wardgate.hub.pooling.networks.gather import Gather
from wardgate.hub.pooling.networks.robust import Robust, robust_gather
from wardgate.hub.pooling.networks.rounds import OnRound, Trained
from wardgate.measures.layers.tensors import size
from wardgate.models.network import NetworkModel
from wardgate.networks.installed import require_torch
from wardgate.records.canonical import sha256
from wardgate.records.comparison import Comparison
from wardgate.records.errors import CheckFailed, Invalid, NotEvaluable, Refused
from wardgate.records.judgement import Judgement
from wardgate.records.measured import Measured
from wardgate.records.study import Study
from wardgate.records.training import Training, TrainingAlarm, TrainingRound


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        network: Its name in the study.
        algorithm: A name of the menu, or `auto`; with an epsilon `dp-sgd`, `dp-fedavg` or `auto`.
        rounds: At most.
        epsilon: Noise in all sums together costs so much; exact sums without.
        robust: A rule over groups of hospitals; one sum over all without.
        commons, digests: Corpora for `auto`, and the SHA-256 of their files.
        compared: An earlier comparison from which `auto` takes its choice instead of comparing again.
        settings: How much `auto` tries.
    """

    network: str
    algorithm: str = AUTO
    rounds: int = 50
    epsilon: float | None = None
    robust: str | None = None
    commons: Sequence[pl.DataFrame] = ()
    digests: Sequence[str] = ()
    compared: Comparison | None = None
    settings: Settings = field(default_factory=Settings)

    def check(self, study: Study) -> None:
        """Check what can be checked before any hospital is opened.

        Raises:
            Invalid: a network or algorithm that is not there, or wishes that do not go together.
            Unsupported: torch is not installed.
        """
        require_torch("training a network")
        if self.network not in study.networks:
            known = ", ".join(f"'{name}'" for name in sorted(study.networks)) or "none"
            raise Invalid(f"the locked study has no network '{self.network}' under 'networks'; it has {known}")
        menu = tuple(ALGORITHMS) if self.epsilon is None else tuple(PRIVATE)
        if self.algorithm not in (AUTO, *menu):
            how = "without noise" if self.epsilon is None else "with noise"
            raise Invalid(f"there is no algorithm '{self.algorithm}' {how}; choose {AUTO} or one of {', '.join(menu)}")
        if self.algorithm == AUTO and not self.commons and self.compared is None:
            raise Invalid(
                "'auto' tries algorithms on synthetic corpora first; give corpora of the commons, or name an algorithm"
            )
        if self.compared is not None:
            self._check_compared(self.compared, study)
        if self.robust is not None and self.epsilon is not None:
            raise Invalid("groups each bear noise of their own, which no claim here covers; leave out one of the two")
        if self.robust is not None:
            Robust(rule=self.robust)

    def _check_compared(self, compared: Comparison, study: Study) -> None:
        if self.algorithm != AUTO:
            raise Invalid(f"an earlier comparison chooses for '{AUTO}', and '{self.algorithm}' was asked for")
        network = study.networks[self.network]
        if (compared.study_sha256, compared.network_sha256) != (study.fingerprint(), network.sha256):
            raise Invalid("the comparison is of another study or network; compare again with those that are locked")
        if compared.epsilon != self.epsilon:
            raise Invalid("the comparison was made with another epsilon, or without one; compare again with this one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a training gave.

    Attributes:
        comparison: What is behind the choice; None without `auto`.
        judgements: Records of the hospitals' votes; empty without `robust`.
    """

    model: NetworkModel
    record: Training
    comparison: Comparison | None
    judgements: tuple[Judgement, ...]


def run(
    federation: Federation,
    wish: Wish,
    *,
    entropy: Entropy,
    resume: bytes | None = None,
    on_round: OnRound | None = None,
    on_event: OnEvent = lambda _, __, ___: None,
) -> Finished:
    """Choose, train and judge on holdout persons.

    Args:
        entropy: For the noise of the comparison.
        resume: Bytes of a checkpoint of the same study, network, algorithm and noise.
        on_round: Called after every round with where training stands.
        on_event: Progress of the comparison.

    Raises:
        Invalid, NotEvaluable, CheckFailed, Unsupported: as `FederatedNetwork.run` and `compare`.
    """
    study = federation.study
    wish.check(study)
    comparison = wish.compared
    if wish.algorithm == AUTO and comparison is None:
        comparison = compare(
            study,
            wish.commons,
            network=wish.network,
            entropy=entropy,
            sizes=[federation.enrolled.persons_at_least(site) for site in federation.sites],
            epsilon=wish.epsilon,
            settings=wish.settings,
            digests=wish.digests,
            on_event=on_event,
        )
    gather = None
    if wish.robust is not None:
        settings = Robust(rule=wish.robust)
        introduce = introduce_of(federation)
        gather = robust_gather(study, settings, coin=federation.exchange.coin, introduce=introduce)
    estimator = _estimator(wish, comparison, gather)
    trained = estimator.run(federation, study, resume=resume, on_round=on_round)
    held_out, why = _judged(federation, trained, wish)
    return Finished(
        model=trained.model,
        record=_record(study, wish, estimator, trained, comparison, held_out, why),
        comparison=comparison,
        judgements=tuple(gather.judgements) if gather is not None else (),
    )


def _estimator(wish: Wish, comparison: Comparison | None, gather: Gather | None) -> FederatedNetwork:
    plain = FederatedNetwork(network=wish.network, rounds=wish.rounds, epsilon=wish.epsilon)
    if wish.epsilon is not None:
        return replace(plain, private=PRIVATE[wish.algorithm if comparison is None else comparison.algorithm])
    chosen = ALGORITHMS[wish.algorithm] if comparison is None else algorithm_of(comparison)
    return replace(plain, algorithm=chosen, robust=None if gather is None else lambda _: gather)


def _judged(federation: Federation, trained: Trained, wish: Wish) -> tuple[tuple[Measured, ...], str]:
    """Return the figures on holdout persons, or why there are none."""
    study = federation.study
    if ModelScores.name not in study.analyses:
        return (), f"the locked study lists no '{ModelScores.name}' under 'analyses'"
    if any(alarm.stops for alarm in trained.alarms):
        return (), "an alarm stopped training; its weights are not to be used"
    try:
        found = federation.drive(
            evaluation(
                study=study,
                sites=federation.sites,
                model=trained.model,
                persons_at_least=federation.persons_at_least("holdout"),
                epsilon=wish.epsilon,
            )
        ).figures
    except (NotEvaluable, CheckFailed, Refused) as error:
        return (), str(error)
    return (found.auroc, found.oe, found.slope, found.brier), ""


def _record(
    study: Study,
    wish: Wish,
    estimator: FederatedNetwork,
    trained: Trained,
    comparison: Comparison | None,
    held_out: tuple[Measured, ...],
    not_judged: str,
) -> Training:
    architecture = study.networks[wish.network]
    chosen = estimator.algorithm
    simpler = comparison is not None and comparison.recommended != comparison.algorithm
    exact = isinstance(chosen, Algorithm) and wish.epsilon is None
    return Training(
        study_id=study.id,
        study_version=study.version,
        study_sha256=study.fingerprint(),
        network=wish.network,
        network_sha256=architecture.sha256,
        network_numbers=size(architecture),
        algorithm=comparison.algorithm if comparison is not None else wish.algorithm,
        rate=chosen.work.rate if exact and isinstance(chosen, Algorithm) else None,
        robust=wish.robust or "",
        chosen=comparison is not None,
        advice=" ".join(comparison.reason) if comparison is not None and simpler else "",
        planned=wish.rounds,
        best=trained.best,
        stopped=trained.stopped,
        claim=trained.claim,
        moved=trained.bytes_moved,
        sites=trained.sites,
        rounds=tuple(
            TrainingRound(
                number=one.number,
                weight=one.weight,
                before=one.before,
                after=one.after,
                loss=one.loss,
                auroc=one.auroc,
                moved=one.bytes_moved,
                sites=one.sites,
                said=dict(one.said),
            )
            for one in trained.history
        ),
        alarms=tuple(
            TrainingAlarm(kind=one.kind, sites=one.sites, words=one.words, stops=one.stops) for one in trained.alarms
        ),
        model_sha256=sha256(trained.model.to_bytes()),
        held_out=held_out,
        not_judged=not_judged,
    )
