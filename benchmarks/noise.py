"""Is the noise what the claims say, and does it hold what epsilon promises?

    python benchmarks/noise.py

The noise of generator, secure sum and regression is taken from real runs with the system's generator and its scale
tested by chi-square, beside twins with half of it and with none. Then attacks: on whole corpora by the gate's own
attacks, and on one person by somebody who knows everybody else and sees every noisy count.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "privacy"))

from gate_corpora import hospital, study
from harness import Figure, write
from noise_audit import ERROR, SOURCES, accepted, canary_advantage, least_persons, missed
from scipy.stats import norm

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.gate.battery.sample import draw
from wardgate.hospital.ward.gate.battery.tables import checked
from wardgate.hospital.ward.generators.marginal_tree import MarginalTree
from wardgate.measures.attacks.membership import attacks, together
from wardgate.records.gate_policy import GatePolicy

RUNS = 10
CORPORA = 6
PERSONS = 2_000
FITS = {0.1: 2_500, 1.0: 300, 3.0: 300}
VACUOUS = "the bound is near-vacuous from epsilon 1 on: staying below it says next to nothing"


def scale() -> Iterator[Figure]:
    """Honest noise and its twins, each source several times."""
    for name, source in SOURCES.items():
        honest = [source() for _ in range(RUNS)]
        every = np.concatenate(honest)
        spread = float(np.std(every))
        passed = sum(accepted(noise) for noise in honest)
        yield Figure(
            name=f"{name}: noise over the scale of its claim, {len(every)} entries",
            value=round(spread, 4),
            goal=f"passes the chi-square test in {RUNS} of {RUNS} runs (an honest run fails with {ERROR:g})",
            met=passed == RUNS and accepted(every),
            seeds=RUNS,
            reason="" if passed == RUNS and accepted(every) else f"{passed} of {RUNS} runs passed",
        )
        for factor, words in ((0.5, "half the noise"), (0.0, "no noise")):
            twins = [source(factor) for _ in range(RUNS)]
            caught = sum(not accepted(noise) for noise in twins)
            worst = max(missed(len(noise), factor) for noise in twins)
            met = caught == RUNS and worst <= ERROR
            yield Figure(
                name=f"{name}: twins with {words} caught",
                value=caught / RUNS,
                goal=f"1, and missed with at most {ERROR:g} (worked out: {worst:.2g})",
                met=met,
                seeds=RUNS,
                reason="" if met else "too few entries, or a twin passed",
            )


def corpora(epsilon: float) -> Figure:
    """Advantage of the gate's attacks, all together, on whole corpora."""
    right = []
    for seed in range(CORPORA):
        rng = np.random.default_rng([seed, int(10 * epsilon)])
        site = hospital(rng, train=least_persons(epsilon, at_1=PERSONS + 1_000), tuning=200, holdout=PERSONS)
        fitted = MarginalTree().fit(
            site.train, study().dictionary, epsilon=epsilon, delta=1e-6, entropy=SystemEntropy(), rng=rng
        )
        tables = checked(
            train=site.train,
            tuning=site.tuning,
            holdout=site.holdout,
            candidate=fitted.sample(PERSONS + 1_000, rng=rng),
            dictionary=study().dictionary,
            policy=GatePolicy(),
            attempt=1,
            rng=rng,
        )
        sample = draw(tables)
        if sample is None:
            raise RuntimeError("too few persons to attack")
        score = together(
            attacks(
                {name: space.pool_to_synthetic.distance for name, space in sample.spaces.items()},
                {name: space.pool_to_reference.distance for name, space in sample.spaces.items()},
            )
        )
        said = score > np.median(score)
        right.append((float(said[sample.member].mean()), float(said[~sample.member].mean()), sample.size))
    n = sum(size for _, _, size in right)
    yes, no = (float(np.mean([one[side] for one in right])) for side in (0, 1))
    reach = float(norm.ppf(0.95)) * math.sqrt((yes * (1 - yes) + no * (1 - no)) / n)
    return _advantage(
        f"whole corpora at epsilon {epsilon:g}: advantage of all attacks together, {n} members",
        epsilon,
        (yes - no, yes - no - reach, yes - no + reach),
        seeds=CORPORA,
    )


def canary(epsilon: float) -> Figure:
    """Advantage on one person, everybody else known."""
    found = canary_advantage(epsilon=epsilon, fits=FITS[epsilon], seed=1, level=0.90)
    return _advantage(
        f"one person at epsilon {epsilon:g}: advantage of who knows everybody else and sees every noisy count",
        epsilon,
        found,
        seeds=2 * FITS[epsilon],
    )


def _advantage(name: str, epsilon: float, found: tuple[float, float, float], *, seeds: int) -> Figure:
    bound = math.tanh(epsilon / 2)
    value, low, high = found
    met = high <= bound + 1e-6
    return Figure(
        name=f"{name} (one-sided 95 % bounds {low:.3f} and {high:.3f})",
        value=round(value, 4),
        goal=f"upper end <= {bound:.3f}, the bound of its epsilon",
        met=met,
        seeds=seeds,
        reason=VACUOUS if met and epsilon >= 1 else "" if met else "the interval reaches beyond the bound",
    )


def main() -> None:
    """Measure and write."""
    figures = [*scale()]
    print("\n".join(f"{figure.name}: {figure.value} ({figure.goal}: {figure.met})" for figure in figures), flush=True)
    for epsilon in FITS:
        figures += [corpora(epsilon), canary(epsilon)]
        print(
            "\n".join(f"{figure.name}: {figure.value} ({figure.goal}: {figure.met})" for figure in figures[-2:]),
            flush=True,
        )
    write("noise", figures, "python benchmarks/noise.py")


if __name__ == "__main__":
    main()
