"""A rare outcome in fifty hospitals of twenty cases each: how far a joint corpus at epsilon 1 replaces pooling.

    python benchmarks/rare_disease.py

Reads the International Stroke Trial with examples/ist/country-dead14.yaml from the folder WARDGATE_DATA (default
../shared/data). 1,000 patients who died within 14 days and 9,000 who did not are dealt out to fifty hospitals of 20
cases and 180 others, in the order of their countries, so that hospitals differ as countries do. Everybody else is the
test. The hub's own drivers run; sums are made in the open, with the noise that the secure sum of fifty hospitals would
carry when a third may collude. Local models choose their ridge by five folds on their own 200 persons.

Limits: hospitals are simulated from real patients of a trial; nobody's real hospital has this case mix.
"""

import math
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import Figure, write
from numpy.typing import NDArray
from synth import DATA, features_of, read

from wardgate.computations.glm import Glm
from wardgate.computations.marginals import Marginals
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.hospital.ward.learning import glm as glm_here
from wardgate.hospital.ward.learning import marginals as marginals_here
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.commons import choose_ridge, train
from wardgate.hub.pooling.marginals import draw_rows, joint_marginals
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.records.study import Study

Vector = NDArray[np.float64]

SITES = tuple(f"hospital-{place:02}" for place in range(50))
CASES, OTHERS = 20, 180
EPSILON = 1.0
LITTLE_NOISE = 8.0
SEEDS = range(200, 205)


@dataclass(slots=True, kw_only=True)
class Bench:
    """One hospital, all its persons in training."""

    site: str
    study: Study
    whole: Part
    kept: dict[str, Any] = field(default_factory=dict)

    def part(self, split: str) -> Part:
        return self.whole


@dataclass(slots=True, kw_only=True)
class Pool:
    """Fifty hospitals whose answers are added, with the noise that a secure sum of them carries."""

    study: Study
    benches: list[Bench]
    rng: np.random.Generator

    def told(self, ask: Ask) -> Told:
        kind, room = {"marginals": (Marginals, marginals_here), "glm": (Glm, glm_here)}[ask.computation]
        asked = kind.read(ask.parameters, dict(ask.arrays))
        answers = [room.answer(asked, bench=bench, split=ask.split) for bench in self.benches]
        total = np.sum([one.vector for one in answers], axis=0)
        honest = len(SITES) - len(SITES) // 3
        factor = math.sqrt(len(SITES) / honest)
        noise = float(ask.noise_multiplier or 0.0) * asked.shape(self.study).l2 * factor
        return Told(total=total + self.rng.normal(0.0, noise, len(total)), noise=noise, sites=ask.sites)

    def drive(self, driver: Generator[Ask, Told, Any]) -> Any:
        try:
            ask = next(driver)
            while True:
                ask = driver.send(self.told(ask))
        except StopIteration as end:
            return end.value


def patients() -> tuple[Study, pl.DataFrame]:
    """Return the study and everybody in it, in the order of their countries."""
    study, mapping = read("ist", "country-dead14.yaml")
    whole = pl.read_csv(DATA / "ist_stroke" / "IST.csv", infer_schema_length=0, encoding="utf8-lossy")
    parts = []
    for _, part in sorted(whole.group_by("COUNTRY"), key=lambda item: str(item[0])):
        with tempfile.TemporaryDirectory() as scratch:
            part.write_csv(Path(scratch) / "IST.csv")
            parts.append(features_of(study, load(Path(scratch), study, mapping=mapping).table))
    return study.model_copy(update={"sites": SITES}), pl.concat(parts)


def dealt(table: pl.DataFrame, rng: np.random.Generator) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """Return the hospitals and the test: cases and others drawn at random, dealt out in the order of the table."""
    rows = table.with_row_index("row")
    chosen = []
    for label, each in ((1, CASES), (0, OTHERS)):
        of_class = rows.filter(pl.col(LABEL) == label)["row"].to_numpy()
        chosen.append(np.sort(rng.choice(of_class, each * len(SITES), replace=False)).reshape(len(SITES), each))
    hospitals = [table[np.concatenate([cases, others])] for cases, others in zip(*chosen, strict=True)]
    left = np.setdiff1d(np.arange(table.height), np.concatenate([part.ravel() for part in chosen]))
    return hospitals, table[left]


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """AUROC on the test persons of one seed."""

    local: float
    worst: float
    joint: float
    little_noise: float
    by_site: float
    federated: float
    pooled: float
    persons: int

    def closed(self, area: float) -> float:
        """Return the share of the gap between local and pooled that an AUROC closes."""
        return (area - self.local) / (self.pooled - self.local)


def trained(study: Study, corpus: pl.DataFrame) -> Vector:
    """Fit the study's model as the chain does: the ridge of its menu that five folds choose."""
    return train(study, [corpus], ridge=choose_ridge(study, [corpus]))


def one_seed(study: Study, table: pl.DataFrame, seed: int) -> Areas:
    """Measure one deal."""
    rng = np.random.default_rng(seed)
    hospitals, test = dealt(table, rng)
    x, y = design_matrix(study.features, test), labels(test)

    def area(beta: Vector) -> float:
        return float(auroc(y, x @ beta).value)

    def joint(setting: str | None, epsilon: float) -> float:
        budget = study.budget.model_copy(update={"joint_corpus": epsilon, "epsilon_total": max(3.0, epsilon)})
        asked = study.model_copy(update={"joint_site": setting, "budget": budget})
        found = pool(asked).drive(joint_marginals(study=asked, sites=SITES, test_noise=True))
        if found.model is None:
            raise SystemExit(f"no joint corpus: {found.reason}")
        rows = getattr(found.model, "whole", found.model).persons
        return area(trained(study, draw_rows(found.model, rows, rng=rng)))

    def pool(asked: Study) -> Pool:
        benches = [
            Bench(site=site, study=asked, whole=part_of(asked, part))
            for site, part in zip(SITES, hospitals, strict=True)
        ]
        return Pool(study=asked, benches=benches, rng=rng)

    local = [area(trained(study, part.sample(fraction=1.0, shuffle=True, seed=seed))) for part in hospitals]
    glm = pool(study).drive(noisy_glm(study=study, sites=SITES, epsilon=EPSILON, delta=study.budget.delta))
    whole = pl.concat(hospitals).sample(fraction=1.0, shuffle=True, seed=seed)
    return Areas(
        local=float(np.mean(local)),
        worst=min(local),
        joint=joint(None, EPSILON),
        little_noise=joint(None, LITTLE_NOISE),
        by_site=joint("drop", EPSILON),
        federated=area(np.asarray(glm.model.beta)),
        pooled=area(trained(study, whole)),
        persons=test.height,
    )


def figures() -> list[Figure]:
    """Return every figure."""
    study, table = patients()
    runs = []
    for seed in SEEDS:
        runs.append(one_seed(study, table, seed))
        print(runs[-1], flush=True)

    def mean(values: list[float]) -> float:
        return round(float(np.mean(values)), 4)

    areas = {
        "local, mean of fifty": mean([one.local for one in runs]),
        "local, worst of fifty": mean([one.worst for one in runs]),
        "joint corpus": mean([one.joint for one in runs]),
        "joint corpus, epsilon 8": mean([one.little_noise for one in runs]),
        "joint corpus by site": mean([one.by_site for one in runs]),
        "federated noisy GLM": mean([one.federated for one in runs]),
        "pooled": mean([one.pooled for one in runs]),
    }
    found = []
    roads = {
        "joint corpus": [one.closed(one.joint) for one in runs],
        "joint corpus at epsilon 8 instead": [one.closed(one.little_noise) for one in runs],
        "joint corpus, hospitals told apart": [one.closed(one.by_site) for one in runs],
        "federated noisy GLM": [one.closed(one.federated) for one in runs],
    }
    for road, closed in roads.items():
        met = float(np.mean(closed)) >= 0.9
        goal = road == "joint corpus"
        found.append(
            Figure(
                name=f"IST, death within 14 days, 50 hospitals x 20 cases, epsilon 1: gap from local to pooled, {road}",
                value=mean(closed),
                goal=">= 0.9" if goal else "",
                met=met if goal else None,
                seeds=len(SEEDS),
                peers={
                    "standard deviation over seeds": round(float(np.std(closed, ddof=1)), 4),
                    **{f"AUROC, {name}": value for name, value in areas.items()},
                },
                reason=""
                if met or not goal
                else "noise, and what a forest of pairs leaves out: see epsilon 8 beside it",
            )
        )
    return found


if __name__ == "__main__":
    write("rare_disease", figures(), "python benchmarks/rare_disease.py")
