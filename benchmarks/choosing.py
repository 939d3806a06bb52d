"""Does what corpora recommend hold on patients? Algorithms compared on the commons, then all run on real rows.

    python benchmarks/choosing.py

Reads the sets of `network_sets.py` from the folder WARDGATE_DATA. Every hospital with enough training rows makes a
corpus with the default private generator (`marginal-tree`); `federation.compare` recommends on the corpora alone;
then every candidate, with the rate that the corpora chose, learns on the real training rows of all hospitals and is
judged on their real holdout rows. Regret is the best real AUROC of any candidate less that of the recommended one.

Limits: hospitals here run over tables in the open (`federation.plain`), which computes what wards compute. Candidates
share the real holdout rows, so the best of them is partly best by chance and regret is biased upwards. Rounds are few.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from harness import Figure, write
from network_sets import Divided, diabetes_skewed, heart, stroke
from scipy.stats import spearmanr

from wardgate.entropy import SystemEntropy
from wardgate.federation.compare import LABELS, Settings, compare
from wardgate.federation.compare_runs import Division, boosted, networked, regression
from wardgate.hospital.ward.generators import MarginalTree
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS
from wardgate.records.comparison import Comparison
from wardgate.records.errors import WardgateError

DELTA = 1e-6
REGRET = 0.005
NETWORK = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """One set of real hospitals.

    Attributes:
        least: Training rows from which a hospital makes a corpus of its own.
        epsilon: Of each corpus.
    """

    name: str
    divided: Callable[[int], Divided]
    seeds: tuple[int, ...]
    least: int
    epsilon: float


SETS = (
    Set(name="Heart, 4 hospitals", divided=heart, seeds=(1, 2, 3), least=25, epsilon=3.0),
    Set(name="IST, 36 countries", divided=stroke, seeds=(1, 2), least=200, epsilon=3.0),
    Set(name="Diabetes-130, 10 sites", divided=diabetes_skewed, seeds=(1,), least=200, epsilon=3.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One seed of one set: AUROC of every candidate on the commons and on real rows."""

    chosen: str
    algorithm: str
    synthetic: dict[str, float]
    real: dict[str, float]

    def regret(self, name: str, among: tuple[str, ...]) -> float:
        return max(self.real[one] for one in among) - self.real[name]

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(name for name in self.real if name in ALGORITHMS)

    def rank_correlation(self) -> float:
        names = sorted(self.real)
        return float(spearmanr([self.synthetic[n] for n in names], [self.real[n] for n in names]).statistic)


def corpora(one: Set, at: Divided, seed: int) -> list[pl.DataFrame]:
    """Return the corpora of the hospitals that are large enough, and whose classes stand out of the noise."""
    found = []
    for site, splits in at.tables.items():
        train = splits["train"]
        if train.height < one.least:
            continue
        rng = np.random.default_rng(seed)
        try:
            fitted = MarginalTree().fit(
                train, at.study.dictionary, epsilon=one.epsilon, delta=DELTA, entropy=SystemEntropy(), rng=rng
            )
        except WardgateError as error:
            print(f"{site} has no corpus: {error}")
            continue
        found.append(fitted.sample(fitted.persons, rng=rng))
    return found


def outcome(one: Set, seed: int, settings: Settings) -> Outcome:
    at = one.divided(seed)
    told = compare(at.study, corpora(one, at, seed), network=NETWORK, entropy=SystemEntropy(), settings=settings)
    return Outcome(
        chosen=told.recommended,
        algorithm=told.algorithm,
        synthetic={each.name: each.auroc for each in told.candidates},
        real=dict(real_figures(at, told, seed, settings)),
    )


def real_figures(at: Divided, told: Comparison, seed: int, settings: Settings) -> Iterator[tuple[str, float]]:
    tables = {site: dict(splits) for site, splits in at.tables.items()}
    real = Division(study=at.study, network=NETWORK, way="real", seed=seed, tables=tables, entropy=SystemEntropy())
    for each in told.candidates:
        if each.name == "logistic":
            learnt = regression(real)
        elif each.name == "boosting":
            learnt = boosted(real)
        else:
            algorithm = ALGORITHMS[each.name]
            algorithm = algorithm if each.rate is None else algorithm.working(rate=each.rate)
            learnt = networked(real, algorithm, rounds=settings.rounds)
        yield each.name, float(real.judged(each.name, each.kind, [learnt]).auroc or np.nan)


def figures(one: Set, found: list[Outcome], seconds: float) -> Iterator[Figure]:
    everything = [tuple(each.real) for each in found]
    regret = [each.regret(each.chosen, names) for each, names in zip(found, everything, strict=True)]
    auto = [each.regret(each.algorithm, each.networks) for each in found]
    plain = [each.regret("fedavg", each.networks) for each in found]
    seeds = len(found)
    chosen = ", ".join(LABELS[each.chosen] for each in found)
    means = {name: round(float(np.mean([each.real[name] for each in found])), 4) for name in found[0].real}
    yield Figure(
        name=f"{one.name}: regret of the recommended way, mean",
        value=round(float(np.mean(regret)), 4),
        unit="AUROC",
        goal=f"<= {REGRET}",
        met=float(np.mean(regret)) <= REGRET,
        seeds=seeds,
        peers={f"real AUROC, {LABELS[name]}": value for name, value in means.items()},
        reason=f"recommended by seed: {chosen}; by seed: {', '.join(f'{value:.4f}' for value in regret)}",
    )
    yield Figure(
        name=f"{one.name}: regret of 'auto' among networks alone, mean",
        value=round(float(np.mean(auto)), 4),
        unit="AUROC",
        goal=f"<= {REGRET}",
        met=float(np.mean(auto)) <= REGRET,
        seeds=seeds,
        peers={"always FedAvg with the tuned rate": round(float(np.mean(plain)), 4)},
        reason=f"taken by seed: {', '.join(LABELS[each.algorithm] for each in found)}",
    )
    yield Figure(
        name=f"{one.name}: rank correlation of candidates, commons against real rows, mean",
        value=round(float(np.mean([each.rank_correlation() for each in found])), 3),
        seeds=seeds,
        reason=f"Spearman over {len(found[0].real)} candidates that often differ by less than chance;"
        f" {seconds:.0f} s of processor time for this set",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--sets", type=int, default=len(SETS), help="only the first so many sets")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    given = parser.parse_args()
    settings = Settings(seeds=1, rounds=given.rounds, bounds=False)
    results: list[Figure] = []
    for one in SETS[: given.sets]:
        begun = time.process_time()
        found = []
        for seed in one.seeds:
            found.append(outcome(one, seed, settings))
            print(one.name, seed, found[-1], flush=True)
        results += figures(one, found, time.process_time() - begun)
        if not given.dry:
            write("choosing", results, "python benchmarks/choosing.py")
    for figure in results:
        print(figure.name, figure.value, figure.reason)


if __name__ == "__main__":
    main()
