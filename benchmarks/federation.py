"""Federated fits on real hospitals: equality with pooled, time, noise once, and the table of all approaches.

make bench NAME=federation        (needs the real data: WARDGATE_DATA, default ../shared/data)
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from harness import ROOT, Figure, write
from numpy.typing import NDArray

from wardgate.federation.local import Finished, Settings, find_hospitals, run_study
from wardgate.federation.reference import pooled_fit
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hub.chain import Run, Steps
from wardgate.hub.telling import results_of
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import linear
from wardgate.records.results import Results
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
TODAY = "2026-01-01"
Vector = NDArray[np.float64]


@contextmanager
def hospitals(study_path: Path, data: Path) -> Iterator[tuple[Study, dict[str, Path], Path]]:
    """Divide a data set into its hospitals, in a folder that goes again."""
    study = parse(study_path.read_text(encoding="utf-8"), name=study_path.name)
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder) / "hospitals"
        homes.mkdir()
        divide(data, study, mapping_beside(study_path), homes)
        yield study, find_hospitals(homes, study), Path(folder)


def only_fit(study: Study, homes: dict[str, Path], folder: Path, seed: int) -> tuple[Finished, float]:
    """Run the federated fit of a study and return its seconds, the setup of the consortium not counted."""
    seconds = []

    def course(run: Run) -> Steps:
        yield from run.review()
        yield from run.introduce(run.sites)
        start = time.perf_counter()
        yield from run.fit()
        seconds.append(time.perf_counter() - start)

    work = folder / f"work-{seed}"
    work.mkdir()
    settings = Settings(seed=seed, issued_on=TODAY)
    finished = run_study(study=study, hospitals=homes, settings=settings, work=work, course=course)
    return finished, seconds[0]


def locked(study: Study, homes: dict[str, Path], sites: tuple[str, ...], seed: int) -> tuple[Vector, NDArray[np.int8]]:
    """Return design and labels of all locked tests together: only a benchmark may hold them in one place."""
    settings = Settings(seed=seed, issued_on=TODAY)
    parts = [tables(load(homes[s], study), study.splits, salt=settings.salt(s))["locked_test"] for s in sites]
    return (
        np.concatenate([design_matrix(study.features, part) for part in parts]),
        np.concatenate([labels(part) for part in parts]),
    )


def equality() -> list[Figure]:
    """IST, all hospitals, without noise."""
    differences, gaps, seconds, rounds, aurocs = [], [], [], [], []
    with hospitals(ROOT / "examples/ist/hospitals.yaml", DATA / "ist_stroke") as (study, homes, folder):
        for seed in (1, 2, 3):
            finished, took = only_fit(study, homes, folder, seed)
            fit, sites = finished.run.federated, finished.run.sites
            settings = Settings(seed=seed, issued_on=TODAY)
            pooled = pooled_fit(
                study=study,
                hospitals={site: homes[site] for site in sites},
                salts={site: settings.salt(site) for site in sites},
                ridge=study.model.ridge,
            )
            x, y = locked(study, homes, sites, seed)
            federated, central = (auroc(y, linear(x, beta)).value for beta in (fit.beta, pooled))
            differences.append(float(np.max(np.abs(fit.beta - pooled))))
            gaps.append(abs(federated - central))
            seconds.append(took)
            rounds.append(fit.rounds)
            aurocs.append(central)
        count = len(sites)
    return [
        Figure(
            name=f"IST, {count} hospitals, no noise: largest difference of coefficients from pooled",
            value=max(differences),
            goal="<= 1e-8",
            met=max(differences) <= 1e-8,
            seeds=3,
            reason="" if max(differences) <= 1e-8 else "see value",
        ),
        Figure(
            name="IST, no noise: largest difference of AUROC from pooled, all locked tests",
            value=max(gaps),
            goal="<= 0.001",
            met=max(gaps) <= 0.001,
            seeds=3,
            peers={"pooled AUROC (median)": round(statistics.median(aurocs), 4)},
            reason="" if max(gaps) <= 0.001 else "see value",
        ),
        Figure(
            name=f"IST, whole federated fit over {count} sites in process ({rounds[0]} rounds), median",
            value=round(statistics.median(seconds), 2),
            unit="s",
            goal="< 10 s",
            met=statistics.median(seconds) < 10,
            seeds=3,
            peers={"fastest": round(min(seconds), 2), "slowest": round(max(seconds), 2)},
            reason="signing, gate, budget and log of every answer included; reading the data and enrolment are not",
        ),
    ]


def noise_once() -> list[Figure]:
    """IST, every answer with noise, one person's data cost at most epsilon 1."""
    found, pooled, spent = [], [], []

    def course(run: Run) -> Steps:
        yield from run.review()
        yield from run.introduce(run.sites)
        yield from run.own_corpora(1, {})
        yield from run.grow_joint_corpus()
        run.train_on_commons()
        yield from run.fit()
        yield from run.close()

    with hospitals(ROOT / "examples/ist/hospitals-dp.yaml", DATA / "ist_stroke") as (study, homes, folder):
        for seed in (1, 2, 3):
            work = folder / f"work-{seed}"
            work.mkdir()
            settings = Settings(seed=seed, issued_on=TODAY, reference=True)
            run = run_study(study=study, hospitals=homes, settings=settings, work=work, course=course).run
            x, y = locked(study, homes, run.sites, seed)
            found.append(auroc(y, linear(x, run.federated.beta)).value)
            pooled.append(auroc(y, linear(x, run.reference)).value)
            lines = [line for closing in run.closings.values() for line in closing.statement["budget"]]
            spent.append(max(float(line["epsilon"]) for line in lines))
            print(seed, found[-1], pooled[-1], spent[-1], flush=True)
    middle = statistics.median(found)
    return [
        Figure(
            name="IST, 464 hospitals, epsilon 1 end to end, noise added once: AUROC, all locked tests, median",
            value=round(middle, 4),
            goal=">= 0.785",
            met=middle >= 0.785,
            seeds=3,
            peers={
                "pooled without noise, same splits (median)": round(statistics.median(pooled), 4),
                "lowest seed": round(min(found), 4),
                "largest epsilon spent on training persons": max(spent),
            },
            reason="joint corpus and fit share epsilon 1; evaluated exactly, outside the chain",
        )
    ]


def table(title: str, study_path: Path, data: Path, seed: int = 1) -> tuple[list[Figure], Results]:
    """All approaches of one study, from its own results."""
    with hospitals(study_path, data) as (study, homes, folder):
        work = folder / "work"
        work.mkdir()
        settings = Settings(seed=seed, issued_on=TODAY, reference=True)
        finished = run_study(study=study, hospitals=homes, settings=settings, work=work)
        results = results_of(finished.run, finished.exchange, simulated=False, isolated=False)
    rows = []
    for one in results.approaches:
        peers = {
            "low": _short(one.auroc_low),
            "high": _short(one.auroc_high),
            "O/E": _short(one.oe),
            "slope": _short(one.slope),
            "worst site": one.worst_site or "not shown",
            "worst site AUROC": one.worst_site_auroc,
            "bytes": one.bytes_moved,
            "rounds": one.rounds,
        }
        rows.append(
            Figure(
                name=f"{title}: {one.name}, AUROC over all locked tests",
                value=_short(one.auroc),
                seeds=1,
                peers=peers,
                reason=one.reason_absent,
            )
        )
    return rows, results


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def main() -> None:
    """Measure and write."""
    figures = equality() + noise_once()
    for title, path, data in (
        ("IST by country", "examples/ist/country.yaml", "ist_stroke"),
        ("IST by hospital", "examples/ist/hospitals.yaml", "ist_stroke"),
        ("IST by country, dead at 14 days", "examples/ist/country-dead14.yaml", "ist_stroke"),
        ("Heart", "examples/heart/study.yaml", "uci_heart"),
    ):
        rows, _ = table(title, ROOT / path, DATA / data)
        figures += rows
    write("federation", figures, "make bench NAME=federation")


if __name__ == "__main__":
    main()
