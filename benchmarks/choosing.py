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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from harness import Figure, write
from network_sets import Divided, diabetes_skewed, heart, stroke
from scipy.stats import spearmanr

from wardgate.entropy import SystemEntropy
from wardgate.federation.compare import LABELS, Settings, compare, paced
from wardgate.federation.compare_runs import Division, boosted, networked, regression
from wardgate.hospital.ward.generators import MarginalTree
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS
from wardgate.marginals.domain import domain_of
from wardgate.marginals.sampling import sample
from wardgate.marginals.tree.growth import grow
from wardgate.marginals.tree.plan import plan
from wardgate.marginals.workload import count
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import labels
from wardgate.privacy.noise import discrete_gaussian
from wardgate.records.comparison import Candidate
from wardgate.records.errors import WardgateError

DELTA = 1e-6
REGRET = 0.005
NETWORK = "plain"
BOOTSTRAPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """One set of real hospitals.

    Attributes:
        least: Training rows from which a hospital makes a corpus of its own; None: all make one joint corpus.
        epsilon: Of each corpus.
        note: What limits the figures of this set, in words.
    """

    name: str
    divided: Callable[[int], Divided]
    seeds: tuple[int, ...]
    least: int | None
    epsilon: float
    note: str = ""


SKEWED = (
    "; sites of nearly one class at alpha 0.1: corpora of such sites hold mostly noise about the rare class, and their"
    " union can tell classes by site (a likely cause, not examined)"
)

SETS = (
    Set(name="Heart, 4 hospitals", divided=heart, seeds=(1, 2, 3), least=None, epsilon=3.0),
    Set(name="IST, 12 sites by country", divided=stroke, seeds=(1,), least=200, epsilon=3.0),
    Set(name="Diabetes-130, 10 sites", divided=diabetes_skewed, seeds=(1,), least=200, epsilon=3.0, note=SKEWED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One seed of one set.

    Attributes:
        chosen, algorithm: Recommended among all, and among networks.
        synthetic: AUROC of every candidate on the commons.
        scores: Log-odds of the real holdout rows by candidate.
        y: Their labels.
    """

    chosen: str
    algorithm: str
    synthetic: dict[str, float]
    scores: dict[str, np.ndarray]
    y: np.ndarray

    @property
    def real(self) -> dict[str, float]:
        """AUROC of every candidate on real holdout rows."""
        return {name: auroc(self.y, score).value for name, score in self.scores.items()}

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(name for name in self.scores if name in ALGORITHMS)

    def regret(self, name: str, among: Iterable[str]) -> float:
        real = self.real
        return max(real[one] for one in among) - real[name]

    def error(self, name: str, among: Iterable[str]) -> float:
        """Return the standard error of the difference to the best, over persons (bootstrap)."""
        best = max(among, key=self.real.__getitem__)
        rng = np.random.default_rng(0)
        gaps = []
        for _ in range(BOOTSTRAPS):
            drawn = rng.integers(len(self.y), size=len(self.y))
            pair = [auroc(self.y[drawn], self.scores[one][drawn]).value for one in (best, name)]
            gaps.append(pair[0] - pair[1])
        return float(np.std(gaps))

    def rank_correlation(self) -> float:
        real = self.real
        names = sorted(real)
        return float(spearmanr([self.synthetic[n] for n in names], [real[n] for n in names]).statistic)


def corpora(one: Set, at: Divided, seed: int) -> list[pl.DataFrame]:
    """Return the corpora of the hospitals that are large enough, and whose classes stand out of the noise."""
    if one.least is None:
        return [joint(at, one.epsilon, seed)]
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


def joint(at: Divided, epsilon: float, seed: int) -> pl.DataFrame:
    """Return the corpus of all hospitals together: sums of marginals, one noise added to each sum."""
    trains = [splits["train"] for splits in at.tables.values()]
    domain = domain_of(at.study.features)
    road = grow(domain, plan(domain, epsilon=epsilon, delta=DELTA, structure="summed"), rules=at.study.rules)
    ask = next(road)
    while True:
        total = sum(count(ask.workload, train) for train in trains)
        noise = discrete_gaussian(sigma=ask.sigma, size=ask.workload.size, entropy=SystemEntropy())
        try:
            ask = road.send(total + noise)
        except StopIteration as end:
            rows = sum(train.height for train in trains)
            return sample(end.value, rows, rng=np.random.default_rng(seed))


def outcome(one: Set, seed: int, settings: Settings) -> Outcome:
    at = one.divided(seed)
    told = compare(at.study, corpora(one, at, seed), network=NETWORK, entropy=SystemEntropy(), settings=settings)
    tables = {site: dict(splits) for site, splits in at.tables.items()}
    real = Division(study=at.study, network=NETWORK, way="real", seed=seed, tables=tables, entropy=SystemEntropy())
    return Outcome(
        chosen=told.recommended,
        algorithm=told.algorithm,
        synthetic={each.name: each.auroc for each in told.candidates},
        scores={each.name: learnt(real, each, settings.rounds) for each in told.candidates},
        y=labels(real.held_out),
    )


def learnt(real: Division, each: Candidate, rounds: int) -> np.ndarray:
    if each.name == "logistic":
        return regression(real).held_out
    if each.name == "boosting":
        return boosted(real).held_out
    algorithm = ALGORITHMS[each.name]
    return networked(real, paced(algorithm, each), rounds=rounds).held_out


def figures(one: Set, found: list[Outcome], seconds: float) -> Iterator[Figure]:
    regret = [each.regret(each.chosen, each.scores) for each in found]
    errors = [each.error(each.chosen, each.scores) for each in found]
    auto = [each.regret(each.algorithm, each.networks) for each in found]
    doubts = [each.error(each.algorithm, each.networks) for each in found]
    plain = [each.regret("fedavg", each.networks) for each in found]
    seeds = len(found)
    taken = ", ".join(LABELS[each.algorithm] for each in found)
    chosen = ", ".join(LABELS[each.chosen] for each in found)
    means = {name: round(float(np.mean([each.real[name] for each in found])), 4) for name in found[0].scores}
    yield Figure(
        name=f"{one.name}: regret of the recommended way, mean",
        value=round(float(np.mean(regret)), 4),
        unit="AUROC",
        goal=f"<= {REGRET}",
        met=float(np.mean(regret)) <= REGRET,
        seeds=seeds,
        peers={f"real AUROC, {LABELS[name]}": value for name, value in means.items()},
        reason=f"recommended by seed: {chosen}; {_listed(regret, errors)}{one.note}",
    )
    yield Figure(
        name=f"{one.name}: regret of 'auto' among networks alone, mean",
        value=round(float(np.mean(auto)), 4),
        unit="AUROC",
        goal=f"<= {REGRET}",
        met=float(np.mean(auto)) <= REGRET,
        seeds=seeds,
        peers={"always FedAvg with the tuned rate": round(float(np.mean(plain)), 4)},
        reason=f"taken by seed: {taken}; {_listed(auto, doubts)}{one.note}",
    )
    yield Figure(
        name=f"{one.name}: rank correlation of candidates, commons against real rows, mean",
        value=round(float(np.mean([each.rank_correlation() for each in found])), 3),
        seeds=seeds,
        reason=f"Spearman over {len(found[0].scores)} candidates that often differ by less than chance;"
        f" {seconds:.0f} s of processor time for this set",
    )


def _listed(values: list[float], errors: list[float]) -> str:
    pairs = zip(values, errors, strict=True)
    return f"regret by seed with its standard error over persons: {', '.join(f'{v:.4f} ({e:.4f})' for v, e in pairs)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
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
            print(one.name, seed, found[-1].chosen, found[-1].algorithm, found[-1].real, flush=True)
        results += figures(one, found, time.process_time() - begun)
        if not given.dry:
            write("choosing", results, "python benchmarks/choosing.py")
    for figure in results:
        print(figure.name, figure.value, figure.reason)


if __name__ == "__main__":
    main()
