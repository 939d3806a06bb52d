"""The International Stroke Trial by country, the largest countries in regions: sites for attacks on training.

A region is a set of a country's hospitals, drawn by their numbers, of about `PERSONS` persons. Countries with fewer
than `LEAST` persons are left out, since no network learns or judges anything there.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from harness import ROOT
from network_sets import DATA

from wardgate.federation.local import find_hospitals
from wardgate.hospital.ward.cohort.load import load
from wardgate.measures.encoding import LABEL, design_columns
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide

PERSONS, LEAST = 450, 100
LAYERS = {
    "logistic": [{"kind": "linear", "units": 1}],
    "mlp": [{"kind": "linear", "units": 8}, {"kind": "activation", "how": "tanh"}, {"kind": "linear", "units": 1}],
}


def regions() -> tuple[Study, dict[str, pl.DataFrame]]:
    """Return the study, which locks the networks `logistic` and `mlp`, and every site's persons in one table."""
    raw = pl.read_csv(DATA / "ist_stroke" / "IST.csv", infer_schema_length=0, encoding="utf8-lossy")
    sizes = dict(raw.group_by("COUNTRY").len().iter_rows())
    pieces = {country: max(1, round(size / PERSONS)) for country, size in sizes.items()}
    named = [_region(country, hospital, pieces) for country, hospital in raw.select("COUNTRY", "HOSPNUM").iter_rows()]
    raw = raw.with_columns(pl.Series("REGION", named))
    kept = sorted(str(site) for site, size in raw.group_by("REGION").len().iter_rows() if size >= LEAST)
    example = ROOT / "examples" / "ist"
    study = parse((example / "country.yaml").read_text(encoding="utf-8"), name="country.yaml")
    plain = {**study.plain(), "id": "ist-regions", "sites": kept}
    plain["analyses"] = ["network_update", "network_votes", "model_scores"]
    inputs = len(design_columns(study.features)) - 1
    plain["networks"] = {
        name: {"schema": "wardgate/network/1", "inputs": inputs, "layers": layers, "seed": 1}
        for name, layers in LAYERS.items()
    }
    study = Study.from_plain(plain)
    mapping = (example / "mapping.yaml").read_text(encoding="utf-8")
    mapping = mapping.replace("sites: ", "sites:\n  ist-regions: {column: REGION}\n#", 1)
    names = [*(feature.name for feature in study.features), LABEL]
    with tempfile.TemporaryDirectory() as folder:
        source, homes = Path(folder) / "data", Path(folder) / "hospitals"
        source.mkdir()
        raw.filter(pl.col("REGION").is_in(kept)).write_csv(source / "IST.csv")
        (source / "mapping.yaml").write_text(mapping, encoding="utf-8")
        divide(source, study, source / "mapping.yaml", homes)
        found = {site: load(home, study).table.select(names) for site, home in find_hospitals(homes, study).items()}
    return study, found


def splits(tables: Mapping[str, pl.DataFrame], study: Study, seed: int) -> dict[str, dict[SplitName, pl.DataFrame]]:
    """Divide every site's persons as the study says."""
    shares = study.splits
    cuts = np.cumsum([shares.train, shares.tuning, shares.holdout])
    found: dict[str, dict[SplitName, pl.DataFrame]] = {}
    for place, (site, table) in enumerate(sorted(tables.items())):
        order = np.random.default_rng([seed, place]).permutation(table.height)
        train, tuning, holdout, locked = np.split(order, np.round(cuts * table.height).astype(int))
        parts: dict[SplitName, np.ndarray] = {
            "train": train,
            "tuning": tuning,
            "holdout": holdout,
            "locked_test": locked,
        }
        found[site] = {split: table[np.sort(rows)] for split, rows in parts.items()}
    return found


def _region(country: str, hospital: str, pieces: Mapping[str, int]) -> str:
    count = pieces[country]
    if count == 1:
        return country
    return f"{country}-{int(hashlib.sha256(hospital.encode()).hexdigest(), 16) % count + 1}"
