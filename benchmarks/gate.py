"""The gate on corpora whose leak is known: safe ones must pass, leaking ones must be caught.

    python benchmarks/gate.py

2,000 members and 2,000 non-members out of 5,500 training, 500 tuning and 2,000 holdout persons, eleven features
and a label. Only the privacy rules count here: independent columns are useless on purpose, and safe all the same.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

from gate_corpora import (
    SAFE,
    Generator,
    columns_resampled,
    copied,
    hospital,
    jittered,
    outliers_copied,
    replayed,
    shifted,
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
from wardgate.records.verdict import Evidence, Verdict

SAFE_SEEDS = 200
LEAKY_SEEDS = 40
FIRST_SEED = 50_000  # apart from the seeds on which limits were looked at
TRAIN, TUNING, HOLDOUT = 5_500, 500, 2_000


def judged(generator: Generator, seed: int, *, plan: Study, sizes: tuple[int, int, int]) -> tuple[Verdict, float]:
    """Return the verdict on one corpus and the CPU seconds of measuring and judging it."""
    rng = np.random.default_rng(seed)
    train, tuning, holdout = sizes
    site = hospital(rng, train=train, tuning=tuning, holdout=holdout)
    candidate = generator(site.train, rng)
    start = time.process_time()
    measured, absent = measure(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=rng,
    )
    evidence = Evidence(
        kind="corpus",
        persons_train=band(train),
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=measured,
        absent=absent,
    )
    return decide(evidence, plan.gate), time.process_time() - start


def refused_by(verdict: Verdict) -> tuple[str, ...]:
    """Return the privacy rules that did not pass."""
    return tuple(
        ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass" and not ruling.rule.startswith("realism.")
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


def common(refusals: Sequence[tuple[str, ...]]) -> str:
    names = [name for rules in refusals for name in rules]
    counts = sorted(((names.count(name), name) for name in set(names)), reverse=True)
    return "refused by " + ", ".join(f"{name} {count}x" for count, name in counts) if counts else "nothing refused"


def safe_figures(plan: Study, sizes: tuple[int, int, int], words: str, seeds: int) -> list[Figure]:
    refusals: dict[str, list[tuple[str, ...]]] = {name: [] for name in SAFE}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        name = list(SAFE)[seed % len(SAFE)]
        verdict, _ = judged(SAFE[name], seed, plan=plan, sizes=sizes)
        refusals[name].append(refused_by(verdict))
    every = [rules for found in refusals.values() for rules in found]
    figures = [
        share(
            f"safe corpora pass, {words}", sum(not rules for rules in every), len(every), goal=0.85, words=common(every)
        )
    ]
    for name, found in refusals.items():
        passed = sum(not rules for rules in found)
        figures.append(share(f"safe corpora pass, {words}: {name}", passed, len(found), goal=None, words=common(found)))
    return figures


LEAKY: dict[str, tuple[Generator, int, float | None]] = {
    "2 % copied": (copied(0.02), LEAKY_SEEDS, 0.9),
    "2 % copied with noise": (jittered(0.02), LEAKY_SEEDS, 0.9),
    "2 % copied, outliers only, with noise": (outliers_copied(0.02), LEAKY_SEEDS, 0.9),
    "0.5 % copied": (copied(0.005), 20, None),
    "0.5 % copied with noise": (jittered(0.005), 20, None),
    "all training rows": (replayed, 5, 1.0),
    "all training rows, a constant added": (shifted, 5, 1.0),
    "independent columns that re-use values": (columns_resampled, 5, 1.0),
}


def leaky_figures(plan: Study, sizes: tuple[int, int, int], words: str) -> list[Figure]:
    figures = []
    for name, (generator, seeds, goal) in LEAKY.items():
        refusals = [refused_by(judged(generator, 10_000 + seed, plan=plan, sizes=sizes)[0]) for seed in range(seeds)]
        caught = sum(bool(rules) for rules in refusals)
        figures.append(share(f"caught, {words}: {name}", caught, seeds, goal=goal, words=common(refusals)))
    return figures


def cart(min_leaf: int, plan: Study) -> Generator:
    """Return sequential CART as a candidate's generator."""

    def made(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        fitted = SequentialCart(min_leaf=min_leaf).fit(
            train, plan, epsilon=1.0, delta=1e-6, entropy=SystemEntropy(), rng=rng
        )
        return fitted.sample(train.height, rng=rng)

    return made


def cart_figures(plan: Study, sizes: tuple[int, int, int], words: str) -> list[Figure]:
    figures = []
    for min_leaf in (1, 5):
        refusals = [
            refused_by(judged(cart(min_leaf, plan), 20_000 + seed, plan=plan, sizes=sizes)[0]) for seed in range(20)
        ]
        name = (
            f"the fate of sequential CART, at least {min_leaf} person{'s' if min_leaf > 1 else ''} in a leaf, {words}"
        )
        figures.append(share(f"{name}: refused", sum(map(bool, refusals)), 20, goal=None, words=common(refusals)))
    return figures


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


def seconds(name: str, plan: Study, tables: Sequence[pl.DataFrame], goal: float) -> Figure:
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
    print(f"{name}: {spent:.2f} CPU-s", flush=True)
    return Figure(
        name=name,
        value=round(spent, 2),
        unit="CPU-s",
        goal=f"<= {goal:g}",
        met=spent <= goal,
        seeds=1,
        reason="whole battery, rehearsal and realism included",
    )


def main() -> None:
    plan, sizes = study(), (TRAIN, TUNING, HOLDOUT)
    figures = safe_figures(plan, sizes, "2,000/2,000", SAFE_SEEDS)
    figures += safe_figures(plan, (3_500, 300, 1_200), "1,200/1,200", 99)
    figures += leaky_figures(plan, sizes, "2,000/2,000")
    figures += cart_figures(plan, sizes, "2,000/2,000")
    rng = np.random.default_rng(1)
    small, small_tables = wide(20, rng, 3_500, 300, 1_200)
    figures.append(seconds("whole battery, 3,500 training, 1,200 holdout, 20 columns", small, small_tables, 4))
    large, large_tables = wide(40, rng, 10_000, 1_000, 3_600)
    figures.append(seconds("whole battery, 10,000 training, 3,600 holdout, 40 columns", large, large_tables, 15))
    write("gate", figures, "make bench NAME=gate")


if __name__ == "__main__":
    main()
