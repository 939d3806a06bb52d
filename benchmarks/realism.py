"""Realism: good corpora pass every rule, planted unrealism is caught, real patients pass beside real patients.

    python benchmarks/realism.py

Safe corpora and planted unrealism are simulated (tests/gate). Real data: the International Stroke Trial (ODC-By) and
Diabetes-130 (CC BY 4.0), read as in benchmarks/synth.py from the folder WARDGATE_DATA: 40 % of the persons train, 40 %
are other real patients in the place of a corpus, 20 % are the holdout. The generator's figures are listed without a
goal.
"""

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from harness import Figure, write
from scipy.stats import beta
from synth import Data, diabetes, stroke

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

import gate_corpora as corpora
import realism_corpora as planted

from gate import wide
from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.gate.battery import realism
from wardgate.hospital.ward.gate.battery.tables import checked
from wardgate.hospital.ward.generators import MarginalTree
from wardgate.records.dictionary import Dictionary
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

FIRST_SEED = 60_000  # apart from the seeds on which limits were looked at
PLANTED_SEEDS = 8
SIZES = {(1_000, 360): 24, (2_750, 1_000): 24, (5_500, 2_000): 8, (10_000, 3_600): 4}
"""Training and holdout persons, and how many corpora of each size."""
REAL = ("IST UK", "IST ITAL", "IST all countries")
EARLIER = ("realism.marginal_error", "realism.pairwise_error", "realism.clinical_rules", "realism.tstr_loss")

Parts = list[Measured | Absent]


def measured(plan: Dictionary, train: pl.DataFrame, holdout: pl.DataFrame, candidate: pl.DataFrame, seed: int) -> Parts:
    tables = checked(
        train=train,
        tuning=train[:10],
        holdout=holdout,
        candidate=candidate,
        dictionary=plan,
        policy=GatePolicy(),
        attempt=1,
        rng=np.random.default_rng(seed),
    )
    return list(realism.measures(tables))


def share(name: str, hits: int, of: int, *, goal: float | None, words: str) -> Figure:
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    print(f"{name}: {hits} of {of}. {words}", flush=True)
    return Figure(
        name=name,
        value=round(hits / of, 4),
        unit="share",
        goal="" if goal is None else f">= {goal:g}",
        met=None if goal is None else hits / of >= goal,
        seeds=of,
        reason=f"95 % interval {low:.3f} to {high:.3f}; {words}",
    )


def safe_figures() -> Iterator[Figure]:
    """Every new rule by itself: the worst of them is shown, with the others that refused."""
    plan = corpora.study().dictionary.model_copy(update={"relations": planted.dictionary().relations[:3]})
    for (train, holdout), seeds in SIZES.items():
        for name in ("fresh", "copula"):
            refused: dict[str, int] = dict.fromkeys(set(realism.NAMES) - set(EARLIER), 0)
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                rng = np.random.default_rng(seed)
                site = corpora.hospital(rng, train=train, tuning=10, holdout=holdout)
                found = measured(plan, site.train, site.holdout, corpora.SAFE[name](site.train, rng), seed)
                for rule in planted.refusing(found):
                    refused[rule] = refused.get(rule, 0) + 1
            new = {rule: count for rule, count in refused.items() if rule not in EARLIER}
            told = ", ".join(f"{rule} {count}x" for rule, count in sorted(refused.items()) if count)
            yield share(
                f"{name}, {train:,} training and {holdout:,} holdout persons: the worst new rule passes",
                seeds - max(new.values()),
                seeds,
                goal=0.98,
                words=f"refused by {told}" if told else "nothing refused",
            )


def planted_figures() -> Iterator[Figure]:
    plan = planted.dictionary()
    for name, (corpus, expected) in planted.PLANTED.items():
        caught, all_rules = 0, 0
        for seed in range(PLANTED_SEEDS):
            found = planted.found(corpus, FIRST_SEED + seed, train=2_750, holdout=1_000, plan=plan)
            refusing = planted.refusing(found)
            caught += bool(refusing)
            all_rules += refusing >= expected
        words = f"by {', '.join(sorted(expected))} in {all_rules}"
        yield share(f"caught, 2,750/1,000: {name}", caught, PLANTED_SEEDS, goal=0.9, words=words)


def real_data() -> Iterator[Data]:
    yield from (data for data in stroke() if data.name in REAL)
    yield diabetes()


def real_figures() -> Iterator[Figure]:
    for data in real_data():
        table = data.table.drop("site") if "site" in data.table.columns else data.table
        rng = np.random.default_rng(FIRST_SEED)
        order, count = rng.permutation(table.height), table.height
        first, second = round(0.4 * count), round(0.8 * count)
        train, others, holdout = table[order[:first]], table[order[first:second]], table[order[second:]]
        plan = data.study.dictionary
        start = time.process_time()
        found = measured(plan, train, holdout, others, 0)
        spent = time.process_time() - start
        refusing = planted.refusing(found)
        yield Figure(
            name=f"{data.name}, {first:,} training persons: real patients beside real patients, rules passed",
            value=len(realism.NAMES) - len(refusing),
            goal=str(len(realism.NAMES)),
            met=not refusing,
            seeds=1,
            peers={**_values(found), "CPU-s": round(spent, 1)},
            reason=f"refused by {', '.join(sorted(refusing))}" if refusing else "",
        )
        fitted = MarginalTree().fit(
            train, data.study.dictionary, epsilon=1.0, delta=1e-6, entropy=SystemEntropy(), rng=np.random.default_rng(0)
        )
        made = measured(plan, train, holdout, fitted.sample(first, rng=np.random.default_rng(1)), 0)
        refusing = planted.refusing(made)
        yield Figure(
            name=f"{data.name}: marginal-tree at epsilon 1, rules passed",
            value=len(realism.NAMES) - len(refusing),
            seeds=1,
            peers=_values(made),
            reason=f"refused by {', '.join(sorted(refusing))}" if refusing else "",
        )


def _values(found: Sequence[Measured | Absent]) -> dict[str, str]:
    return {
        part.name: f"{part.value:.3g} ({part.low:.3g} to {part.high:.3g})"
        if isinstance(part, Measured)
        else part.reason
        for part in found
    }


def speed_figures() -> Iterator[Figure]:
    for rows, holdout, goal in ((10_000, 2_000, 4.0), (100_000, 20_000, 25.0), (1_000_000, 20_000, None)):
        rng = np.random.default_rng(0)
        train = min(rows, 100_000)
        plan, (real, _, unseen, candidate) = wide(40, rng, train, 10, holdout)
        if rows > train:
            candidate = pl.concat([candidate] * (rows // train))
        start = time.process_time()
        measured(plan.dictionary, real, unseen, candidate, 0)
        spent = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        yield Figure(
            name=f"all of realism, {rows:,} synthetic rows, {holdout:,} holdout persons, 40 columns",
            value=round(spent, 1),
            unit="CPU-s",
            goal="" if goal is None else f"< {goal:g}",
            met=None if goal is None else spent < goal,
            seeds=1,
            peers={"most memory of the process so far, GiB": round(memory, 2)},
            reason="" if goal is None or spent < goal else "the machine was shared while this ran",
        )


def main() -> None:
    figures = []
    for part in (speed_figures, planted_figures, real_figures, safe_figures):
        for figure in part():
            print(figure.name, figure.value, figure.unit, figure.reason, flush=True)
            figures.append(figure)
    write("realism", figures, "make bench NAME=realism")


if __name__ == "__main__":
    main()
