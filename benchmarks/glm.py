"""Federated regression on real hospitals: equality with pooled, noise once and local, 50 sites of 20 deaths, a peer.

make bench NAME=glm        (needs the real data: WARDGATE_DATA, default ../shared/data)

Sums go through the ring of the secure sum, each hospital's rounding and noise share included; masks, which cancel, are
left out. WARDGATE_DIFFPRIVLIB may name a Python that has diffprivlib; without it the peer is not measured.
"""

import csv
import hashlib
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import statsmodels.api as sm
from harness import ROOT, Figure, write
from numpy.typing import NDArray
from statsmodels.duration.hazard_regression import PHReg

from wardgate.computations.cox import Cox
from wardgate.computations.glm import Glm
from wardgate.entropy import SystemEntropy
from wardgate.federation.local import find_hospitals
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hospital.ward.learning import cox as ward_cox
from wardgate.hospital.ward.learning import glm as ward_glm
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.cox import cox
from wardgate.hub.pooling.glm import glm
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.discrimination import auroc
from wardgate.measures.glm import fit
from wardgate.measures.outcomes import outcome_values, predictors
from wardgate.measures.terms import Term, design_of
from wardgate.records.study import Label, Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside
from wardgate.sums.agreed import tolerated_in
from wardgate.sums.plan import SumPlan, contribute_alone, signal, total

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
EPSILON, DELTA = 1.0, 1e-6
DRAWS = 10
"""Draws of noise for each grouping of the fifty sites: one draw scatters by 7 points, fifty together by 1."""

Vector = NDArray[np.float64]
Noise = Literal["shares", "local"]
WARD: Mapping[str, Any] = {"glm": (Glm, ward_glm), "cox": (Cox, ward_cox)}


@dataclass(frozen=True)
class Home:
    """A bench over one hospital's persons."""

    study: Study
    held: Part

    def part(self, split: str) -> Part:
        """Return them, whatever the split is called."""
        return self.held


def cohorts(study_path: Path, data: Path, *, label: Label | None = None) -> tuple[Study, dict[str, pl.DataFrame]]:
    """Return a study and each hospital's cohort table."""
    study = parse(study_path.read_text(encoding="utf-8"), name=study_path.name)
    study = study if label is None else study.model_copy(update={"label": label})
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder) / "hospitals"
        divide(data, study, mapping_beside(study_path), homes)
        found = find_hospitals(homes, study)
        loaded = {site: load(found[site], study) for site in study.sites}
    return study, {site: cohort.table for site, cohort in loaded.items() if cohort.table.height}


def split_of(study: Study, found: Mapping[str, pl.DataFrame], seed: int) -> tuple[dict[str, Part], pl.DataFrame]:
    """Return every hospital's training persons, and all locked tests together."""
    train, test = {}, []
    for site, table in found.items():
        salt = hashlib.sha256(f"{seed}/{site}".encode()).digest()
        parts = tables(_Cohort(table=table), study.splits, salt=salt)
        train[site] = part_of(study, parts["train"])
        test.append(parts["locked_test"])
    return train, pl.concat(test)


@dataclass(frozen=True)
class _Cohort:
    table: pl.DataFrame

    @property
    def groups(self) -> pl.Series:
        """Every person is a group of their own."""
        return self.table["person"]


def drive(road: Generator[Ask, Told, Any], parts: Mapping[str, Part], study: Study, *, noise: Noise = "shares") -> Any:
    """Run a driver over hospitals in memory, each sum rounded and noised as the secure sum does."""
    homes = {site: Home(study=study, held=part) for site, part in sorted(parts.items())}
    persons, told, asked = sum(len(part.y) for part in parts.values()), None, 0
    while True:
        try:
            ask = next(road) if told is None else road.send(told)
        except StopIteration as done:
            return done.value
        asked += 1
        kind, ward = WARD[ask.computation]
        question = kind.read(ask.parameters, dict(ask.arrays))
        plan = SumPlan(
            roster=tuple(homes),
            entries=ask.shape.entries,
            persons=persons,
            bound=ask.shape.bound,
            context=str(asked).encode(),
            l2=ask.shape.l2,
            noise_multiplier=ask.noise_multiplier,
            tolerated=tolerated_in(len(homes), batch=None, least=None, local=False),
            coin=bytes(32),
        )
        answers = {site: ward.answer(question, bench=home, split="train") for site, home in homes.items()}
        spread = 0.0 if ask.noise_multiplier is None else ask.noise_multiplier * ask.shape.l2
        entropy = SystemEntropy()
        if noise == "local" and ask.noise_multiplier is not None:
            summed = np.zeros(plan.entries)
            for site, answer in answers.items():
                summed += contribute_alone(
                    plan, site=site, vector=answer.vector, persons_here=answer.persons, entropy=entropy
                )
            told = Told(total=summed, noise=spread * math.sqrt(len(homes)))
        else:
            signals = {
                site: signal(plan, site=site, vector=answer.vector, persons_here=answer.persons, entropy=entropy)
                for site, answer in answers.items()
            }
            spread *= math.sqrt(len(homes) / (len(homes) - plan.tolerated))
            told = Told(total=total(plan, signals), noise=spread)


def polished(model: Any, params: Vector, penalty: Vector) -> Vector:
    """Newton to the end with statsmodels' own score and Hessian, less the ridge."""
    for _ in range(8):
        score = np.asarray(model.score(params)) - penalty @ params
        params = params - np.linalg.solve(np.asarray(model.hessian(params)) - penalty, score)
    return params


def equal(
    name: str,
    study: Study,
    parts: Mapping[str, Part],
    *,
    family: Literal["logistic", "linear", "poisson"] = "logistic",
    outcome: str = "label",
    leave_out: tuple[str, ...] = (),
    terms: tuple[Term, ...] | None = None,
) -> Figure:
    """Compare one exact fit with statsmodels on the pooled table, ridge 1."""
    start = time.perf_counter()
    chosen = terms or tuple(term for term in predictors(study.features, outcome) if term.feature not in leave_out)
    found = drive(
        glm(
            study=study,
            sites=tuple(parts),
            family=family,
            outcome=outcome,
            terms=chosen,
            smoothing=10.0,
        ),
        parts,
        study,
    )
    took = time.perf_counter() - start
    table = pl.concat([part.table for part in parts.values()])
    design = design_of(study.features, chosen)
    y, known = outcome_values(family, outcome, study.features, table)
    x, y, penalty = design.matrix(table)[known], y[known], design.penalty(1.0, 10.0)
    kind = {
        "logistic": sm.families.Binomial(),
        "linear": sm.families.Gaussian(),
        "poisson": sm.families.Poisson(),
    }[family]
    if family == "linear":
        oracle = np.linalg.solve(x.T @ x + penalty, x.T @ y)
    else:
        oracle = polished(sm.GLM(y, x, family=kind), found.model.beta, penalty)
    worst = float(np.max(np.abs(found.model.beta - oracle)))
    return Figure(
        name=f"{name}, {len(parts)} sites, no noise: largest difference of coefficients from statsmodels, pooled",
        value=worst,
        goal="<= 1e-8",
        met=worst <= 1e-8,
        peers={
            "persons": len(y),
            "columns": design.columns,
            "sums": found.rounds,
            "seconds of arithmetic": round(took, 2),
        },
        reason="" if worst <= 1e-8 else "see value",
    )


def equal_special(name: str, study: Study, parts: Mapping[str, Part]) -> list[Figure]:
    """Site intercepts against dummies, and Firth against a textbook's own loop."""
    table = pl.concat([part.table for part in parts.values()])
    design = design_of(study.features, predictors(study.features, "label"))
    x, y = design.matrix(table), np.concatenate([part.y for part in parts.values()]).astype(float)
    own = drive(glm(study=study, sites=tuple(parts), site_ridge=1.0), parts, study)
    site = np.repeat(np.arange(len(parts)), [len(part.y) for part in parts.values()])
    dummies = (site[:, None] == np.arange(len(parts))[None, :]).astype(float)
    penalty = np.diag(np.concatenate([np.diag(design.penalty(1.0, 0.0)), np.ones(len(parts))]))
    names = tuple(str(place) for place in range(len(penalty)))
    whole = fit("logistic", np.column_stack([x, dummies]), y, penalty=penalty, names=names, tolerance=1e-11)
    first = float(np.max(np.abs(own.model.beta - whole.beta[: design.columns])))
    firth = drive(glm(study=study, sites=tuple(parts), firth=True, ridge=0.1), parts, study)
    ridge, beta = design.penalty(0.1, 0.0), np.zeros(design.columns)
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ beta))
        inverse = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x + ridge)
        hat = p * (1 - p) * np.einsum("ij,jk,ik->i", x, inverse, x)
        step = inverse @ (x.T @ (y - p + hat * (0.5 - p)) - ridge @ beta)
        beta = beta + step
        if np.max(np.abs(step)) < 1e-13:
            break
    second = float(np.max(np.abs(firth.model.beta - beta)))
    return [
        Figure(
            name=f"{name}, {len(parts)} site intercepts: largest difference from pooled with {len(parts)} dummies",
            value=first,
            goal="<= 1e-8",
            met=first <= 1e-8,
            peers={"sums": own.rounds},
            reason="" if first <= 1e-8 else "see value",
        ),
        Figure(
            name=f"{name}, Firth: largest difference of coefficients from pooled Firth",
            value=second,
            goal="<= 1e-8",
            met=second <= 1e-8,
            peers={"sums": firth.rounds},
            reason="" if second <= 1e-8 else "see value",
        ),
    ]


def equal_cox(name: str, study: Study, parts: Mapping[str, Part], *, time_of: str, terms: tuple[Term, ...]) -> Figure:
    """Compare Breslow on shared bins with statsmodels' PHReg on the binned times."""
    found = drive(cox(study=study, sites=tuple(parts), time=time_of, terms=terms, bins=7), parts, study)
    table = pl.concat([part.table for part in parts.values()])
    design = design_of(study.features, terms)
    edges = np.array(found.model.edges)
    last = np.clip(np.searchsorted(edges, table[time_of].to_numpy(), side="left") - 1, 0, len(edges) - 2)
    event = np.concatenate([part.y for part in parts.values()])
    model = PHReg(last + 1.0, design.matrix(table)[:, 1:], status=event, ties="breslow")
    oracle = polished(model, np.array(found.model.coefficients), design.penalty(1.0, 0.0)[1:, 1:])
    worst = float(np.max(np.abs(np.array(found.model.coefficients) - oracle)))
    return Figure(
        name=f"{name}, {len(parts)} sites, Cox (Breslow, {len(edges) - 1} bins): largest difference from PHReg, pooled",
        value=worst,
        goal="<= 1e-8",
        met=worst <= 1e-8,
        peers={"persons": len(event), "events": int(event.sum()), "sums": found.rounds},
        reason="" if worst <= 1e-8 else "see value",
    )


def judged(y: NDArray[np.int8], eta: Vector) -> tuple[float, float]:
    """Return AUROC and calibration slope."""
    found = fit(
        "logistic",
        np.column_stack([np.ones(len(eta)), eta / 10.0]),
        y.astype(float),
        penalty=np.zeros((2, 2)),
        names=("intercept", "slope"),
    )
    return auroc(y, eta).value, float(found.beta[1]) / 10.0


def noisy(
    title: str, study: Study, found: Mapping[str, pl.DataFrame], seeds: tuple[int, ...], *, goal: float | None
) -> list[Figure]:
    """All of epsilon 1 for one fit."""
    rows: dict[str, list[tuple[float, float]]] = {
        "pooled": [],
        "shares": [],
        "local": [],
        "peer": [],
        "strong peer": [],
    }
    for seed in seeds:
        train, test = split_of(study, found, seed)
        y = test["label"].to_numpy()
        exact = drive(glm(study=study, sites=tuple(train)), train, study).model
        rows["pooled"].append(judged(y, exact.linear_predictor(test)))
        for noise in ("shares", "local"):
            model = drive(
                noisy_glm(study=study, sites=tuple(train), epsilon=EPSILON, delta=DELTA), train, study, noise=noise
            ).model
            rows[noise].append(judged(y, model.linear_predictor(test)))
        x = np.concatenate([part.x for part in train.values()])
        labels = np.concatenate([part.y for part in train.values()])
        peer = diffprivlib(x, labels, exact.design.matrix(test))
        for name, eta in zip(("peer", "strong peer"), peer, strict=False):
            rows[name].append(judged(y, eta))
        print(title, seed, {name: values[-1] for name, values in rows.items() if values}, flush=True)
    middle = {name: statistics.median(value[0] for value in values) for name, values in rows.items() if values}
    slopes = {name: statistics.median(value[1] for value in values) for name, values in rows.items() if values}
    peers: dict[str, float | int | str | None] = {
        "pooled without noise": round(middle["pooled"], 4),
        "lowest seed": round(min(value[0] for value in rows["shares"]), 4),
        "every hospital its own noise": round(middle["local"], 4),
        "every hospital its own noise, lowest seed": round(min(value[0] for value in rows["local"]), 4),
    }
    for name, words in PEERS.items():
        peers[words] = round(middle[name], 4) if name in middle else "not measured"
    return [
        Figure(
            name=f"{title}, {len(found)} sites, epsilon 1 for the fit, noise in shares: AUROC, locked tests, median",
            value=round(middle["shares"], 4),
            goal="" if goal is None else f">= {goal:.3f}",
            met=None if goal is None else middle["shares"] >= goal,
            seeds=len(seeds),
            peers=peers,
            reason="training split of 55 %, test 20 %; the driver's constants were chosen on this data set",
        ),
        Figure(
            name=f"{title}, {len(found)} sites, epsilon 1 for the fit, noise in shares: calibration slope, median",
            value=round(slopes["shares"], 3),
            goal="0.9 to 1.1" if goal is not None else "",
            met=None if goal is None else 0.9 <= slopes["shares"] <= 1.1,
            seeds=len(seeds),
            peers={
                "pooled without noise": round(slopes["pooled"], 3),
                "lowest seed": round(min(value[1] for value in rows["shares"]), 3),
                "highest seed": round(max(value[1] for value in rows["shares"]), 3),
                "every hospital its own noise": round(slopes["local"], 3),
                **{words: round(slopes[name], 3) for name, words in PEERS.items() if name in slopes},
            },
            reason="" if 0.9 <= slopes["shares"] <= 1.1 else "see value",
        ),
    ]


PEERS = {
    "peer": "diffprivlib 0.6.6 on the pooled table, C = 1",
    "strong peer": "diffprivlib 0.6.6 on the pooled table, C = 0.01 (chosen on the test)",
}

PEER = """
import json, sys, warnings
import numpy as np
from diffprivlib.models import LogisticRegression
warnings.filterwarnings("ignore")
folder = sys.argv[1]
x, y, test = (np.load(f"{folder}/{name}.npy") for name in ("x", "y", "test"))
found = []
for c in (1.0, 0.01):
    model = LogisticRegression(epsilon=1.0, data_norm=float(sys.argv[2]), C=c, max_iter=500, fit_intercept=False)
    model.fit(x, y)
    found.append((test @ model.coef_[0]).tolist())
json.dump(found, sys.stdout)
"""


def diffprivlib(x: Vector, y: NDArray[np.int8], test: Vector) -> list[Vector]:
    """Fit diffprivlib (objective perturbation, pure epsilon 1) on the pooled table, with its own C and a strong one."""
    python = os.environ.get("WARDGATE_DIFFPRIVLIB")
    if not python:
        return []
    clip = 3.0
    cut = x * np.minimum(1.0, clip / np.linalg.norm(x, axis=1))[:, None]
    with tempfile.TemporaryDirectory() as folder:
        for name, array in (("x", cut), ("y", y), ("test", test)):
            np.save(Path(folder) / f"{name}.npy", array)
        done = subprocess.run([python, "-c", PEER, folder, str(clip)], check=True, capture_output=True, text=True)
    return [np.array(found) for found in json.loads(done.stdout)]


def groups(found: Mapping[str, pl.DataFrame], country: Mapping[str, str], seed: int) -> list[list[str]]:
    """Join hospitals within countries, in random order, until each group has 20 deaths; take 50 groups."""
    rng = np.random.default_rng(seed)
    made: list[list[str]] = []
    for name in sorted(set(country.values())):
        here, deaths = [], 0
        for site in rng.permutation(sorted(site for site in found if country[site] == name)):
            here.append(str(site))
            deaths += int(found[str(site)]["label"].sum())
            if deaths >= 20:
                made.append(here)
                here, deaths = [], 0
    return [made[place] for place in rng.permutation(len(made))[:50]]


def fifty_sites(seeds: tuple[int, ...]) -> list[Figure]:
    """Fifty real sites with 20 deaths each: share of the local-to-pooled gap that federation closes."""
    label = Label(name="dead_14d", meaning="Dead 14 days after randomisation", window_days=(0, 14))
    study, found = cohorts(ROOT / "examples/ist/hospitals.yaml", DATA / "ist_stroke", label=label)
    with (DATA / "ist_stroke" / "ist_baseline_task.csv").open(encoding="utf-8") as file:
        country = {f"h{row['HOSPNUM']}": row["COUNTRY"] for row in csv.DictReader(file)}
    exact, once, alone, slopes, aurocs = [], [], [], [], []
    for seed in seeds:
        made = groups(found, country, seed)
        held = {site for group in made for site in group}
        parts = {
            f"g{place:02}": part_of(study, pl.concat([found[site] for site in group]))
            for place, group in enumerate(made)
        }
        test = part_of(study, pl.concat([table for site, table in found.items() if site not in held]))
        names = design_of(study.features, predictors(study.features)).names
        penalty = design_of(study.features, predictors(study.features)).penalty(1.0, 0.0)
        local = statistics.mean(
            auroc(
                test.y, test.x @ fit("logistic", part.x, part.y.astype(float), penalty=penalty, names=names).beta
            ).value
            for part in parts.values()
        )
        whole = fit(
            "logistic",
            np.concatenate([part.x for part in parts.values()]),
            np.concatenate([part.y for part in parts.values()]).astype(float),
            penalty=penalty,
            names=names,
        )
        pooled = auroc(test.y, test.x @ whole.beta).value
        federated = drive(glm(study=study, sites=tuple(parts)), parts, study).model
        exact.append((auroc(test.y, federated.linear_predictor(test.x)).value - local) / (pooled - local))
        for noise, kept, draws in (("shares", once, DRAWS), ("local", alone, 3)):
            for _ in range(draws):
                model = drive(
                    noisy_glm(study=study, sites=tuple(parts), epsilon=EPSILON, delta=DELTA), parts, study, noise=noise
                ).model
                value, slope = judged(test.y, model.linear_predictor(test.x))
                kept.append((value - local) / (pooled - local))
                if noise == "shares":
                    slopes.append(slope)
                    aurocs.append(value)
        print("fifty", seed, len(parts), local, pooled, exact[-1], once[-3:], alone[-3:], flush=True)
    middle, average = statistics.median(once), statistics.mean(once)
    return [
        Figure(
            name="IST dead at 14 days, 50 sites of 20 deaths, no noise: share of the local-to-pooled gap, median",
            value=round(100 * statistics.median(exact), 3),
            unit="%",
            goal=">= 99 %",
            met=statistics.median(exact) >= 0.99,
            seeds=len(seeds),
            reason="" if statistics.median(exact) >= 0.99 else "see value",
        ),
        Figure(
            name="IST dead at 14 days, 50 sites of 20 deaths, epsilon 1, noise in shares: share of the gap, median",
            value=round(100 * middle, 1),
            unit="%",
            goal=">= 90 %",
            met=middle >= 0.9,
            seeds=len(once),
            peers={
                "mean": round(100 * average, 1),
                "standard error of the mean": round(100 * statistics.stdev(once) / math.sqrt(len(once)), 1),
                "lowest": round(100 * min(once), 1),
                "highest": round(100 * max(once), 1),
                "AUROC, median": round(statistics.median(aurocs), 4),
                "calibration slope, median": round(statistics.median(slopes), 3),
                "every site its own noise, median": round(100 * statistics.median(alone), 1),
            },
            reason=f"{len(seeds)} groupings x {DRAWS} draws; groups join hospitals in random order until 20 deaths",
        ),
    ]


def main() -> None:
    """Measure and write."""
    ist, found = cohorts(ROOT / "examples/ist/hospitals.yaml", DATA / "ist_stroke")
    train, _ = split_of(ist, found, 1)
    figures = [equal("IST logistic", ist, train), *equal_special("IST", ist, train)]
    heart, homes = cohorts(ROOT / "examples/heart/study.yaml", DATA / "uci_heart")
    whole = {site: part_of(heart, table) for site, table in homes.items()}
    curves = (Term(feature="age", segments=8), Term(feature="sex"), Term(feature="maximum_heart_rate", segments=8))
    figures += [
        equal("Heart logistic", heart, whole),
        equal("Heart with two curves (GAM)", heart, whole, terms=curves),
        equal("Heart least squares, ST depression", heart, whole, family="linear", outcome="st_depression"),
        *equal_special("Heart", heart, whole),
    ]
    diabetes, clinics = cohorts(ROOT / "examples/diabetes130/study.yaml", DATA / "diabetes130")
    every = {site: part_of(diabetes, table) for site, table in clinics.items()}
    few = tuple(Term(feature=name) for name in ("age", "sex", "race", "admission_type", "medications", "diagnoses"))
    figures += [
        equal("Diabetes-130 logistic", diabetes, every),
        equal("Diabetes-130 Poisson, inpatient stays", diabetes, every, family="poisson", outcome="inpatient_stays"),
        equal_cox("Diabetes-130, days in hospital", diabetes, every, time_of="days_in_hospital", terms=few),
    ]
    for figure in figures:
        print(figure.name, figure.value, figure.peers, flush=True)
    figures += noisy("IST", ist, found, (1, 2, 3, 4, 5), goal=0.790)
    figures += noisy("Diabetes-130", diabetes, clinics, (1, 2, 3), goal=None)
    figures += fifty_sites((1, 2, 3, 4, 5))
    write("glm", figures, "make bench NAME=glm")


if __name__ == "__main__":
    main()
