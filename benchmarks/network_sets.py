"""The data of the benchmarks of networks: real persons at natural or strongly skewed sites, each set under a study.

Every set comes as each site's table of `train`, `tuning` and `holdout`; the holdout is the test here, and no choice
looks at it. A network with batch norms stands beside the one with group norms, for what keeps batch norms at the site.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from harness import ROOT
from sklearn.model_selection import train_test_split

from wardgate.federation.local import find_hospitals
from wardgate.hospital.ward.cohort.load import load
from wardgate.measures.encoding import LABEL, design_columns
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
ANALYSES = ("network_update", "network_gradient", "model_scores")
ALPHA = 0.1
LEAST_OF_A_CLASS = 5
"""Persons of each class that every skewed site has, so that each can train and be judged."""

COUNTRIES = 12
DIABETES_ROWS, DIABETES_SITES = 24_000, 10
IMAGE_ROWS, IMAGE_SITES = 1_600, 8

Tables = Mapping[str, Mapping[SplitName, pl.DataFrame]]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """One set, divided into sites and splits under one seed.

    Attributes:
        study: Locks the networks `plain` (group norms) and `batch` (batch norms), started from the seed.
        tables: By site and split.
    """

    study: Study
    tables: Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """One set.

    Attributes:
        sites, count: What the sites are, in words, and how many.
        divided: By seed.
        menu: How hospitals may work in a round; the tuning persons choose.
        rounds: At most.
    """

    name: str
    sites: str
    count: int
    divided: Callable[[int], Divided]
    menu: Mapping[str, Mapping[str, Any]]
    rounds: int = 50
    seeds: int = 2


MENU: Mapping[str, Mapping[str, Any]] = {
    "1 step of everybody": {"steps": 1, "batch": 1_000_000, "rate": 1.0},
    "4 steps of 64": {"steps": 4, "batch": 64, "rate": 0.3},
    "10 steps of 64": {"steps": 10, "batch": 64, "rate": 0.1},
}
FLAMBY: Mapping[str, Mapping[str, Any]] = {
    f"100 steps of 4, rate {rate:g}": {"steps": 100, "batch": 4, "rate": rate} for rate in (0.01, 0.1)
}
IMAGES: Mapping[str, Mapping[str, Any]] = {
    "1 step of 256": {"steps": 1, "batch": 256, "rate": 0.3},
    "5 steps of 32": {"steps": 5, "batch": 32, "rate": 0.1},
}


def all_sets() -> Mapping[str, Set]:
    """Return the sets by a short word; nothing is read before a seed is asked for."""
    return {
        "heart": Set(
            name="Heart, FLamby's split",
            sites="4 hospitals; FLamby's rows, features and test rows, its 15 rounds of 100 steps of 4",
            count=4,
            divided=heart,
            menu=FLAMBY,
            rounds=15,
            seeds=3,
        ),
        "ist": Set(
            name="IST by country",
            sites=f"the {COUNTRIES - 1} largest countries, and all others as one site",
            count=COUNTRIES,
            divided=stroke,
            menu=MENU,
        ),
        "ist-skew": Set(
            name="IST, label skew", sites=f"12 sites, Dirichlet {ALPHA:g}", count=12, divided=stroke_skewed, menu=MENU
        ),
        "diabetes": Set(
            name="Diabetes-130, label skew",
            sites=f"{DIABETES_SITES} sites, Dirichlet {ALPHA:g}, {DIABETES_ROWS} patients, of whom 40 % train",
            count=DIABETES_SITES,
            divided=diabetes_skewed,
            menu={words: work for words, work in MENU.items() if work["steps"] < 10},
        ),
        "images": Set(
            name="PneumoniaMNIST, label skew",
            sites=f"{IMAGE_SITES} sites, Dirichlet {ALPHA:g}, {IMAGE_ROWS} training images of 28 x 28",
            count=IMAGE_SITES,
            divided=radiographs_skewed,
            menu=IMAGES,
            rounds=30,
            seeds=1,
        ),
    }


# ---- sets


def heart(seed: int) -> Divided:
    """FLamby's four hospitals: its rows, columns and test rows; a fifth of its training rows tune.

    Reference: Ogier du Terrail et al. (2022), FLamby, arXiv:2210.04620; the split is that of its repository.
    """
    tables = {}
    for site in ("cleveland", "hungarian", "switzerland", "va"):
        file = DATA / "uci_heart" / f"processed.{site}.data"
        raw = pl.read_csv(file, has_header=False, new_columns=[*HEART, "slope", "ca", "thal", "num"], null_values="?")
        table = _heart_features(raw.drop("slope", "ca", "thal").drop_nulls())
        y = table[LABEL].to_numpy()
        places, rng = np.arange(len(y)), np.random.default_rng([seed, len(tables)])
        stratify = y if min(np.sum(y), np.sum(1 - y)) > 2 else None  # as FLamby does
        train, test = train_test_split(
            places, test_size=1.0 - 0.66, train_size=0.66, random_state=43, shuffle=True, stratify=stratify
        )
        order = rng.permutation(train)
        cut = len(order) // 5
        tables[site] = _chosen(table, {"train": order[cut:], "tuning": order[:cut], "holdout": test})
    study = _example("heart/study.yaml")
    features = [dict(feature.plain()) for feature in study.features if feature.name in tables["va"]["train"].columns]
    for feature in features:
        feature["missing"] = "refused"
        if feature["name"] in ("cholesterol", "resting_pressure"):
            feature["range"] = [0, feature["range"][1]]  # FLamby keeps what was written for not measured
    return _locked(study, tables, seed, features=features, hidden=16)


def stroke(seed: int) -> Divided:
    """The International Stroke Trial by country, small countries together."""
    study, found = _by_site("ist/country.yaml", "ist_stroke")
    by_size = sorted(found, key=lambda site: -found[site].height)
    sites = {site: found[site] for site in by_size[: COUNTRIES - 1]}
    sites["OTHERS"] = pl.concat([found[site] for site in by_size[COUNTRIES - 1 :]])
    rng = np.random.default_rng(seed)
    return _locked(study, {site: _split(table, rng) for site, table in sites.items()}, seed)


def stroke_skewed(seed: int) -> Divided:
    """The same persons at sites that differ in nothing but the outcome."""
    study, found = _by_site("ist/country.yaml", "ist_stroke")
    whole, rng = pl.concat(list(found.values())), np.random.default_rng(seed)
    return _locked(study, {site: _by_class(part, rng) for site, part in _skewed(whole, 12, rng).items()}, seed)


def diabetes_skewed(seed: int) -> Divided:
    """Patients of Diabetes-130 at sites that differ in nothing but how many come back; half of the rows train."""
    study, found = _by_site("diabetes130/study.yaml", "diabetes130")
    whole, rng = pl.concat(list(found.values())), np.random.default_rng(seed)
    whole = whole[rng.permutation(whole.height)[:DIABETES_ROWS]]
    parts = _skewed(whole, DIABETES_SITES, rng)
    return _locked(study, {site: _by_class(part, rng, (0.4, 0.15)) for site, part in parts.items()}, seed)


def radiographs_skewed(seed: int) -> Divided:
    """Chest radiographs, pneumonia or not; the official test and validation images are shared out likewise."""
    rng = np.random.default_rng(seed)
    names = [f"p{place}" for place in range(784)]
    pools: dict[SplitName, pl.DataFrame] = {}
    with np.load(DATA / "medmnist" / "pneumoniamnist_rebuilt.npz", allow_pickle=False) as file:
        for split, name in SPLITS_OF_IMAGES:
            x, y = file[f"{name}_images"].reshape(-1, 784), file[f"{name}_labels"].ravel()
            chosen = rng.permutation(len(y))[: IMAGE_ROWS if split == "train" else len(y)]
            table = pl.from_numpy(x[chosen].astype(np.float64), schema=names)
            pools[split] = table.with_columns(pl.Series(LABEL, y[chosen].astype(np.int8)))
    shares = rng.dirichlet(np.full(IMAGE_SITES, ALPHA), size=2)
    divided = {split: _skewed(table, IMAGE_SITES, rng, shares=shares) for split, table in pools.items()}
    tables = {site: {split: parts[site] for split, parts in divided.items()} for site in divided["train"]}
    pixels = [
        {"name": name, "type": "number", "meaning": "Brightness of one pixel", "unit": "1", "range": [0, 255]}
        | {"missing": "refused"}
        for name in names
    ]
    study = _example("heart/study.yaml")
    label = {"name": "pneumonia", "meaning": "Pneumonia on a chest radiograph", "window_days": [0, 0]}
    return _locked(study, tables, seed, features=pixels, label=label, layers=_picture)


HEART = [
    "age",
    "sex",
    "chest_pain",
    "resting_pressure",
    "cholesterol",
    "fasting_sugar_high",
    "resting_ecg",
    "maximum_heart_rate",
    "exercise_angina",
    "st_depression",
]
SPLITS_OF_IMAGES: tuple[tuple[SplitName, str], ...] = (("train", "train"), ("tuning", "val"), ("holdout", "test"))


def _heart_features(raw: pl.DataFrame) -> pl.DataFrame:
    words = {
        "sex": {0: "female", 1: "male"},
        "chest_pain": {1: "typical-angina", 2: "atypical-angina", 3: "non-anginal", 4: "asymptomatic"},
        "resting_ecg": {0: "normal", 1: "st-t-abnormal", 2: "hypertrophy"},
    }
    columns = [
        pl.col(name).cast(pl.Float64).replace_strict(words[name], return_dtype=pl.String)
        if name in words
        else pl.col(name).cast(pl.Float64)
        for name in HEART
    ]
    return raw.select(*columns, (pl.col("num") > 0).cast(pl.Int8).alias(LABEL))


# ---- sites and splits


@cache
def _by_site(study_file: str, data: str) -> tuple[Study, dict[str, pl.DataFrame]]:
    study = _example(study_file)
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder) / "hospitals"
        divide(DATA / data, study, mapping_beside(ROOT / "examples" / study_file), homes)
        found = {site: load(home, study).table for site, home in find_hospitals(homes, study).items()}
    names = [*(feature.name for feature in study.features), LABEL]
    return study, {site: table.select(names) for site, table in sorted(found.items()) if table.height}


def _example(study_file: str) -> Study:
    path = ROOT / "examples" / study_file
    return parse(path.read_text(encoding="utf-8"), name=path.name)


def _split(table: pl.DataFrame, rng: Rng, shares: tuple[float, float] = (0.6, 0.15)) -> dict[SplitName, pl.DataFrame]:
    order = rng.permutation(table.height)
    first, second = round(shares[0] * len(order)), round(sum(shares) * len(order))
    return _chosen(table, {"train": order[:first], "tuning": order[first:second], "holdout": order[second:]})


def _by_class(
    table: pl.DataFrame, rng: Rng, shares: tuple[float, float] = (0.6, 0.15)
) -> dict[SplitName, pl.DataFrame]:
    parts = [_split(table.filter(pl.col(LABEL) == value), rng, shares) for value in (0, 1)]
    return {split: pl.concat([part[split] for part in parts]) for split in parts[0]}


def _chosen(table: pl.DataFrame, places: Mapping[SplitName, Any]) -> dict[SplitName, pl.DataFrame]:
    return {split: table[np.sort(rows)] for split, rows in places.items()}


def _skewed(whole: pl.DataFrame, sites: int, rng: Rng, *, shares: Any = None) -> dict[str, pl.DataFrame]:
    """Give each class to sites by Dirichlet shares, then every site a few persons of each class.

    Reference: Yurochkin et al. (2019), arXiv:1905.12022; as in FLARE's CIFAR-10 example.
    """
    y = whole[LABEL].to_numpy()
    shares = rng.dirichlet(np.full(sites, ALPHA), size=2) if shares is None else shares
    places: list[list[int]] = [[] for _ in range(sites)]
    for value in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == value))
        first, rest = rows[: sites * LEAST_OF_A_CLASS], rows[sites * LEAST_OF_A_CLASS :]
        cuts = np.round(np.cumsum(shares[value])[:-1] * len(rest)).astype(int)
        for site, own in enumerate(np.split(rest, cuts)):
            few = first[site * LEAST_OF_A_CLASS : (site + 1) * LEAST_OF_A_CLASS]
            places[site] += [*few.tolist(), *own.tolist()]
    return {f"s{site:02d}": whole[rng.permutation(rows)] for site, rows in enumerate(places)}


# ---- studies


def _locked(
    study: Study,
    tables: Tables,
    seed: int,
    *,
    features: Sequence[Mapping[str, Any]] | None = None,
    label: Mapping[str, Any] | None = None,
    hidden: int = 32,
    layers: Callable[[str], list[dict[str, Any]]] | None = None,
) -> Divided:
    plain = dict(study.plain()) | {"sites": sorted(tables), "analyses": list(ANALYSES), "subgroups": [], "rules": []}
    if features is not None:
        plain["features"] = list(features)
    if label is not None:
        plain["label"] = dict(label)
    bare = Study.from_plain({key: value for key, value in plain.items() if key not in ("mapping",)})
    inputs = len(design_columns(bare.features)) - 1
    networks = {
        name: {
            "schema": "wardgate/network/1",
            "inputs": inputs,
            "layers": layers(norm) if layers else _perceptron(hidden, norm),
            "seed": seed,
        }
        for name, norm in (("plain", "group_norm"), ("batch", "batch_norm"))
    }
    return Divided(study=Study.from_plain(plain | {"networks": networks}), tables=tables)


def _perceptron(hidden: int, norm: str) -> list[dict[str, Any]]:
    return [
        {"kind": "linear", "units": hidden},
        {"kind": norm},
        {"kind": "activation", "how": "relu"},
        {"kind": "linear", "units": 1},
    ]


def _picture(norm: str) -> list[dict[str, Any]]:
    bend = {"kind": "activation", "how": "relu"}
    return [
        {"kind": "image", "channels": 1, "height": 28, "width": 28},
        {"kind": "conv2d", "channels": 8, "kernel": 3, "stride": 2, "padding": 1},
        {"kind": norm},
        bend,
        {"kind": "conv2d", "channels": 16, "kernel": 3, "stride": 2, "padding": 1},
        {"kind": norm},
        bend,
        {"kind": "flatten"},
        {"kind": "linear", "units": 1},
    ]
