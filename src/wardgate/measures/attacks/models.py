"""Can a model tell the patients it learned from? Attacks on predictions, from refits or from reference models.

Every person of a pool (members and as many non-members) gets one score from each attack. All attacks start from the
confidence of a model in a person's true outcome, log(p / (1 - p)), and compare it with that of shadow models, each
fitted with one random half of the pool, so that for every person half of the shadows saw that person.

References: Carlini et al. 2022, Membership Inference Attacks From First Principles (LiRA), arXiv:2112.03570; Zarifzadeh
    et al. 2023, Low-Cost High-Power Membership Inference Attacks (RMIA), arXiv:2312.03262.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from wardgate.measures.attacks import membership
from wardgate.measures.intervals import delong, normal, placements
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]

NEAREST = 1e-6
"""Chances nearer to 0 or 1 count as that near; beyond, a logit is noise."""

OFFLINE = 0.3
"""RMIA's a: how a person's chance under models that saw them is guessed from models that did not."""

SMOOTH = 8
"""Shadows on either side whose weight the pooled variance has beside a person's own."""


RATE = 0.01
"""False alarms allowed."""

FOREIGN = 2.0
"""A model so many times as far from its refits as the farthest of these is no fit of the same kind."""


def confidence(chance: Scores, label: NDArray[np.int8]) -> Scores:
    """Return log(p / (1 - p)) of the chance that a model gives to the true outcome, shape (n,).

    Raises:
        Invalid: a chance is not a number within 0 and 1.
    """
    if not np.all((chance >= 0) & (chance <= 1)):
        raise Invalid("the model gives a chance that is not within 0 and 1")
    return np.asarray(logit(np.clip(np.where(label == 1, chance, 1 - chance), NEAREST, 1 - NEAREST)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadows:
    """What models that saw one half of the pool each say of everybody.

    Attributes:
        seen: Whether a shadow saw a person, shape (s, n).
        told: Its confidence in that person's true outcome, shape (s, n).
    """

    seen: Flags
    told: Scores

    @property
    def out(self) -> Scores:
        """Mean confidence of the models that did not see a person, shape (n,)."""
        return np.asarray(np.mean(self.told, axis=0, where=~self.seen))

    @property
    def into(self) -> Scores:
        """Mean confidence of the models that saw a person, shape (n,)."""
        return np.asarray(np.mean(self.told, axis=0, where=self.seen))


def shadows(persons: int, *, count: int, fit: Callable[[Flags], Scores], rng: np.random.Generator) -> Shadows:
    """Fit shadow models in pairs, each on one half of the pool.

    Args:
        persons: Members and non-members, an even number.
        count: Shadows, an even number of at least 4.
        fit: From who of the pool is seen to everybody's confidence, shape (n,).

    Raises:
        Invalid: too few shadows, or an odd number of either.
    """
    if count < 4 or count % 2 or persons % 2:
        raise Invalid(f"expected an even number of persons and of at least 4 shadows, found {persons} and {count}")
    seen = np.zeros((count, persons), dtype=np.bool_)
    for pair in range(0, count, 2):
        seen[pair, rng.permutation(persons)[: persons // 2]] = True
        seen[pair + 1] = ~seen[pair]
    return Shadows(seen=seen, told=np.stack([fit(one) for one in seen]))


def attacks(told: Scores, known: Shadows, *, online: bool) -> dict[str, Scores]:
    """Return the scores of all attacks on one model, higher meaning more likely a member, each of shape (n,).

    `confidence` needs no shadows. `calibrated` takes off how easy a person is; `rmia` compares the chance with its
    mean over worlds in which the person was and was not used, which ranks persons as RMIA does at gamma 1; `lira`
    compares the likelihoods under shadows that saw a person and shadows that did not.

    Args:
        told: The model's confidence in everybody's true outcome.
        online: Whether the shadows are refits of this very model, so that those who saw a person tell something.
    """
    out = known.out
    chance, unseen = expit(told), _mean_chance(known, known.seen, saw=False)
    if not online:
        usual = 0.5 * ((1 + OFFLINE) * unseen + (1 - OFFLINE))
        return {"confidence": told, "calibrated": told - out, "rmia": np.log(chance) - np.log(usual)}
    usual = 0.5 * (unseen + _mean_chance(known, known.seen, saw=True))
    into = known.into
    score = norm.logpdf(told, into, _spread(known, into, saw=True)) - norm.logpdf(
        told, out, _spread(known, out, saw=False)
    )
    return {
        "confidence": told,
        "calibrated": told - out,
        "rmia": np.log(chance) - np.log(usual),
        "lira": np.asarray(score),
    }


def _mean_chance(known: Shadows, seen: Flags, *, saw: bool) -> Scores:
    return np.asarray(np.mean(expit(known.told), axis=0, where=seen == saw))


def _spread(known: Shadows, middle: Scores, *, saw: bool) -> Scores:
    """Standard deviation of a person's confidence, drawn towards that of everybody: few shadows tell it badly."""
    side = known.seen == saw
    squares = np.sum((known.told - middle) ** 2, axis=0, where=side)
    free = np.maximum(np.sum(side, axis=0) - 1, 0)
    pooled = float(squares.sum() / max(1, int(free.sum())))
    return np.asarray(np.sqrt((squares + SMOOTH * pooled) / (free + SMOOTH)) + 1e-9)


def worst_auc(scores: Mapping[str, Scores], member: Flags, *, persons: tuple[int, int], level: float) -> Measured:
    """The highest AUROC of any attack. A model that nobody can be told from scores 0.5, or a little more by choice.

    The upper end is the highest of all attacks' upper bounds, so it is a bound for the worst attack as it stands; the
    lower is the highest of their lower bounds at Bonferroni's level.
    """
    found = {name: delong(member, score, level=level) for name, score in scores.items()}
    strict = 1 - (1 - level) / len(scores)
    low = max(delong(member, score, level=strict)[1] for score in scores.values())
    best = max(found, key=lambda name: found[name][0])
    value, high = found[best][0], max(one[2] for one in found.values())
    return Measured(
        name="model.membership_auc",
        value=value,
        low=min(low, value),
        high=high,
        level=level,
        n=persons,
        note=f"The strongest of {len(scores)} attacks was '{best}'.",
    )


def left_out(known: Shadows) -> Iterator[tuple[Scores, Flags, Shadows]]:
    """Yield every shadow as the model under attack: its confidence, whom it saw, and the other shadows."""
    for one in range(len(known.told)):
        others = np.arange(len(known.told)) != one
        yield known.told[one], known.seen[one], Shadows(seen=known.seen[others], told=known.told[others])


def like_refits(told: Scores, member: Flags, known: Shadows) -> bool:
    """Whether a model stands to its refits as these stand to each other; else they are refits of something else."""
    strange = [_distance(one, saw, others) for one, saw, others in left_out(known)]
    return _distance(told, member, known) <= FOREIGN * max(strange)


def _distance(told: Scores, saw: Flags, known: Shadows) -> float:
    into, out = known.into, known.out
    middle = np.where(saw, into, out)
    spread = np.where(saw, _spread(known, into, saw=True), _spread(known, out, saw=False))
    return float(np.mean(np.minimum(((told - middle) / spread) ** 2, 100.0)))


def tpr(
    scores: Mapping[str, Scores], member: Flags, tie_break: NDArray[np.int64], *, persons: tuple[int, int], level: float
) -> Measured | None:
    """Share of members named at one false alarm in 100 by the attack that needs no refits, `rmia`.

    Chosen beforehand, since the luckiest of several attacks on a thousand persons finds too many in a safe model.
    """
    found = membership.tpr(scores["rmia"], member, tie_break, rate=RATE, persons=persons, level=level)
    name = "model.tpr_at_1_percent"
    return found and found.model_copy(update={"name": name, "note": "By comparison with reference models."})


def tpr_of_refits(
    told: Scores,
    member: Flags,
    known: Shadows,
    *,
    persons: tuple[int, int],
    level: float,
    rng: np.random.Generator,
    draws: int = 200,
) -> Measured:
    """Share of persons named at one false alarm in 100, over the model and all its refits, by the worst attack.

    Each refit is attacked with the help of all others. A person is a member of about half of them, so every person
    counts on either side, and few persons tell as much as many would of one model. It is the risk of the way in which
    the model was fitted; `like_refits` says whether the model was fitted in this way. Guessing scores 0.01.

    The interval comes from resampled persons, with all that the models say of each, the threshold among it.
    """
    targets = [(told, member, known), *left_out(known)]
    found = [attacks(one, others, online=True) for one, _, others in targets]
    saw = np.stack([flags for _, flags, _ in targets]).ravel()
    weights = np.stack(
        [np.bincount(rng.integers(0, len(member), len(member)), minlength=len(member)) for _ in range(draws)]
    )
    worst = (0.0, 0.0, 1.0, "")
    for name in found[0]:
        order = np.argsort(-np.concatenate([one[name] for one in found]), kind="stable")
        person, inside = order % len(member), saw[order]
        value = _weighted(np.ones(len(order)), inside)
        drawn = [_weighted(one[person].astype(np.float64), inside) for one in weights]
        low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
        if high > worst[1]:
            worst = value, max(value, float(high)), min(value, float(low)), name
    return Measured(
        name="model.tpr_at_1_percent",
        value=worst[0],
        low=worst[2],
        high=worst[1],
        level=level,
        n=persons,
        note=f"Over the model and {len(found) - 1} refits; the worst attack was '{worst[3]}'.",
    )


def _weighted(weight: Scores, inside: Flags) -> float:
    """Return the members' weight above the threshold, of trials from the highest score down."""
    strangers = np.cumsum(np.where(inside, 0.0, weight))
    above = int(np.searchsorted(strangers, RATE * strangers[-1], side="right"))
    members = np.where(inside, weight, 0.0)
    return float(members[:above].sum() / members.sum())


def overfit_gap(
    *,
    label_train: NDArray[np.int8],
    score_train: Scores,
    usual_train: Scores,
    label_holdout: NDArray[np.int8],
    score_holdout: Scores,
    usual_holdout: Scores,
    persons: tuple[int, int],
    level: float,
) -> Measured:
    """AUROC on training persons less AUROC on persons never seen, beside a model that treats both alike.

    Two samples of persons differ in how hard they are, by more than a good model over-fits. `usual_...` is the score
    of models that saw none of the persons they score, on either side. Their own difference is 0 in expectation, and it
    is taken off, which narrows the interval without moving the expectation. A model that over-fits nobody scores 0.

    Raises:
        Invalid: one outcome only among either.
    """
    value, variance = 0.0, 0.0
    for sign, label, score, usual in (
        (1, label_train, score_train, usual_train),
        (-1, label_holdout, score_holdout, usual_holdout),
    ):
        event = label == 1
        own, others = placements(event, score), placements(event, usual)
        value += sign * (own.auroc - others.auroc)
        for one, two in ((own.events, others.events), (own.non_events, others.non_events)):
            if len(one) < 2:
                raise Invalid("fewer than two persons with one of the outcomes; there is no interval")
            variance += float(np.var(one - two, ddof=1)) / len(one)
    low, high = normal(value, float(np.sqrt(variance)), level=level)
    return Measured(name="model.overfit_gap", value=value, low=low, high=high, level=level, n=persons)
