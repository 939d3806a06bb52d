"""A generative adversarial network over hospitals, by noisy sums that together cost one epsilon.

The one part of a GAN that touches patients is what they say of the critic. So every round is one secure sum: the
question carries the critic's weights, each hospital answers with the sum of its persons' gradients, each cut to one
length, and noise is added once for all of them. The hub then moves the critic, and teaches the generator as long as it
likes: that is post-processing. No hospital's own update is ever seen, and the statement of privacy is that of a private
GAN on the pooled persons.

Two noisy sums of marginals come first. They say how numbers are cut into bins, and where the generator starts: columns
that go with the label as they do at the hospitals, and not yet with each other. The adversarial rounds teach the rest.

References: Abadi et al. (2016), Deep Learning with Differential Privacy, arXiv:1607.00133; Xie et al. (2018),
    Differentially Private Generative Adversarial Network, arXiv:1802.06739; Rasouli, Sun, Rajagopal (2020), FedGAN,
    arXiv:2006.07228.
"""

import math
from collections.abc import Generator as Steps
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.computations.critic import Critic, fake_gradient
from wardgate.computations.marginals import Marginals
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.gan_generator import Generator, balanced, taught
from wardgate.marginals.domain import Domain, domain_of
from wardgate.marginals.sampling import Where
from wardgate.marginals.tree.growth import differences, histograms
from wardgate.marginals.tree.links import Links, Noisy, links_of
from wardgate.marginals.tree.plan import Plan
from wardgate.marginals.workload import Workload
from wardgate.measures.perceptron import Adam
from wardgate.privacy.accountant import dp_claim, epsilon_of, noise_multiplier_for
from wardgate.records.claim import Claim, GaussianEvent
from wardgate.records.errors import CheckFailed, Invalid, NotEvaluable, Unsupported
from wardgate.records.study import Study

Vector = NDArray[np.float64]

TELLABLE = 4.0
"""Persons must stand out of the noise of a count by this many standard deviations, and each class by half as many."""

LINK_WEIGHT = 2.0
"""What a column beside the label is worth beside a column alone, as in the joint corpus of marginals."""

LAST_BALANCE = 5
LAST_ROWS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GanSettings:
    """Public settings. They were chosen once, on IST at epsilon 3, and are the same for every study.

    Attributes:
        rounds: Of the critic. Each is a sum over all persons, not a sample of them: at one cost, more rounds are more
            noise in each.
        marginals_share: Of the privacy cost, for the two sums of marginals at the start.
        hidden: Units of each of the critic's hidden layers.
        longest: L2 norm to which a person's gradient is cut.
        critic_rate, critic_decay: Length of the critic's steps, and the share of its weights that each step forgets.
        generator_hidden, generator_noise, generator_rate: Of the generator.
        generator_steps, batch: Steps of the generator in a round, and rows in each.
        fakes: Synthetic rows beside the persons in a round.
        smoothing: Share of the generator's weights that a running mean over rounds keeps; the mean is what is handed
            out.
        balance: How far each round moves the generator's columns back to the marginals.
    """

    rounds: int = 200
    marginals_share: float = 0.3
    hidden: tuple[int, ...] = (32,)
    longest: float = 1.0
    critic_rate: float = 0.02
    critic_decay: float = 0.05
    generator_hidden: int = 64
    generator_noise: int = 16
    generator_rate: float = 0.001
    generator_steps: int = 2
    batch: int = 1_000
    fakes: int = 2_000
    smoothing: float = 0.98
    balance: float = 0.3

    def __post_init__(self) -> None:
        if min(self.rounds, self.generator_hidden, self.generator_noise, self.batch, self.fakes) < 1:
            raise Invalid("rounds, hidden units, noise inputs, batch and fakes must be at least 1")
        if not (0 < self.marginals_share < 1 and 0 <= self.smoothing < 1 and 0 <= self.critic_decay < 1):
            raise Invalid("marginals_share must lie between 0 and 1, smoothing and critic_decay from 0 to below 1")
        if not (self.critic_rate > 0 and self.generator_rate > 0 and self.generator_steps >= 0 and self.balance >= 0):
            raise Invalid("rates must be above 0, generator_steps and balance at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class JointGan:
    """A fitted generator, and what it cost.

    Attributes:
        generator: Draws rows.
        claim: What all sums that were planned cost together, whether or not all of them opened.
        rounds: Sums that opened.
        bytes_moved: Both directions.
        sites: All whose persons stand in any of the sums.
        reason: Why it ended before its last round; empty where it did not.
    """

    generator: Generator
    claim: Claim
    rounds: int
    bytes_moved: int
    sites: tuple[str, ...]
    reason: str = ""

    @property
    def persons(self) -> int:
        """Noisy number of persons; a corpus of this size does not tell the exact one."""
        return max(1, round(float(self.generator.label.sum())))

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows in table form; see `Generator.sample`."""
        return self.generator.sample(rows, rng=rng, where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Noise multipliers of the sums that together cost one epsilon.

    Attributes:
        histograms, links: Of the two sums of marginals.
        critic: Of each of the critic's rounds.
    """

    histograms: float
    links: float
    critic: float

    def events(self, rounds: int) -> tuple[GaussianEvent, ...]:
        """Return what the accountant is told."""
        return (
            GaussianEvent(noise_multiplier=self.histograms, count=1, what="persons, label, and each column's cells"),
            GaussianEvent(noise_multiplier=self.links, count=1, what="difference that the label makes to each column"),
            GaussianEvent(noise_multiplier=self.critic, count=rounds, what="gradients of a critic, each person's cut"),
        )


def split_noise(domain: Domain, *, settings: GanSettings, epsilon: float, delta: float) -> Noise:
    """Split one epsilon over all sums; Gaussian sums compose as the sum of their inverse variances.

    Raises:
        Invalid: the privacy parameters are out of range.
    """
    once = noise_multiplier_for(epsilon=epsilon, delta=delta) * (1 + 1e-12)
    numbers = sum(column.kind != "nominal" for column in domain.columns)
    alone, beside = float(domain.features + 2), LINK_WEIGHT * (domain.features + numbers)
    share = settings.marginals_share
    return Noise(
        histograms=once * math.sqrt((alone + beside) / (alone * share)),
        links=once * math.sqrt((alone + beside) / (beside * share)),
        critic=once * math.sqrt(settings.rounds / (1 - share)),
    )


@dataclass(slots=True, kw_only=True)
class _Asking:
    """Who answers, and what was moved so far."""

    study: Study
    sites: tuple[str, ...]
    rounds: int = 0
    bytes_moved: int = 0
    summed: set[str] = field(default_factory=set)

    def ask(self, asked: Marginals | Critic, *, what: str, noise_multiplier: float) -> Steps[Ask, Told, Told]:
        told = yield sum_ask(asked, what=what, study=self.study, sites=self.sites, noise_multiplier=noise_multiplier)
        self.rounds, self.bytes_moved = self.rounds + 1, self.bytes_moved + told.bytes_moved
        self.sites = told.sites or self.sites
        self.summed |= set(self.sites)
        return told


def joint_gan(
    *,
    study: Study,
    sites: tuple[str, ...],
    rng: np.random.Generator,
    epsilon: float | None = None,
    delta: float | None = None,
    settings: GanSettings | None = None,
    test_noise: bool = False,
) -> Steps[Ask, Told, JointGan]:
    """Fit by sums whose noise together costs `epsilon` at `delta`, one person added or removed.

    A hospital that vanishes from a round where the study allows it is missed from then on: the critic learns that
    persons became rarer, which moves its score by a constant, and a constant teaches the generator nothing. Where a
    round stays closed, what was learnt so far is handed out, with the reason.

    Args:
        rng: For weights, synthetic rows and the generator's noise; it protects nobody.
        epsilon, delta: The study's `joint_corpus` and `delta` by default.
        test_noise: Only for tests: the hospitals' noise is repeatable, and the claim says so.

    Raises:
        Invalid: settings or a budget that do not suit the study, before anything is asked.
        Unsupported: the study keeps its hospitals apart (`joint_site`).
        NotEvaluable: persons, or one class of them, do not stand out of the noise.
        CheckFailed: a sum of the marginals stayed closed; thrown in by whoever carries the asks.
    """
    settings = settings or GanSettings()
    epsilon = study.budget.joint_corpus if epsilon is None else epsilon
    delta = study.budget.delta if delta is None else delta
    if study.joint_site is not None:
        raise Unsupported("the joint GAN does not keep hospitals apart; use the joint corpus of marginals for that")
    domain = domain_of(study.features)
    noise = split_noise(domain, settings=settings, epsilon=epsilon, delta=delta)
    cost = epsilon_of(gaussian=noise.events(settings.rounds), delta=study.budget.delta)
    granted = study.budget.epsilon_total
    if cost > granted:
        raise Invalid(
            f"these sums cost epsilon {cost:g} at the study's delta, more than the {granted:g} that the study grants in"
            " all; hospitals would stop answering on the way"
        )
    claim = dp_claim(
        gaussian=noise.events(settings.rounds),
        delta=delta,
        covers=("bins", "missingness", "number of persons", "all steps of the networks"),
        excludes=("ranges and categories, which the study fixes in public", "which sites take part", "settings"),
        noise_source="unsafe-test" if test_noise else "system",
    )
    asking = _Asking(study=study, sites=sites)
    links = yield from _links(asking, domain, noise, epsilon=epsilon, delta=delta)
    generator = Generator.of(
        domain, links, rules=study.rules, hidden=settings.generator_hidden, noise=settings.generator_noise, rng=rng
    )
    generator, reason = yield from _contest(asking, generator, noise.critic, settings, rng=rng)
    return JointGan(
        generator=generator,
        claim=claim,
        rounds=asking.rounds,
        bytes_moved=asking.bytes_moved,
        sites=tuple(sorted(asking.summed)),
        reason=reason,
    )


def _links(asking: _Asking, domain: Domain, noise: Noise, *, epsilon: float, delta: float) -> Steps[Ask, Told, Links]:
    """Ask for each column alone and beside the label.

    Raises:
        NotEvaluable: persons, or one class of them, do not stand out of the noise.
    """
    plan = Plan(
        structure="summed",
        epsilon=epsilon,
        delta=delta,
        histograms=noise.histograms,
        links=noise.links,
        signs=math.inf,
        pairs=math.inf,
        choice=0.0,
        choices=0,
    )

    def counted(workload: Workload, what: str, noise_multiplier: float) -> Steps[Ask, Told, Noisy]:
        asked = Marginals(workload=workload.to_parameters())
        heard = yield from asking.ask(asked, what=f"joint GAN: {what}", noise_multiplier=noise_multiplier)
        # Hospitals that stayed may have brought more noise than was promised, or a test none at all.
        sigma = heard.noise or noise_multiplier * workload.l2
        return Noisy(workload=workload, values=heard.sum(), sigma=sigma)

    first = yield from counted(histograms(domain), "histograms", noise.histograms)
    second = yield from counted(differences(domain, first, plan), "links", noise.links)
    links = links_of(domain, [first, second])
    sigma = max(first.sigma, second.sigma)
    if links.persons < TELLABLE * sigma or float(links.label.min()) < TELLABLE / 2 * sigma:
        raise NotEvaluable(
            "persons, or one class of them, do not stand out of the noise; raise epsilon, or ask more hospitals"
        )
    return links


def _contest(
    asking: _Asking, generator: Generator, noise_multiplier: float, settings: GanSettings, *, rng: np.random.Generator
) -> Steps[Ask, Told, tuple[Generator, str]]:
    """Let critic and generator learn from each other; returns the mean generator, and why it ended early if it did."""
    asked = Critic(groups=generator.groups, hidden=settings.hidden, weights=np.zeros(0), longest=settings.longest)
    critic, reason = asked.network, ""
    weights, mean = critic.start(rng=rng), generator.weights
    persons = float(generator.label.sum())
    critic_adam, adam = Adam(rate=settings.critic_rate), Adam(rate=settings.generator_rate)
    for number in range(settings.rounds):
        asked = replace(asked, weights=weights)
        try:
            what = f"joint GAN: round {number + 1} of {settings.rounds}"
            heard = yield from asking.ask(asked, what=what, noise_multiplier=noise_multiplier)
        except CheckFailed as failed:
            reason = f"ended after {number} of {settings.rounds} rounds: {failed}"
            break
        label = generator.labels(settings.fakes, rng=rng)
        groups = generator.drawn(label, rng=rng)
        fakes = generator.seen(groups, label)[generator.keeping(groups, label, rng=rng)]
        gradient = heard.sum() / persons
        gradient = gradient + fake_gradient(critic, weights, fakes, longest=settings.longest) / max(1, len(fakes))
        weights = critic_adam.step(weights, gradient) * (1.0 - settings.critic_decay)
        for _ in range(settings.generator_steps):
            generator = taught(generator, critic, weights, adam=adam, batch=settings.batch, rng=rng)
            mean = settings.smoothing * mean + (1.0 - settings.smoothing) * generator.weights
        if settings.balance:
            generator = balanced(generator, rows=settings.batch // 2 + 1, step=settings.balance, rng=rng)
    generator = replace(generator, weights=mean)
    for _ in range(LAST_BALANCE if settings.balance else 0):
        generator = balanced(generator, rows=LAST_ROWS, step=0.7, rng=rng)
    return generator, reason
