"""Four small hospitals of made-up patients, with marked ones among them, as folders and as one public data set."""

import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

SITES = {"northgate": 620, "eastgate": 240, "southgate": 220, "westgate": 200}
FILES = {"northgate": "p.csv", "eastgate": "p.csv.gz", "southgate": "p.parquet", "westgate": "p.csv"}

STUDY: dict[str, Any] = {
    "schema": "wardgate/study/1",
    "id": "small",
    "version": 1,
    "title": "A small study of made-up patients",
    "question": "Does the marker say who deteriorates?",
    "cohort": {"entry": "admitted"},
    "index_date": "admission",
    "label": {"name": "worse", "meaning": "deterioration within a week", "window_days": [0, 7]},
    "features": [
        {"name": "age", "type": "integer", "unit": "a", "range": [18, 100], "quasi_identifier": True},
        {"name": "marker", "type": "number", "unit": "mg/L", "range": [0, 200]},
        {"name": "sex", "type": "category", "values": ["female", "male"], "quasi_identifier": True},
        {"name": "frail", "type": "boolean"},
    ],
    "subgroups": [{"feature": "sex"}],
    "acceptance": {
        "auroc_min": 0.5,
        "worst_site_auroc_min": 0.3,
        "oe": [0.2, 5],
        "slope": [0.1, 5],
        "subgroup_gap_max": 0.6,
    },
    "gate": {
        "membership": {
            "permutations": 199,
            "rehearsals": 10,
            "tiers": [{"members": 250, "non_members": 100, "tpr_at_1_percent": 0.2}],
        },
        "realism": {
            "marginal_error_max": 0.6,
            "pairwise_error_max": 0.9,
            "joint_error_max": 0.9,
            "missingness_error_max": 0.5,
            "subgroup_error_max": 0.9,
            "clinical_rules_min": 0.9,
            "rare_outcome_ratio": [0.01, 100],
            "tstr_loss_max": 0.5,
            "trts_loss_max": 0.9,
            "slope": [-1000, 1000],
        },
        "small_cells": {"max_numbers_per_person": 2.0},
    },
    "budget": {"delta": 1e-6},
    "sites": list(SITES),
    "sources": "made up by the tests",
}

MAPPING: dict[str, Any] = {
    "schema": "wardgate/mapping/1",
    "files": ["p.csv"],
    "person": {"column": "person"},
    "fields": {
        "age": {"column": "age", "unit": "a"},
        "marker": {"column": "marker", "unit": "mg/L"},
        "sex": {"column": "sex", "recode": {"f": "female", "m": "male"}},
        "frail": {"column": "frail", "recode": {"1": "true", "0": "false"}},
    },
    "labels": {"worse": {"column": "worse", "positive": ["1"], "negative": ["0"]}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A marked patient: what the source says of it, and what must never be found outside."""

    site: str
    values: dict[str, str]
    texts: tuple[str, ...]
    numbers: tuple[float, ...]


def marked(site: str) -> tuple[Marked, ...]:
    """Return three marked patients of a site: one usable in every respect, one odd in every respect, one half known."""
    place = list(SITES).index(site) + 1
    value = 71.2345678 + 10.1010101 * place
    plain = {"age": "67", "marker": f"{value:.7f}", "sex": "f", "frail": "1", "worse": "1"}
    rows = (
        plain,
        plain | {"marker": f"CANARY-unread{place}7c1e", "sex": f"CANARY-sex{place}d0a4"},
        plain
        | {"marker": f"98{place}654.321987", "frail": f"CANARY-frail{place}b3", "worse": f"CANARY-label{place}e5"},
    )
    found = []
    for number, row in enumerate(rows):
        person = f"CANARY-{place}{number}7f3a9c51e"
        extra = {
            "person": person,
            "born": f"19{place}{number}-11-27T05:43:{place}{number}",
            "note": f"Mrs Quetzalcoatl-{place}{number}-of-Nowhere",
        }
        texts = [*extra.values(), *(text for text in row.values() if text.startswith("CANARY"))]
        numbers = [float(row["marker"])] if not row["marker"].startswith("CANARY") else []
        found.append(Marked(site=site, values=row | extra, texts=tuple(texts), numbers=tuple(numbers)))
    return tuple(found)


ALL_MARKED = tuple(one for site in SITES for one in marked(site))


def table(site: str, *, persons: int | None = None, canaries: bool = True, seed: int = 7) -> pl.DataFrame:
    """Return a site's rows, all text, the marked patients in the middle."""
    rng = np.random.default_rng([seed, list(SITES).index(site)])
    count = SITES[site] if persons is None else persons
    age = rng.integers(20, 95, count)
    marker = np.round(np.clip(rng.gamma(2.0, 25.0, count), 0, 200), 1)
    frail = (rng.random(count) < 0.3).astype(int)
    logit = -0.6 + 0.03 * (age - 60) + 0.02 * (marker - 50) + 0.6 * frail
    rows = {
        "person": [f"{site}-{number}" for number in range(count)],
        "age": [str(one) for one in age],
        "marker": [str(one) for one in marker],
        "sex": [str(one) for one in rng.choice(["f", "m"], count)],
        "frail": [str(one) for one in frail],
        "worse": [str(int(one)) for one in rng.random(count) < 1 / (1 + np.exp(-logit))],
        "born": ["1950-01-01"] * count,
        "note": ["nothing"] * count,
    }
    made = pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))
    if not canaries:
        return made
    extra = pl.DataFrame([one.values for one in marked(site)]).select(made.columns)
    middle = made.height // 2
    return pl.concat([made[:middle], extra, made[middle:]])


def write_table(rows: pl.DataFrame, path: Path) -> None:
    """Write rows as CSV, CSV.gz or Parquet, by the ending."""
    if path.suffix == ".parquet":
        rows.write_parquet(path)
        return
    text = io.BytesIO()
    rows.write_csv(text)
    path.write_bytes(gzip.compress(text.getvalue()) if path.suffix == ".gz" else text.getvalue())


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One public data set on disk and its study."""

    data: Path
    study: Path

    @property
    def mapping(self) -> Path:
        return self.study.with_name("mapping.yaml")

    def arguments(self, out: Path, *more: str) -> list[str]:
        """Return the arguments of `wardgate demo` over it."""
        return ["demo", "--data", str(self.data), "--study", str(self.study), "--out", str(out), *more]


def data_set(
    folder: Path,
    *,
    file: str = "p.csv",
    tables: Mapping[str, pl.DataFrame] | None = None,
    canaries: bool = True,
    study: Mapping[str, Any] | None = None,
    mapping: Mapping[str, Any] | None = None,
) -> DataSet:
    """Write one public data set of several hospitals, its study and its mapping.

    Args:
        tables: Rows of a site, in place of the usual ones.
        study, mapping: Top-level entries to set instead.
    """
    given = dict(tables or {})
    parts = [
        given.get(site, table(site, canaries=canaries)).with_columns(pl.lit(site).alias("hospital")) for site in SITES
    ]
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    data.mkdir()
    write_table(pl.concat(parts, how="diagonal"), data / file)
    found = DataSet(data=data, study=folder / "study.yaml")
    _yaml(found.study, STUDY | dict(study or {}))
    _yaml(found.mapping, MAPPING | {"files": [file], "sites": {"small": {"column": "hospital"}}} | dict(mapping or {}))
    return found


def hospitals(folder: Path, *, only: Sequence[str] = tuple(SITES), persons: Mapping[str, int] | None = None) -> Path:
    """Write one folder a hospital, each of another file type, all with marked patients, and return `folder`."""
    for site in only:
        home = folder / site
        home.mkdir(parents=True)
        write_table(table(site, persons=(persons or {}).get(site)), home / FILES[site])
        _yaml(home / "mapping.yaml", MAPPING | {"files": [FILES[site]]})
        _yaml(home / "hospital.yaml", {"id": site, "note": "made up by the tests"})
    return folder


def study_text(**changes: Any) -> str:
    """Return the study with other top-level entries."""
    return yaml.safe_dump(STUDY | changes, sort_keys=False)


def _yaml(path: Path, value: object) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
