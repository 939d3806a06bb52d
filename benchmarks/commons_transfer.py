"""Does a model trained on the commons serve hospitals that could not train a good one themselves?

    python benchmarks/commons_transfer.py [number of a plan ...]

Without numbers all plans are measured anew, else those named, and the figures of the others are kept.

The International Stroke Trial by country and the eICU demo by region, from the folder WARDGATE_DATA (default
../shared/data). Five seeds with five folds each: every person is tested five times, always by models and corpora made
without him. Two models of a site are compared on the same persons, drawn again 300 times with all their predictions;
the intervals hold the tested persons' chance, and that of splits and noise only as far as five seeds average it.

Every person pays epsilon once (docs/adr/0010): a hospital with at least 2,500 persons x epsilon in training gives a
corpus of its own, all others take part in one joint corpus from summed marginals. Ridge logistic regression everywhere;
the ridge of the local and of the federated models, and how far the hybrids are drawn, are chosen in each fold by
cross-validation inside the training persons. That of the commons model is 1.

Limits: that intercept and scale have room of their own was decided on two seeds of the same stroke data. Regions of the
eICU demo are few and small.
"""

import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from harness import RESULTS, ROOT, Figure, write
from numpy.typing import NDArray
from scipy.special import expit
from synth import features_of, read

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.generators import MarginalTree
from wardgate.hospital.ward.generators.recommendation import WEAK
from wardgate.marginals.domain import domain_of
from wardgate.marginals.sampling import sample
from wardgate.marginals.tree.growth import grow
from wardgate.marginals.tree.plan import plan
from wardgate.marginals.workload import count
from wardgate.measures.calibration import slope_of_counts
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.logistic import fit, penalty
from wardgate.measures.towards import (
    STRENGTHS,
    Centre,
    Room,
    best_strength,
    centre_of,
    fit_towards,
    held_out_losses,
    precision,
    pulled,
)
from wardgate.privacy.noise import discrete_gaussian
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Refused
from wardgate.records.feature import Feature

DATA = (ROOT / os.environ.get("WARDGATE_DATA", "../shared/data")).resolve()
DELTA = 1e-6
SEEDS, FOLDS, FIRST_SEED = 5, 5, 200
DRAWS = 300
SMALL, EVENTS = 500, 10
RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0)
COMMONS_ROWS = (0.0, 1_000.0, 5_000.0)
INNER = 3
OPEN = Room(intercept=10.0, scale=1.0)
MODELS = (
    "local",
    "commons",
    "commons, recalibrated",
    "federated",
    "federated, recalibrated",
    "commons + own",
    "hybrid",
)

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """One study's persons by site."""

    name: str
    dictionary: Dictionary
    sites: Mapping[str, pl.DataFrame]

    def small(self) -> list[str]:
        """Sites of fewer than 500 persons, at least 10 with and 10 without the outcome."""
        return [site for site, table in self.sites.items() if table.height < SMALL and shown(table)]


def shown(table: pl.DataFrame) -> bool:
    events = int(table[LABEL].sum())
    return min(events, table.height - events) >= EVENTS


def stroke(study_file: str, name: str) -> Data:
    study, mapping = read("ist", study_file)
    whole = pl.read_csv(DATA / "ist_stroke" / "IST.csv", infer_schema_length=0, encoding="utf8-lossy")
    sites = {}
    for country, part in whole.group_by("COUNTRY", maintain_order=True):
        with tempfile.TemporaryDirectory() as scratch:
            part.write_csv(Path(scratch) / "IST.csv")
            sites[str(country[0])] = features_of(study, load(Path(scratch), study, mapping=mapping).table)
    return Data(name=name, dictionary=study.dictionary, sites=sites)


NUMBERS = {
    "age_num": ("a", 18, 90),
    "heartrate": ("/min", 20, 220),
    "meanbp": ("mm[Hg]", 20, 200),
    "temperature": ("Cel", 28, 42),
    "respiratoryrate": ("/min", 2, 60),
    "urine": ("mL", 0, 8000),
    "wbc": ("10*9/L", 0, 60),
    "sodium": ("mmol/L", 110, 170),
    "hematocrit": ("%", 10, 60),
    "creatinine": ("mg/dL", 0, 12),
    "albumin": ("g/dL", 1, 6),
    "bun": ("mg/dL", 0, 150),
    "glucose": ("mg/dL", 20, 700),
    "bilirubin": ("mg/dL", 0, 30),
}
SCALES = {"eyes": (1, 4), "motor": (1, 6), "verbal": (1, 5)}
FLAGS = ("intubated", "vent", "dialysis", "hepaticfailure", "metastaticcancer", "immunosuppression")


def eicu() -> Data:
    """First stay of each person, APACHE's day-one variables; columns that tell the outcome are left out."""
    source = DATA / "eicu_demo" / "cohort_apache_mortality.csv"
    table = pl.read_csv(source, infer_schema_length=None, null_values=["", "NA"])
    table = table.sort("uniquepid", "patientunitstayid").unique("uniquepid", keep="first", maintain_order=True)
    features = (
        *(
            Feature(name=name, type="number", unit=unit, range=(low, high))
            for name, (unit, low, high) in NUMBERS.items()
        ),
        *(Feature(name=name, type="integer", unit="1", range=ends) for name, ends in SCALES.items()),
        *(Feature(name=name, type="boolean", missing="refused") for name in FLAGS),
    )
    table = table.select(
        pl.col("region").fill_null("unknown"),
        *(pl.col(name).cast(pl.Float64) for name in (*NUMBERS, *SCALES, *FLAGS)),
        pl.col("hospital_death").cast(pl.Int8).alias(LABEL),
    )
    sites = {str(name[0]): part.drop("region") for name, part in table.group_by("region", maintain_order=True)}
    return Data(name="eICU demo by region", dictionary=Dictionary(features=features, label="died"), sites=sites)


def commons(dictionary: Dictionary, train: Mapping[str, pl.DataFrame], epsilon: float, seed: int) -> list[pl.DataFrame]:
    """Return the corpora of large sites and the joint corpus of all others; nothing where all are refused."""
    rng = np.random.default_rng(seed)
    corpora, rest = [], []
    for table in train.values():
        if table.height * epsilon < WEAK:
            rest.append(table)
            continue
        one = MarginalTree().fit(table, dictionary, epsilon=epsilon, delta=DELTA, entropy=SystemEntropy(), rng=rng)
        corpora.append(one.sample(one.persons, rng=rng))
    domain = domain_of(dictionary.features)
    road = grow(domain, plan(domain, epsilon=epsilon, delta=DELTA, structure="summed"), rules=dictionary.rules)
    try:
        ask = next(road)
        while rest:
            noise = discrete_gaussian(sigma=ask.sigma, size=ask.workload.size, entropy=SystemEntropy())
            ask = road.send(sum(count(ask.workload, table) for table in rest) + noise)
    except StopIteration as end:
        corpora.append(sample(end.value, end.value.persons, rng=rng))
    except Refused as refusal:
        print("joint corpus refused:", refusal, flush=True)
    return corpora


def own(x: Vector, y: NDArray[np.int8], fold: NDArray[np.int64]) -> Vector:
    """A hospital's own model, its ridge by cross-validation; a smoothed rate where it has one outcome only."""
    if min(y.sum(), len(y) - y.sum()) >= INNER:
        return fit(x, y, ridge=tuned(x, y, fold, [ridge_at(x, ridge) for ridge in RIDGES])[0])
    if len(np.unique(y)) == 2:
        return fit(x, y, ridge=max(RIDGES))
    found = np.zeros(x.shape[1])
    found[0] = math.log((float(y.sum()) + 0.5) / (len(y) - float(y.sum()) + 0.5))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A penalty: where to, and how strongly."""

    ridge: float
    rows: float
    centre: Vector
    metric: Vector


def ridge_at(x: Vector, ridge: float, *, shared: Centre | None = None, rows: float = 0.0) -> Pull:
    """A ridge towards 0 and a pull of so many rows towards the commons, as one quadratic."""
    metric, aim = np.diag(penalty(x.shape[1], ridge)), np.zeros(x.shape[1])
    if shared is not None and rows:
        drawn = precision(shared, strength=rows, room=OPEN)
        metric = metric + drawn
        aim = np.linalg.solve(metric, drawn @ shared.beta)
    return Pull(ridge=ridge, rows=rows, centre=aim, metric=metric)


def tuned(x: Vector, y: NDArray[np.int8], fold: NDArray[np.int64], menu: Sequence[Pull]) -> tuple[float, Pull]:
    """Return the ridge and the whole pull with the least log-loss on held-out persons."""
    losses = np.zeros(len(menu))
    for part in np.unique(fold):
        out = fold == part
        for place, pull in enumerate(menu):
            beta = fit_towards(x[~out], y[~out], centre=pull.centre, precision=pull.metric)
            eta = x[out] @ beta
            losses[place] += float(np.sum(np.logaddexp(0, eta) - y[out] * eta))
    best = menu[int(np.argmin(losses))]
    return best.ridge, best


def dealt(y: NDArray[np.int8], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    found = np.empty(len(y), dtype=np.int64)
    for value in (0, 1):
        here = np.flatnonzero(y == value)
        found[here] = (rng.permutation(len(here)) + rng.integers(folds)) % folds
    return found


@dataclass(slots=True, kw_only=True)
class Predicted:
    """Held-out logits of every person: [model][site] of shape (seeds, persons), and the folds."""

    logits: dict[str, dict[str, Vector]]
    folds: dict[str, NDArray[np.int64]]
    strengths: dict[str, list[float]]
    refused: int


def predict(data: Data, epsilon: float) -> Predicted:
    """Train every model in every fold of every seed."""
    features = data.dictionary.features
    x = {site: design_matrix(features, table) for site, table in data.sites.items()}
    y = {site: labels(table) for site, table in data.sites.items()}
    logits = {name: {site: np.full((SEEDS, len(y[site])), np.nan) for site in y} for name in MODELS}
    found = Predicted(
        logits=logits,
        folds={site: np.empty((SEEDS, len(y[site])), dtype=np.int64) for site in y},
        strengths={"commons + own": [], "hybrid": [], "rows of the commons in the hybrid's fit": []},
        refused=0,
    )
    for seed in range(SEEDS):
        rng = np.random.default_rng(FIRST_SEED + seed)
        for site in y:
            found.folds[site][seed] = dealt(y[site], FOLDS, rng)
        for fold in range(FOLDS):
            inside = {site: found.folds[site][seed] != fold for site in y}
            train = {site: table.filter(pl.Series(inside[site])) for site, table in data.sites.items()}
            corpora = commons(data.dictionary, train, epsilon, seed=1_000 * seed + fold)
            found.refused += not corpora
            mine = {site: (x[site][inside[site]], y[site][inside[site]]) for site in y}
            models = trained(features, corpora, mine, rng, found.strengths)
            for name, betas in models.items():
                for site, beta in betas.items():
                    out = ~inside[site]
                    logits[name][site][seed, out] = np.clip(x[site][out] @ beta, -20, 20)
        print(data.name, epsilon, "seed", seed, {key: one[-FOLDS:] for key, one in found.strengths.items()}, flush=True)
    return found


def trained(
    features: Sequence[Feature],
    corpora: Sequence[pl.DataFrame],
    mine: Mapping[str, tuple[Vector, NDArray[np.int8]]],
    rng: np.random.Generator,
    strengths: dict[str, list[float]],
) -> dict[str, dict[str, Vector]]:
    """Return every model's coefficients at every site; where no corpus was made, what sites have without one."""
    if not corpora:
        return without_commons(mine, rng)
    rows = np.concatenate([design_matrix(features, corpus) for corpus in corpora])
    outcome = np.concatenate([labels(corpus) for corpus in corpora])
    shared = centre_of(rows, outcome, fit(rows, outcome, ridge=1.0))
    inner = {site: dealt(y, INNER, rng) for site, (_, y) in mine.items()}
    federated, every, ill, fold = pooled(mine, inner)
    # The federated fit again, drawn to the commons too: the same sums over hospitals.
    menu = [ridge_at(every, ridge, shared=shared, rows=rows) for ridge in RIDGES[1:-1] for rows in COMMONS_ROWS]
    _, pull = tuned(every, ill, fold, menu)
    strengths["rows of the commons in the hybrid's fit"].append(pull.rows)
    both = fit_towards(every, ill, centre=pull.centre, precision=pull.metric)
    joined = Centre(beta=both, middle=federated.middle, information=federated.information)
    chosen = {}
    for name, centre in (("commons + own", shared), ("hybrid", joined)):
        sums = sum(held_out_losses(*one, centre, inner[site]).sum(axis=0) for site, one in mine.items())
        chosen[name] = best_strength(sums)
        strengths[name].append(chosen[name])
    return {
        "local": {site: own(*one, inner[site]) for site, one in mine.items()},
        "commons": dict.fromkeys(mine, shared.beta),
        "commons, recalibrated": {site: pulled(*one, shared, strength=math.inf) for site, one in mine.items()},
        "federated": dict.fromkeys(mine, federated.beta),
        "federated, recalibrated": {site: pulled(*one, federated, strength=math.inf) for site, one in mine.items()},
        "commons + own": {site: pulled(*one, shared, strength=chosen["commons + own"]) for site, one in mine.items()},
        "hybrid": {site: pulled(*one, joined, strength=chosen["hybrid"]) for site, one in mine.items()},
    }


def pooled(
    mine: Mapping[str, tuple[Vector, NDArray[np.int8]]], inner: Mapping[str, NDArray[np.int64]]
) -> tuple[Centre, Vector, NDArray[np.int8], NDArray[np.int64]]:
    """The federated fit (exact sums equal pooled training), its ridge by cross-validation; and the pooled persons."""
    every, ill = (np.concatenate([one[place] for one in mine.values()]) for place in (0, 1))
    fold = np.concatenate([inner[site] for site in mine])
    ridge, _ = tuned(every, ill, fold, [ridge_at(every, ridge) for ridge in RIDGES[1:-1]])
    return centre_of(every, ill, fit(every, ill, ridge=ridge)), every, ill, fold


def without_commons(
    mine: Mapping[str, tuple[Vector, NDArray[np.int8]]], rng: np.random.Generator
) -> dict[str, dict[str, Vector]]:
    inner = {site: dealt(y, INNER, rng) for site, (_, y) in mine.items()}
    federated, _, _, _ = pooled(mine, inner)
    alone = {site: own(*one, inner[site]) for site, one in mine.items()}
    near = {site: pulled(*one, federated, strength=math.inf) for site, one in mine.items()}
    joint = dict.fromkeys(mine, federated.beta)
    return dict(zip(MODELS, (alone, alone, alone, joint, near, alone, near), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site's figures of each model; the last axis of `auroc` and `loss` holds the value, then the resamples."""

    persons: int
    events: int
    auroc: dict[str, Vector]
    loss: dict[str, Vector]
    oe: dict[str, float]
    slope: dict[str, float]


def measured(y: NDArray[np.int8], found: Predicted, site: str) -> Site:
    """AUROC of pairs within a fold, log-loss, O/E and slope, the mean over seeds."""
    rng = np.random.default_rng(7)
    weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=DRAWS)
    weights = np.vstack([np.ones(len(y)), weights]).astype(np.float32)
    auroc, loss, oe, slope = {}, {}, {}, {}
    for name in MODELS:
        logits, folds = found.logits[name][site], found.folds[site]
        won, pairs, lost = np.zeros(DRAWS + 1), np.zeros(DRAWS + 1), np.zeros(DRAWS + 1)
        for seed in range(SEEDS):
            eta = logits[seed]
            lost += weights @ (np.logaddexp(0, eta) - y * eta) / weights.sum(axis=1)
            for fold in range(FOLDS):
                ill, well = (np.flatnonzero((folds[seed] == fold) & (y == value)) for value in (1, 0))
                ahead = np.sign(eta[ill][:, None] - eta[well][None, :]).astype(np.float32) * 0.5 + 0.5
                won += np.einsum("de,de->d", weights[:, ill], weights[:, well] @ ahead.T)
                pairs += weights[:, ill].sum(axis=1) * weights[:, well].sum(axis=1)
        auroc[name] = np.divide(won, pairs, out=np.full(DRAWS + 1, np.nan), where=pairs > 0)
        loss[name] = lost / SEEDS
        oe[name] = float(SEEDS * y.sum() / expit(logits).sum())
        each = np.tile(y.astype(np.float64), SEEDS)
        slope[name] = float(slope_of_counts(logits.ravel(), each, 1 - each).value)
    return Site(persons=len(y), events=int(y.sum()), auroc=auroc, loss=loss, oe=oe, slope=slope)


def ends(drawn: Vector) -> tuple[float, float, float]:
    """Return the value and the interval of a figure and its resamples."""
    low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
    return round(float(drawn[0]), 4), round(float(low), 4), round(float(high), 4)


def figures(data: Data, epsilon: float, *, label: str, with_sites: bool) -> Iterator[Figure]:
    found = predict(data, epsilon)
    sites = {site: measured(labels(table), found, site) for site, table in data.sites.items() if shown(table)}
    small = [sites[site] for site in data.small()]
    for kind in ("commons", "commons + own", "hybrid"):
        yield better(label, kind, small)
    yield harm(label, "commons", sites)
    yield harm(label, "commons + own", sites)
    yield harm(label, "hybrid", sites)
    for kind in ("commons + own", "hybrid"):
        for other in ("federated", "federated, recalibrated"):
            yield beside(label, kind, other, sites)
    picked = {name: str(sorted(set(one))) for name, one in found.strengths.items()}
    yield Figure(
        name=f"{label}: mean AUROC over {len(sites)} sites, hybrid",
        value=round(float(np.mean([one.auroc["hybrid"][0] for one in sites.values()])), 4),
        seeds=SEEDS,
        peers={
            **{name: round(float(np.mean([one.auroc[name][0] for one in sites.values()])), 4) for name in MODELS[:-1]},
            **{f"strengths chosen, {name}": one for name, one in picked.items()},
            f"folds of {SEEDS * FOLDS} in which no corpus could be made": found.refused,
        },
        reason=f"menu of strengths {list(STRENGTHS)}",
    )
    yield Figure(
        name=f"{label}: mean log-loss over {len(sites)} sites, hybrid",
        value=round(float(np.mean([one.loss["hybrid"][0] for one in sites.values()])), 4),
        seeds=SEEDS,
        peers={name: round(float(np.mean([one.loss[name][0] for one in sites.values()])), 4) for name in MODELS[:-1]},
    )
    for name in MODELS:
        worst = min(sites, key=lambda site: sites[site].auroc[name][0])
        off = [abs(math.log(one.oe[name])) for one in sites.values()]
        yield Figure(
            name=f"{label}: worst site's AUROC, {name}",
            value=round(float(sites[worst].auroc[name][0]), 4),
            seeds=SEEDS,
            peers={
                "site": worst,
                "median slope": round(float(np.median([one.slope[name] for one in sites.values()])), 2),
                "median |log O/E|": round(float(np.median(off)), 3),
                "largest |log O/E|": round(max(off), 3),
            },
        )
    if with_sites:
        for site, one in sites.items():
            yield of_site(label, site, one)


def better(label: str, kind: str, small: Sequence[Site]) -> Figure:
    won = [one.auroc[kind][0] > one.auroc["local"][0] for one in small]
    lossless = [one.loss[kind][0] < one.loss["local"][0] for one in small]
    sure = [ends(one.auroc[kind] - one.auroc["local"])[1] > 0 for one in small]
    share = float(np.mean(won))
    return Figure(
        name=f"{label}: share of {len(small)} small sites where {kind} has a higher AUROC than local only",
        value=round(share, 3),
        goal=">= 0.8",
        met=share >= 0.8,
        seeds=SEEDS,
        peers={
            "by log-loss": round(float(np.mean(lossless)), 3),
            "for certain": round(float(np.mean(sure)), 3),
            "mean gain in AUROC": round(float(np.mean([o.auroc[kind][0] - o.auroc["local"][0] for o in small])), 4),
        },
        reason=""
        if share >= 0.8
        else f"{sum(won)} of {len(small)}: the noise, or too little that sites have in common",
    )


def harm(label: str, kind: str, sites: Mapping[str, Site]) -> Figure:
    worse = [site for site, one in sites.items() if ends(one.auroc[kind] - one.auroc["local"])[2] < 0]
    dearer = [site for site, one in sites.items() if ends(one.loss["local"] - one.loss[kind])[2] < 0]
    return Figure(
        name=f"{label}: sites where {kind} is worse than local only by more than the interval, AUROC",
        value=len(worse),
        goal="0",
        met=not worse,
        seeds=SEEDS,
        peers={"which": ", ".join(worse), "by log-loss": len(dearer), "which by log-loss": ", ".join(dearer)},
        reason="" if not worse else "large sites know more of their own patients than a noisy corpus tells",
    )


def beside(label: str, kind: str, other: str, sites: Mapping[str, Site]) -> Figure:
    value, low, high = ends(np.mean([one.auroc[kind] - one.auroc[other] for one in sites.values()], axis=0))
    saved, least, most = ends(np.mean([one.loss[other] - one.loss[kind] for one in sites.values()], axis=0))
    met = high >= 0
    return Figure(
        name=f"{label}: AUROC of {kind} less that of {other}, mean over sites",
        value=value,
        goal="not below 0 by more than its interval",
        met=met,
        seeds=SEEDS,
        peers={"low": low, "high": high, "log-loss saved": saved, "its low": least, "its high": most},
        reason="" if met else "the corpus tells less of how features act together than patients do",
    )


def of_site(label: str, site: str, one: Site) -> Figure:
    value, low, high = ends(one.auroc["commons"])
    peers: dict[str, float | int | str] = {"low": low, "high": high, "persons": one.persons, "events": one.events}
    for name in MODELS:
        if name != "commons":
            peers[f"AUROC {name}"] = round(float(one.auroc[name][0]), 4)
    for name in ("local", "commons", "federated", "commons + own", "hybrid"):
        peers[f"O/E {name}"] = round(one.oe[name], 2)
        peers[f"slope {name}"] = round(one.slope[name], 2) if math.isfinite(one.slope[name]) else "none"
    difference = ends(one.auroc["commons"] - one.auroc["local"])
    peers["commons less local"] = f"{difference[0]:.3f} ({difference[1]:.3f} to {difference[2]:.3f})"
    return Figure(name=f"{label}: {site}, AUROC of commons", value=value, seeds=SEEDS, peers=peers)


PLANS = (
    ("IST by country", 1.0, True),
    ("eICU demo by region", 1.0, True),
    ("IST by country, dead at 14 days", 1.0, False),
    ("eICU demo by region", 3.0, False),
    ("IST by country", 3.0, False),
    ("eICU demo by region", 8.0, False),
    ("IST by country", 8.0, False),
)


def opened(name: str) -> Data:
    if name == "eICU demo by region":
        return eicu()
    return stroke("country-dead14.yaml" if name.endswith("14 days") else "country.yaml", name)


def main(chosen: Sequence[str]) -> None:
    """Measure and write after each plan."""
    file = RESULTS / "commons_transfer.json"
    done: list[Figure] = []
    if chosen and file.exists():
        done = [Figure(**one) for one in json.loads(file.read_text(encoding="utf-8"))["figures"]]
    for place, (name, epsilon, with_sites) in enumerate(PLANS):
        if chosen and str(place) not in chosen:
            continue
        label = f"{name}, epsilon {epsilon:g}"
        found = list(figures(opened(name), epsilon, label=label, with_sites=with_sites))
        for one in found:
            print(one.name, one.value, dict(one.peers), one.met, flush=True)
        done = [one for one in done if not one.name.startswith(f"{label}:")] + found
        write("commons_transfer", done, "make bench NAME=commons_transfer")


if __name__ == "__main__":
    main(sys.argv[1:])
