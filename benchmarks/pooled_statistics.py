"""Descriptive statistics, components, evaluation and joint models over real hospitals, beside the pooled rows.

make bench NAME=pooled_statistics        (needs the real data: WARDGATE_DATA, default ../shared/data)

Everything but the joint models goes through real wards: gates, budgets, masks, logs.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import ROOT, Figure, write
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from synth import stroke

from federation import DATA, TODAY
from wardgate.computations.tables import Tables
from wardgate.entropy import SystemEntropy
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables as split_tables
from wardgate.hospital.ward.learning.tables import tables as count_tables
from wardgate.hub.pooling.model_scores import evaluation
from wardgate.hub.pooling.moments import components
from wardgate.hub.pooling.platt import recalibrated, recalibration
from wardgate.hub.pooling.quantiles import quantiles
from wardgate.hub.pooling.summaries import summaries
from wardgate.hub.pooling.tables import counts
from wardgate.marginals.domain import domain_of
from wardgate.marginals.equals.adaptive import Adapted, adapt, budgeted
from wardgate.marginals.sampling import sample
from wardgate.marginals.tree.growth import grow
from wardgate.marginals.tree.plan import plan
from wardgate.marginals.workload import count as count_workload
from wardgate.measures.components import signed
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.grain import place
from wardgate.measures.logistic import fit
from wardgate.models.linear import LinearModel
from wardgate.privacy.choice import exponential_choice
from wardgate.privacy.noise import discrete_gaussian
from wardgate.records.bands import at_least
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside
from wardgate.sums.shares import noise as share_noise
from wardgate.sums.shares import share_sigma

Vector = NDArray[np.float64]
ANALYSES = ["summaries", "moments", "tables", "model_scores", "platt"]
THRESHOLDS = (0.1, 0.2, 0.3)
SEEDS, CHOSEN_SEEDS, TABLES = 10, 3, 14
EPSILON, DELTA = 1.0, 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open federation, and its persons in one place: only a benchmark may hold them so."""

    name: str
    study: Study
    federation: Federation
    parts: dict[str, pl.DataFrame]

    def at_least(self, split: str) -> int:
        reviews = self.federation.enrolled.reviews
        persons = sum(at_least(str(reviews[site].statement["persons_band"])) for site in self.federation.sites)
        return int(persons * getattr(self.study.splits, split))


@contextmanager
def opened(name: str, path: Path, data: Path) -> Iterator[Opened]:
    plain = parse(path.read_text(encoding="utf-8"), name=path.name).plain()
    study = Study.from_plain(plain | {"analyses": ANALYSES})
    settings = Settings(seed=1, issued_on=TODAY)
    with tempfile.TemporaryDirectory() as folder:
        homes, work = Path(folder) / "hospitals", Path(folder) / "work"
        homes.mkdir()
        work.mkdir()
        divide(data, study, mapping_beside(path), homes)
        hospitals = find_hospitals(homes, study)
        with local(study=study, hospitals=hospitals, settings=settings, work=work) as federation:
            split = [
                split_tables(load(hospitals[site], study), study.splits, salt=settings.salt(site))
                for site in federation.sites
            ]
            parts = {part: pl.concat([one[part] for one in split]) for part in ("train", "tuning", "holdout")}
            yield Opened(name=name, study=study, federation=federation, parts=parts)


def relative(found: Any, truth: Any) -> float:
    """Largest relative difference."""
    left, right = np.asarray(found, dtype=float), np.asarray(truth, dtype=float)
    return float(np.max(np.abs(left - right) / np.maximum(np.abs(right), 1e-300), initial=0.0))


def goal(name: str, value: float, bound: float, *, peers: Any = None, reason: str = "") -> Figure:
    """A figure that must not pass a bound."""
    met = bool(value <= bound)
    return Figure(
        name=name,
        value=value,
        goal=f"<= {bound:g}",
        met=met,
        seeds=1,
        peers=peers or {},
        reason=reason if met else reason or "see value",
    )


def describe(one: Opened) -> list[Figure]:
    """Means, spreads, components, counts and quantiles of training persons."""
    study, federation, train = one.study, one.federation, one.parts["train"]
    sites, title = federation.sites, f"{one.name}, {len(federation.sites)} sites"
    start = time.perf_counter()
    found = federation.drive(summaries(study=study, sites=sites))
    took = time.perf_counter() - start
    columns = {row.feature: train[row.feature].drop_nulls().to_numpy() for row in found.groups[0]}
    shown = [row for row in found.groups[0] if np.isfinite(row.mean)]
    pairs = [(row.mean, columns[row.feature].mean()) for row in shown]
    pairs += [(row.variance, columns[row.feature].var(ddof=1)) for row in shown if row.variance > 0]
    figures = [
        goal(
            f"{title}: means and variances of {len(shown)} features, largest relative difference from pooled numpy",
            relative(*zip(*pairs, strict=True)),
            1e-9,
            peers={"seconds, two sums": round(took, 2), "features over too few persons": len(columns) - len(shown)},
        )
    ]
    x = design_matrix(study.features, train)[:, 1:]
    principal, spread = federation.drive(components(study=study, sites=sites))
    truth = np.cov(x.T)
    deviation = np.sqrt(np.maximum(np.diag(truth), 1e-300))
    oracle = PCA(svd_solver="full").fit(x)
    values = oracle.explained_variance_
    kept = values > 1e-9 * values[0]
    apart = (
        np.min(np.abs(values[:10, None] - values[None, :]) + np.eye(len(values))[:10] * 9, axis=1) > 1e-4 * values[0]
    )
    figures += [
        goal(
            f"{title}: covariance of {x.shape[1]} columns, largest difference from pooled numpy over both deviations",
            float(np.max(np.abs(spread.second.covariance - truth) / np.outer(deviation, deviation))),
            1e-9,
        ),
        goal(
            f"{title}: variances of principal components, largest relative difference from pooled scikit-learn",
            relative(principal.variance[kept], values[kept]),
            1e-9,
            peers={"components": int(kept.sum())},
        ),
        goal(
            f"{title}: loadings of the first ten components, largest difference from pooled scikit-learn",
            float(np.max(np.abs(principal.loadings[:10] - signed(oracle.components_[:10]))[apart[: len(values)]])),
            1e-7,
            reason="" if apart.all() else f"{int((~apart).sum())} whose variances nearly coincide are left out",
        ),
    ]
    table = federation.drive(counts(study=study, sites=sites, persons_at_least=one.at_least("train"), by_label=True))
    wrong = hidden = small = 0
    for part in table.tables:
        brute = cells_of_rows(part.columns, part.names, study, train)
        here = np.isfinite(part.cells)
        wrong += int(np.sum(part.cells[here] != brute[here]))
        hidden += int(np.sum(~here))
        small += int(np.sum((part.cells > 0) & (part.cells < study.gate.small_cells.min_count)))
    figures.append(
        goal(
            f"{title}: counts by label, shown cells that are wrong or small",
            wrong + small,
            0,
            peers={"cells": sum(part.cells.size for part in table.tables), "hidden": hidden},
        )
    )
    names = tuple(f.name for f in study.features if f.type in ("number", "integer"))
    names = tuple(name for name in names if train[name].drop_nulls().len() >= 100)
    rows = federation.drive(quantiles(study=study, sites=sites, features=names, persons_at_least=one.at_least("train")))
    missed, widths = 0, []
    for row in rows.found:
        low, high = study.feature(row.feature).range or (0.0, 1.0)
        true = float(np.quantile(train[row.feature].drop_nulls().to_numpy(), row.level, method="inverted_cdf"))
        missed += not row.low <= true < row.high
        widths.append((row.high - row.low) / (high - low))
    figures.append(
        goal(
            f"{title}: quartiles of {len(names)} numbers, brackets that miss the pooled quantile",
            missed,
            0,
            peers={
                "sums": rows.rounds,
                "median width, share of the range": round(float(np.median(widths)), 4),
                "largest width": round(max(widths), 4),
                "as narrow as asked (0.001)": f"{sum(row.resolved for row in rows.found)} of {len(rows.found)}",
            },
            reason="a zoom stops where fewer than 22 persons would stand behind a bracket",
        )
    )
    return figures


def cells_of_rows(columns: Sequence[str], names: Any, study: Study, table: pl.DataFrame) -> Vector:
    """Count again, in polars."""
    found = np.zeros([len(part) for part in names])
    words = [
        table[column].cast(pl.Int64 if column == LABEL or study.feature(column).type == "boolean" else pl.String)
        for column in columns
    ]
    keys = [word.cast(pl.String).replace({"0": "no", "1": "yes"}) if word.dtype == pl.Int64 else word for word in words]
    for row in zip(*(key.fill_null("missing").to_list() for key in keys), strict=True):
        found[tuple(part.index(word) for part, word in zip(names, row, strict=True))] += 1
    return found


def judge(one: Opened) -> list[Figure]:
    """A model fitted on training persons, judged on holdout and recalibrated on tuning persons."""
    study, federation, sites = one.study, one.federation, one.federation.sites
    beta = fit(design_matrix(study.features, one.parts["train"]), labels(one.parts["train"]), ridge=1.0) * 1.4
    model = LinearModel.from_plain(
        {
            "schema": "wardgate/model/glm/1",
            "family": "logistic",
            "outcome": LABEL,
            "features": [feature.plain() for feature in study.features],
            "predictors": [{"feature": feature.name} for feature in study.features],
            "coefficients": [float(value) for value in beta],
        }
    )
    persons = one.at_least("holdout")
    found = federation.drive(
        evaluation(study=study, sites=sites, model=model, persons_at_least=persons, thresholds=THRESHOLDS, rounds=2)
    ).figures
    noisy = federation.drive(
        evaluation(study=study, sites=sites, model=model, persons_at_least=persons, epsilon=1.0, rounds=2)
    ).figures
    holdout = one.parts["holdout"]
    p, y = model.predict_proba(holdout)[:, 1], labels(holdout)
    truth = float(roc_auc_score(y, p))
    gap = abs(found.auroc.value - truth)
    sums = [(found.oe.value, y.sum() / p.sum()), (found.brier.value, brier_score_loss(y, p))]
    for decision in found.decisions:
        above = p >= decision.threshold
        weight = decision.threshold / (1 - decision.threshold)
        benefit = (y[above].sum() - weight * (1 - y)[above].sum()) / len(y)
        sums += [
            (decision.sensitivity.value, above[y == 1].mean()),
            (decision.specificity.value, (~above)[y == 0].mean()),
        ]
        sums += [(1 + decision.net_benefit.value, 1 + benefit)]
    better = federation.drive(recalibration(study=study, sites=sites, model=model))
    tuning = one.parts["tuning"]
    before = model.predict_proba(tuning)[:, 1]
    oracle = LogisticRegression(C=np.inf, tol=1e-13, max_iter=10_000).fit(logit(before)[:, None], labels(tuning))
    after = federation.drive(
        evaluation(
            study=study, sites=sites, model=recalibrated(model, better), persons_at_least=persons, called="recalibrated"
        )
    ).figures
    slope = LogisticRegression(C=np.inf, tol=1e-13).fit(logit(p)[:, None], y).coef_[0, 0]
    title = f"{one.name}, {len(sites)} sites"
    return [
        goal(
            f"{title}: AUROC from bins, difference from the scores' own over the stated error",
            gap / found.auroc_error,
            1.0,
            peers={
                "difference": float(f"{gap:.2g}"),
                "stated error": float(f"{found.auroc_error:.2g}"),
                "AUROC": round(truth, 4),
                "with noise, epsilon 1": round(noisy.auroc.value, 4),
                "its interval": f"{noisy.auroc.low:.3f} to {noisy.auroc.high:.3f}",
            },
        ),
        goal(
            f"{title}: O/E, Brier, sensitivity, specificity, net benefit, largest relative difference from pooled",
            relative(*zip(*sums, strict=True)),
            1e-9,
        ),
        Figure(
            name=f"{title}: calibration slope from bins less that of the scores themselves",
            value=round(found.slope.value - float(slope), 5),
            seeds=1,
            peers={"slope": round(float(slope), 3)},
            reason="from the mean score of each bin; recalibration below is exact",
        ),
        goal(
            f"{title}: Platt intercept and slope on tuning persons, largest difference from pooled scikit-learn",
            max(abs(better.slope - float(oracle.coef_[0, 0])), abs(better.intercept - float(oracle.intercept_[0]))),
            1e-5,
            peers={
                "sums": better.rounds,
                "slope found": round(better.slope, 3),
                "holdout slope before": round(found.slope.value, 3),
                "after": round(after.slope.value, 3),
            },
            reason="scikit-learn's own tolerance; the score equations hold to 1e-6",
        ),
    ]


def adapted(study: Study, whole: pl.DataFrame, parts: Sequence[pl.DataFrame], *, how: str) -> Adapted:
    """One run of the road.

    Args:
        how: `joint` adds noise in shares of every site, enough that a third of them may collude; `shares` the same with
            nobody tolerated; `central` is one curator's own noise; `true` is a curator's, and AIM's choices.
    """
    entropy = SystemEntropy()
    budget = budgeted(epsilon=EPSILON, delta=DELTA, rounds=TABLES, true_choice=how == "true")
    truth: dict[Any, Vector] = {}

    def choose(graph: Any, candidates: Any, cuts: Any, sigma: float) -> int:
        scores = []
        for one in candidates:
            if one not in truth:
                used = {name: cuts[name] for name in one if name in cuts}
                truth[one] = count_tables(Tables(tables=(one,), cuts=used), whole, study=study).vector
            gap = np.abs(truth[one] - graph.table(one).ravel()).sum()
            scores.append(gap - np.sqrt(2 / np.pi) * sigma * len(truth[one]))
        return exponential_choice(scores, epsilon=budget.choice, sensitivity=1.0 + 1e-6, entropy=entropy)

    road = adapt(study.features, ways=3, budget=budget, choose=choose if how == "true" else None)
    asked = next(road)
    while True:
        tables = Tables(tables=asked.tables, cuts=asked.cuts)
        sigma = asked.sigma
        if how in ("joint", "shares"):
            tolerated = len(parts) // 3 if how == "joint" else 0
            share = share_sigma(sigma=sigma * 2.0**14, sites=len(parts), tolerated=tolerated)
            sigma *= float(np.sqrt(len(parts) / (len(parts) - tolerated)))
            total: Vector = np.zeros(tables.shape(study).entries)
            for part in parts:
                total += count_tables(tables, part, study=study).vector
                total += share_noise(sigma=share, entries=len(total), entropy=entropy).astype(np.int64) / 2.0**14
        else:
            total = count_tables(tables, whole, study=study).vector
            total = total + discrete_gaussian(sigma=asked.sigma, size=len(total), entropy=entropy)
        try:
            asked = road.send((total, sigma))
        except StopIteration as end:
            found: Adapted = end.value
            return found


def workload_error(found: Adapted, table: pl.DataFrame, rows: pl.DataFrame | None = None) -> float:
    """Mean total variation distance over all three-way marginals, of the model or of `rows` in its cells."""
    names = tuple(found.cells)
    codes = [{name: place(found.cells[name], one) for name in names} for one in (table, rows) if one is not None]
    errors = []
    for columns in combinations(names, 3):
        shape = [found.cells[name].size for name in columns]
        shares = []
        for code in codes:
            held = np.bincount(np.ravel_multi_index([code[c] for c in columns], shape), minlength=int(np.prod(shape)))
            shares.append(held / held.sum())
        other = shares[1] if rows is not None else found.graph.table(columns).ravel() / found.graph.persons
        errors.append(0.5 * float(np.abs(shares[0] - other).sum()))
    return float(np.mean(errors))


def joint_models() -> list[Figure]:
    """IST over its countries, epsilon 1: the joint model beside a curator's, and beside the forest."""
    everybody = next(data for data in stroke() if data.name == "IST all countries")
    study, whole = everybody.study, everybody.table.drop("site")
    parts = [part.drop("site") for _, part in everybody.table.group_by("site", maintain_order=True)]
    found: dict[str, list[float]] = {"shares": [], "central": [], "joint": [], "true": [], "forest": []}
    for seed in range(SEEDS):
        for how in ("shares", "central", *(("joint", "true") if seed < CHOSEN_SEEDS else ())):
            model = adapted(study, whole, parts, how=how)
            found[how].append(workload_error(model, whole))
        if seed < CHOSEN_SEEDS:
            found["forest"].append(workload_error(model, whole, forest(study, whole, seed)))
        print(seed, {how: round(errors[-1], 5) for how, errors in found.items() if errors}, flush=True)
    mean = {how: float(np.mean(errors)) for how, errors in found.items()}
    spread = float(np.hypot(np.std(found["shares"], ddof=1), np.std(found["central"], ddof=1)) / np.sqrt(SEEDS))
    gap = abs(mean["shares"] - mean["central"])
    return [
        goal(
            f"IST, {len(parts)} countries, epsilon 1: 3-way workload error, joint model less central one",
            round(gap, 5),
            0.01,
            peers={
                "joint, noise in shares, mean total variation over 1,330 marginals": round(mean["shares"], 5),
                "central, same road": round(mean["central"], 5),
                "standard error of the difference": round(spread, 5),
                "joint over central": round(mean["shares"] / mean["central"], 3),
                "seeds of each": SEEDS,
            },
            reason="independent noise on both sides; of the same totals both make the same model, which a test holds",
        ),
        Figure(
            name="IST, epsilon 1: 3-way workload error where a third of the countries may collude",
            value=round(mean["joint"], 5),
            seeds=CHOSEN_SEEDS,
            peers={
                "nobody colludes": round(mean["shares"], 5),
                "one curator, AIM's choices by the exponential mechanism over true errors": round(mean["true"], 5),
                "forest of pairs (the joint corpus), one curator's noise, 10 x persons drawn": round(mean["forest"], 5),
            },
            reason="the shares of 24 countries alone hold the promise, so all 36 give 1.22 times the noise",
        ),
    ]


def forest(study: Study, whole: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Rows of the joint corpus as the chain makes it."""
    domain = domain_of(study.features)
    road = grow(domain, plan(domain, epsilon=EPSILON, delta=DELTA, structure="summed"), rules=study.rules)
    ask = next(road)
    while True:
        noise = discrete_gaussian(sigma=ask.sigma, size=ask.workload.size, entropy=SystemEntropy())
        try:
            ask = road.send(count_workload(ask.workload, whole) + noise)
        except StopIteration as end:
            return sample(end.value, 10 * whole.height, rng=np.random.default_rng(seed))


def main() -> None:
    """Measure and write."""
    figures: list[Figure] = []
    for name, path, data in (
        ("Heart", "examples/heart/study.yaml", "uci_heart"),
        ("IST by country", "examples/ist/country.yaml", "ist_stroke"),
        ("Diabetes-130", "examples/diabetes130/study.yaml", "diabetes130"),
    ):
        with opened(name, ROOT / path, DATA / data) as one:
            for figure in (*describe(one), *judge(one)):
                figures.append(figure)
                print(figure.name, figure.value, figure.met, dict(figure.peers), figure.reason, flush=True)
    for figure in joint_models():
        figures.append(figure)
        print(figure.name, figure.value, figure.met, dict(figure.peers), figure.reason, flush=True)
    write("pooled_statistics", figures, "make bench NAME=pooled_statistics")


if __name__ == "__main__":
    main()
