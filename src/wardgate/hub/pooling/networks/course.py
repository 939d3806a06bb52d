"""One training over hospitals, step by step: who is asked next, what a round leaves behind, who is left out."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_update import NetworkUpdate
from wardgate.computations.networks import LARGEST_WEIGHT, check_weights
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.leave_out import SMALLEST_BLOCK, blocks
from wardgate.hub.pooling.networks.algorithms import Algorithm
from wardgate.hub.pooling.networks.allowed import Least, check_exact, tuning_bins
from wardgate.hub.pooling.networks.checkpoint import Best, Checkpoint, Digests, Round
from wardgate.hub.pooling.networks.gather import Alarm, Gather, Gathered
from wardgate.hub.pooling.networks.judging import judged
from wardgate.hub.pooling.networks.servers import common_control, moved
from wardgate.measures.layers.start import start as start_of
from wardgate.measures.layers.tensors import tensors
from wardgate.models.network import NetworkModel
from wardgate.records.claim import Claim
from wardgate.records.errors import CheckFailed, Invalid, NotEvaluable, Vanished
from wardgate.records.network import Architecture
from wardgate.records.study import Study

Vector = NDArray[np.float64]
Introduce = Callable[[tuple[str, ...]], Generator[Ask, Told, Any]]


@dataclass(slots=True, kw_only=True)
class Course:
    """What does not change while training goes on.

    Attributes:
        study, name, architecture, algorithm, rounds: What is trained, how, and how often.
        gather: How the changes of a round come together.
        tune_every, patience, mean_of_last: When tuning persons judge, when to stop, and whether last weights are
            averaged; see `rounds.train`.
        claim: What the sums cost together.
        introduce: Asks a smaller roster to agree on secrets.
        coin: Divides hospitals into blocks.
        digests: What a checkpoint of it belongs to.
        learnt: Which numbers gradients move, shape (size,).
        least: Persons at least; None over tables in the open.
        introduced: Smaller rosters that agreed already.
    """

    study: Study
    name: str
    architecture: Architecture
    algorithm: Algorithm
    rounds: int
    gather: Gather
    tune_every: int | None
    patience: int
    mean_of_last: int
    claim: Claim
    introduce: Introduce | None
    coin: str
    digests: Digests
    learnt: NDArray[np.bool_]
    least: Least | None = None
    introduced: set[tuple[str, ...]] = field(default_factory=set)

    def begin(self, sites: tuple[str, ...], start: Vector | None) -> Checkpoint:
        """Return where training begins."""
        weights = start_of(self.architecture) if start is None else np.asarray(start, dtype=np.float64)
        check_weights(self.architecture, weights)
        turns = self.algorithm.turns(sites, coin=self.coin)
        alarms = []
        if self.algorithm.cyclic and len(turns) == 1:
            alarms.append(
                Alarm(
                    kind="one-block",
                    sites=tuple(sorted(sites)),
                    words=f"weights travel between blocks of at least {self.algorithm.smallest_block} hospitals, and"
                    f" {len(sites)} hospitals are one block: this is FedAvg",
                )
            )
        return Checkpoint(
            digests=self.digests,
            rounds=0,
            weights=weights,
            control=np.zeros(len(weights) if self.algorithm.work.scaffold else 0),
            rule=self.algorithm.server.begin(len(weights)),
            sites=tuple(sorted(sites)),
            first=tuple(sorted(sites)) if self.algorithm.cyclic else (),
            tail=np.zeros(len(weights) if self.mean_of_last else 0),
            alarms=tuple(alarms),
        )

    def again(self, point: Checkpoint, sites: tuple[str, ...]) -> Checkpoint:
        """Return a checkpoint as it goes on here.

        Raises:
            Invalid: it belongs to something else, or its hospitals do not take part.
        """
        self.digests.check(point.digests)
        check_weights(self.architecture, point.weights)
        left = tuple(site for site in point.sites if site in sites)
        if not left or (len(left) < SMALLEST_BLOCK <= len(point.sites)):
            raise Invalid(
                f"of the checkpoint's {len(point.sites)} hospitals {len(left)} take part; expected 3 at least"
            )
        return replace(point.again(), sites=left)

    def check(self, point: Checkpoint, groups: tuple[tuple[str, ...], ...] = ()) -> None:
        """Check what hospitals would refuse, before anybody is asked.

        Raises:
            Invalid: they would refuse.
        """
        if self.claim.kind == "exact":
            entries = self.asked(point).shape(self.study).entries
            turns = groups or self.algorithm.turns(point.first or point.sites, coin=self.coin)
            check_exact(self.study, entries=entries, turns=turns, rounds=self.rounds - point.rounds, least=self.least)
        if self.tune_every is not None:
            judgings = -(-(self.rounds - point.rounds) // self.tune_every)
            tuning_bins(self.study, sites=point.sites, judgings=judgings, least=self.least)

    def asked(self, point: Checkpoint) -> NetworkUpdate:
        """Return the question of the next round."""
        return NetworkUpdate(
            network=self.name,
            sha256=self.architecture.sha256,
            number=point.rounds,
            weights=point.weights,
            work=self.algorithm.work,
            control=point.control,
        )

    def turns(self, point: Checkpoint) -> list[tuple[str, ...]]:
        """Return who is asked in the next round, one after the other; blocks never change their hospitals."""
        if not self.algorithm.cyclic:
            return [point.sites]
        found = self.algorithm.turns(point.first, coin=self.coin)
        left = [tuple(site for site in turn if site in point.sites) for turn in found]
        return [turn for turn in left if turn]

    def round(self, point: Checkpoint) -> Generator[Ask, Told, tuple[Checkpoint, str]]:
        """Ask for one round; return where training stands then, and why it must stop."""
        what = f"network '{self.name}', {self.algorithm.name}: round {point.rounds + 1} of {self.rounds}"
        turns, after, heard, reason = self.turns(point), point, [], ""
        opened: set[str] = set()
        for turn in turns:
            yield from self.meet(turn, point)
            try:
                got = yield from self.gather(self.asked(after), sites=turn, what=what)
            except CheckFailed as failed:
                if len(turns) == 1:
                    raise
                alarm = Alarm(kind="closed", sites=turn, words=f"training goes on without this block: {failed}")
                after = replace(after, alarms=(*after.alarms, alarm))
                continue
            opened |= set(got.sites)
            after = replace(after, alarms=_joined(after.alarms, got.alarms))
            if got.stop:
                reason = got.stop
                continue
            moved_on = self.step(after, got)
            if moved_on is None:
                return replace(point, alarms=after.alarms), "the weights left their range; lower the rate"
            after = moved_on
            heard.append(got)
        if not heard:
            if point.rounds == 0:
                raise NotEvaluable(f"nothing could be learnt: {reason or 'every block stayed closed'}")
            return replace(point, alarms=after.alarms), reason or "every block stayed closed"
        sites = tuple(sorted(opened))
        after = replace(
            after,
            rounds=point.rounds + 1,
            sites=sites,
            first=point.first or sites,
            most=max(point.most, sum(got.weight for got in heard)),
            history=(*point.history, _told(point.rounds, heard)),
        )
        if self.mean_of_last and after.rounds > self.rounds - self.mean_of_last:
            after = replace(after, tail=after.tail + after.weights, tails=after.tails + 1)
        return after, ""

    def meet(self, turn: tuple[str, ...], point: Checkpoint) -> Generator[Ask, Told, None]:
        """Introduce a roster that is smaller than all, once."""
        if self.introduce is not None and turn not in self.introduced and len(turn) < len(point.first or point.sites):
            yield from self.introduce(turn)
            self.introduced.add(turn)

    def step(self, point: Checkpoint, got: Gathered) -> Checkpoint | None:
        """Return where a gathering leads; None where weights would leave their range."""
        weights, rule = moved(
            self.algorithm.server, point.weights, got.change, learnt=self.learnt, state=point.rule, rounds=point.rounds
        )
        for tensor in tensors(self.architecture):
            if tensor.role == "variance":
                weights[tensor.place] = np.maximum(weights[tensor.place], 0.0)
        control = point.control
        if self.algorithm.work.scaffold:
            control = common_control(control, got.control, share=got.weight / max(point.most, got.weight, 1e-300))
        if not bool(np.all(np.abs(np.concatenate([weights, control])) <= LARGEST_WEIGHT)):
            return None
        return replace(point, weights=weights, rule=rule, control=control)

    def due(self, point: Checkpoint) -> bool:
        """Whether tuning persons are asked now."""
        if self.tune_every is None or point.rounds == 0 or point.judged_at == point.rounds:
            return False
        return point.rounds % self.tune_every == 0 or point.rounds == self.rounds

    def judge(self, point: Checkpoint) -> Generator[Ask, Told, tuple[Checkpoint, str]]:
        """Judge the weights on tuning persons; return where training stands then, and why it must stop."""
        what = f"network '{self.name}': judged on tuning persons after {point.rounds} rounds"
        try:
            bins = tuning_bins(self.study, sites=point.sites, judgings=1, least=self.least)
        except Invalid as few:
            return replace(point, judged_at=point.rounds), f"the hospitals that are left cannot judge: {few}"
        yield from self.meet(point.sites, point)
        found = yield from judged(self.model(point.weights), study=self.study, sites=point.sites, bins=bins, what=what)
        best, cost = point.best, found.bytes_moved
        if best is not None and found.sites != point.judged:
            again = yield from judged(
                self.model(best.weights), study=self.study, sites=found.sites, bins=bins, what=what
            )
            best, cost = replace(best, loss=again.loss), cost + again.bytes_moved
        better = best is None or found.loss < best.loss
        if better:
            best = Best(weights=point.weights, rounds=point.rounds, loss=found.loss)
        last = point.history[-1]
        last = replace(last, loss=found.loss, auroc=found.auroc, bytes_moved=last.bytes_moved + cost)
        point = replace(
            point,
            best=best,
            judged=found.sites,
            judged_at=point.rounds,
            waited=0 if better else point.waited + 1,
            history=(*point.history[:-1], last),
        )
        if best is not None and point.waited >= self.patience and point.rounds < self.rounds:
            return point, f"tuning persons were predicted best after {best.rounds} rounds; early stopping"
        gone = tuple(sorted(set(point.sites) - set(found.sites)))
        if not gone:
            return point, ""
        # Who dropped out of a judging is asked no more, so training sums would lack it too.
        words = f"{what}: {', '.join(gone)} did not answer"
        left = yield from self.without(point, Vanished(words, sites=gone))
        return (point, words) if left is None else (left, "")

    def without(self, point: Checkpoint, failed: CheckFailed) -> Generator[Ask, Told, Checkpoint | None]:
        """Return where training goes on without the blocks of hospitals that vanished; None where it cannot."""
        gone = set(failed.sites) & set(point.sites) if isinstance(failed, Vanished) else set()
        if not gone or self.study.drop_out is None or len(point.first) < 2 * SMALLEST_BLOCK:
            return None
        if self.algorithm.cyclic:
            left = [turn for turn in self.turns(point) if not gone & set(turn)]
        else:
            every = blocks(point.first, coin=self.coin, most=len(point.first) // SMALLEST_BLOCK)
            left = [block for block in every if set(block) <= set(point.sites) and not gone & set(block)]
        sites = tuple(sorted(site for block in left for site in block))
        if len(sites) < self.study.gate.min_sites_in_sum or not self.holds(sites, point):
            return None
        out = tuple(sorted(set(point.sites) - set(sites)))
        words = (
            f"training goes on without {', '.join(out)}: {', '.join(sorted(gone))} did not answer, and exact sums may"
            f" lose whole blocks of {SMALLEST_BLOCK} hospitals only"
        )
        alarm = Alarm(kind="block-left-out", sites=out, words=words)
        if self.introduce is not None:
            yield from self.introduce(sites)
            self.introduced.add(sites)
        return replace(point, sites=sites, alarms=(*point.alarms, alarm))

    def holds(self, sites: tuple[str, ...], point: Checkpoint) -> bool:
        """Whether some hospitals hold persons enough for an exact sum of a round."""
        if self.claim.kind != "exact" or self.least is None:
            return True
        entries = self.asked(point).shape(self.study).entries
        return entries <= self.study.gate.small_cells.max_numbers_per_person * self.least(sites, "train")

    def model(self, weights: Vector) -> NetworkModel:
        """Return weights as a model."""
        noise = "" if self.claim.kind == "exact" else f"Gaussian, epsilon {self.claim.epsilon:g}"
        return NetworkModel(features=self.study.features, architecture=self.architecture, vector=weights, noise=noise)


def _joined(known: tuple[Alarm, ...], new: tuple[Alarm, ...]) -> tuple[Alarm, ...]:
    """Return alarms without those that were raised before in the same words."""
    return (*known, *(one for one in new if one not in known))


def _told(number: int, heard: list[Gathered]) -> Round:
    """Return the history's line of a round of one or more gatherings."""
    weight = sum(got.weight for got in heard)
    before, after = (
        sum(got.weight * one for got, one in zip(heard, losses, strict=True)) / weight
        for losses in ([got.before for got in heard], [got.after for got in heard])
    )
    return Round(
        number=number,
        weight=weight,
        before=before,
        after=after,
        bytes_moved=sum(got.bytes_moved for got in heard),
        sites=tuple(sorted(site for got in heard for site in got.sites)),
        said={site: word for got in heard for site, word in got.said.items()},
    )
