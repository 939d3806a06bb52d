"""The scale of noise, tested directly: taken from real runs, against what the claim says. Shared with the benchmark.

Noise of n entries, divided by the standard deviation that the claim promises, has a sum of squares that follows a
chi-square law of n degrees of freedom. The test has two sides; both its errors are worked out, not simulated.
"""

import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import chi2, norm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "glm"))

from regression_driving import KINDS, Hospital
from regression_tables import study_of, tables_of

from small_persons import persons, small_study
from wardgate.entropy import Entropy, SystemEntropy
from wardgate.hospital.ward.generators import marginal_tree
from wardgate.hub.pooling.ask import Told
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.marginals.workload import count_codes
from wardgate.sums import plan as planning
from wardgate.sums.plan import SumPlan, contribute, total
from wardgate.sums.ring import to_ring

ERROR = 1e-6
"""How often the test may be wrong about honest noise, and about noise of half the scale."""

Noise = NDArray[np.float64]


def ends(n: int) -> tuple[float, float]:
    """Between which the sum of squares of honest noise lies, but for `ERROR`."""
    return float(chi2.ppf(ERROR / 2, n)), float(chi2.isf(ERROR / 2, n))


def accepted(noise: Noise) -> bool:
    """Whether standardised noise passes."""
    low, high = ends(len(noise))
    return low <= float(np.sum(noise**2)) <= high


def missed(n: int, factor: float) -> float:
    """Return the chance that noise of `factor` times the promised scale passes."""
    low, high = ends(n)
    if factor == 0:
        return 0.0 if low > 0 else 1.0
    return float(chi2.cdf(high / factor**2, n) - chi2.cdf(low / factor**2, n))


def enough(factor: float = 0.5) -> int:
    """Return the fewest entries with which the test misses such noise at most with `ERROR`."""
    return next(n for n in range(1, 10_000) if missed(n, factor) <= ERROR)


def least_persons(epsilon: float, *, at_1: int) -> int:
    """Return how many persons a fit is given: below epsilon 1 more, since a corpus of noise alone is refused."""
    return max(at_1, round(1.5 * at_1 / epsilon))


def of_generator(factor: float = 1.0, *, epsilon: float = 1.0, entropy: Entropy | None = None) -> Noise:
    """Return the noise that a fit of the marginal tree really added, over the scale of its claimed events.

    Args:
        factor: 1 for the generator as it is; else a twin whose noise has this share of the scale.
    """
    found: list[Noise] = []
    real_counts, real_release = marginal_tree.noisy_counts, marginal_tree.gaussian_release

    def release(values: Noise, *, l2: float, noise_multiplier: float, entropy: Entropy) -> Noise:
        if factor == 0:
            return np.asarray(values, dtype=np.float64)
        return real_release(values, l2=l2, noise_multiplier=factor * noise_multiplier, entropy=entropy)

    def watched(ask: marginal_tree.Ask, codes: marginal_tree.Codes, *, entropy: Entropy) -> Noise:
        noisy = real_counts(ask, codes, entropy=entropy)
        exact = count_codes(ask.workload, codes)
        found.append((noisy - exact) / (ask.workload.l2 * ask.noise_multiplier))
        asked.append(ask.noise_multiplier)
        return noisy

    asked: list[float] = []
    with patch.object(marginal_tree, "gaussian_release", release), patch.object(marginal_tree, "noisy_counts", watched):
        fitted = marginal_tree.MarginalTree().fit(
            persons(least_persons(epsilon, at_1=1_500), seed=1),
            small_study().dictionary,
            epsilon=epsilon,
            delta=1e-6,
            entropy=entropy or SystemEntropy(),
            rng=np.random.default_rng(0),
        )
    claimed = math.fsum(event.count / event.noise_multiplier**2 for event in fitted.claim.gaussian)
    if math.fsum(1 / one**2 for one in asked) > claimed * (1 + 1e-9):
        raise AssertionError("the fit measured more than its claim lists")
    return np.concatenate(found)


def _halved(factor: float) -> ExitStack:
    """Every site's share of the noise of a secure sum, by a factor; 0 leaves it out."""
    stack = ExitStack()
    if factor == 0:
        stack.enter_context(
            patch.object(
                planning,
                "noise",
                lambda *, sigma, entries, entropy, bits: to_ring(np.zeros(entries, dtype=np.int64), bits=bits),
            )
        )
    elif factor != 1:
        real = planning.share_sigma
        stack.enter_context(patch.object(planning, "share_sigma", lambda **given: factor * real(**given)))
    return stack


def opened(plan: SumPlan, vectors: dict[str, Noise], persons_each: int) -> Noise:
    """Return the total of a secure sum: shares of noise, masks, and all."""
    sites = plan.roster
    secrets = {frozenset((a, b)): SystemEntropy().bytes(32) for a in sites for b in sites if a < b}
    masked = {
        site: contribute(
            plan,
            site=site,
            vector=vectors[site],
            persons_here=persons_each,
            pair_secrets={other: secrets[frozenset((site, other))] for other in sites if other != site},
            entropy=SystemEntropy(),
        )
        for site in sites
    }
    return total(plan, masked)


def of_sum(factor: float = 1.0, *, sites: int = 5, tolerated: int = 1, entries: int = 500) -> Noise:
    """Return the noise in the opened total of a secure sum over what those who do not collude promise."""
    multiplier, l2 = 4.2247, 30.0
    plan = SumPlan(
        roster=tuple(f"s{number}" for number in range(sites)),
        entries=entries,
        persons=200 * sites,
        bound=1.0,
        context=b"audit",
        l2=l2,
        noise_multiplier=multiplier,
        tolerated=tolerated,
        coin=b"a public coin of the study",
    )
    vectors = {site: np.full(entries, 0.5) for site in plan.roster}
    with _halved(factor):
        found = opened(plan, vectors, 200) - 0.5 * sites
    return found / (multiplier * l2 * math.sqrt(sites / (sites - tolerated)))


def of_glm(factor: float = 1.0, *, runs: int = 3) -> Noise:
    """Return the noise in every sum of noisy regressions, over the scale of the events that the fit reports."""
    study, tables = study_of(), tables_of()
    benches = {site: Hospital(study, table) for site, table in tables.items()}
    found: list[Noise] = []
    for _ in range(runs):
        road = noisy_glm(study=study, sites=study.sites, epsilon=1.0, delta=1e-6)
        ask, reached = next(road), 0.0
        while True:
            kind, ward = KINDS[ask.computation]
            asked, shape = kind.read(ask.parameters, dict(ask.arrays)), ask.shape
            if shape is None or ask.noise_multiplier is None:
                raise AssertionError("a noisy fit asked for an exact answer")
            answers = {site: ward.answer(asked, bench=bench, split="train") for site, bench in benches.items()}
            plan = SumPlan(
                roster=tuple(sorted(tables)),
                entries=shape.entries,
                persons=sum(table.height for table in tables.values()),
                bound=shape.bound,
                context=f"{ask.what} {len(found)}".encode(),
                l2=shape.l2,
                noise_multiplier=ask.noise_multiplier,
                tolerated=1,
                coin=b"a public coin of the study",
            )
            with _halved(factor):
                noisy = opened(
                    plan,
                    {site: answer.vector for site, answer in answers.items()},
                    max(t.height for t in tables.values()),
                )
            exact = np.sum([answer.vector for answer in answers.values()], axis=0)
            spread = ask.noise_multiplier * shape.l2 * math.sqrt(len(tables) / (len(tables) - 1))
            found.append((noisy - exact) / spread)
            reached += 1 / ask.noise_multiplier**2
            try:
                ask = road.send(Told(total=noisy, noise=spread))
            except StopIteration as done:
                claimed = math.fsum(event.count / event.noise_multiplier**2 for event in done.value.gaussian)
                if reached > claimed * (1 + 1e-9):
                    raise AssertionError("the fit asked more than it reports") from None
                break
    return np.concatenate(found)


SOURCES: dict[str, Callable[..., Noise]] = {
    "marginal-tree generator": of_generator,
    "secure sum": of_sum,
    "noisy regression": of_glm,
}


def canary_advantage(
    *, epsilon: float, fits: int, seed: int, factor: float = 1.0, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the advantage of the strongest attacker on one person, with its interval: (value, low, high).

    The attacker knows everybody else and the person's record, sees every noisy count of the fit, and says "took part"
    where these are likelier with the person than without. True less false positive rate over fits with and without.
    """
    everybody = persons(least_persons(epsilon, at_1=400), seed=seed)
    yes, no = (
        np.mean([_likelihood(everybody, inside=inside, epsilon=epsilon, factor=factor) > 0 for _ in range(fits)])
        for inside in (True, False)
    )
    reach = float(norm.isf((1 - level) / 2)) * math.sqrt((yes * (1 - yes) + no * (1 - no) + 0.5 / fits) / fits)
    return float(yes - no), float(yes - no - reach), float(yes - no + reach)


def _likelihood(everybody: pl.DataFrame, *, inside: bool, epsilon: float, factor: float) -> float:
    """Return the log of how much likelier the noisy counts of a fit are with the first person than without."""
    score = 0.0
    real_release, real_counts = marginal_tree.gaussian_release, marginal_tree.noisy_counts

    def release(values: Noise, *, l2: float, noise_multiplier: float, entropy: Entropy) -> Noise:
        return real_release(values, l2=l2, noise_multiplier=factor * noise_multiplier, entropy=entropy)

    def watched(ask: marginal_tree.Ask, codes: marginal_tree.Codes, *, entropy: Entropy) -> Noise:
        nonlocal score
        noisy = real_counts(ask, codes, entropy=entropy)
        alone = count_codes(ask.workload, marginal_tree.encode(ask.workload.domain, everybody[:1]))
        others = count_codes(ask.workload, codes) - (alone if inside else 0)
        score += float(np.sum((noisy - others - alone / 2) * alone)) / (ask.workload.l2 * ask.noise_multiplier) ** 2
        return noisy

    with patch.object(marginal_tree, "gaussian_release", release), patch.object(marginal_tree, "noisy_counts", watched):
        marginal_tree.MarginalTree().fit(
            everybody if inside else everybody[1:],
            small_study().dictionary,
            epsilon=epsilon,
            delta=1e-6,
            entropy=SystemEntropy(),
            rng=np.random.default_rng(0),
        )
    return score
