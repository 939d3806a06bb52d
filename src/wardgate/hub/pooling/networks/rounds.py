"""Training over hospitals, round by round: ask, step, judge, and know when to stop.

Every round is one gathering of changes (`gather`), one step of the server's rule, and now and then one small sum on
tuning persons. What a round leaves behind is a `Checkpoint`, from which training goes on as if nothing had happened.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_update import moves
from wardgate.computations.networks import pinned
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.networks.algorithms import Algorithm, algorithm_of
from wardgate.hub.pooling.networks.allowed import Least
from wardgate.hub.pooling.networks.checkpoint import Checkpoint, Digests, Round
from wardgate.hub.pooling.networks.course import Course, Introduce
from wardgate.hub.pooling.networks.gather import Alarm, Gather, summed_gather
from wardgate.models.network import NetworkModel
from wardgate.records.canonical import text_of
from wardgate.records.claim import Claim
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]
OnRound = Callable[[Checkpoint], None]

EXACT = Claim(kind="exact", excludes=("true values; no epsilon covers them",))
TUNE_EVERY, PATIENCE = 5, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training gave.

    Attributes:
        model: The best weights on tuning persons; the mean of the last, or the last, where nobody judged. What stays
            at the hospitals (`Algorithm.work.stays`) stands in it as it started.
        history: Round by round.
        best: Rounds behind `model`.
        checkpoint: Where it stands, for going on.
        claim: What all sums cost that were planned, or that they were exact.
        sites: All whose persons stand in any of the sums.
        alarms: What people must look at.
        stopped: Why it ended before its last round; empty where it did not.
    """

    model: NetworkModel
    history: tuple[Round, ...]
    best: int
    checkpoint: Checkpoint
    claim: Claim
    bytes_moved: int
    sites: tuple[str, ...]
    alarms: tuple[Alarm, ...]
    stopped: str = ""

    @property
    def refused(self) -> str:
        """Why the weights are not to be used; empty where nothing says so."""
        return "; ".join(alarm.words for alarm in self.alarms if alarm.stops)


def train(
    *,
    study: Study,
    sites: tuple[str, ...],
    network: str,
    algorithm: Algorithm | str = "fedavg",
    rounds: int = 50,
    start: Vector | None = None,
    gather: Gather | None = None,
    groups: tuple[tuple[str, ...], ...] = (),
    tune_every: int | None = TUNE_EVERY,
    patience: int = PATIENCE,
    mean_of_last: int = 0,
    claim: Claim | None = None,
    least: Least | None = None,
    introduce: Introduce | None = None,
    coin: str = "",
    resume: bytes | None = None,
    on_round: OnRound | None = None,
) -> Generator[Ask, Told, Trained]:
    """Train a network that the study locks.

    A sum that stays closed ends training, with the reason and what was learnt so far; where the study lets hospitals
    drop out, those that vanished are left out with their whole block of at least three, since a smaller difference
    between exact sums would give them away. Two hospitals of an algorithm that keeps norms or heads at the hospitals
    have no common model to judge, so there is no early stopping then.

    Args:
        network: Its name in the study.
        algorithm: Or its name.
        start: Weights to start from, shape (size,); those of the network's seed by default.
        gather: How the changes of a round come together; one exact sum over all by default.
        groups: Who is in one sum of `gather`, where that is not everybody.
        tune_every: Rounds between two judgings on tuning persons, by exact sums; None never judges.
        patience: Judgings without a better one, after which training stops.
        mean_of_last: The mean of the weights after so many last rounds is handed out; for training with noise.
        claim: What the sums of `gather` cost together, where they have noise; exact sums by default.
        least: Persons at least; None over tables in the open, where no gate refuses.
        introduce: Asks a smaller roster to agree on secrets, where the mask graph of a smaller roster differs.
        coin: Public randomness that divides hospitals into blocks; the study's digest by default.
        resume: Bytes of a checkpoint of the same study, network, algorithm and noise.
        on_round: Called after every round with where training stands.

    Raises:
        Invalid: a network that the study does not lock, an algorithm that does not suit it, a policy that would refuse,
            or a checkpoint of something else; before anything is asked.
        NotEvaluable: no hospital could train, or none has tuning persons.
        CheckFailed: the first sum stayed closed; thrown in by whoever carries the asks.
    """
    course = _course(
        study=study,
        sites=sites,
        network=network,
        algorithm=algorithm,
        rounds=rounds,
        gather=gather,
        tune_every=tune_every,
        patience=patience,
        mean_of_last=mean_of_last,
        claim=claim,
        least=least,
        introduce=introduce,
        coin=coin,
    )
    point = course.begin(sites, start) if resume is None else course.again(Checkpoint.from_bytes(resume), sites)
    course.check(point, groups)
    stopped, begun = "", point.rounds
    while not stopped:
        try:
            if course.due(point):
                point, stopped = yield from course.judge(point)
            elif point.rounds < rounds:
                point, stopped = yield from course.round(point)
            else:
                break
        except CheckFailed as failed:
            left = yield from course.without(point, failed)
            if left is None and point.rounds == begun == 0:
                raise
            point, stopped = (point, str(failed)) if left is None else (left, "")
            continue
        if on_round is not None and not stopped and not course.due(point):
            on_round(point)
    return _done(course, point, stopped)


def _done(course: Course, point: Checkpoint, stopped: str) -> Trained:
    """Return what was learnt."""
    weights, best = point.weights, point.rounds
    if point.best is not None:
        weights, best = point.best.weights, point.best.rounds
    elif point.tails:
        weights = point.tail / point.tails
    return Trained(
        model=course.model(weights),
        history=point.history,
        best=best,
        checkpoint=point,
        claim=course.claim,
        bytes_moved=point.bytes_moved,
        sites=tuple(sorted({site for one in point.history for site in one.sites})),
        alarms=point.alarms,
        stopped=f"ended after {point.rounds} of {course.rounds} rounds: {stopped}" if stopped else "",
    )


def _course(
    *,
    study: Study,
    sites: tuple[str, ...],
    network: str,
    algorithm: Algorithm | str,
    rounds: int,
    gather: Gather | None,
    tune_every: int | None,
    patience: int,
    mean_of_last: int,
    claim: Claim | None,
    least: Least | None,
    introduce: Introduce | None,
    coin: str,
) -> Course:
    """Check the settings and return them together.

    Raises:
        Invalid: as `train`.
    """
    chosen = algorithm_of(algorithm) if isinstance(algorithm, str) else algorithm
    found = study.networks.get(network)
    architecture = pinned(study, network=network, sha256="" if found is None else found.sha256)
    chosen.check(architecture)
    if rounds < 1 or patience < 1 or mean_of_last < 0 or (tune_every is not None and tune_every < 1):
        raise Invalid("rounds, patience and tune_every must be at least 1, mean_of_last at least 0")
    if not sites or len(set(sites)) != len(sites):
        raise Invalid(f"expected hospitals, each named once, found {len(sites)}")
    if claim is not None and claim.kind == "dp" and tune_every is not None:
        raise Invalid("exact figures of tuning persons would undo what noise protects; set tune_every=None")
    cost = ""
    if claim is not None and claim.kind == "dp":
        noise = [f"{text_of(one.noise_multiplier)} x {one.count}" for one in claim.gaussian]
        noise += [f"{text_of(one.noise_multiplier)} x {one.count} sampled" for one in claim.sampled]
        cost = f"with noise of {', '.join(noise)} at delta {text_of(claim.delta or 0.0)}"
    return Course(
        study=study,
        name=network,
        architecture=architecture,
        algorithm=chosen,
        rounds=rounds,
        gather=summed_gather(study) if gather is None else gather,
        tune_every=tune_every if chosen.whole else None,
        patience=patience,
        mean_of_last=mean_of_last,
        claim=EXACT if claim is None else claim,
        least=least,
        introduce=introduce,
        coin=coin or study.fingerprint(),
        digests=Digests(
            study=study.fingerprint(),
            network=network,
            architecture=architecture.sha256,
            algorithm=chosen.sha256,
            cost=cost,
        ),
        learnt=moves(architecture, ()),
    )
