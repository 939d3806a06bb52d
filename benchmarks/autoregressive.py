"""The autoregressive generator: use, detection, closeness, seconds, and how often the gate lets its corpora out.

    python benchmarks/autoregressive.py [--sets NAME ...] [--seeds 5] [--large-seeds 2]

Each seed splits a set anew into training, tuning and holdout persons. The generator stops by the tuning persons; the
gate's whole battery is run with all three, and a corpus passes where no privacy rule fails or cannot be told.
Whatever is compared with real persons is compared with the holdout. Sequential CART sees the same training persons.
Peers run in environments of their own, at their defaults, on the first seed of IST UK, and are given training and
tuning persons: WARDGATE_MOSTLYAI and WARDGATE_ARFPY name a Python each. Sets are those of benchmarks/synth_peers.py
and the simulated admissions of the gate's tests; what was tried while building was tried on other seeds of the
simulation and other splits of IST UK.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

import gate_corpora
from harness import Figure, write
from synth_peers import Set, back, cut, diabetes_cut, measured, plainly, stays, stroke

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.gate.battery import measure
from wardgate.hospital.ward.generators.autoregressive import Autoregressive
from wardgate.hospital.ward.generators.sequential_cart import SequentialCart
from wardgate.policy import decide
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.verdict import Evidence

FIRST_SEED = 400
PEERS = {"mostlyai-engine": "WARDGATE_MOSTLYAI", "arfpy": "WARDGATE_ARFPY"}
PEER_SETS = ("IST UK",)
"""Where peers run beside; benchmarks/synth_peers.py has them on more sets."""

PEER_SECONDS = 400
USE = ("realism.", "timelines.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Persons of one seed."""

    dictionary: Dictionary
    train: pl.DataFrame
    tuning: pl.DataFrame
    holdout: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One set, and how many persons are for what."""

    name: str
    split: Callable[[int], Split]
    large: bool = False


def real(data: Set, tuning: float = 0.07, holdout: float = 0.3) -> Callable[[int], Split]:
    def split(seed: int) -> Split:
        order = np.random.default_rng(seed).permutation(data.table.height)
        first, second = round(holdout * len(order)), round((holdout + tuning) * len(order))
        return Split(
            dictionary=data.dictionary,
            holdout=data.table[order[:first]],
            tuning=data.table[order[first:second]],
            train=data.table[order[second:]],
        )

    return split


def simulated(train: int, tuning: int, holdout: int) -> Callable[[int], Split]:
    def split(seed: int) -> Split:
        site = gate_corpora.hospital(np.random.default_rng(seed), train=train, tuning=tuning, holdout=holdout)
        return Split(
            dictionary=gate_corpora.study().dictionary, train=site.train, tuning=site.tuning, holdout=site.holdout
        )

    return split


CASES: Mapping[str, Callable[[], Case]] = {
    "simulated 7,000": lambda: Case(name="simulated 7,000", split=simulated(7_000, 500, 2_500)),
    "simulated 1,000": lambda: Case(name="simulated 1,000", split=simulated(1_000, 200, 1_000)),
    "IST UK": lambda: Case(name="IST UK", split=real(stroke())),
    "PhysioNet 2012": lambda: Case(name="PhysioNet 2012", split=real(stays()), large=True),
    "Diabetes-130": lambda: Case(name="Diabetes-130", split=real(diabetes_cut()), large=True),
    "IST 1,000": lambda: Case(name="IST 1,000", split=real(cut(stroke(), 1_600, "IST 1,000"))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One corpus: its measures, and the privacy rules that hold it back by outcome."""

    values: Mapping[str, float]
    failed: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    passes: int = 0


def compared(split: Split, corpus: pl.DataFrame, seconds: float) -> dict[str, float]:
    """Return the measures of benchmarks/synth_peers.py."""
    data = Set(name="", dictionary=split.dictionary, table=split.train)
    return dict(measured(data, split.train, split.holdout, corpus, seconds).values)


def ours(split: Split, seed: int) -> Run:
    rng = np.random.default_rng(seed)
    start = time.process_time()
    fitted = Autoregressive().fit(
        split.train,
        split.dictionary,
        tuning=split.tuning,
        epsilon=1.0,
        delta=1e-6,
        entropy=SystemEntropy(),
        rng=rng,
    )
    fit = time.process_time() - start
    corpus = fitted.sample(split.train.height, rng=rng)
    values = compared(split, corpus, fit)
    values["passes"] = fitted.trained.epochs
    failed, untold = gate(split, corpus, rng)
    return Run(values=values, failed=failed, untold=untold)


def gate(split: Split, corpus: pl.DataFrame, rng: np.random.Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the privacy rules that a corpus fails, and those that cannot be told."""
    policy = GatePolicy()
    found, absent = measure(
        train=split.train,
        tuning=split.tuning,
        holdout=split.holdout,
        candidate=corpus,
        dictionary=split.dictionary,
        policy=policy,
        attempt=1,
        rng=rng,
    )
    evidence = Evidence(
        kind="corpus",
        persons_train=band(split.train.height),
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=found,
        absent=absent,
    )
    rulings = [one for one in decide(evidence, policy).rulings if not one.rule.startswith(USE)]
    return (
        tuple(one.rule for one in rulings if one.outcome == "fail"),
        tuple(one.rule for one in rulings if one.outcome not in ("pass", "fail")),
    )


def cart(split: Split, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    start = time.process_time()
    fitted = SequentialCart().fit(
        split.train, split.dictionary, epsilon=1.0, delta=1e-6, entropy=SystemEntropy(), rng=rng
    )
    seconds = time.process_time() - start
    return compared(split, fitted.sample(split.train.height, rng=rng), seconds)


def peer(split: Split, name: str, seed: int) -> tuple[dict[str, float], str]:
    """Return a peer's measures, or why there are none."""
    interpreter = os.environ.get(PEERS[name], "")
    if not interpreter:
        return {}, f"{name}: {PEERS[name]} names no interpreter that has it"
    plain, numbers, categories = plainly(split.dictionary, pl.concat((split.train, split.tuning)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plain.write_csv(folder / "train.csv")
        spec = {
            "train": str(folder / "train.csv"),
            "out": str(folder / "out.csv"),
            "numbers": list(numbers),
            "categories": list(categories),
            "rows": split.train.height,
            "seed": seed,
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        script = Path(__file__).resolve().parent / "peers" / "autoregressive_rivals.py"
        try:
            done = subprocess.run(
                ["prlimit", f"--cpu={PEER_SECONDS}", interpreter, str(script), name, str(folder / "spec.json")],
                check=True,
                capture_output=True,
                text=True,
                cwd=folder,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", error)).strip().splitlines()
            return {}, f"{name}: {said[-1][:160] if said else f'no answer within {PEER_SECONDS} CPU seconds'}"
        corpus = back(split.dictionary, pl.read_csv(folder / "out.csv", infer_schema_length=0))
        return compared(split, corpus, json.loads(done.stdout.strip().splitlines()[-1])["seconds"]), ""


def figures(case: Case, seeds: int) -> Iterator[Figure]:
    """Yield every figure of one set."""
    splits = {seed: case.split(seed) for seed in range(FIRST_SEED, FIRST_SEED + seeds)}
    runs, trees = [], []
    for seed, split in splits.items():
        runs.append(ours(split, seed))
        trees.append(cart(split, seed))
        told = {name: round(value, 4) for name, value in runs[-1].values.items()}
        print(case.name, seed, told, runs[-1].failed, runs[-1].untold, flush=True)
        print("   CART", {name: round(value, 4) for name, value in trees[-1].items()}, flush=True)
    rivals, silent = {}, []
    for name in PEERS if case.name in PEER_SETS else ():
        found, words = peer(splits[FIRST_SEED], name, FIRST_SEED)
        print("  ", name, {key: round(value, 4) for key, value in found.items()}, words, flush=True)
        if found:
            rivals[name] = found
        else:
            silent.append(words)
    first = splits[FIRST_SEED]
    sizes = f"{first.train.height} training, {first.tuning.height} tuning, {first.holdout.height} holdout persons"
    words = "; ".join((sizes, *["peers on one seed"] * bool(rivals), *silent))
    for kind in ("TSTR AUROC", "detection AUROC", "closer to train", "marginal error", "pairwise error"):
        yield beside(case, kind, [run.values for run in runs], trees, rivals, words)
    yield seconds_of(case, runs, trees, rivals, words)
    yield share(case, runs, words)


def beside(
    case: Case,
    kind: str,
    mine: Sequence[Mapping[str, float]],
    trees: Sequence[Mapping[str, float]],
    rivals: Mapping[str, Mapping[str, float]],
    words: str,
) -> Figure:
    value, tree = mean(one[kind] for one in mine), mean(one[kind] for one in trees)
    others = {"sequential-cart": round(tree, 4)} | {name: round(found[kind], 4) for name, found in rivals.items()}
    goal, met = "", None
    if kind == "TSTR AUROC":
        truth = mean(one["real AUROC"] for one in mine)
        goal, met = "within 0.01 of real", truth - value <= 0.01
        others["real"] = round(truth, 4)
    if kind == "detection AUROC":
        goal, met = "<= every peer", value <= min((one for name, one in others.items() if name != "real"), default=1.0)
    if kind == "closer to train":
        goal, met = "< sequential-cart", value < tree
    spread = float(np.std([one[kind] for one in mine]))
    return Figure(
        name=f"{case.name}, autoregressive: {kind}",
        value=round(value, 4),
        goal=goal,
        met=met,
        seeds=len(mine),
        peers=others,
        reason=f"spread over seeds {spread:.4f}; {words}",
    )


def seconds_of(
    case: Case,
    runs: Sequence[Run],
    trees: Sequence[Mapping[str, float]],
    rivals: Mapping[str, Mapping[str, float]],
    words: str,
) -> Figure:
    value = median(run.values["fit seconds"] for run in runs)
    others = {"sequential-cart": round(median(one["fit seconds"] for one in trees), 2)}
    passes = median(run.values["passes"] for run in runs)
    return Figure(
        name=f"{case.name}, autoregressive: fit, median, one thread of a busy machine",
        value=round(value, 1),
        unit="CPU-s",
        goal="< 120",
        met=value < 120,
        seeds=len(runs),
        peers=others | {name: round(found["fit seconds"], 1) for name, found in rivals.items()},
        reason=f"{passes:.0f} passes over the training persons, median; {words}",
    )


def share(case: Case, runs: Sequence[Run], words: str) -> Figure:
    passed = sum(not run.failed and not run.untold for run in runs)
    caught = sorted({name for run in runs for name in run.failed})
    untold = sorted({name for run in runs for name in run.untold})
    parts = [f"failed: {', '.join(caught)}"] * bool(caught) + [f"cannot be told: {', '.join(untold)}"] * bool(untold)
    return Figure(
        name=f"{case.name}, autoregressive: corpora that pass the privacy rules of the gate",
        value=round(passed / len(runs), 3),
        unit="share",
        goal="1",
        met=passed == len(runs),
        seeds=len(runs),
        reason="; ".join((*parts, words)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--large-seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    given, usual = " ".join(sys.argv[1:]), "make bench NAME=autoregressive"
    found: list[Figure] = []
    for name in asked.sets:
        case = CASES[name]()
        found += figures(case, asked.large_seeds if case.large else asked.seeds)
        write("autoregressive", found, f"python benchmarks/autoregressive.py {given}" if given else usual)


if __name__ == "__main__":
    main()
