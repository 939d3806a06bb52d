"""How long a study of events takes over a large hospital: cohort and fifty features, time, memory and growth.

    python benchmarks/hospital_data.py [--data DIR] [--persons 100000,1000000]

Simulated OMOP CDM 5.4 as folders of Parquet, 200 events a person (rows of all clinical tables). DIR keeps the data
(about 2.5 GB a million persons) and what was measured, so that a run broken off goes on where it stopped; remove
`measured.json` there to measure again. Every measurement is a process of its own, two threads, peak resident memory by
getrusage. The peers read the same data: pandas as a data scientist would write it, at the smallest size; ACES, which
extracts cohorts and no features, on the same events as MEDS, where WARDGATE_ACES names a Python interpreter with
es-aces. Both must give the same persons, outcomes and values. Ours also checks the records
(time order, units, calendar, duplicates) in the same run; the peers do not.
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from harness import ROOT, Figure, write
from hospital_study import ACES_TASK, cohort_study, peer_spec, whole_study

Found = dict[str, Any]
SEED = 7
THREADS = 2
MEMORY_LIMIT_MB = 4_000
FREE_GIB = 12
GOAL_PERSONS, PEERS_PERSONS = 1_000_000, 100_000
EVENT_TABLES = {
    "visit_occurrence": ("visit_concept_id", "visit_start_datetime", "visit_end_datetime"),
    "condition_occurrence": ("condition_concept_id", "condition_start_datetime", None),
    "drug_exposure": ("drug_concept_id", "drug_exposure_start_datetime", None),
    "procedure_occurrence": ("procedure_concept_id", "procedure_datetime", None),
    "measurement": ("measurement_concept_id", "measurement_datetime", None),
    "observation": ("observation_concept_id", "observation_datetime", None),
}


def measure_here(kind: str, what: str, folder: Path, out: Path) -> None:
    """Build one cohort in this process, and say what it took."""
    from wardgate.hospital.ward.cohort.from_events.build import build
    from wardgate.hospital.ward.source.opening import opened
    from wardgate.records.source_file import SourceFile

    study = whole_study() if what == "whole" else cohort_study()
    began = time.perf_counter()
    settings = SourceFile.model_validate({"kind": kind, "place": "cdm" if kind == "omop" else "meds"})
    with opened(folder, settings, memory_limit_mb=MEMORY_LIMIT_MB, threads=THREADS) as source:
        cohort = build(source, study)
    seconds = time.perf_counter() - began
    cohort.table.write_parquet(out)
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}
    print(json.dumps(took | {"rows": cohort.table.height}))


def measured(command: list[str]) -> Found:
    """Run a command whose last line says what it took."""
    threads = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS"), str(THREADS))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else "no message"}
    found: Found = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def apart(what: Callable[..., Found], *arguments: object) -> Found:
    """Call a function in a process of its own, so that this one stays small: Linux counts a parent's memory in."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(what, *arguments).result()


class Book:
    """What was measured so far, on disk, so that nothing is measured twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Found] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, key: str, make: Callable[[], Found]) -> Found:
        """Return what is known under the key, else measure it."""
        if key not in self._found or "failed" in self._found[key]:
            print(f"{time.strftime('%H:%M:%S')} {key}", file=sys.stderr, flush=True)
            self._found[key] = make()
            self._path.write_text(json.dumps(self._found, indent=2), encoding="utf-8")
            print(f"{time.strftime('%H:%M:%S')} {self._found[key]}", file=sys.stderr, flush=True)
        return self._found[key]


def records_in(folder: Path, persons: int) -> Found:
    """Write the hospital's records."""
    from wardgate.simulate.records.large import write_large

    began = time.perf_counter()
    written = write_large(folder, persons=persons, seed=SEED)
    size = sum(path.stat().st_size for path in (folder / "cdm").rglob("*.parquet"))
    return {"events": written.events, "seconds": time.perf_counter() - began, "bytes": size}


def meds_in(folder: Path) -> Found:
    """Write the same events as MEDS 0.4, one shard a chunk; the end of a visit also as an event, as ACES needs it."""
    began, cdm, meds = time.perf_counter(), folder / "cdm", folder / "meds"
    (meds / "data").mkdir(parents=True, exist_ok=True)
    (meds / "metadata").mkdir(exist_ok=True)
    concept = pl.read_parquet(cdm / "concept")
    codes = concept.select(
        "concept_id", code=pl.concat_str("vocabulary_id", "concept_code", separator="/"), description="concept_name"
    )
    events = 0
    for part in sorted((cdm / "person").glob("*.parquet")):
        shard = pl.concat(_events_of(cdm, part.name, codes), how="diagonal").sort(
            "subject_id", "time", nulls_last=False
        )
        shard.write_parquet(meds / "data" / part.name, compression="zstd", compression_level=1)
        events += shard.height
    above = pl.read_parquet(cdm / "concept_ancestor").filter(pl.col("min_levels_of_separation") > 0)
    parents = (
        above.join(codes, left_on="ancestor_concept_id", right_on="concept_id")
        .group_by("descendant_concept_id")
        .agg(parent_codes=pl.col("code").sort())
    )
    codes.join(parents, left_on="concept_id", right_on="descendant_concept_id", how="left").select(
        "code", "description", "parent_codes"
    ).write_parquet(meds / "metadata" / "codes.parquet")
    about = {"dataset_name": "simulated", "dataset_version": "1", "meds_version": "0.4.1"}
    (meds / "metadata" / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return {"events": events, "seconds": time.perf_counter() - began}


def _events_of(cdm: Path, part: str, codes: pl.DataFrame) -> list[pl.DataFrame]:
    ids = dict(zip(codes["concept_id"], codes["code"], strict=True))
    person = pl.read_parquet(cdm / "person" / part)
    death, period = (pl.read_parquet(cdm / name / part) for name in ("death", "observation_period"))
    last = pl.duration(days=1) - pl.duration(seconds=1)
    frames = [
        person.select(subject_id="person_id", time="birth_datetime", code=pl.lit("MEDS_BIRTH")),
        person.select(
            subject_id="person_id",
            time=pl.lit(None, pl.Datetime("us")),
            code=pl.col("gender_concept_id").replace_strict(ids),
        ),
        death.select(subject_id="person_id", time="death_datetime", code=pl.lit("MEDS_DEATH"), table=pl.lit("death")),
        period.select(
            subject_id="person_id",
            time=pl.col("observation_period_start_date").cast(pl.Datetime("us")),
            end=pl.col("observation_period_end_date").cast(pl.Datetime("us")) + last,
            code=pl.lit("OBSERVATION_PERIOD"),
        ),
    ]
    units = {number: code.removeprefix("UCUM/") for number, code in ids.items() if code.startswith("UCUM/")}
    for table, (concept, start, end) in EVENT_TABLES.items():
        rows = pl.read_parquet(cdm / table / part)
        columns = {
            "subject_id": pl.col("person_id"),
            "time": pl.col(start),
            "code": pl.col(concept).replace_strict(ids),
            "visit": pl.col("visit_occurrence_id"),
            "table": pl.lit(table.split("_")[0]),
        }
        if end is not None:
            frames.append(rows.select(subject_id="person_id", time=end, code=columns["code"] + "//END"))
            columns["end"] = pl.col(end)
        if table == "measurement":
            columns["numeric_value"] = pl.col("value_as_number").cast(pl.Float32)
            columns["numeric_value_64"] = pl.col("value_as_number")
            columns["unit"] = pl.col("unit_concept_id").replace_strict(units, default=None, return_dtype=pl.String)
        frames.append(rows.select(**columns))
    return frames


def alike(ours: Path, theirs: Path) -> Found:
    """Compare the cohort table with pandas's, cell by cell."""
    left = pl.read_parquet(ours).with_columns(pl.col("person").cast(pl.Int64))
    right = pl.read_parquet(theirs).rename({"person_id": "person"})
    same_persons = left["person"].sort().equals(right["person"].sort())
    both = left.join(right, on="person", suffix="_peer").sort("person")
    cells = unequal = 0
    worst = ""
    for name in (name for name in left.columns if name != "person"):
        one, two = both[name], both[f"{name}_peer"]
        if one.dtype.is_numeric():
            one, two = one.cast(pl.Float64), two.cast(pl.Float64).fill_nan(None)
            close = (one - two).abs() <= 1e-6 * (1.0 + one.abs())
            equal = (one.is_null() & two.is_null()) | close.fill_null(False)
        else:
            equal = one.eq_missing(two)
        cells += both.height
        unequal += int((~equal).sum())
        if not equal.all():
            worst += f" {name} {int((~equal).sum())}"
    return {"same_persons": same_persons, "cells": cells, "unequal": unequal, "where": worst.strip()}


def same_cohort(ours: Path, theirs: Path) -> Found:
    """Compare persons and outcomes with those of ACES."""
    left = pl.read_parquet(ours).select(pl.col("person").cast(pl.Int64).alias("subject_id"), "label")
    right = pl.read_parquet(theirs).select("subject_id", (pl.col("label") > 0).cast(pl.Int8).alias("peer"))
    both = left.join(right, on="subject_id", how="full", coalesce=True)
    return {"persons": both.height, "unequal": both.filter(pl.col("label").ne_missing(pl.col("peer"))).height}


def exponent(sizes: list[int], costs: list[float]) -> float:
    """The power of size that the cost grows with, between the smallest and the largest."""
    return math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])


def _measure_all(place: Path, sizes: list[int], book: Book) -> Iterator[Figure]:
    here = [sys.executable, str(Path(__file__).resolve()), "--child"]
    whole: list[Found] = []
    for persons in sizes:
        folder = place / str(persons)
        data = book.get(f"records {persons}", lambda folder=folder, persons=persons: apart(records_in, folder, persons))
        out = folder / "wardgate.parquet"
        command = [*here, "omop", "whole", str(folder), str(out)]
        found = book.get(f"wardgate whole {persons}", lambda command=command: measured(command))
        whole.append(found | {"events": data["events"]})
    yield from _of_scale(sizes, whole)
    at = max((number for number, size in enumerate(sizes) if size <= PEERS_PERSONS), default=0)
    persons, folder = sizes[at], place / str(sizes[at])
    yield from _beside_pandas(persons, folder, whole[at], book)
    yield from _beside_aces(persons, folder, here, book)


def _of_scale(sizes: list[int], whole: list[Found]) -> Iterator[Figure]:
    for persons, found in zip(sizes, whole, strict=True):
        name = f"{persons:,} persons, {found['events'] / 1e6:.1f} million events, cohort and 50 features from Parquet"
        if "failed" in found:
            yield Figure(name=name, value=None, reason=found["failed"])
            continue
        goal = persons == GOAL_PERSONS
        minutes, gib = found["seconds"] / 60, found["peak_mib"] / 1024
        limit = (
            f"{found['rows']:,} persons in the cohort; {found['cpu']:.0f} s of processor; two threads, machine shared"
        )
        yield Figure(
            name=f"{name}: time", value=round(minutes, 2), unit="min", goal="< 10" if goal else "",
            met=minutes < 10 if goal else None, seeds=1, reason=limit,
        )  # fmt: skip
        yield Figure(
            name=f"{name}: peak memory", value=round(gib, 2), unit="GiB", goal="< 7.45 (8 GB)" if goal else "",
            met=gib < 7.45 if goal else None, seeds=1, reason=limit,
        )  # fmt: skip
    if GOAL_PERSONS not in sizes:
        for what, goal_words in (("time", "< 10 min"), ("peak memory", "< 8 GB")):
            yield Figure(
                name=f"{GOAL_PERSONS:,} persons, cohort and 50 features from Parquet: {what}", value=None,
                goal=goal_words, reason="not measured in this run; name the size with --persons",
            )  # fmt: skip
    good = [(size, found) for size, found in zip(sizes, whole, strict=True) if "failed" not in found]
    if len(good) < 2:
        yield Figure(name="Growth of time with persons: exponent", value=None, goal="<= 1.1",
                     reason="fewer than two sizes were measured")  # fmt: skip
        return
    for what, key in (("time", "seconds"), ("processor time", "cpu")):
        power = exponent([size for size, _ in good], [found[key] for _, found in good])
        yield Figure(
            name=f"Growth of {what} with persons: exponent", value=round(power, 2), goal="<= 1.1", met=power <= 1.1,
            seeds=1, reason=f"grows as persons to this power, {good[0][0]:,} to {good[-1][0]:,}; 1 is linear",
        )  # fmt: skip
    (first, small), (last, big) = good[0], good[-1]
    slope = (big["seconds"] - small["seconds"]) / (last - first)
    yield Figure(
        name="10,000,000 persons, estimated: time",
        value=round((big["seconds"] + slope * (10_000_000 - last)) / 60, 1),
        unit="min",
        reason="not measured: a straight line through the two sizes measured",
    )


def _beside_pandas(persons: int, folder: Path, ours: Found, book: Book) -> Iterator[Figure]:
    name = f"pandas, the same cohort and features of {persons:,} persons"
    spec, out = folder / "spec.json", folder / "pandas.parquet"
    spec.write_text(peer_spec(features=True), encoding="utf-8")
    script = ROOT / "benchmarks" / "peers" / "hospital_pandas.py"
    command = [sys.executable, str(script), str(folder / "cdm"), str(spec), str(out)]
    theirs = book.get(f"pandas whole {persons}", lambda: measured(command))
    if "failed" in theirs or "failed" in ours:
        yield Figure(name=name, value=None, reason=str(theirs.get("failed") or ours.get("failed")))
        return
    same = apart(alike, folder / "wardgate.parquet", out)
    yield Figure(
        name=f"{name}: cells that differ from ours",
        value=same["unequal"],
        unit=f"of {same['cells']:,}",
        goal="0",
        met=not same["unequal"] and same["same_persons"],
        seeds=1,
        reason=f"the same persons: {'yes' if same['same_persons'] else 'NO'}. {same['where']}".strip(),
    )
    yield from _ratios(name, ours, theirs)


def _ratios(name: str, ours: Found, theirs: Found) -> Iterator[Figure]:
    for what, key in (("time", "seconds"), ("processor time", "cpu")):
        peers = {"Wardgate, s": round(ours[key], 1), "peer, s": round(theirs[key], 1)}
        yield Figure(
            name=f"{name}: {what} over ours", value=round(theirs[key] / ours[key], 2), unit="x", seeds=1,
            peers=peers, reason="above 1: ours is faster; two threads each, machine shared",
        )  # fmt: skip
    peers = {"Wardgate, MiB": round(ours["peak_mib"]), "peer, MiB": round(theirs["peak_mib"])}
    yield Figure(
        name=f"{name}: peak memory over ours", value=round(theirs["peak_mib"] / ours["peak_mib"], 2), unit="x",
        seeds=1, peers=peers, reason="above 1: ours needs less",
    )  # fmt: skip


def _beside_aces(persons: int, folder: Path, here: list[str], book: Book) -> Iterator[Figure]:
    """The cohort part alone, from MEDS by both; and ours from OMOP, which must be the same."""
    meds = book.get(f"meds {persons}", lambda: apart(meds_in, folder))
    ours = {}
    for kind in ("omop", "meds"):
        command = [*here, kind, "cohort", str(folder), str(folder / f"cohort-{kind}.parquet")]
        ours[kind] = book.get(f"wardgate cohort {kind} {persons}", lambda command=command: measured(command))
    name = f"Cohort and outcome alone, {persons:,} persons, {meds['events'] / 1e6:.1f} million events as MEDS"
    failed = [f"{kind}: {found['failed']}" for kind, found in ours.items() if "failed" in found]
    if failed:
        yield Figure(name=f"{name}: from OMOP and from MEDS", value=None, reason="; ".join(failed))
        return
    tables = [pl.read_parquet(folder / f"cohort-{kind}.parquet") for kind in ("omop", "meds")]
    yield Figure(
        name=f"{name}: OMOP and MEDS give the same cohort, row for row",
        value="yes" if tables[0].equals(tables[1]) else "no",
        goal="yes", met=tables[0].equals(tables[1]), seeds=1, reason=f"{tables[0].height:,} persons",
    )  # fmt: skip
    interpreter = os.environ.get("WARDGATE_ACES", "")
    if not interpreter:
        yield Figure(name=f"{name}: ACES", value=None, reason="WARDGATE_ACES names no interpreter with es-aces")
        return
    task, out = folder / "task.yaml", folder / "aces.parquet"
    task.write_text(ACES_TASK, encoding="utf-8")
    script = ROOT / "benchmarks" / "peers" / "aces_cohort.py"
    command = [interpreter, str(script), str(folder / "meds"), str(task), str(out)]
    theirs = book.get(f"aces cohort {persons}", lambda: measured(command))
    if "failed" in theirs:
        yield Figure(name=f"{name}: ACES", value=None, reason=theirs["failed"])
        return
    same = apart(same_cohort, folder / "cohort-meds.parquet", out)
    yield Figure(
        name=f"{name}: persons or outcomes on which ACES and we differ", value=same["unequal"],
        unit=f"of {same['persons']:,}", goal="0", met=not same["unequal"], seeds=1,
        reason="ACES has no features and no rule on follow-up, so neither is asked for here",
    )  # fmt: skip
    yield from _ratios(f"{name}: ACES 0.7.3", ours["meds"], theirs)


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="keeps the data and what was measured; else they are thrown away")
    parser.add_argument("--persons", default="100000,1000000", help="sizes, smallest first")
    parser.add_argument("--child", nargs=4, metavar=("KIND", "WHAT", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure_here(given.child[0], given.child[1], Path(given.child[2]), Path(given.child[3]))
        return
    sizes = sorted(int(text) for text in given.persons.split(","))
    with tempfile.TemporaryDirectory() as temporary:
        place = given.data or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(place).free < FREE_GIB * 2**30:
            raise SystemExit(f"expected {FREE_GIB} GiB of free disk under {place.name}; name another with --data")
        figures = list(_measure_all(place, sizes, Book(place / "measured.json")))
    write("hospital_data", figures, "python benchmarks/hospital_data.py --data DIR")
    for figure in figures:
        print(f"{figure.name}: {figure.value} {figure.unit} {figure.reason}")


if __name__ == "__main__":
    main()
