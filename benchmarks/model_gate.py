"""The gate on fitted models: what memorises is refused, the study's own models pass, LiRA beside SACRO-ML's.

    make bench NAME=model_gate        (needs the real data: WARDGATE_DATA, default ../shared/data)

SACRO-ML runs in an environment of its own: WARDGATE_SACROML names an interpreter with sacroml 2.0.1. Without it its
figures are absent. Splits are random for each seed: 55 % training, 5 % tuning, 20 % held out.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from harness import ROOT, Figure, write
from shares import common, share
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from boosting import DATA, Desk, hospitals, without_the_chain

sys.path.insert(0, str(ROOT / "tests" / "gate"))

from gate_corpora import hospital, study

from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.gate.battery.models import measure_model
from wardgate.hub.pooling.boosting import boosting
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures import logistic
from wardgate.measures.attacks import models as attack
from wardgate.measures.boosting import Growth
from wardgate.measures.encoding import design_matrix, labels
from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel, Predictor
from wardgate.policy import decide
from wardgate.policy.common import RULES as COMMON
from wardgate.policy.models import RULES
from wardgate.records.claim import Claim
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence

WORKERS = int(os.environ.get("WARDGATE_WORKERS", "2"))
BAD_SEEDS, SHADOWS = 20, 32
SITES = ("a", "b", "c")
REAL = {"Heart": ("examples/heart/study.yaml", "uci_heart"), "IST": ("examples/ist/country.yaml", "ist_stroke")}
DELTA = 1e-6

Rng = np.random.Generator
Fit = Callable[[pl.DataFrame, Rng], object]


@lru_cache(maxsize=4)
def cohort(name: str) -> tuple[Study, pl.DataFrame]:
    """Return a shipped study and the persons of all its hospitals: only a benchmark may hold them in one place."""
    path, data = REAL[name]
    with hospitals(ROOT / path, DATA / data) as (plan, homes, _):
        return plan, pl.concat([load(homes[site], plan).table for site in plan.sites])


def split(name: str, seed: int) -> tuple[Study, tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    rng = np.random.default_rng(80_000 + seed)
    if name == "simulated":
        site = hospital(rng, train=5_500, tuning=500, holdout=2_000)
        return study(), (site.train, site.tuning, site.holdout)
    plan, table = cohort(name)
    table = table[rng.permutation(table.height)]
    ends = [round(part * table.height) for part in (0.55, 0.60, 0.80)]
    return plan, (table[: ends[0]], table[ends[0] : ends[1]], table[ends[1] : ends[2]])


def regression(plan: Study, *, ridge: float) -> Fit:
    def fit(table: pl.DataFrame, rng: Rng) -> LinearModel:
        beta = logistic.fit(design_matrix(plan.features, table), labels(table), ridge=ridge)
        return LinearModel(
            family="logistic",
            outcome="label",
            features=plan.features,
            predictors=tuple(Predictor(feature=feature.name) for feature in plan.features),
            coefficients=tuple(float(one) for one in beta),
        )

    return fit


def boosted(plan: Study, growth: Growth) -> Fit:
    """The trees that the federated driver grows, from the sums of one table."""

    def fit(table: pl.DataFrame, rng: Rng) -> BoostingModel:
        steps = boosting(study=plan, sites=SITES, growth=growth)
        found = without_the_chain(steps, [Desk(study=plan, table=table)], {})
        return BoostingModel.of(found.bins, found.trees)

    return fit


def of_scikit_learn(plan: Study, make: Callable[[int], object]) -> Fit:
    def fit(table: pl.DataFrame, rng: Rng) -> object:
        model = make(int(rng.integers(2**31)))
        return model.fit(design_matrix(plan.features, table)[:, 1:], labels(table))  # type: ignore[attr-defined]

    return fit


SAFE: dict[str, tuple[str, Callable[[Study], Fit], int, float | None]] = {
    "ridge regression, simulated": ("simulated", lambda plan: regression(plan, ridge=1.0), 50, 0.9),
    "boosted, 30 trees of depth 2, simulated": (
        "simulated",
        lambda plan: boosted(plan, Growth(trees=30, depth=2, learning_rate=0.05, min_persons=50)),
        50,
        0.9,
    ),
    "ridge regression, IST": ("IST", lambda plan: regression(plan, ridge=1.0), 50, 0.9),
    "boosted, 100 trees of depth 3, IST": ("IST", lambda plan: boosted(plan, Growth()), 50, 0.9),
    "ridge regression, Heart": ("Heart", lambda plan: regression(plan, ridge=1.0), 20, None),
    "boosted, 30 trees of depth 2, Heart": (
        "Heart",
        lambda plan: boosted(plan, Growth(trees=30, depth=2, learning_rate=0.05, min_persons=50)),
        20,
        None,
    ),
}
"""Models that a study would fit: data, the fit, seeds and goal. Heart has 506 training persons: too few for a goal."""

BAD: dict[str, Callable[[Study], Fit]] = {
    "forest without limit": lambda plan: of_scikit_learn(
        plan, lambda seed: RandomForestClassifier(50, random_state=seed)
    ),
    "nearest neighbours": lambda plan: of_scikit_learn(plan, lambda seed: KNeighborsClassifier(5)),
    "tree that was not pruned": lambda plan: of_scikit_learn(
        plan, lambda seed: DecisionTreeClassifier(random_state=seed)
    ),
}


def refused_by(case: tuple[str, int]) -> tuple[str, ...]:
    """Return the rules that refused one model; those on attacks that could not be run are among them."""
    title, seed = case
    data, make = SAFE[title][:2] if title in SAFE else ("simulated", BAD[title])
    plan, (train, tuning, holdout) = split(data, seed)
    fit = make(plan)
    rng = np.random.default_rng(seed)
    measured, absent = measure_model(
        fit(train, rng),
        train=train,
        tuning=tuning,
        holdout=holdout,
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=rng,
        refit=fit if data == "Heart" else None,
    )
    evidence = Evidence(
        kind="model",
        persons_train="500-999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=measured,
        absent=absent,
    )
    verdict = decide(evidence, plan.gate, rules=(*COMMON, *RULES))
    return tuple(ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass")


def verdicts(pool: ProcessPoolExecutor, titles: Sequence[str]) -> list[Figure]:
    figures = []
    for title in titles:
        seeds, goal = SAFE[title][2:] if title in SAFE else (BAD_SEEDS, 0.9)
        found = list(pool.map(refused_by, [(title, seed) for seed in range(seeds)]))
        hits = sum(bool(rules) != (title in SAFE) for rules in found)
        name = f"{'passes' if title in SAFE else 'refused'}: {title}"
        figures.append(share(name, hits, seeds, goal=goal, words=common(found)))
    return figures


SETTINGS: dict[str, Callable[[int], object]] = {
    "logistic regression": lambda seed: LogisticRegression(C=1.0, max_iter=1000, random_state=seed),
    "boosted trees": lambda seed: GradientBoostingClassifier(
        n_estimators=50, max_depth=2, min_samples_leaf=20, random_state=seed
    ),
    "forest without limit": lambda seed: RandomForestClassifier(n_estimators=30, random_state=seed),
}


def beside_sacro(title: str, seed: int) -> tuple[dict[str, float], dict[str, float] | None]:
    """Return AUROC and TPR of LiRA on one model, 1,000 members and 1,000 others, ours and SACRO-ML's."""
    site = hospital(np.random.default_rng(90_000 + seed), train=1_000, tuning=100, holdout=1_000)
    x, tx = (design_matrix(study().features, table)[:, 1:] for table in (site.train, site.holdout))
    y, ty = labels(site.train).astype(np.int64), labels(site.holdout).astype(np.int64)
    both, label = np.concatenate((x, tx)), np.concatenate((y, ty))
    member = np.arange(len(both)) < len(x)
    rng = np.random.default_rng(seed)

    def told(rows: np.ndarray, number: int) -> np.ndarray:
        model = SETTINGS[title](number).fit(both[rows], label[rows])  # type: ignore[attr-defined]
        return attack.confidence(model.predict_proba(both)[:, 1], label.astype(np.int8))

    numbers = iter(range(1_000, 2_000))
    known = attack.shadows(len(both), count=SHADOWS, fit=lambda half: told(half, next(numbers)), rng=rng)
    scores = attack.attacks(told(member, seed), known, online=True)
    ours = {"auc": float(roc_auc_score(member, scores["lira"]))}
    ours["tpr"] = float(np.mean(scores["lira"][member] > np.quantile(scores["lira"][~member], 0.99)))
    ours["worst"] = max(float(roc_auc_score(member, score)) for score in scores.values())
    interpreter = os.environ.get("WARDGATE_SACROML")
    if not interpreter:
        return ours, None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npz"
        np.savez(file, x=x, y=y, tx=tx, ty=ty)
        script = ROOT / "benchmarks" / "peers" / "sacro_lira.py"
        command = [interpreter, str(script), str(file), title, str(SHADOWS), str(seed)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        return ours, json.loads(done.stdout.splitlines()[-1])


def peers(seeds: int = 2) -> list[Figure]:
    figures = []
    for title in SETTINGS:
        found = [beside_sacro(title, seed) for seed in range(seeds)]
        for key, words in (("auc", "AUROC"), ("tpr", "TPR at 1 % FPR")):
            ours = float(np.mean([one[key] for one, _ in found]))
            theirs = [two[key] for _, two in found if two is not None]
            beside = {"SACRO-ML 2.0.1, online": round(float(np.mean(theirs)), 3)} if theirs else {}
            worst = np.mean([one["worst"] for one, _ in found])
            reason = f"{SHADOWS} shadows each; the worst of Wardgate's four attacks has an AUROC of {worst:.3f}"
            print(f"LiRA {words}, {title}: {ours:.3f} beside {beside}; {reason}", flush=True)
            figures.append(
                Figure(name=f"LiRA, {words}: {title}", value=round(ours, 3), seeds=seeds, peers=beside, reason=reason)
            )
    return figures


class Room(Desk):
    """A hospital without the chain, with the design that a regression asks for."""

    def part(self, split: str) -> Part:
        del split
        return Part(table=self.table, x=design_matrix(self.study.features, self.table), y=labels(self.table))


def advantage(epsilon: float, *, shadows: int = 16, seed: int = 0) -> float:
    """Return TPR less FPR of LiRA on noisy regressions; the threshold is chosen on one half of the persons."""
    site = hospital(np.random.default_rng(seed), train=3_000, tuning=0, holdout=3_000)
    pool, plan = pl.concat((site.train, site.holdout)), study()
    label, rng = labels(pool), np.random.default_rng(seed)

    def told(half: np.ndarray) -> np.ndarray:
        steps = noisy_glm(study=plan, sites=SITES, epsilon=epsilon, delta=DELTA)
        room = Room(study=plan, table=pool.filter(pl.Series(half)))
        return attack.confidence(without_the_chain(steps, [room], {}).model.predict_proba(pool)[:, 1], label)

    known = attack.shadows(pool.height, count=shadows, fit=told, rng=rng)
    score, saw = [], []
    for one, seen, others in attack.left_out(known):
        score.append(attack.attacks(one, others, online=True)["lira"])
        saw.append(seen)
    chosen = rng.random(pool.height) < 0.5
    first, second = (np.stack(score)[:, part].ravel() for part in (chosen, ~chosen))
    member, others_ = (np.stack(saw)[:, part].ravel() for part in (chosen, ~chosen))
    cuts = np.quantile(first, np.linspace(0.01, 0.99, 99))
    best = max(cuts, key=lambda cut: float(np.mean(first[member] > cut) - np.mean(first[~member] > cut)))
    return float(np.mean(second[others_] > best) - np.mean(second[~others_] > best))


def noisy() -> list[Figure]:
    figures = []
    for epsilon in (0.1, 1.0, 3.0):
        found = advantage(epsilon)
        bound = (np.exp(epsilon) - 1 + 2 * DELTA) / (np.exp(epsilon) + 1)
        words = f"bound {bound:.2f}" + ("; near-vacuous, so attacks stay mandatory" if epsilon >= 1 else "")
        print(f"advantage at epsilon {epsilon:g}: {found:.4f}, {words}", flush=True)
        figures.append(
            Figure(
                name=f"membership advantage of LiRA on a noisy regression, epsilon {epsilon:g}",
                value=round(found, 4),
                goal=f"<= {bound:.3f}",
                met=bool(found <= bound),
                seeds=16,
                reason=words,
            )
        )
    return figures


def main() -> None:
    figures = [*noisy(), *peers()]
    with ProcessPoolExecutor(WORKERS) as pool:
        figures += verdicts(pool, [*BAD, *SAFE])
    write("model_gate", figures, "make bench NAME=model_gate")


if __name__ == "__main__":
    main()
