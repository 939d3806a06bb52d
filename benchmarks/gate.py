"""The gate on corpora whose leak is known: safe ones must pass, leaking ones must be caught.

    python benchmarks/gate.py [--safe 200] [--leaky 40] [--large-safe 200] [--large-leaky 20] [--only PART ...]

Two tiers: 2,000 members and 2,000 non-members out of 5,500 training, 500 tuning and 2,000 holdout persons, and
10,000 of each out of 27,500, 2,500 and 10,000; eleven features and a label. Only the privacy rules count here:
independent columns are useless on purpose, and safe all the same.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import beta, rankdata

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

from gate_corpora import (
    SAFE,
    Generator,
    columns_resampled,
    copied,
    hospital,
    jittered,
    jittered_replay,
    one_person,
    one_subgroup,
    outliers_copied,
    parts_replayed,
    permuted_columns,
    replayed,
    shifted,
    smote,
    study,
)
from harness import Figure, write

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.gate.battery import measure
from wardgate.hospital.ward.generators.sequential_cart import SequentialCart
from wardgate.policy import decide
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.feature import Feature
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence

FIRST_SEED = 50_000  # apart from the seeds on which limits were looked at
USE = ("realism.", "timelines.")
SHOWN = ("membership.", "copies.", "control.")
P_VALUES = (
    "membership.battery",
    "copies.near",
    "copies.crowded",
    "copies.exact",
    "copies.reused_values",
    "copies.rare_combinations",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Sizes of one tier, and how many corpora of each kind are judged."""

    words: str
    train: int
    tuning: int
    holdout: int
    safe: int
    leaky: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One corpus after the gate.

    Attributes:
        refusing: Privacy rules that failed; of the attacks also those that could not be evaluated.
        smallest: The smallest p-value of all tests.
    """

    refusing: tuple[str, ...]
    smallest: float


def judged(generator: Generator, seed: int, *, plan: Study, tier: Tier) -> Judged:
    """Make one corpus, measure it and judge it."""
    rng = np.random.default_rng(seed)
    site = hospital(rng, train=tier.train, tuning=tier.tuning, holdout=tier.holdout)
    measured, absent = measure(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=generator(site.train, rng),
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=rng,
    )
    evidence = Evidence(
        kind="corpus",
        persons_train=band(tier.train),
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=measured,
        absent=absent,
    )
    rulings = decide(evidence, plan.gate).rulings
    return Judged(
        refusing=tuple(
            ruling.rule
            for ruling in rulings
            if not ruling.rule.startswith(USE)
            and (ruling.outcome == "fail" or (ruling.outcome != "pass" and ruling.rule.startswith(SHOWN)))
        ),
        smallest=min(float(part.value) for part in measured if part.name in P_VALUES),
    )


def share(name: str, hits: int, of: int, *, goal: float | None, words: str) -> Figure:
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    met = None if goal is None else hits / of >= goal
    interval = f"95 % interval {low:.3f} to {high:.3f}"
    print(f"{name}: {hits} of {of}, {interval}. {words}", flush=True)
    return Figure(
        name=name,
        value=round(hits / of, 4),
        unit="share",
        goal="" if goal is None else f">= {goal:g}",
        met=met,
        seeds=of,
        reason=f"{interval}; {words}",
    )


def common(found: Sequence[Judged]) -> str:
    names = [name for one in found for name in one.refusing]
    counts = sorted(((names.count(name), name) for name in set(names)), reverse=True)
    return "refused by " + ", ".join(f"{name} {count}x" for count, name in counts) if counts else "nothing refused"


def safe_figures(plan: Study, tier: Tier) -> tuple[list[Figure], list[Judged]]:
    """Judge safe corpora of the three safe generators in turn."""
    found: dict[str, list[Judged]] = {name: [] for name in SAFE}
    for seed in range(FIRST_SEED, FIRST_SEED + tier.safe):
        name = list(SAFE)[seed % len(SAFE)]
        found[name].append(judged(SAFE[name], seed, plan=plan, tier=tier))
    every = [one for each in found.values() for one in each]
    title = f"safe corpora pass, {tier.words}"
    words = common(every) + ("" if len(every) >= 200 else f"; {len(every)} corpora instead of 200")
    figures = [share(title, sum(not one.refusing for one in every), len(every), goal=0.85, words=words)]
    for name, each in found.items():
        if each:
            passed = sum(not one.refusing for one in each)
            figures.append(share(f"{title}: {name}", passed, len(each), goal=None, words=common(each)))
    return figures, every


def leaks(plan: Study) -> dict[str, tuple[Generator, float | None]]:
    """Return the planted leaks, with the share that must be caught."""
    return {
        "2 % copied": (copied(0.02), 0.9),
        "2 % copied with noise": (jittered(0.02), 0.9),
        "2 % copied, outliers only, with noise": (outliers_copied(0.02), 0.9),
        "SMOTE": (smote, 0.9),
        "all training rows, a constant added": (shifted, 0.9),
        "columns permuted": (permuted_columns, 0.9),
        "one subgroup copied with noise": (one_subgroup, 0.9),
        "40 noisy copies of one person's record": (one_person(40), 0.9),
        "unique values re-used in independent columns": (columns_resampled, 0.9),
        "a generator that memorises: 30 % of its rows are training rows, numbers moved by 1 %": (
            jittered_replay(0.3),
            0.9,
        ),
        "an over-fitted generator: sequential CART, at least 1 person in a leaf": (cart(1, plan), 0.9),
        "all training rows": (replayed, 0.9),
        "halves of training rows joined, with noise": (parts_replayed, None),
        "1 % copied with noise": (jittered(0.01), None),
        "0.5 % copied": (copied(0.005), None),
        "0.5 % copied with noise": (jittered(0.005), None),
        "0.5 % copied, outliers only, with noise": (outliers_copied(0.005), None),
        "the fate of sequential CART, at least 5 persons in a leaf": (cart(5, plan), None),
    }


def leaky_figures(plan: Study, tier: Tier, safe: Sequence[Judged]) -> list[Figure]:
    """Judge leaking corpora, and tell them from the safe ones by the smallest p-value."""
    figures = []
    for name, (generator, goal) in leaks(plan).items():
        found = [judged(generator, 10_000 + seed, plan=plan, tier=tier) for seed in range(tier.leaky)]
        caught = sum(bool(one.refusing) for one in found)
        figures.append(share(f"caught, {tier.words}: {name}", caught, tier.leaky, goal=goal, words=common(found)))
        if safe:
            figures.append(
                Figure(
                    name=f"AUROC of the smallest p-value, {tier.words}: {name}",
                    value=round(auroc([one.smallest for one in safe], [one.smallest for one in found]), 4),
                    seeds=tier.leaky,
                    reason=f"{len(safe)} safe against {tier.leaky} leaking corpora",
                )
            )
    return figures


def auroc(safe: Sequence[float], leaking: Sequence[float]) -> float:
    """Chance that a leaking corpus has a smaller p-value than a safe one, ties one half."""
    ranks = rankdata([*(-value for value in leaking), *(-value for value in safe)])
    return float((ranks[: len(leaking)].sum() / len(leaking) - (len(leaking) + 1) / 2) / len(safe))


def cart(min_leaf: int, plan: Study) -> Generator:
    """Return sequential CART, a real generator, as a candidate's."""

    def made(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        fitted = SequentialCart(min_leaf=min_leaf).fit(
            train, plan.dictionary, epsilon=1.0, delta=1e-6, entropy=SystemEntropy(), rng=rng
        )
        return fitted.sample(train.height, rng=rng)

    return made


def wide(
    columns: int, rng: np.random.Generator, train: int, tuning: int, holdout: int
) -> tuple[Study, list[pl.DataFrame]]:
    """A study of many columns, half numbers and half categories of ten values, for timing alone."""
    half = columns // 2
    features = [
        Feature(name=f"x{place}", type="number", unit="1", range=(-8.0, 8.0)) for place in range(columns - half)
    ] + [Feature(name=f"c{place}", type="category", values=tuple("abcdefghij")) for place in range(half)]
    plan = study().model_copy(update={"features": tuple(features), "subgroups": (), "rules": ()})

    def table(count: int) -> pl.DataFrame:
        factor = rng.normal(size=count)
        numbers = {f"x{place}": 0.5 * factor + rng.normal(size=count) for place in range(columns - half)}
        texts = {f"c{place}": rng.choice(list("abcdefghij"), size=count) for place in range(half)}
        return pl.DataFrame({**numbers, **texts}).with_columns(
            label=pl.Series(rng.random(count) < 1 / (1 + np.exp(-factor))).cast(pl.Int8)
        )

    return plan, [table(count) for count in (train, tuning, holdout, train)]


def seconds(name: str, plan: Study, tables: Sequence[pl.DataFrame], goal: float) -> list[Figure]:
    """Time the whole battery. Memory is the highest of the process so far, so run large sizes last."""
    train, tuning, holdout, candidate = tables
    start = time.process_time()
    measure(
        train=train,
        tuning=tuning,
        holdout=holdout,
        candidate=candidate,
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=np.random.default_rng(0),
    )
    spent = time.process_time() - start
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name}: {spent:.2f} CPU-s, {gigabytes:.2f} GiB", flush=True)
    words = "whole battery, rehearsal and realism included"
    return [
        Figure(
            name=name,
            value=round(spent, 2),
            unit="CPU-s",
            goal=f"<= {goal:g}",
            met=spent <= goal,
            seeds=1,
            reason=words,
        ),
        Figure(
            name=f"{name}: memory",
            value=round(gigabytes, 2),
            unit="GiB",
            goal="< 4",
            met=gigabytes < 4,
            seeds=1,
            reason="highest of the whole process",
        ),
    ]


def tier_figures(plan: Study, tier: Tier) -> list[Figure]:
    figures, safe = safe_figures(plan, tier) if tier.safe else ([], [])
    return figures + (leaky_figures(plan, tier, safe) if tier.leaky else [])


def timings() -> list[Figure]:
    rng = np.random.default_rng(1)
    plan, tables = wide(20, rng, 3_500, 300, 1_200)
    figures = seconds("whole battery, 3,500 training, 1,200 holdout, 20 columns", plan, tables, 4)
    plan, tables = wide(40, rng, 10_000, 1_000, 3_600)
    figures += seconds("whole battery, 10,000 training, 3,600 holdout, 40 columns", plan, tables, 15)
    plan, tables = wide(40, rng, 55_000, 5_000, 20_000)
    return figures + seconds("whole battery, 55,000 training, 20,000 holdout, 40 columns", plan, tables, 360)


def million() -> list[Figure]:
    plan, (train, tuning, holdout, few) = wide(12, np.random.default_rng(2), 10_000, 1_000, 3_600)
    rng = np.random.default_rng(3)
    many = few[rng.integers(few.height, size=1_000_000)]
    tables = (train, tuning, holdout, many)
    return seconds("whole battery, 10,000 training persons, 1,000,000 synthetic rows, 12 columns", plan, tables, 360)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("safe", 200), ("leaky", 40), ("large-safe", 200), ("large-leaky", 20)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parts = ("middle", "low", "large", "seconds", "million")
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    asked = parser.parse_args()
    plan = study()
    middle = Tier(words="2,000/2,000", train=5_500, tuning=500, holdout=2_000, safe=asked.safe, leaky=asked.leaky)
    low = Tier(words="1,200/1,200", train=3_500, tuning=300, holdout=1_200, safe=asked.safe, leaky=0)
    large = Tier(
        words="10,000/10,000",
        train=27_500,
        tuning=2_500,
        holdout=10_000,
        safe=asked.large_safe,
        leaky=asked.large_leaky,
    )
    made: dict[str, Callable[[], list[Figure]]] = {
        "middle": lambda: tier_figures(plan, middle),
        "low": lambda: tier_figures(plan, low),
        "large": lambda: tier_figures(plan, large),
        "seconds": timings,
        "million": million,
    }
    given = " ".join(sys.argv[1:])
    figures: list[Figure] = []
    for part in parts:
        if part in asked.only:
            figures += made[part]()
            write("gate", figures, f"python benchmarks/gate.py {given}".strip() if given else "make bench NAME=gate")


if __name__ == "__main__":
    main()
