"""Timelines and clinical rules on simulated and real patients: who passes, what is caught, how fast.

    python benchmarks/timelines.py

Simulated timelines with known faults (tests/gate/timeline_corpora.py); PhysioNet 2012 (ODC-By) and the eICU demo as
harmonised by YAIB (ODbL), half of the real patients against the other half, whole and damaged.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

from harness import Figure, write
from timeline_corpora import BROKEN, DICTIONARY, SAFE, timelines, timelines_copied
from timeline_sets import DAMAGE, eicu, halves, physionet

from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.hospital.ward.gate.battery.timelines import measures
from wardgate.measures.attacks.copies import near_copies
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.persons import constants, per_person, typed
from wardgate.measures.attacks.space import spaces
from wardgate.measures.realism.rules import clinical_rules, obedience
from wardgate.policy import timelines as policy
from wardgate.policy.decision import decide
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
FIRST_SEED = 70_000  # apart from the seeds on which limits were looked at


def refused_by(real: pl.DataFrame, candidate: pl.DataFrame, plan: Dictionary, rng: np.random.Generator) -> list[str]:
    """Return the rules that did not pass."""
    parts = list(measures(real=real, candidate=candidate, dictionary=plan, suite=starter(), level=0.9, rng=rng))
    evidence = Evidence(
        kind="corpus",
        persons_train="1000-1999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=tuple(part for part in parts if isinstance(part, Measured)),
        absent=tuple(part for part in parts if isinstance(part, Absent)),
    )
    verdict = decide(evidence, GatePolicy(), rules=policy.RULES)
    return [ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass"]


def share(name: str, hits: int, of: int, *, goal: float | None, words: str = "") -> Figure:
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    reason = f"95 % interval {low:.3f} to {high:.3f}" + (f"; {words}" if words else "")
    print(f"{name}: {hits} of {of}; {reason}", flush=True)
    return Figure(
        name=name,
        value=round(hits / of, 4),
        unit="share",
        goal="" if goal is None else f">= {goal:g}",
        met=None if goal is None else hits / of >= goal,
        seeds=of,
        reason=reason,
    )


def simulated(seeds: int, *, holdout: int, train: int, goal: float | None) -> list[Figure]:
    refused, figures = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        rng = np.random.default_rng(seed)
        generator = list(SAFE.values())[seed % len(SAFE)]
        refused.append(refused_by(timelines(holdout, rng), generator(timelines(train, rng), rng), DICTIONARY, rng))
    words = ", ".join(sorted({rule for rules in refused for rule in rules})) or "nothing refused"
    name = f"simulated: other patients pass, {holdout} real and {train} synthetic persons"
    figures.append(share(name, sum(not rules for rules in refused), seeds, goal=goal, words=words))
    return figures


def simulated_faults(seeds: int, *, holdout: int, train: int) -> list[Figure]:
    figures = []
    for name, (generator, rule) in BROKEN.items():
        caught = 0
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            rng = np.random.default_rng(seed)
            candidate = generator(timelines(train, rng), rng)
            caught += rule in refused_by(timelines(holdout, rng), candidate, DICTIONARY, rng)
        figures.append(share(f"simulated: {name}: caught by {rule}", caught, seeds, goal=0.9))
    return figures


def real(name: str, load: Callable[[Path], tuple[pl.DataFrame, Dictionary]], splits: int, damaged: int) -> list[Figure]:
    table, plan = load(DATA)
    refused, caught = [], dict.fromkeys(DAMAGE, 0)
    for seed in range(splits):
        rng = np.random.default_rng(FIRST_SEED + seed)
        one, other = halves(table, plan, rng)
        refused.append(refused_by(one, other, plan, rng))
        if seed < damaged:
            for damage, spoil in DAMAGE.items():
                caught[damage] += bool(refused_by(one, spoil(other, plan, rng), plan, rng))
    words = ", ".join(sorted({rule for rules in refused for rule in rules})) or "nothing refused"
    passed = sum(not rules for rules in refused)
    figures = [share(f"{name}: half of the patients passes against the other", passed, splits, goal=0.99, words=words)]
    return figures + [share(f"{name}: {damage}: caught", caught[damage], damaged, goal=0.9) for damage in DAMAGE]


def near_p(train: pl.DataFrame, holdout: pl.DataFrame, corpus: pl.DataFrame, plan: Dictionary) -> float:
    """Return the p-value of the near-copy veto, Bonferroni over the two spaces."""
    found = []
    for space in spaces(plan.columns, pl.concat((train, holdout)), corpus):
        members, others = space.real[: train.height], space.real[train.height :]
        to, away = nearest(space.synthetic, members, 1), nearest(space.synthetic, others, 1)
        found.append(
            near_copies(
                to.distance[:, 0],
                to.index[:, 0],
                away.distance[:, 0],
                away.index[:, 0],
                persons=(len(members), len(others)),
            )
        )
    return min(1.0, 2 * min(found))


def copies(seeds: int, *, persons: int, noise: float) -> list[Figure]:
    """2 % of the patients copied with noise: the veto on persons, and on as many rows of as many persons."""
    hits = {"persons": 0, "rows": 0, "safe": 0}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        rng = np.random.default_rng(seed)
        train, holdout = timelines(persons, rng), timelines(persons, rng)
        corpora = {"copied": timelines_copied(0.02, noise=noise)(train, rng), "safe": timelines(persons, rng)}
        still = constants(train, DICTIONARY)
        forms = {
            name: per_person(typed(table, DICTIONARY, name), DICTIONARY, constant=still)
            for name, table in {"train": train, "holdout": holdout, **corpora}.items()
        }
        plan = forms["train"][1]
        for kind, key in (("copied", "persons"), ("safe", "safe")):
            hits[key] += near_p(forms["train"][0], forms["holdout"][0], forms[kind][0], plan) < 0.01
        rows = [
            typed(table, DICTIONARY, "rows").sample(4 * persons, seed=seed)
            for table in (train, holdout, corpora["copied"])
        ]
        hits["rows"] += near_p(rows[0], rows[1], rows[2], DICTIONARY) < 0.01
    words = f"noise {noise:g} of each column's spread, {persons} patients"
    name = "simulated: near-copy veto on persons"
    return [
        share(f"{name} catches 2 % copied timelines", hits["persons"], seeds, goal=0.9, words=words),
        share(
            "simulated: near-copy veto on rows catches them (for comparison)",
            hits["rows"],
            seeds,
            goal=None,
            words=words,
        ),
        share(f"{name} lets safe timelines pass", seeds - hits["safe"], seeds, goal=0.95, words=words),
    ]


def speed(rows: int) -> list[Figure]:
    rng = np.random.default_rng(0)
    table, plan = physionet(DATA)
    persons = table["RecordID"].n_unique()
    times = -(-2 * rows // table.height)
    many = pl.concat(table.with_columns(pl.col("RecordID") + 10**6 * copy) for copy in range(times))
    kept = round(2 * rows / many.height * persons * times)
    many = many.filter(pl.col("RecordID").is_in(many["RecordID"].unique(maintain_order=True)[:kept].to_list()))
    one, other = halves(many, plan, rng)
    starter()
    start = time.process_time()
    list(measures(real=one, candidate=other, dictionary=plan, suite=starter(), level=0.9, rng=rng))
    measured = time.process_time() - start
    start = time.process_time()
    still = constants(one, plan)
    for part in (one, other):
        per_person(typed(part, plan, "part"), plan, constant=still)
    shaped = time.process_time() - start
    start = time.process_time()
    clinical_rules((), plan.features, other, level=0.9, suite=starter(), real=one, person=plan.person)
    ruled = time.process_time() - start
    figures = []
    for name, seconds in (("measures", measured), ("one row a person", shaped), ("clinical rules", ruled)):
        text = f"{name}: {rows:,} real and as many synthetic rows, {len(plan.features)} columns"
        print(text, round(seconds, 2), flush=True)
        goal = 10 if rows <= 100_000 else None
        figures.append(
            Figure(
                name=f"time of {text}",
                value=round(seconds, 2),
                unit="CPU-s",
                goal="" if goal is None else f"<= {goal}",
                met=None if goal is None else seconds <= goal,
                reason="the goal is for 100,000 rows" if goal is None else "",
            )
        )
    return figures


def rules_on_real() -> list[Figure]:
    table, plan = physionet(DATA)
    rng = np.random.default_rng(FIRST_SEED)
    one, other = halves(table, plan, rng)

    def obeying(corpus: pl.DataFrame) -> Measured:
        return clinical_rules((), plan.features, corpus, level=0.9, suite=starter(), real=one, person=plan.person)

    swapped = pl.Series(rng.random(other.height) < 0.05)
    wrong = {
        "systolic and diastolic exchanged in 1 row of 20": other.with_columns(
            SysABP=pl.when(swapped).then("DiasABP").otherwise("SysABP"),
            DiasABP=pl.when(swapped).then("SysABP").otherwise("DiasABP"),
        ),
        "creatinine in micromoles as if milligrams": other.with_columns(Creatinine=pl.col("Creatinine") * 88.4),
        "columns drawn by themselves": DAMAGE["columns shuffled among rows"](other, plan, rng),
    }
    spoken = obedience((), plan.features, other, suite=starter(), real=one, person=plan.person)
    clean = obeying(other)
    figures = [
        Figure(
            name="PhysioNet 2012: rules of the starter set that speak of it",
            value=len(spoken.rules),
            unit="rules",
            reason=f"of {len(starter().rules)}; in doubt there: {sum(rule.suspicious for rule in spoken.rules)}",
        ),
        Figure(
            name="PhysioNet 2012: real patients who obey, lower bound",
            value=round(clean.low, 4),
            goal=">= 0.99",
            met=clean.low >= 0.99,
            reason=clean.note,
        ),
    ]
    for name, corpus in wrong.items():
        found = obeying(corpus)
        met = found.low < 0.99
        figures.append(
            Figure(
                name=f"PhysioNet 2012, {name}: patients who obey, lower bound",
                value=round(found.low, 4),
                goal="< 0.99",
                met=met,
                reason=found.note,
            )
        )
        print(name, found.low, found.note, flush=True)
    return figures


def main() -> None:
    figures = [
        *speed(100_000),
        *rules_on_real(),
        *real("eICU demo", eicu, 30, 4),
        *simulated(120, holdout=1000, train=1500, goal=0.99),
        *simulated_faults(5, holdout=500, train=1000),
        *copies(24, persons=1500, noise=0.1),
        *simulated(40, holdout=300, train=1200, goal=None),
        *real("PhysioNet 2012", physionet, 8, 2),
        *speed(1_000_000),
    ]
    write("timelines", figures, "python benchmarks/timelines.py")


if __name__ == "__main__":
    main()
