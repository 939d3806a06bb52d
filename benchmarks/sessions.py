"""Whole federated computations through signing, gate, budget, masks and log: how long they take, and what they find.

make bench NAME=sessions        (needs the real data: WARDGATE_DATA, default ../shared/data)
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import ROOT, Figure, write
from sklearn.ensemble import HistGradientBoostingClassifier

from federation import DATA, TODAY, hospitals
from wardgate.computations.newton import Newton
from wardgate.federation.estimators import FederatedGradientBoostingClassifier
from wardgate.federation.local import Settings, local
from wardgate.federation.session import Federation
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hub.pooling.ask import sum_ask
from wardgate.measures.boosting import Growth
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_columns, design_matrix, labels
from wardgate.models.boosting import BoostingModel
from wardgate.records.study import Study

BOOSTING = ["boosting_bins", "boosting_histograms", "boosting_leaves", "boosting_loss"]
AUROC_LOSS = 0.003


def widened(study: Study, *, analyses: list[str], **changes: Any) -> Study:
    """Return the study with analyses listed, and other top-level or gate entries."""
    plain = study.plain() | {"analyses": analyses} | changes
    plain["gate"]["dp"]["exact_sum_ration"] = 5000
    return Study.from_plain(plain)


@contextmanager
def opened(study: Study, homes: dict[str, Path], folder: Path, seed: int) -> Iterator[Federation]:
    """Open a federation over hospitals on this machine."""
    work = folder / f"work-{seed}-{time.monotonic_ns()}"
    work.mkdir()
    settings = Settings(seed=seed, issued_on=TODAY)
    with local(study=study, hospitals=homes, settings=settings, work=work) as federation:
        yield federation


def parts(study: Study, homes: dict[str, Path], sites: tuple[str, ...], seed: int, split: str) -> pl.DataFrame:
    """Return one split of all hospitals together: only a benchmark may hold it in one place."""
    settings = Settings(seed=seed, issued_on=TODAY)
    found = [tables(load(homes[site], study), study.splits, salt=settings.salt(site))[split] for site in sites]
    return pl.concat(found)


def newton_step(drop_out: str | None) -> list[Figure]:
    """IST: one asked step over all 464 hospitals."""
    with hospitals(ROOT / "examples/ist/hospitals.yaml", DATA / "ist_stroke") as (study, homes, folder):
        changes = {} if drop_out is None else {"drop_out": drop_out}
        study = widened(study, analyses=[], **changes)
        wall, cpu = [], []
        with opened(study, homes, folder, 1) as federation:
            asked = Newton(beta=np.zeros(len(design_columns(study.features))))
            ask = sum_ask(asked, what="a step", study=study, sites=federation.sites)
            federation.ask(ask)
            for _ in range(5):
                start, used = time.perf_counter(), time.process_time()
                federation.ask(ask)
                wall.append(time.perf_counter() - start)
                cpu.append(time.process_time() - used)
        count = len(federation.sites)
    if drop_out is not None:
        return [
            Figure(
                name=f"IST: the same step where {float(drop_out):.0%} of the {count} sites may drop out",
                value=round(statistics.median(wall), 2),
                unit="s",
                peers={"CPU seconds": round(statistics.median(cpu), 2), "slowest": round(max(wall), 2)},
                reason="answer, confirmation and reveal; slots are prepared before, once for eight sums",
            )
        ]
    median = statistics.median(wall)
    return [
        Figure(
            name=f"IST: one Newton step over {count} sites in process, median of 5",
            value=round(median, 2),
            unit="s",
            goal="< 2 s",
            met=median < 2,
            peers={"CPU seconds": round(statistics.median(cpu), 2), "slowest": round(max(wall), 2)},
            reason="every answer judged, signed, logged, verified and judged again",
        )
    ]


def boosted() -> list[Figure]:
    """Diabetes-130: a hundred trees over 18 sites, against pooled scikit-learn."""
    with hospitals(ROOT / "examples/diabetes130/study.yaml", DATA / "diabetes130") as (study, homes, folder):
        study = widened(study, analyses=BOOSTING)
        with opened(study, homes, folder, 1) as federation:
            start, used = time.perf_counter(), time.process_time()
            estimator = FederatedGradientBoostingClassifier(growth=Growth(trees=100))
            found = estimator.run(federation, study)
            wall, cpu = time.perf_counter() - start, time.process_time() - used
            model = BoostingModel.of(found.bins, found.trees)
            sites = federation.sites
        train, test = (parts(study, homes, sites, 1, split) for split in ("train", "locked_test"))
    ours = auroc(labels(test), model.decision_function(test)).value
    peer = HistGradientBoostingClassifier(random_state=0)
    peer.fit(design_matrix(study.features, train), labels(train))
    theirs = auroc(labels(test), peer.predict_proba(design_matrix(study.features, test))[:, 1]).value
    return [
        Figure(
            name=f"Diabetes-130: boosting of {len(found.trees)} trees over {len(sites)} sites in process",
            value=round(wall, 1),
            unit="s",
            goal="< 60 s",
            met=wall < 60,
            peers={"CPU seconds": round(cpu, 1), "sums": found.sums, "numbers": found.numbers},
            reason=f"depth {found.trees.splits.depth}, {found.bytes_moved / 1e6:.0f} MB moved",
        ),
        Figure(
            name="Diabetes-130: AUROC of that model on all locked tests",
            value=round(ours, 4),
            goal="scikit-learn's HistGradientBoosting on the pooled table, less 0.003",
            met=ours >= theirs - AUROC_LOSS,
            seeds=1,
            peers={"HistGradientBoostingClassifier, pooled": round(theirs, 4)},
            reason="one seed here; several in benchmarks/boosting.py",
        ),
    ]


if __name__ == "__main__":
    write("sessions", [*newton_step(None), *newton_step("0.1"), *boosted()], "make bench NAME=sessions")
