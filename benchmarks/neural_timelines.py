"""The autoregressive network of timelines on 8,000 intensive-care stays: do its patients run like real ones?

    python benchmarks/neural_timelines.py

PhysioNet/CinC Challenge 2012, sets a and b (ODC-By): the first 24 hours, rounded to the hour. Peer, where
WARDGATE_MOSTLYAI names a python that has it: mostlyai-engine's sequential model, on the same persons.
WARDGATE_PEER_RUNS names a folder where corpora are kept, so that what is there need not be made again.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from harness import ROOT, Figure, write
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.gate.battery import measure
from wardgate.hospital.ward.gate.battery import timelines as battery
from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.hospital.ward.generators.timelines.autoregressive import AutoregressiveTimelines
from wardgate.measures.attacks.persons import constants, per_person, typed
from wardgate.measures.discrimination import auroc
from wardgate.policy.decision import decide
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import ClinicalRule, Feature
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
Vector = NDArray[np.float64]
PEER = os.environ.get("WARDGATE_MOSTLYAI")
HOURS, TRAIN, TUNING, MORE = 24, 4_000, 500, 4
PEER_MINUTES = 8
KEPT = os.environ.get("WARDGATE_PEER_RUNS")

UNITS = {
    "HR": ("/min", 1, 300),
    "NISysABP": ("mm[Hg]", 1, 300),
    "NIDiasABP": ("mm[Hg]", 1, 250),
    "Temp": ("Cel", 20, 45),
    "GCS": ("{score}", 3, 15),
    "Urine": ("mL", 0, 3000),
    "Creatinine": ("mg/dL", 0.1, 30),
    "BUN": ("mg/dL", 1, 300),
    "Glucose": ("mg/dL", 1, 1500),
    "WBC": ("10*9/L", 0, 500),
    "HCO3": ("mmol/L", 1, 60),
    "Na": ("mmol/L", 80, 220),
}
PLAN = Dictionary(
    features=(
        Feature(name="Age", type="integer", unit="a", range=(0, 120), quasi_identifier=True),
        Feature(name="Gender", type="category", values=("female", "male"), quasi_identifier=True),
        Feature(name="ICUType", type="category", values=("1", "2", "3", "4")),
        *(Feature(name=name, type="number", unit=unit, range=(low, high)) for name, (unit, low, high) in UNITS.items()),
    ),
    label="died",
    person="RecordID",
    time="hours",
    static=("Age", "Gender", "ICUType"),
    rules=(ClinicalRule(name="diastolic-below-systolic", left="NIDiasABP", op="<", right="NISysABP"),),
)


def stays(data: Path) -> pl.DataFrame:
    """Return one row a stay and hour: the last value of the hour, urine summed; impossible values are missing."""
    folder = data / "physionet2012_icu"
    long = pl.read_parquet(folder / "long_set_ab.parquet").filter(pl.col("Value") != -1)
    fixed = (
        long.filter(pl.col("Parameter").is_in(["Age", "Gender", "ICUType"]))
        .group_by("RecordID", "Parameter")
        .agg(pl.col("Value").first())
        .pivot("Parameter", index="RecordID")
    )
    clock = pl.col("Time").str.split(":").list
    limits = pl.DataFrame([(name, low, high) for name, (_, low, high) in UNITS.items()], orient="row")
    limits.columns = ["Parameter", "low", "high"]
    events = (
        long.join(limits, on="Parameter")
        .filter(pl.col("Value").is_between("low", "high"))
        .with_columns(minute=60 * clock.get(0).cast(pl.Int64) + clock.get(1).cast(pl.Int64))
        .filter(pl.col("minute") <= 60 * HOURS)
        .with_columns(hours=((pl.col("minute") + 30) // 60).cast(pl.Float64))
        .sort("RecordID", "minute", maintain_order=True)
    )
    value = pl.when(pl.col("Parameter").first() == "Urine").then(pl.col("Value").sum()).otherwise(pl.last("Value"))
    rows = events.group_by("RecordID", "hours", "Parameter", maintain_order=True).agg(value.alias("Value"))
    outcome = pl.read_csv(folder / "outcomes_ab.csv").select("RecordID", label="In-hospital_death")
    table = rows.pivot("Parameter", index=["RecordID", "hours"]).join(fixed, on="RecordID", how="left")
    table = table.join(outcome, on="RecordID").with_columns(
        Gender=pl.col("Gender").replace_strict({0.0: "female", 1.0: "male"}, default=None),
        ICUType=pl.col("ICUType").cast(pl.Int64).cast(pl.String),
        NIDiasABP=pl.when(pl.col("NIDiasABP") < pl.col("NISysABP")).then("NIDiasABP"),
        Urine=pl.col("Urine").clip(0, 3000),
    )
    names = [feature.name for feature in PLAN.features]
    return table.select("RecordID", "hours", *names, "label").sort("RecordID", "hours")


def divided(table: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return training, tuning and test persons."""
    persons = np.random.default_rng(seed).permutation(table["RecordID"].unique().sort().to_numpy())
    cuts = (persons[:TRAIN], persons[TRAIN : TRAIN + TUNING], persons[TRAIN + TUNING :])
    one, two, three = (table.filter(pl.col("RecordID").is_in(part)) for part in cuts)
    return one, two, three


def summaries(table: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a person's statics and last, mean, least, most and count of every variable; and the outcome."""
    parts = [pl.first("label"), pl.first("Age"), (pl.first("Gender") == "male").cast(pl.Float64).alias("male")]
    parts += [(pl.first("ICUType") == str(kind)).cast(pl.Float64).alias(f"unit{kind}") for kind in (1, 2, 3)]
    for name in UNITS:
        column = pl.col(name)
        parts += [
            column.drop_nulls().last().alias(f"{name}.last"),
            column.mean().alias(f"{name}.mean"),
            column.min().alias(f"{name}.min"),
            column.max().alias(f"{name}.max"),
            column.count().cast(pl.Float64).alias(f"{name}.count"),
        ]
    table = table.sort("RecordID", "hours").group_by("RecordID", maintain_order=True).agg(parts).drop("RecordID")
    inputs = table.drop("label").cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return inputs, table["label"].to_numpy().astype(np.int64)


def regression(train: pl.DataFrame, labels: NDArray[np.int64] | None = None) -> Callable[[pl.DataFrame], Vector]:
    """Return the linear scores of a ridge regression on clipped and standardised summaries of `train`."""
    x, y = summaries(train)
    middle = np.nanmedian(x, axis=0)
    x = np.where(np.isnan(x), middle, x)
    low, high = np.quantile(x, [0.005, 0.995], axis=0)
    x = np.clip(x, low, high)
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    model = LogisticRegression(C=0.1, max_iter=500).fit((x - mean) / spread, y if labels is None else labels)

    def scores(table: pl.DataFrame) -> Vector:
        seen = summaries(table)[0]
        seen = np.clip(np.where(np.isnan(seen), middle, seen), low, high)
        return np.asarray(model.decision_function((seen - mean) / spread))

    return scores


def trained_score(train: pl.DataFrame, test: pl.DataFrame) -> float:
    """Return the AUROC on real test persons of a regression trained on `train`."""
    return auroc(summaries(test)[1], regression(train)(test)).value


def relabelled_score(train: pl.DataFrame, test: pl.DataFrame, seed: int) -> float:
    """Return the same after the outcomes of real training persons were drawn anew from a regression fitted to them.

    It tells what is lost by drawing alone: a generator that knew every timeline and learnt the outcome from as many
    persons would score about this. Mean of five draws.
    """
    chance = 1 / (1 + np.exp(-regression(train)(train)))
    found = []
    for draw in range(5):
        drawn = (np.random.default_rng([seed, draw]).random(len(chance)) < chance).astype(np.int64)
        found.append(auroc(summaries(test)[1], regression(train, drawn)(test)).value)
    return float(np.mean(found))


def within(table: pl.DataFrame, name: str) -> tuple[float, float]:
    """Return the share of variance between persons, and the correlation of neighbouring measurements of a person."""
    seen = table.sort("RecordID", "hours").select("RecordID", pl.col(name).rank() / pl.col(name).count()).drop_nulls()
    pairs = seen.with_columns(before=pl.col(name).shift().over("RecordID")).drop_nulls()
    lag = float(np.corrcoef(pairs[name].to_numpy(), pairs["before"].to_numpy())[0, 1])
    groups = seen.group_by("RecordID").agg(n=pl.len(), mean=pl.mean(name), square=(pl.col(name) ** 2).sum())
    n, mean = groups["n"].to_numpy().astype(float), groups["mean"].to_numpy()
    inside = float((groups["square"].to_numpy() - n * mean**2).sum() / (n.sum() - len(n)))
    among = float((n * (mean - (n * mean).sum() / n.sum()) ** 2).sum() / (len(n) - 1))
    usual = (n.sum() - (n**2).sum() / n.sum()) / (len(n) - 1)
    return (among - inside) / (among + (usual - 1) * inside), lag


def distances(real: pl.DataFrame, synthetic: pl.DataFrame) -> dict[str, float]:
    """Return Kolmogorov-Smirnov distances of visits and gaps, and the largest differences within persons."""
    visits, gaps, found = [], [], {}
    for table in (real, synthetic):
        ordered = table.sort("RecordID", "hours")
        visits.append(ordered.group_by("RecordID").len()["len"].to_numpy())
        gaps.append(ordered.select(pl.col("hours").diff().over("RecordID")).drop_nulls()["hours"].to_numpy())
    found["visits"] = float(ks_2samp(*visits).statistic)
    found["gaps"] = float(ks_2samp(*gaps).statistic)
    gap = gaps[1]
    found["order"] = float(np.mean(gap <= 0)) + float((synthetic["hours"] < 0).mean())
    for name in UNITS:
        ours, theirs = within(real, name), within(synthetic, name)
        found[f"between {name}"] = abs(ours[0] - theirs[0])
        found[f"lag {name}"] = abs(ours[1] - theirs[1])
        found[f"shape {name}"] = float(ks_2samp(real[name].drop_nulls(), synthetic[name].drop_nulls()).statistic)
        found[f"filled {name}"] = abs(
            real[name].null_count() / real.height - synthetic[name].null_count() / synthetic.height
        )
    return found


def verdict(
    train: pl.DataFrame, tuning: pl.DataFrame, holdout: pl.DataFrame, corpus: pl.DataFrame
) -> Mapping[str, str]:
    """Return the outcome of every rule of the gate on one corpus, measured on persons, and on their timelines."""
    rng = np.random.default_rng(1)
    still = constants(typed(train, PLAN, "train"), PLAN)
    forms = [per_person(typed(part, PLAN, "table"), PLAN, constant=still) for part in (train, tuning, holdout, corpus)]
    measured, absent = measure(
        train=forms[0][0],
        tuning=forms[1][0],
        holdout=forms[2][0],
        candidate=forms[3][0],
        dictionary=forms[0][1],
        policy=GatePolicy(),
        attempt=1,
        rng=rng,
    )
    lines = list(battery.measures(real=holdout, candidate=corpus, dictionary=PLAN, suite=starter(), level=0.9, rng=rng))
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=(*measured, *(part for part in lines if isinstance(part, Measured))),
        absent=(*absent, *(part for part in lines if isinstance(part, Absent))),
    )
    for part in lines:
        print(part, flush=True)
    rulings = decide(evidence, GatePolicy()).rulings
    return {ruling.rule: ruling.outcome for ruling in rulings}


def scored(corpus: pl.DataFrame, train: pl.DataFrame, test: pl.DataFrame) -> dict[str, float]:
    """Return every figure of one corpus, `chance` ones being those of the training persons themselves."""
    found = {"real": trained_score(train, test), "synthetic": trained_score(corpus, test)}
    return found | distances(test, corpus) | {f"chance {name}": one for name, one in distances(test, train).items()}


def ours(seed: int, table: pl.DataFrame, folder: Path) -> dict[str, float]:
    """Return every figure of one seed; a corpus that lies in the folder is not made again."""
    train, tuning, test = divided(table, seed)
    corpus_file, notes_file = folder / f"corpus{seed}.parquet", folder / f"corpus{seed}.json"
    if not notes_file.exists():
        rng = np.random.default_rng(seed)
        start = time.process_time()
        fitted = AutoregressiveTimelines().fit(
            train, PLAN, tuning=tuning, epsilon=1.0, delta=1e-6, entropy=UnsafeEntropy("bench"), rng=rng
        )
        fit = time.process_time() - start
        start = time.process_time()
        corpus = fitted.sample(MORE * TRAIN, rng=rng)
        notes = {"fit": fit, "draw": time.process_time() - start, "epochs": fitted.epochs, "nats": fitted.tuning_loss}
        corpus.write_parquet(corpus_file)
        notes_file.write_text(json.dumps(notes))
    more = pl.read_parquet(corpus_file)
    corpus = more.filter(pl.col("RecordID") < TRAIN)
    found = json.loads(notes_file.read_text()) | scored(corpus, train, test)
    return found | {"more": trained_score(more, test), "ceiling": relabelled_score(train, test, seed)}


def peer(table: pl.DataFrame, folder: Path) -> dict[str, float] | str:
    """Return the same figures of mostlyai-engine's sequential model on the persons of seed 0, or why there are none."""
    corpus_file, notes_file = folder / "mostlyai.csv", folder / "mostlyai.json"
    train, _, test = divided(table, 0)
    statics = ["label", "Age", "Gender", "ICUType"]
    if not notes_file.exists():
        if PEER is None:
            return "WARDGATE_MOSTLYAI names no python with mostlyai-engine"
        train.group_by("RecordID", maintain_order=True).agg(pl.first(*statics)).write_csv(folder / "people.csv")
        train.drop(statics).write_csv(folder / "rows.csv")
        spec = {
            "people": str(folder / "people.csv"),
            "rows": str(folder / "rows.csv"),
            "key": "RecordID",
            "categories": ["Gender", "ICUType"],
            "minutes": PEER_MINUTES,
            "window": HOURS + 1,
            "seed": 0,
            "persons": TRAIN,
            "out": str(corpus_file),
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        script = str(ROOT / "benchmarks" / "peers" / "mostlyai_sequences.py")
        limit = 60 * (3 * PEER_MINUTES)
        try:
            done = subprocess.run(
                [PEER, script, str(folder / "spec.json")], capture_output=True, text=True, timeout=limit, check=True
            )
        except subprocess.TimeoutExpired:
            return f"not done within {limit // 60} minutes of the clock on a shared machine"
        except subprocess.CalledProcessError as error:
            return f"it failed: {error.stderr.strip().splitlines()[-1][:200]}"
        notes_file.write_text(done.stdout.strip().splitlines()[-1])
    texts = {"RecordID": pl.String, "Gender": pl.String, "ICUType": pl.String}
    corpus = pl.read_csv(corpus_file, schema_overrides=texts, infer_schema_length=None)
    numbers = ["hours", "Age", *UNITS]
    corpus = corpus.with_columns(pl.col(*numbers).cast(pl.Float64), pl.col("label").cast(pl.Int8))
    return json.loads(notes_file.read_text()) | scored(corpus.drop_nulls("hours"), train, test)


def worst(found: Mapping[str, float], kind: str) -> tuple[str, float]:
    """Return the variable with the largest figure of a kind."""
    name = max(UNITS, key=lambda one: found[f"{kind} {one}"])
    return name, found[f"{kind} {name}"]


def figures(runs: list[dict[str, float]], other: dict[str, float] | str) -> list[Figure]:
    seeds, data = len(runs), f"PhysioNet 2012, {HOURS} h, {TRAIN:,} training stays"

    stopped = f"the peer's training was stopped after {PEER_MINUTES} minutes of the clock on the shared machine"

    def mean(name: str) -> float:
        return float(np.mean([run[name] for run in runs]))

    def beside_by(figure: Callable[[dict[str, float]], float]) -> dict[str, float]:
        return {} if isinstance(other, str) else {"mostlyai-engine, sequential": round(figure(other), 4)}

    def beside(name: str) -> dict[str, float]:
        return beside_by(lambda one: one[name])

    def distance(name: str, words: str, most: float) -> Figure:
        value = mean(name)
        most_seen = max(run[name] for run in runs)
        chance = f"the training stays themselves score {mean(f'chance {name}'):.3f}; worst seed {most_seen:.3f}"
        return Figure(
            name=f"{data}: {words}",
            value=round(value, 4),
            goal=f"<= {most:g}",
            met=value <= most,
            seeds=seeds,
            peers=beside(name),
            reason=chance,
        )

    def variables(kind: str, words: str) -> Figure:
        found = [worst(run, kind) for run in runs]
        value = float(np.mean([value for _, value in found]))
        every = [run[f"{kind} {name}"] for run in runs for name in UNITS]
        said = f"the worst: {', '.join(sorted({name for name, _ in found}))}; median of all {np.median(every):.3f}"
        chance = f"the training stays themselves score {np.mean([worst(_chance(run), kind)[1] for run in runs]):.3f}"
        return Figure(
            name=f"{data}: {words}, difference from real, worst of {len(UNITS)} variables",
            value=round(value, 4),
            goal="<= 0.1",
            met=value <= 0.1,
            seeds=seeds,
            peers=beside_by(lambda one: worst(one, kind)[1]),
            reason=f"{said}; {chance}",
        )

    def excess(name: str) -> float:
        return float(np.mean([(run[name] - 0.5) / (run["real"] - 0.5) for run in runs]))

    def useful(name: str, persons: int) -> Figure:
        each = ", ".join(f"{run[name]:.3f} against {run['real']:.3f}" for run in runs)
        peers = beside_by(lambda one: (one["synthetic"] - 0.5) / (one["real"] - 0.5)) if name == "synthetic" else {}
        ceiling = f"real stays with outcomes drawn from a regression fitted to them reach {excess('ceiling'):.3f}"
        return Figure(
            name=f"{data}: mortality, TSTR excess over real, {persons:,} synthetic stays",
            value=round(excess(name), 4),
            goal=">= 0.95",
            met=excess(name) >= 0.95,
            seeds=seeds,
            peers=peers,
            reason=f"AUROC on real test stays by seed: {each}; {ceiling}" + (f"; {stopped}" if peers else ""),
        )

    found = [
        useful("synthetic", TRAIN),
        useful("more", MORE * TRAIN),
        distance("visits", "rows a person, KS", 0.05),
        distance("gaps", "hours between rows, KS", 0.05),
        variables("between", "share of variance between persons"),
        variables("lag", "correlation of neighbouring measurements"),
        Figure(
            name=f"{data}: gaps that are not positive and negative times",
            value=mean("order"),
            goal="0",
            met=mean("order") == 0,
            seeds=seeds,
            peers=beside("order"),
            reason="times rise by construction",
        ),
        Figure(
            name=f"{data}: distribution of values, KS, median of variables",
            value=round(float(np.median([run[f"shape {name}"] for run in runs for name in UNITS])), 4),
            seeds=seeds,
            peers=beside_by(lambda one: float(np.median([one[f"shape {name}"] for name in UNITS]))),
        ),
        Figure(
            name=f"{data}: time to fit",
            value=round(mean("fit")),
            unit="CPU-s",
            goal="<= 300",
            met=mean("fit") <= 300,
            seeds=seeds,
            peers=beside("fit"),
            reason=f"one thread of a machine that others were using; {mean('epochs'):.0f} passes on average; {stopped}",
        ),
        Figure(
            name=f"{data}: time to draw {MORE * TRAIN:,} stays",
            value=round(mean("draw"), 1),
            unit="CPU-s",
            seeds=seeds,
            peers=beside("draw"),
        ),
    ]
    if isinstance(other, str):
        found.append(Figure(name=f"{data}: mostlyai-engine, sequential", value=None, reason=other))
    return found


def _chance(run: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("chance "): value for name, value in run.items() if name.startswith("chance ")}


def judged(table: pl.DataFrame, folder: Path) -> list[Figure]:
    """Return what the gate says of the corpus of seed 0."""
    train, tuning, test = divided(table, 0)
    outcomes = verdict(
        train, tuning, test, pl.read_parquet(folder / "corpus0.parquet").filter(pl.col("RecordID") < TRAIN)
    )
    failed = sorted(rule for rule, outcome in outcomes.items() if outcome == "fail")
    unsaid = sorted(rule for rule, outcome in outcomes.items() if outcome not in ("pass", "fail"))
    said = f"{len(outcomes)} rules; failed: {', '.join(failed) or 'none'}; not evaluable: {', '.join(unsaid) or 'none'}"
    return [
        Figure(
            name="PhysioNet 2012: rules of the gate that a corpus of seed 0 fails",
            value=len(failed),
            goal="0",
            met=not failed,
            seeds=1,
            reason=said,
        )
    ]


def main(seeds: int) -> None:
    table = stays(DATA)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(KEPT or scratch)
        runs = []
        for seed in range(seeds):
            runs.append(ours(seed, table, folder))
            print(json.dumps(runs[-1]), flush=True)
        found = judged(table, folder) + figures(runs, peer(table, folder))
    write("neural_timelines", found, "python benchmarks/neural_timelines.py")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
