"""Rounds that survive bad hospitals: groups, a robust rule over their changes, and votes of all hospitals on groups.

A rule bears as many bad groups as it is told. Beyond that, or where an attack hides among groups that differ anyhow,
the hospitals judge: the weights to which each group's change leads are held against persons of every hospital. A group
voted out stays out and is named with the digests that prove it; where too few are left, training stops.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_update import NetworkUpdate
from wardgate.computations.network_votes import Harm, NetworkVotes
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.leave_out import SMALLEST_BLOCK
from wardgate.hub.pooling.networks.gather import WENT, Alarm, Gathered
from wardgate.hub.pooling.networks.groups import (
    FEWEST_GROUPS,
    Group,
    Introduce,
    Reply,
    ask_groups,
    groups_of,
    impossible,
)
from wardgate.hub.pooling.networks.voting import Voted, vote
from wardgate.measures.robust.menu import DEFAULT, RULES, middle
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.judgement import Judgement
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Vector = NDArray[np.float64]

MOST_WEIGHT = 2.0
"""A group weighs at most so many times the median group: what it claims to hold cannot be seen."""

ALARMS = (
    "group-closed",
    "group-impossible",
    "group-few-trained",
    "group-voted-out",
    "votes-impossible",
    "too-few-groups",
    "final-vote",
)
"""Kinds of alarms that are raised here; see docs/networks/robustness.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Robust:
    """How bad hospitals are borne. Public.

    Attributes:
        rule: Over the changes of groups; see `measures.robust.menu`.
        corrupt: Share of hospitals that the rule bears, each in a group of its own; capped below half of the groups.
        judge: Whether hospitals vote on groups, and on the finished model.
        every: Rounds between two votes, from the first two rounds on. Whenever a group lies apart, there is one more.
        apart: From how many times the median distance from the middle on a group lies apart.
        harm: What counts as harm in a group's weights.
        final: What counts as harm in the finished weights.
        tolerated: Share of the hospitals with such persons that may call a group harmful. A smaller share of liars
            cannot put a good group out, and a harmful group is out where so many are honest and see the harm.
        least: Share of all hospitals that may call it harmful, where few have such persons, since whoever lies may
            also say that it has them.
        split: Whose persons vote.
        standing: Training goes on while more than this share of the groups stands. Where most are out, either too many
            hospitals are wrong or those who are wrong do the voting, and nobody can say which.
    """

    rule: str = DEFAULT
    corrupt: float = 0.1
    judge: bool = True
    every: int = 4
    apart: float = 4.0
    harm: Harm = field(default_factory=Harm)
    final: Harm = field(default_factory=lambda: Harm(own=0.02, errors=0.5))
    tolerated: float = 0.4
    least: float = 0.34
    split: SplitName = "holdout"
    standing: float = 0.5

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise Invalid(f"there is no rule '{self.rule}'; there are {', '.join(RULES)}")
        if not (0 <= self.corrupt < 0.5 and 0 < self.tolerated < 1 and 0 <= self.least < 1):
            raise Invalid("expected a share of corrupt hospitals in [0, 0.5) and shares of votes in (0, 1)")
        if self.every < 1 or self.apart < 1 or not 0 <= self.standing < 1:
            raise Invalid("expected 'every' and 'apart' of at least 1, and a standing share in [0, 1)")
        if self.split not in NetworkVotes.splits:
            raise Invalid(f"persons of {' or '.join(NetworkVotes.splits)} vote, found '{self.split}'")


@dataclass(slots=True, kw_only=True)
class RobustGather:
    """One training's gathering over groups; a `Gather`, which remembers who is out.

    Attributes:
        study, settings: What is trained, and how bad hospitals are borne.
        coin: Public randomness that draws the groups; the study's digest where it is empty.
        introduce: Asks a smaller roster to agree on secrets, where the mask graph depends on it.
        groups: As drawn; empty before the first round.
        out: Groups that are out for good, with the reason.
        judgements: Records of all votes.
        anchor: Where training began.
        last: The last round of which something was learnt.
        stop: The alarm that stopped training.
    """

    study: Study
    settings: Robust
    coin: str = ""
    introduce: Introduce | None = None
    groups: tuple[Group, ...] = ()
    voters: Group = ()
    out: dict[Group, str] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    anchor: Vector = field(default_factory=lambda: np.zeros(0))
    last: NetworkUpdate | None = None
    stop: Alarm | None = None

    def __call__(self, asked: NetworkUpdate, *, sites: Group, what: str) -> Generator[Ask, Told, Gathered]:
        """Ask the groups that are left for one round; see `Gather`.

        Raises:
            Invalid: fewer than nine hospitals, or a study that does not list the votes.
            Unsupported: changes whose candidates nobody could judge, since norms or heads stay at the hospitals.
            CheckFailed: a sum stayed closed without which nothing can go on.
        """
        yield from self._begin(asked, sites)
        left = tuple(group for group in self.groups if group not in self.out and set(group) <= set(sites))
        replies: tuple[Reply, ...] = ()
        alarms: list[Alarm] = []
        moved, forged = 0, False
        if len(left) >= self.fewest:
            replies = yield from ask_groups(asked, left, study=self.study, what=what)
            moved = sum(one.bytes_moved for one in replies)
            alarms = self._put_out(asked, replies)
        good = self._good(replies)
        if self.settings.judge and len(good) >= self.fewest and self._due(asked, good):
            candidates = [(one.group, asked.weights + got.change) for one, got in good]
            voted = yield from self._vote(asked, candidates, replies=tuple(one for one, _ in good))
            moved, forged = moved + voted.bytes_moved, voted.impossible
            alarms += [] if forged else self._voted_out(voted)
            good = self._good(replies)
        if forged or len(good) < self.fewest:
            return self._stopped(asked, alarms, len(good), moved, forged=forged)
        self.last = asked
        return self._joined(good, replies, alarms, moved)

    def confirm(self, weights: Vector) -> Generator[Ask, Told, tuple[Alarm, ...]]:
        """Let all hospitals vote on finished weights; no alarm where they pass.

        Raises:
            RuntimeError: no round was asked.
            CheckFailed: the sum stayed closed; thrown in by whoever carries the asks.
        """
        if self.last is None:
            raise RuntimeError("there is no finished model before the first round")
        if not self.settings.judge:
            return ()
        everybody = tuple(sorted(site for group in self.groups if group not in self.out for site in group))
        voted = yield from self._vote(self.last, [(everybody, weights)])
        if voted.impossible:
            return (FORGED,)
        digest = self.judgements[-1].sha256
        return tuple(
            Alarm(
                kind="final-vote",
                sites=(),
                words=f"the finished model is refused: {why}; judgement {digest[:16]}. Do not use it; look at the"
                " groups that were voted out, and train again without bad hospitals",
                stops=True,
            )
            for why in voted.out.values()
        )

    @property
    def fewest(self) -> int:
        """Groups below which training stops."""
        return max(FEWEST_GROUPS, math.floor(self.settings.standing * len(self.groups)) + 1)

    def _begin(self, asked: NetworkUpdate, sites: Group) -> Generator[Ask, Told, None]:
        if self.groups:
            return
        if self.settings.judge and asked.work.stays:
            raise Unsupported(
                "norms or heads that stay at the hospitals leave no common model to vote on; choose an algorithm"
                " without them, or judge=False"
            )
        if self.settings.judge and NetworkVotes.name not in self.study.analyses:
            raise Invalid(f"hospitals vote only where the study lists '{NetworkVotes.name}' under 'analyses'")
        groups = groups_of(sites, coin=self.coin or self.study.fingerprint())
        if self.introduce is not None:
            for group in groups:
                yield from self.introduce(group)
        self.groups, self.voters = groups, tuple(sorted(sites))
        if not len(self.anchor):
            self.anchor = asked.weights

    def _put_out(self, asked: NetworkUpdate, replies: tuple[Reply, ...]) -> list[Alarm]:
        """Name groups that stayed closed, and put out those whose sums are impossible, or are of too few hospitals."""
        alarms = []
        for one in replies:
            if one.got is None:
                words = f"left out of this round: {one.closed}"
                alarms.append(Alarm(kind="group-closed", sites=one.group, words=words))
            elif why := impossible(asked, one.got):
                self.out[one.group] = why
                proof = ", ".join(f"{site} {digest[:16]}" for site, digest in one.changes.items())
                words = f"out for good: {why}; a member's software is not what it should be. Signed answers: {proof}"
                alarms.append(Alarm(kind="group-impossible", sites=one.group, words=words))
            elif one.got.said and sum(word in WENT for word in one.got.said.values()) < SMALLEST_BLOCK:
                why = self.out[one.group] = f"fewer than {SMALLEST_BLOCK} of its hospitals trained"
                words = f"{why}, and said so; a sum of fewer is asked no more. Its change is not used"
                alarms.append(Alarm(kind="group-few-trained", sites=one.group, words=words))
        return alarms

    def _good(self, replies: tuple[Reply, ...]) -> list[tuple[Reply, Gathered]]:
        return [(one, one.got) for one in replies if one.got is not None and one.trained and one.group not in self.out]

    def _due(self, asked: NetworkUpdate, good: list[tuple[Reply, Gathered]]) -> bool:
        if asked.number < 2 or asked.number % self.settings.every == 0:
            return True
        far = np.linalg.norm(np.array([got.change for _, got in good]) - self._middle(good), axis=1)
        return bool(np.max(far) > self.settings.apart * np.median(far))

    def _vote(
        self, asked: NetworkUpdate, candidates: list[tuple[Group, Vector]], *, replies: tuple[Reply, ...] = ()
    ) -> Generator[Ask, Told, Voted]:
        """Vote on groups' weights, or without replies on finished ones."""
        voted = yield from vote(
            study=self.study,
            network=asked.network,
            network_sha256=asked.sha256,
            number=asked.number,
            anchor=self.anchor,
            reference=asked.weights,
            candidates=candidates,
            harm=self.settings.harm if replies else self.settings.final,
            tolerated=self.settings.tolerated,
            least=self.settings.least,
            voters=self.voters,
            split=self.settings.split,
            changes={site: digest for one in replies for site, digest in one.changes.items()},
            final=not replies,
        )
        self.judgements += voted.judgements
        return voted

    def _voted_out(self, voted: Voted) -> list[Alarm]:
        alarms = []
        for group, why in voted.out.items():
            self.out[group] = why
            record = next(one for one in voted.judgements if group in one.groups)
            words = f"out for good: {why}; at least one member is wrong, by judgement {record.sha256[:16]}"
            alarms.append(Alarm(kind="group-voted-out", sites=group, words=words))
        return alarms

    def _middle(self, good: list[tuple[Reply, Gathered]], controls: bool = False) -> Vector:
        weights = np.array([got.weight for _, got in good])
        corrupt = min(math.ceil(self.settings.corrupt * len(self.voters)), (len(good) - 1) // 2)
        return middle(
            np.array([got.control if controls else got.change for _, got in good]),
            rule=self.settings.rule,
            corrupt=corrupt,
            weights=np.minimum(weights, MOST_WEIGHT * float(np.median(weights))),
        )

    def _joined(
        self, good: list[tuple[Reply, Gathered]], replies: tuple[Reply, ...], alarms: list[Alarm], moved: int
    ) -> Gathered:
        """Return what the rule makes of the groups that are believed; a group that stayed closed is asked again."""
        scaffold = any(len(got.control) for _, got in good)
        weight = sum(got.weight for _, got in good)
        return Gathered(
            change=self._middle(good),
            control=self._middle(good, controls=True) if scaffold else np.zeros(0),
            weight=weight,
            before=sum(got.weight * got.before for _, got in good) / weight,
            after=sum(got.weight * got.after for _, got in good) / weight,
            bytes_moved=moved,
            sites=tuple(sorted(site for one in replies if one.group not in self.out for site in one.group)),
            said={site: word for _, got in good for site, word in got.said.items()},
            alarms=(*alarms, *(alarm for _, got in good for alarm in got.alarms)),
        )

    def _stopped(self, asked: NetworkUpdate, alarms: list[Alarm], left: int, moved: int, *, forged: bool) -> Gathered:
        """Return a round in which nothing may be learnt, and the named alarm that stops training."""
        alarm = FORGED
        if not forged:
            gone = "; ".join(f"{', '.join(group)}: {why}" for group, why in sorted(self.out.items()))
            alarm = Alarm(
                kind="too-few-groups",
                sites=tuple(sorted(site for group in self.out for site in group)),
                words=f"{left} of {len(self.groups)} groups are left, expected {self.fewest} at least;"
                " training stops and its weights are not to be used."
                f" Out: {gone or 'none; the others stayed closed'}",
                stops=True,
            )
        self.stop = alarm
        return Gathered(
            change=np.zeros(len(asked.weights)),
            control=np.zeros(len(asked.weights) if asked.work.scaffold else 0),
            weight=0.0,
            before=np.nan,
            after=np.nan,
            bytes_moved=moved,
            sites=(),
            alarms=(*alarms, alarm),
            stop=f"{alarm.kind}: {alarm.words}",
        )


FORGED = Alarm(
    kind="votes-impossible",
    sites=(),
    words="the sum of votes is one that honest hospitals cannot give, so some hospital's software forges answers;"
    " nobody can see whose. Training stops and its weights are not to be used: let the hospitals check their software",
    stops=True,
)


def robust_gather(
    study: Study, settings: Robust | None = None, *, coin: str = "", introduce: Introduce | None = None
) -> RobustGather:
    """Return the gathering over groups, for `rounds.train(gather=...)`.

    Args:
        coin: Public randomness that draws the groups; the study's digest by default.
        introduce: Asks a smaller roster to agree on secrets, where the mask graph of a smaller roster differs.
    """
    return RobustGather(study=study, settings=settings or Robust(), coin=coin, introduce=introduce)
