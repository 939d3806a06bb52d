"""Our generators beside other projects' on the same real rows: what a model learns, errors, detection, closeness, time.

    python benchmarks/synth_peers.py [SET ...]

Sets: IST UK (International Stroke Trial, United Kingdom), PhysioNet 2012 (first 48 h of 8,000 stays, 30 columns),
Diabetes-130 (a cut of 12,500 first encounters) and IST 1,000 (1,250 persons of it). 80 % train, 20 %
test; ridge logistic for TSTR. All private ones at epsilon 1, delta 1e-6. WARDGATE_DPMM, _OPENDP, _ARFPY, _CTGAN,
_MOSTLYAI and _SMARTNOISE name Python interpreters that have the peers; without one that peer is absent. One thread
and at most PEER_SECONDS of CPU each, and CPU seconds are told; peers run at their defaults, ours too.
WARDGATE_PEER_RUNS names a folder where the peers' corpora are kept, so that what is there need not be made again.

Missing numbers are given to the peers as their median beside a yes-or-no column, since most know no missing value; the
median costs them no privacy here, which favours them. OpenDP composes in zero-concentrated DP; it is given the rho of
the Gaussian mechanism that costs epsilon 1, which favours it as well.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from harness import ROOT, Figure, write
from synth import DATA, Data, diabetes, features_of, read

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.generators import GENERATORS
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.logistic import fit as fit_logistic
from wardgate.measures.realism.coding import values
from wardgate.measures.realism.detection import detection
from wardgate.measures.realism.fidelity import marginal_error, pairwise_error
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature

EPSILON, DELTA = 1.0, 1e-6
FIRST_SEED = 300
SEEDS = int(os.environ.get("WARDGATE_PEER_SEEDS", "1"))
OURS_SEEDS = 5
PEER_SECONDS = 600
KEPT = os.environ.get("WARDGATE_PEER_RUNS", "")
PEERS = {
    "dpmm AIM": ("WARDGATE_DPMM", "dpmm:aim", True),
    "dpmm MST": ("WARDGATE_DPMM", "dpmm:mst", True),
    "OpenDP AIM": ("WARDGATE_OPENDP", "opendp:aim", True),
    "OpenDP MST": ("WARDGATE_OPENDP", "opendp:mst", True),
    "smartnoise DP-CTGAN": ("WARDGATE_SMARTNOISE", "smartnoise:", True),
    "arfpy": ("WARDGATE_ARFPY", "arfpy:", False),
    "CTGAN": ("WARDGATE_CTGAN", "ctgan:ctgan", False),
    "TVAE": ("WARDGATE_CTGAN", "ctgan:tvae", False),
    "mostlyai-engine": ("WARDGATE_MOSTLYAI", "mostlyai:", False),
}
PHYSIONET: Mapping[str, tuple[str, float, float]] = {
    "Age": ("integer", 15, 95),
    "Weight": ("number", 20, 300),
    "GCS_last": ("integer", 3, 15),
    "HR_last": ("number", 20, 220),
    "Temp_last": ("number", 30, 43),
    "NISysABP_last": ("number", 30, 260),
    "NIDiasABP_last": ("number", 10, 180),
    "RespRate_last": ("number", 2, 60),
    "Urine_mean": ("number", 0, 1000),
    "BUN_last": ("number", 1, 200),
    "Creatinine_last": ("number", 0.1, 20),
    "Glucose_last": ("number", 20, 600),
    "HCO3_last": ("number", 5, 50),
    "HCT_last": ("number", 10, 65),
    "K_last": ("number", 1.5, 9),
    "Na_last": ("number", 110, 175),
    "Mg_last": ("number", 0.5, 5),
    "Platelets_last": ("number", 5, 1000),
    "WBC_last": ("number", 0.1, 100),
    "Lactate_last": ("number", 0.2, 30),
    "pH_last": ("number", 6.8, 7.8),
    "PaO2_last": ("number", 20, 500),
}
"""Public ranges; what lies outside, -1 among it, is missing."""

GOALS = {"marginal error": False, "pairwise error": False, "TSTR AUROC": True, "detection AUROC": False}
"""Measures on which ours are to be ahead of the peers of their kind, and whether higher is better."""

MEASURED = ("TSTR AUROC", "marginal error", "pairwise error", "detection AUROC", "closer to train", "fit seconds")

PRIVATE = ("marginal-tree", "adaptive-marginals", "spanning-tree", "private-gan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """One data set as generators and measures see it."""

    name: str
    dictionary: Dictionary
    table: pl.DataFrame

    def split(self, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        order = np.random.default_rng(seed).permutation(self.table.height)
        cut = round(0.8 * self.table.height)
        return self.table[order[:cut]], self.table[order[cut:]]


def stroke() -> Set:
    study, mapping = read("ist", "country.yaml")
    whole = pl.read_csv(DATA / "ist_stroke" / "IST.csv", infer_schema_length=0, encoding="utf8-lossy")
    with tempfile.TemporaryDirectory() as scratch:
        whole.filter(pl.col("COUNTRY") == "UK").write_csv(Path(scratch) / "IST.csv")
        table = features_of(study, load(Path(scratch), study, mapping=mapping).table)
    return Set(name="IST UK", dictionary=study.dictionary, table=table)


def cut(data: Set, rows: int, name: str) -> Set:
    chosen = np.random.default_rng(7).permutation(data.table.height)[:rows]
    return Set(name=name, dictionary=data.dictionary, table=data.table[np.sort(chosen)])


def stays() -> Set:
    raw = pl.read_csv(DATA / "physionet2012_icu" / "flat_set_ab.csv.gz", infer_schema_length=10_000)
    features = [
        Feature(name=name, type=kind, unit="1", range=(low, high))  # type: ignore[arg-type]
        for name, (kind, low, high) in PHYSIONET.items()
    ]
    features += [Feature(name="Gender", type="boolean"), Feature(name="ICUType", type="category", values=tuple("1234"))]
    columns = [
        pl.when(pl.col(name).is_between(low, high)).then(pl.col(name).cast(pl.Float64)).alias(name)
        for name, (_, low, high) in PHYSIONET.items()
    ]
    columns.append(
        pl.when(pl.col("Gender").cast(pl.Float64).is_in([0.0, 1.0]))
        .then(pl.col("Gender").cast(pl.Float64))
        .alias("Gender")
    )
    columns.append(pl.col("ICUType").cast(pl.Int64).cast(pl.String))
    columns.append(pl.col("In-hospital_death").cast(pl.Int8).alias(LABEL))
    dictionary = Dictionary(features=tuple(features), label="In-hospital_death")
    return Set(name="PhysioNet 2012", dictionary=dictionary, table=raw.select(columns))


def diabetes_cut() -> Set:
    data: Data = diabetes()
    return cut(Set(name="", dictionary=data.study.dictionary, table=data.table), 12_500, "Diabetes-130")


SETS: Mapping[str, Callable[[], Set]] = {
    "IST UK": stroke,
    "PhysioNet 2012": stays,
    "Diabetes-130": diabetes_cut,
    "IST 1,000": lambda: cut(stroke(), 1_250, "IST 1,000"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One corpus, measured; or why there is none."""

    values: Mapping[str, float]
    words: str = ""


def ours(data: Set, name: str, seed: int) -> Run:
    train, test = data.split(seed)
    rng = np.random.default_rng(seed)
    fresh = DELTA * (1 - 1e-6 * seed)  # a budget that the accountant has not met: its seconds count too
    start = time.process_time()
    fitted = GENERATORS[name].fit(
        train, data.dictionary, epsilon=EPSILON, delta=fresh, entropy=SystemEntropy(), rng=rng
    )
    seconds = time.process_time() - start
    return measured(data, train, test, fitted.sample(train.height, rng=rng), seconds)


def measured(data: Set, train: pl.DataFrame, test: pl.DataFrame, corpus: pl.DataFrame, seconds: float) -> Run:
    columns = data.dictionary.columns
    rng = np.random.default_rng(0)
    real, made = values(columns, test), values(columns, corpus)
    points = [
        np.ascontiguousarray(design_matrix(data.dictionary.features, one)[:, 1:], dtype=np.float32)
        for one in (corpus, train[: test.height], test)
    ]
    near, far = (nearest(points[0][:2_000], one, 1).distance[:, 0] for one in points[1:])
    return Run(
        values={
            "TSTR AUROC": tested(data.dictionary, corpus, test),
            "real AUROC": tested(data.dictionary, train, test),
            "marginal error": float(marginal_error(columns, test, corpus, level=0.95, rng=rng).value),
            "pairwise error": float(pairwise_error(columns, test, corpus, level=0.95, rng=rng).value),
            "detection AUROC": float(detection(columns, real, made, level=0.95, rng=rng).value),
            "closer to train": float(np.mean(near < far) + 0.5 * np.mean(near == far)),
            "fit seconds": seconds,
        }
    )


def peer(data: Set, name: str, seed: int) -> Run:
    variable, kind, _ = PEERS[name]
    interpreter = os.environ.get(variable, "")
    if not interpreter:
        return Run(values={}, words=f"{variable} names no interpreter that has it")
    train, test = data.split(seed)
    plain, numbers, categories = plainly(data.dictionary, train)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(KEPT) / f"{data.name} {name} {seed}".replace(" ", "-") if KEPT else Path(scratch)
        if (folder / "fit.json").exists():
            seconds = json.loads((folder / "fit.json").read_text())["fit"]
            corpus = back(data.dictionary, pl.read_csv(folder / "out.csv", infer_schema_length=0))
            return measured(data, train, test, corpus, seconds)
        if (folder / "words.txt").exists():
            return Run(values={}, words=(folder / "words.txt").read_text())
        folder.mkdir(parents=True, exist_ok=True)
        plain.write_csv(folder / "train.csv")
        spec = {
            "train": str(folder / "train.csv"),
            "out": str(folder / "out.csv"),
            "numbers": numbers,
            "categories": categories,
            "rows": train.height,
            "epsilon": EPSILON,
            "delta": DELTA,
            "rho": 0.5 / noise_multiplier_for(epsilon=EPSILON, delta=DELTA) ** 2,
            "seed": seed,
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [
            "prlimit",
            f"--cpu={PEER_SECONDS}",
            interpreter,
            str(ROOT / "benchmarks/peers/synthesisers.py"),
            kind,
            str(folder / "spec.json"),
        ]
        try:
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=20 * PEER_SECONDS, cwd=folder
            )
        except subprocess.TimeoutExpired:
            return stopped(folder, f"did not finish within {20 * PEER_SECONDS} s")
        except (OSError, subprocess.CalledProcessError) as error:
            if getattr(error, "returncode", 0) in (-9, -24):
                return stopped(folder, f"did not finish within {PEER_SECONDS} CPU seconds")
            said = str(getattr(error, "stderr", error)).strip().splitlines()
            return stopped(folder, f"failed: {said[-1][:160] if said else 'without a word'}")
        told = done.stdout.strip().splitlines()[-1]
        (folder / "fit.json").write_text(told)
        seconds = json.loads(told)["fit"]
        corpus = back(data.dictionary, pl.read_csv(folder / "out.csv", infer_schema_length=0))
    return measured(data, train, test, corpus, seconds)


def stopped(folder: Path, words: str) -> Run:
    (folder / "words.txt").write_text(words)
    return Run(values={}, words=words)


def tested(dictionary: Dictionary, train: pl.DataFrame, test: pl.DataFrame) -> float:
    """Return the AUROC on real test persons of a ridge logistic model trained on `train`."""
    if train[LABEL].n_unique() < 2:
        return 0.5
    beta = fit_logistic(design_matrix(dictionary.features, train), labels(train), ridge=1.0)
    return float(auroc(labels(test), design_matrix(dictionary.features, test) @ beta).value)


def plainly(
    dictionary: Dictionary, table: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, tuple[float, float]], dict[str, list[str]]]:
    """Return a table without missing values, and what its columns may hold."""
    columns: list[pl.Series] = []
    numbers: dict[str, tuple[float, float]] = {}
    categories: dict[str, list[str]] = {}
    for feature in dictionary.features:
        series = table[feature.name]
        if feature.range is not None:
            numbers[feature.name] = feature.range
            held = series.cast(pl.Float64).fill_nan(None)
            columns.append(held.fill_null(held.median() or feature.range[0]))
            if feature.missing == "allowed":
                categories[f"{feature.name}__gone"] = ["no", "yes"]
                gone = pl.Series(f"{feature.name}__gone", np.where(held.is_null().to_numpy(), "yes", "no"))
                columns.append(gone)
            continue
        known = list(feature.values or ("0.0", "1.0"))
        categories[feature.name] = known + ["missing"] * (feature.missing == "allowed")
        columns.append(series.cast(pl.String).fill_null("missing"))
    categories[LABEL] = ["0", "1"]
    columns.append(table[LABEL].cast(pl.String))
    return pl.DataFrame(columns), numbers, categories


def back(dictionary: Dictionary, plain: pl.DataFrame) -> pl.DataFrame:
    columns = []
    for feature in dictionary.features:
        text = pl.col(feature.name)
        if feature.range is not None:
            low, high = feature.range
            number = text.cast(pl.Float64, strict=False).clip(low, high)
            number = number.round() if feature.type == "integer" else number
            if feature.missing == "allowed":
                number = pl.when(pl.col(f"{feature.name}__gone") != "yes").then(number)
            columns.append(number.alias(feature.name))
        else:
            known = list(feature.values or ("0.0", "1.0"))
            held = pl.when(text.is_in(known)).then(text)
            columns.append((held if feature.type == "category" else held.cast(pl.Float64)).alias(feature.name))
    return plain.select([*columns, pl.col(LABEL).cast(pl.Float64).cast(pl.Int8)])


def figures(data: Set) -> Iterator[Figure]:
    """Yield one figure for each measure of each generator of ours, with all peers beside it."""
    runs = {name: [peer(data, name, FIRST_SEED + k) for k in range(SEEDS)] for name in PEERS}
    for name, found in runs.items():
        print(
            data.name,
            name,
            [(one.words or {k: round(v, 4) for k, v in one.values.items()}) for one in found],
            flush=True,
        )
    for name in GENERATORS:
        mine = [ours(data, name, FIRST_SEED + k) for k in range(OURS_SEEDS)]
        print(data.name, name, [rounded(one) for one in mine], flush=True)
        yield from beside(data, name, mine, runs)


def rounded(run: Run) -> dict[str, float]:
    return {kind: round(value, 4) for kind, value in run.values.items()}


def beside(data: Set, name: str, mine: list[Run], runs: Mapping[str, list[Run]]) -> Iterator[Figure]:
    private = name in PRIVATE
    alike = {peer: found for peer, found in runs.items() if PEERS[peer][2] == private}
    absent = "; ".join(f"{peer}: {found[0].words}" for peer, found in alike.items() if found[0].words)
    label = f"{data.name}, {round(0.8 * data.table.height)} training rows, {name}" + (
        " at epsilon 1" if private else ""
    )
    for kind in MEASURED:
        value = float(np.mean([one.values[kind] for one in mine]))
        others = {
            peer: round(float(np.mean([one.values[kind] for one in found if one.values])), 4)
            for peer, found in alike.items()
            if any(one.values for one in found)
        }
        real = {"real": round(float(np.mean([one.values["real AUROC"] for one in mine])), 4)}
        goal, met = "", None
        leading = name in ("marginal-tree", "autoregressive")
        if kind in GOALS and others and leading and round(0.8 * data.table.height) >= 5_000:
            best = max(others.values()) if GOALS[kind] else min(others.values())
            goal = f"{'>=' if GOALS[kind] else '<='} every peer of its kind"
            met = value >= best if GOALS[kind] else value <= best
            if kind == "TSTR AUROC" and not private:
                goal, met = "within 0.01 of real", real["real"] - value <= 0.01
            if kind == "detection AUROC" and private:
                goal, met = "", None
        spread = float(np.std([one.values[kind] for one in mine]))
        yield Figure(
            name=f"{label}: {kind}",
            value=round(value, 4),
            goal=goal,
            met=met,
            seeds=len(mine),
            peers={**(real if kind == "TSTR AUROC" else {}), **others},
            reason=f"spread over seeds {spread:.4f}; peers on {SEEDS} seed(s). {absent}".strip(),
        )


def main() -> None:
    found = []
    for name in sys.argv[1:] or list(SETS):
        found += list(figures(SETS[name]()))
        write("synth_peers", found, "python benchmarks/synth_peers.py " + " ".join(f'"{one}"' for one in sys.argv[1:]))


if __name__ == "__main__":
    main()
