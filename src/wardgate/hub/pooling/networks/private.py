"""Training with noise: what one person changes in everything that is learnt stays within one epsilon.

Two ways. By gradients: every round is one step of DP-SGD over all hospitals, each person's gradient cut, noise added
once for all of them; it costs what DP-SGD on the pooled persons would cost. By changes: every hospital trains many
steps and its whole change is cut; one person may turn all of it, so the noise must hide a hospital, and only many
hospitals hide in each other.

References: Abadi et al. (2016), Deep Learning with Differential Privacy, arXiv:1607.00133; Kingma, Ba (2014), Adam,
    arXiv:1412.6980; McMahan et al. (2018), Learning Differentially Private Recurrent Language Models,
    arXiv:1710.06963; De et al. (2022), Unlocking High-Accuracy Differentially Private Image Classification through
    Scale, arXiv:2204.13650 (averaged weights, large batches).
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import NetworkUpdate, Work
from wardgate.computations.networks import pinned
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.networks.algorithms import Algorithm
from wardgate.hub.pooling.networks.checkpoint import Checkpoint
from wardgate.hub.pooling.networks.gather import Gather, Gathered, summed_gather
from wardgate.hub.pooling.networks.rounds import OnRound, Trained, train
from wardgate.hub.pooling.networks.servers import Adaptive, Average, Server
from wardgate.measures.layers.start import start as start_of
from wardgate.privacy.accountant import dp_claim, epsilon_of, noise_multiplier_for, sampled_multiplier_for
from wardgate.records.claim import Claim, GaussianEvent, SampledGaussianEvent
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSteps:
    """Settings of private training by gradients; see docs/networks/training.md for how they were chosen.

    Attributes:
        probability: With which every person falls into a round's batch; 1 takes everybody, which is best where rounds
            are few.
        longest: L2 norm to which a person's gradient is cut.
        server: What the hub makes of the noisy mean gradient.
        averaged: Share of the last rounds whose weights are averaged.
    """

    probability: float = 1.0
    longest: float = 3.0
    server: Server = field(default_factory=lambda: Adaptive(rate=0.03, floor=1e-8, second=0.999, corrected=True))
    averaged: float = 0.3

    def __post_init__(self) -> None:
        if not (0 < self.probability <= 1 and 0 <= self.averaged <= 1 and self.longest > 0):
            raise Invalid("expected a probability in (0, 1], a longest above 0, and an averaged share from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateChanges:
    """Settings of private training by changes: useful where hospitals are many, and nowhere else.

    Attributes:
        work: What a hospital does in a round; every hospital counts for one.
        server, averaged: As in `PrivateSteps`.
    """

    work: Work = field(default_factory=lambda: Work(weighing="sites", longest=0.5))
    server: Server = field(default_factory=Average)
    averaged: float = 0.3

    def __post_init__(self) -> None:
        if self.work.weighing != "sites":
            raise Invalid("changes bear noise only where every hospital counts for one: set weighing='sites'")
        if not 0 <= self.averaged <= 1:
            raise Invalid("expected an averaged share from 0 to 1")


Private = PrivateSteps | PrivateChanges


def private_training(
    *,
    study: Study,
    sites: tuple[str, ...],
    network: str,
    epsilon: float,
    delta: float | None = None,
    rounds: int = 50,
    settings: Private | None = None,
    persons_at_least: int,
    start: Vector | None = None,
    resume: bytes | None = None,
    on_round: OnRound | None = None,
    test_noise: bool = False,
) -> Generator[Ask, Told, Trained]:
    """Train a network so that all rounds together cost `epsilon` at `delta`, one person added or removed.

    Nobody is judged on the way: exact figures of tuning persons would undo what noise protects, so there is no early
    stopping, and losses are unknown. A training that goes on from a checkpoint may ask a round again that was asked
    but not saved; its claim counts one more round for every time it went on, so save after every round.

    Args:
        delta: The study's by default.
        persons_at_least: Public lower bound on the training persons of all sites; the exact number is nobody's to know.
        test_noise: Only for tests: the hospitals' noise is repeatable, and the claim says so.

    Raises:
        Invalid: a budget beyond the study's, settings or a network that do not suit noise, or a checkpoint of
            something else; before anything is asked.
        CheckFailed: the first sum stayed closed.
    """
    settings = settings or PrivateSteps()
    delta = study.budget.delta if delta is None else delta
    before = 0 if resume is None else Checkpoint.from_bytes(resume).resumed + 1
    multiplier = multiplier_of(settings, epsilon=epsilon, delta=delta, rounds=rounds)
    planned = _claim(settings, multiplier, rounds, delta=delta, test_noise=test_noise)
    whole = _claim(settings, multiplier, rounds + before, delta=delta, test_noise=test_noise)
    cost = epsilon_of(gaussian=whole.gaussian, sampled=whole.sampled, delta=study.budget.delta)
    if cost > study.budget.epsilon_total:
        raise Invalid(
            f"{rounds + before} rounds with this noise cost epsilon {cost:g} at the study's delta, more than the"
            f" {study.budget.epsilon_total:g} that the study grants in all; hospitals would stop answering on the way"
        )
    gather, algorithm = _how(study, settings, network=network, noise=multiplier, persons_at_least=persons_at_least)
    trained = yield from train(
        study=study,
        sites=sites,
        network=network,
        algorithm=algorithm,
        rounds=rounds,
        start=start,
        gather=gather,
        tune_every=None,
        mean_of_last=round(settings.averaged * rounds),
        claim=planned,
        resume=resume,
        on_round=on_round,
    )
    return replace(trained, claim=whole)


def multiplier_of(settings: Private, *, epsilon: float, delta: float, rounds: int) -> float:
    """Return the noise multiplier with which so many rounds together cost at most `epsilon`.

    Raises:
        Invalid: privacy parameters out of range.
    """
    if isinstance(settings, PrivateSteps) and settings.probability < 1:
        return sampled_multiplier_for(epsilon=epsilon, delta=delta, probability=settings.probability, count=rounds)
    return noise_multiplier_for(epsilon=epsilon, delta=delta, count=rounds)


def gradient_gather(study: Study, *, settings: PrivateSteps, noise_multiplier: float, persons_at_least: int) -> Gather:
    """Return the gathering of one noisy step: the change is the mean gradient, downwards.

    The mean is over the public lower bound of persons, so it is too long by a constant; Adam does not see constants.
    """

    def gather(asked: NetworkUpdate, *, sites: tuple[str, ...], what: str) -> Generator[Ask, Told, Gathered]:
        gradient = NetworkGradient(
            network=asked.network,
            sha256=asked.sha256,
            weights=asked.weights,
            longest=settings.longest,
            probability=settings.probability,
        )
        told = yield sum_ask(gradient, what=what, study=study, sites=sites, noise_multiplier=noise_multiplier)
        return Gathered(
            change=-told.sum() * settings.longest / (settings.probability * persons_at_least),
            control=np.zeros(0),
            weight=float(len(told.sites)),
            before=np.nan,
            after=np.nan,
            bytes_moved=told.bytes_moved,
            sites=told.sites,
        )

    return gather


def _how(
    study: Study, settings: Private, *, network: str, noise: float, persons_at_least: int
) -> tuple[Gather, Algorithm]:
    """Return how a round is gathered, and the algorithm that its checkpoints name.

    Raises:
        Invalid: the network has no gradient of one person, or nobody is known to be there.
    """
    if isinstance(settings, PrivateChanges):
        algorithm = Algorithm(name="private-changes", work=settings.work, server=settings.server)
        return summed_gather(study, noise_multiplier=noise), algorithm
    if persons_at_least < 1:
        raise Invalid("expected a public lower bound of at least 1 training person")
    found = study.networks.get(network)
    architecture = pinned(study, network=network, sha256="" if found is None else found.sha256)
    trial = NetworkGradient(
        network=network,
        sha256=architecture.sha256,
        weights=start_of(architecture),
        longest=settings.longest,
        probability=settings.probability,
    )
    trial.shape(study)
    gather = gradient_gather(study, settings=settings, noise_multiplier=noise, persons_at_least=persons_at_least)
    work = Work(steps=1, batch=1, longest=settings.longest)
    return gather, Algorithm(name=f"private-steps/{settings.probability!r}", work=work, server=settings.server)


def _claim(settings: Private, multiplier: float, count: int, *, delta: float, test_noise: bool) -> Claim:
    """Return the claim of so many rounds."""
    gaussian: tuple[GaussianEvent, ...] = ()
    sampled: tuple[SampledGaussianEvent, ...] = ()
    what = "gradients of a network, each person's cut"
    if isinstance(settings, PrivateChanges):
        what = "changes of a network, each hospital's cut"
    if isinstance(settings, PrivateSteps) and settings.probability < 1:
        event = SampledGaussianEvent(
            noise_multiplier=multiplier, probability=settings.probability, count=count, what=what
        )
        sampled = (event,)
    else:
        gaussian = (GaussianEvent(noise_multiplier=multiplier, count=count, what=what),)
    return dp_claim(
        gaussian=gaussian,
        sampled=sampled,
        delta=delta,
        covers=("all rounds that were planned, whether or not they opened", "the batches' draw"),
        excludes=("ranges and categories, which the study fixes in public", "which sites take part", "settings"),
        noise_source="unsafe-test" if test_noise else "system",
    )
