"""Disclosure measures on corpora whose leak is known: safe ones must pass, leaking ones must be caught.

    python benchmarks/disclosure.py

Eleven columns and an outcome; five of them are outwardly known (age, sex, region, blood pressure, triage), so that
nearly everybody is alone with them. Only the five disclosure rules count here.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

from gate_corpora import SAFE, Generator, copied, fresh, hospital, jittered, planted, replayed, study
from harness import Figure, write

from gate import wide
from wardgate.hospital.ward.gate.battery import disclosure
from wardgate.hospital.ward.gate.battery.sample import Sample
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.space import spaces
from wardgate.measures.disclosure import shown
from wardgate.policy.disclosure import RULES
from wardgate.policy.rule import Case
from wardgate.records.claim import Claim
from wardgate.records.measured import Measured
from wardgate.records.study import Study
from wardgate.records.verdict import Absent, Evidence

Found = list[Measured | Absent]

SAFE_SEEDS, LEAKY_SEEDS = 100, 10
FIRST_SEED = 70_000  # apart from the seeds on which the measures were looked at
LARGE, SMALL = (5_500, 500, 2_000), (2_750, 250, 1_000)
TRAITS = ("age", "sex", "region", "sbp", "triage")


def plan() -> Study:
    """The simulated study with five outwardly known columns."""
    small = study()
    features = tuple(one.model_copy(update={"quasi_identifier": one.name in TRAITS}) for one in small.features)
    return small.model_copy(update={"features": features})


def taken(plan: Study, generator: Generator, seed: int, sizes: tuple[int, int, int]) -> Found:
    """Return the measures of one corpus."""
    rng = np.random.default_rng(seed)
    train, tuning, holdout = sizes
    site = hospital(rng, train=train, tuning=tuning, holdout=holdout)
    tables = checked(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=generator(site.train, rng),
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=rng,
    )
    return list(disclosure.measures(tables, sampled(tables, rng)))


def sampled(tables: Tables, rng: np.random.Generator) -> Sample:
    """Draw members and strangers without the distances that other parts of the battery share."""
    size = min(10_000, tables.train.height, tables.holdout.height) // 50 * 50
    members, others = rng.permutation(tables.train.height)[:size], rng.permutation(tables.holdout.height)[:size]
    return Sample(
        members=members,
        others=others,
        pool=pl.concat((tables.train[members], tables.holdout[others])),
        references=tables.tuning,
        candidate=tables.candidate,
        spaces={},
        note="",
    )


def refused_by(found: Found, plan: Study) -> tuple[str, ...]:
    """Return the disclosure rules that do not pass."""
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=tuple(shown(one) for one in found if isinstance(one, Measured)),
        absent=tuple(one for one in found if isinstance(one, Absent)),
    )
    case = Case(evidence=evidence, policy=plan.gate, accept_test_noise=False, claim_fault="")
    rulings = [(rule.name, rule.judge(case)) for rule in RULES]
    return tuple(name for name, ruling in rulings if ruling is None or ruling.outcome != "pass")


def traits_copied(share: float, *, secret: bool) -> Generator:
    """Traits (and creatinine) of training persons in a share of the rows; all else is another patient's."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        rows = rng.permutation(train.height)[: round(share * train.height)]
        known = [*TRAITS, "creatinine"] if secret else list(TRAITS)
        moved = fresh(train, rng)[: len(rows)].with_columns(train[rows].select(known))
        return planted(fresh(train, rng), moved, rng)

    return generate


def smote(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows between a training person and one of their five nearest neighbours (Chawla et al. 2002)."""
    points = spaces(plan().dictionary.columns, train, train)[0].real
    near = nearest(points, points, 6).index[:, 1:]
    one = rng.integers(train.height, size=train.height)
    other = near[one, rng.integers(5, size=train.height)]
    place = rng.random(train.height)
    first, second = train[one], train[other]
    columns = []
    for name in train.columns:
        if train[name].dtype == pl.Float64 and train[name].n_unique() > 3:
            low, high = first[name].to_numpy(), second[name].to_numpy()
            between = np.where(np.isnan(high), low, low + place * (high - low))
            columns.append(pl.Series(name, between).fill_nan(None))
        else:
            columns.append(first[name].zip_with(pl.Series(place < 0.5), second[name]))
    return pl.DataFrame(columns)


LEAKY: dict[str, tuple[Generator, float]] = {
    "a memorising generator": (replayed, 0.95),
    "30 % copies": (copied(0.3), 0.95),
    "30 % copies, every number moved by 5 % of its spread": (jittered(0.3), 0.95),
    "traits and one laboratory value of 30 % of the patients, all else invented": (
        traits_copied(0.3, secret=True),
        0.95,
    ),
    "traits of all patients, all else invented": (traits_copied(1.0, secret=False), 0.95),
    "SMOTE": (smote, 0.95),
}


def share(name: str, hits: int, of: int, *, met: bool, goal: str, words: str) -> Figure:
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    reason = f"{hits} of {of}; 95 % interval {low:.3f} to {high:.3f}. {words}"
    print(f"{name}: {reason}", flush=True)
    return Figure(name=name, value=round(hits / of, 4), unit="share", goal=goal, met=met, seeds=of, reason=reason)


def counted(refusals: Sequence[tuple[str, ...]]) -> str:
    counts = Counter(rule for rules in refusals for rule in rules)
    return ", ".join(f"{rule} {times}" for rule, times in counts.most_common()) or "No rule refused."


def safe_figure(words: str, sizes: tuple[int, int, int]) -> Figure:
    generators = list(SAFE.values())
    refusals = []
    for seed in range(SAFE_SEEDS):
        found = taken(plan(), generators[seed % len(generators)], FIRST_SEED + seed, sizes)
        refusals.append(refused_by(found, plan()))
    hits = sum(map(bool, refusals))
    name = f"false alarms of the five rules together, safe corpora, {words}"
    return share(name, hits, SAFE_SEEDS, met=hits / SAFE_SEEDS <= 0.01, goal="<= 0.01", words=counted(refusals))


def leaky_figures(words: str, sizes: tuple[int, int, int]) -> list[Figure]:
    figures = []
    for name, (generator, goal) in LEAKY.items():
        refusals = [refused_by(taken(plan(), generator, 10_000 + seed, sizes), plan()) for seed in range(LEAKY_SEEDS)]
        hits = sum(map(bool, refusals))
        met = hits / LEAKY_SEEDS >= goal
        figures.append(
            share(f"caught, {words}: {name}", hits, LEAKY_SEEDS, met=met, goal=f">= {goal:g}", words=counted(refusals))
        )
    return figures


def seconds(name: str, sizes: tuple[int, int, int], goal: float) -> Figure:
    """Time a table of 40 mixed columns without the distances that the whole battery shares."""
    rng = np.random.default_rng(1)
    broad, (train, tuning, holdout, candidate) = wide(40, rng, *sizes)
    tables = checked(
        train=train,
        tuning=tuning,
        holdout=holdout,
        candidate=candidate,
        dictionary=broad.dictionary,
        policy=broad.gate,
        attempt=1,
        rng=rng,
    )
    sample = sampled(tables, rng)
    start = time.process_time()
    list(disclosure.measures(tables, sample))
    spent = time.process_time() - start
    print(f"{name}: {spent:.2f} CPU-s", flush=True)
    words = "the five measures alone; the sample's shared distances are not needed"
    return Figure(
        name=name, value=round(spent, 2), unit="CPU-s", goal=f"<= {goal:g}", met=spent <= goal, seeds=1, reason=words
    )


def main() -> None:
    figures = [
        seconds("disclosure, 10,000 training, 3,600 holdout, 40 columns", (10_000, 1_000, 3_600), 4),
        seconds("disclosure, 100,000 training, 10,000 holdout, 40 columns", (100_000, 1_000, 10_000), 20),
    ]
    for words, sizes in (("2,000/2,000", LARGE), ("1,000/1,000", SMALL)):
        figures.append(safe_figure(words, sizes))
        figures += leaky_figures(words, sizes)
    write("disclosure", figures, "make bench NAME=disclosure")


if __name__ == "__main__":
    main()
