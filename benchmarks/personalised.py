"""A model for each hospital: is it ever worse than the better of the common one and the hospital's own?

make bench NAME=personalised        (needs the real data: WARDGATE_DATA, default ../shared/data)

Words after the command choose parts (simulated, ist, ist-death, ist-hospitals, ist-networks, eicu); what was measured
before is kept in the file that WARDGATE_KEPT names. The drivers and the wards' own answers run over tables in the open
(`federation.plain`); that hospitals give the same figures, rounded, is a test's business.

Fixed before anything was measured: half of each site's persons train, a tenth tune, four tenths are locked. Worse
means that the upper end of the 95 % interval of the gain over the better of global and local is below 0, the better one
picked on the same locked persons. Judged are sites with at least 20 events and 20 non-events among them, by AUROC
(DeLong) and by log-loss (paired). A model that is exactly as good as one of the two is called worse at one site in 40
by chance, and more often where global and local are equally good, since the better is picked after the fact. The
menu was chosen on simulated hospitals. After a first look at the eICU demo two things were changed and all was measured
anew: no width lets a slope lie further off than the study's ridge would, and held-out persons are compared from 10
events on, not 15. So the eICU figures are not blind; those of IST are. No locked person is in any choice by a hospital.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from commons_transfer import eicu
from harness import ROOT, Figure, write

from wardgate.computations.likeness import Seen
from wardgate.computations.personal import Kept
from wardgate.entropy import SystemEntropy
from wardgate.federation.local import find_hospitals
from wardgate.federation.personal import personalise_plain
from wardgate.federation.plain import Plain, plain_sites
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.transfer.personal import ENOUGH, personal_figures
from wardgate.hub.pooling.networks.algorithms import algorithm_of
from wardgate.hub.pooling.networks.rounds import train
from wardgate.measures.encoding import LABEL, design_columns
from wardgate.measures.logistic import fit, linear, probability
from wardgate.measures.logistic import statistics as sums_at
from wardgate.measures.no_worse import personal
from wardgate.measures.personal import START, Joint, next_shares, others_of, updated
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
SEEDS = (1, 2, 3)
SHARES = (0.5, 0.1)
LEAST = 60
"""Persons of a site; smaller ones have nothing to judge, and are left out of IST by hospital alone."""

COUNTRIES = 10
"""Countries on which networks are trained too."""

ROUNDS = 20
WORK: Mapping[str, Any] = {"steps": 10, "batch": 64, "rate": 0.1}
KINDS = ("alike", "level", "between", "apart", "one strange")
SIMULATED, SITES, COLUMNS = 6, 10, 12

Told = dict[str, Any]
Tables = dict[str, pl.DataFrame]


# ---- real hospitals


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """One data set by site; `rounds` of training for networks, 0 where none are trained on it."""

    name: str
    study: Study
    tables: Tables
    rounds: int = 0


@cache
def stroke(file: str) -> tuple[Study, Tables]:
    path = ROOT / "examples/ist" / file
    study = parse(path.read_text(encoding="utf-8"), name=path.name)
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder) / "hospitals"
        divide(DATA / "ist_stroke", study, mapping_beside(path), homes)
        found = {site: load(home, study).table for site, home in find_hospitals(homes, study).items()}
    names = [*(feature.name for feature in study.features), LABEL]
    return study, {site: table.select(names) for site, table in sorted(found.items()) if table.height}


def chosen(word: str) -> Set:
    match word:
        case "ist":
            study, tables = stroke("country.yaml")
            return Set(name="IST by country", study=study, tables=tables)
        case "ist-networks":
            study, tables = stroke("country.yaml")
            large = sorted(tables, key=lambda site: -tables[site].height)[:COUNTRIES]
            name = f"IST, the {COUNTRIES} largest countries"
            return Set(name=name, study=study, tables={site: tables[site] for site in large}, rounds=ROUNDS)
        case "ist-death":
            study, tables = stroke("country-dead14.yaml")
            return Set(name="IST by country, dead at 14 days", study=study, tables=tables)
        case "ist-hospitals":
            study, tables = stroke("hospitals.yaml")
            large = {site: table for site, table in tables.items() if table.height >= LEAST}
            return Set(name="IST by hospital", study=study, tables=large)
        case _:
            study, _ = stroke("country.yaml")
            data = eicu()
            label = {"name": "died", "meaning": "Died in hospital", "window_days": [0, 365]}
            features = [feature.plain() for feature in data.dictionary.features]
            tables = {site.lower(): table for site, table in sorted(data.sites.items()) if site != "unknown"}
            study = changed(study, features=features, label=label, id="eicu-regions")
            return Set(name="eICU by region", study=study, tables=tables, rounds=30)


def changed(study: Study, **parts: Any) -> Study:
    return Study.from_plain(dict(study.plain()) | {"subgroups": [], "rules": []} | parts)


def locked(data: Set, seed: int) -> Study:
    """The study with its networks: the common one, one of which heads stay, one of which norms stay, one alone."""
    inputs = len(design_columns(data.study.features)) - 1
    networks = {
        name: {
            "schema": "wardgate/network/1",
            "inputs": inputs,
            "seed": seed,
            "layers": [
                {"kind": "linear", "units": 32},
                {"kind": norm},
                {"kind": "activation", "how": "relu"},
                {"kind": "linear", "units": 1},
            ],
        }
        for name, norm in (
            ("mlp", "group_norm"),
            ("heads", "group_norm"),
            ("norms", "batch_norm"),
            ("alone", "group_norm"),
        )
    }
    analyses = ["likeness", "network_update", "model_scores"]
    return changed(data.study, sites=sorted(data.tables), analyses=analyses, networks=networks)


def divided(table: pl.DataFrame, rng: np.random.Generator) -> dict[SplitName, pl.DataFrame]:
    order = rng.permutation(table.height)
    first, second = round(SHARES[0] * len(order)), round(sum(SHARES) * len(order))
    return {
        "train": table[order[:first]],
        "tuning": table[order[first:second]],
        "locked_test": table[order[second:]],
    }


def trained(plain: Plain, *, rounds: int) -> tuple[dict[str, Seen], dict[str, Kept], str]:
    """Train the networks; what stays at a hospital lies on its bench afterwards."""
    study = plain.study
    runs = {
        "mlp": ("mlp", algorithm_of("ditto", **WORK)),
        "head": ("heads", algorithm_of("local-head", **WORK)),
        "norms": ("norms", algorithm_of("fedbn", **WORK)),
        # A second model that is never drawn to the common one is trained by its hospital alone.
        "alone": ("alone", algorithm_of("ditto", personal=0.0, **WORK)),
    }
    weights = {}
    for name, (network, algorithm) in runs.items():
        driver = train(
            study=study,
            sites=tuple(plain.sites),
            network=network,
            algorithm=algorithm,
            rounds=rounds,
            tune_every=None,
        )
        weights[name] = plain.drive(driver).model.vector

    def kept(name: str, **stays: Any) -> Kept:
        network = runs[name][0]
        return Kept(network=network, sha256=study.networks[network].sha256, weights=weights[name], **stays)

    found = {
        "network": kept("mlp"),
        "ditto": kept("mlp", personal=True),
        "head": kept("head", stays=("head",)),
        "norms": kept("norms", stays=("norms",)),
        "alone": kept("alone", personal=True),
    }
    seen = Seen(network="mlp", sha256=study.networks["mlp"].sha256, weights=weights["mlp"])
    return {"mlp": seen}, found, "alone"


def measured(word: str) -> Told:
    """Figures of every site under every seed."""
    data, rows, begun = chosen(word), [], time.process_time()
    for seed in SEEDS:
        study, rng = locked(data, seed), np.random.default_rng([seed, 7])
        entropy = SystemEntropy()
        tables = {site: divided(table, rng) for site, table in sorted(data.tables.items())}
        plain = Plain(study=study, sites=plain_sites(study, tables, entropy=entropy, seed=seed), entropy=entropy)
        networks, kept, alone = trained(plain, rounds=data.rounds) if data.rounds else ({}, {}, "")
        found = personalise_plain(plain, split="locked_test", networks=networks, kept=kept, alone=alone)
        rows += [
            {
                "seed": seed,
                "site": site,
                "persons": data.tables[site].height,
                "enough": one.enough,
                "took": dict(one.took),
                "best": found.best(site) if one.figures else "",
                "figures": {name: round(value, 5) for name, value in one.figures.items()},
                "refusal": one.refusal,
            }
            for site, one in found.sites.items()
        ]
        common = found.commons[""]
        print(word, seed, f"alike {common.alike:.2f}, variance {common.variance:.2g}", flush=True)
    return {
        "name": data.name,
        "against": {model: list(pair) for model, pair in found.asked.against.items()},
        "models": list(found.asked.models),
        "rows": rows,
        "seconds": time.process_time() - begun,
    }


# ---- simulated hospitals


def drawn(kind: str, rng: np.random.Generator) -> list[tuple[Any, Any, Any]]:
    """Hospitals of 120 to 1,500 training persons with known differences: training, tuning and locked persons."""
    base = np.r_[-1.0, rng.normal(0, 0.7, COLUMNS - 1)]
    found = []
    for place in range(SITES):
        persons, beta = int(np.exp(rng.uniform(np.log(120), np.log(1500)))), base.copy()
        match kind:
            case "level":
                beta[0] += rng.normal(0, 0.6)
            case "between":
                beta += np.r_[rng.normal(0, 0.4), rng.normal(0, 0.25, COLUMNS - 1)]
            case "apart":
                beta += np.r_[rng.normal(0, 0.8), rng.normal(0, 0.8, COLUMNS - 1)]
            case "one strange" if place == 0:
                persons, beta = 1200, -beta
        parts = []
        for count in (persons, persons // 5, max(persons * 4 // 5, 60)):
            x = np.column_stack([np.ones(count), rng.uniform(-1, 1, (count, COLUMNS - 1))])
            parts.append((x, (rng.random(count) < probability(linear(x, beta))).astype(np.int8)))
        found.append((parts[0], parts[1], parts[2]))
    return found


def simulated() -> Told:
    rows, begun = [], time.process_time()
    for number, kind in enumerate(KINDS):
        for seed in range(SIMULATED):
            rng = np.random.default_rng([seed, number, 11])
            sites = drawn(kind, rng)
            x, y = np.vstack([s[0][0] for s in sites]), np.concatenate([s[0][1] for s in sites])
            beta = fit(x, y, ridge=1.0)
            joint = Joint(beta=beta, hessian=sums_at(x, y, beta).hessian, ridge=1.0)
            menus = [updated(*s[0], others_of(joint, *s[0])) for s in sites]
            shares = np.array(START)
            for _ in range(8):
                shares = next_shares(np.sum([menu.weights(shares) for menu in menus], axis=0))
            for place, (here, tuning, test) in enumerate(sites):
                found = personal(*here, joint=joint, shares=shares, rng=rng, tuning=tuning)
                betas = {"global": beta, "local": found.local, "shrunk": found.shrunk}
                betas["unguarded"] = menus[place].shrunk(shares)
                if min(test[1].sum(), len(test[1]) - test[1].sum()) < ENOUGH:
                    continue
                figures = personal_figures(
                    {name: linear(test[0], one) for name, one in betas.items()},
                    test[1],
                    against={"shrunk": ("global", "local"), "unguarded": ("global", "local")},
                    level=0.95,
                )
                rows.append({"kind": kind, "seed": seed, "place": place, "took": found.took, "figures": figures})
        print("simulated", kind, flush=True)
    return {"rows": rows, "seconds": time.process_time() - begun}


# ---- figures


def figures_of(kept: Mapping[str, Told]) -> list[Figure]:
    found: list[Figure] = []
    for word, told in kept.items():
        found += simulated_figures(told) if word == "simulated" else real_figures(told)
    return found


def simulated_figures(told: Told) -> list[Figure]:
    found = []
    for kind in KINDS:
        rows = [row["figures"] for row in told["rows"] if row["kind"] == kind]
        worse = {key: sum(int(row[key]) for row in rows) for key in _WORSE}
        mean = {name: round(statistics.mean(row[f"{name}.log_loss"] for row in rows), 4) for name in _SHOWN}
        met = worse["shrunk.gain_worse"] <= 0.05 * len(rows)
        found.append(
            Figure(
                name=f"simulated hospitals, {kind}: sites worse than the better of global and local, by AUROC",
                value=worse["shrunk.gain_worse"],
                unit=f"of {len(rows)}",
                goal="at most 5 %: 2.5 % by chance in each of two comparisons",
                met=met,
                seeds=SIMULATED,
                peers={
                    "by log-loss": worse["shrunk.loss_gain_worse"],
                    "by AUROC without the comparison on held-out persons": worse["unguarded.gain_worse"],
                    **{f"log-loss of {name}": value for name, value in mean.items()},
                },
                reason="" if met else "more than chance explains",
            )
        )
    return found


_WORSE = ("shrunk.gain_worse", "shrunk.loss_gain_worse", "unguarded.gain_worse")
_SHOWN = ("global", "local", "shrunk")


def real_figures(told: Told) -> list[Figure]:
    name, rows = told["name"], [row for row in told["rows"] if row["enough"]]
    judged, sites = len(rows), len({row["site"] for row in rows})
    found = []
    for model in told["against"]:
        shown = [row for row in rows if f"{model}.gain_worse" in row["figures"]]
        worse = [row for row in shown if row["figures"][f"{model}.gain_worse"] == 1]
        by_loss = [row for row in shown if row["figures"][f"{model}.loss_gain_worse"] == 1]
        goal = "0" if model == "shrunk" else ""
        first, second = told["against"][model]
        found.append(
            Figure(
                name=f"{name}, '{model}': sites worse than the better of '{first}' and '{second}', by AUROC",
                value=len(worse),
                unit=f"of {len(shown)} ({sites} sites)",
                goal=goal,
                met=not worse if goal else None,
                seeds=len(SEEDS),
                peers={
                    "by log-loss": len(by_loss),
                    "expected by chance, one comparison": round(0.025 * len(shown), 1),
                    "mean gain in AUROC": mean_of(shown, f"{model}.gain"),
                    "mean gain in log-loss": mean_of(shown, f"{model}.loss_gain"),
                    **{f"mean AUROC of '{one}'": mean_of(shown, f"{one}.auroc") for one in (model, first, second)},
                },
                reason=missed(model, worse),
            )
        )
    best = [row["best"] for row in rows]
    counts = {one: best.count(one) for one in told["models"] if best.count(one)}
    found.append(
        Figure(
            name=f"{name}: model of least log-loss at most sites",
            value=max(counts, key=lambda one: counts[one]),
            unit=f"over {judged} sites and seeds",
            seeds=len(SEEDS),
            peers=counts,
            reason="picked on the locked persons themselves, so it flatters whoever varies most",
        )
    )
    for site in sorted({row["site"] for row in rows}, key=lambda one: -persons_of(rows, one))[:12]:
        here = [row for row in rows if row["site"] == site]
        found.append(
            Figure(
                name=f"{name}, {site} ({persons_of(rows, site)} persons): AUROC of 'shrunk'",
                value=mean_of(here, "shrunk.auroc"),
                seeds=len(here),
                peers={
                    **{f"AUROC of '{one}'": mean_of(here, f"{one}.auroc") for one in told["models"] if one != "shrunk"},
                    "interval, first seed": interval(here[0]),
                    **{f"O/E of '{one}'": mean_of(here, f"{one}.oe") for one in ("shrunk", "global", "local")},
                },
                reason="mean over seeds; locked persons of one site",
            )
        )
    return found


def missed(model: str, worse: Sequence[Told]) -> str:
    if not worse:
        return ""
    named = [f"{row['site']} (seed {row['seed']}: {row['figures'][f'{model}.gain']:+.3f})" for row in worse]
    return f"at {', '.join(named[:12])}; the better of the two is picked on the same persons, which favours it"


def persons_of(rows: Sequence[Told], site: str) -> int:
    return next(int(row["persons"]) for row in rows if row["site"] == site)


def mean_of(rows: Sequence[Told], name: str) -> float | None:
    values = [row["figures"][name] for row in rows if name in row["figures"]]
    return round(statistics.mean(values), 4) if values else None


def interval(row: Told) -> str:
    low, high = (row["figures"][f"shrunk.auroc_{end}"] for end in ("low", "high"))
    return f"{low:.3f} to {high:.3f}"


def main(words: Sequence[str]) -> None:
    place = os.environ.get("WARDGATE_KEPT", "")
    path = Path(place) if place else None
    kept: dict[str, Told] = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    for word in words or ("simulated", "ist", "ist-death", "ist-hospitals", "ist-networks", "eicu"):
        if word == "figures":
            continue
        kept[word] = simulated() if word == "simulated" else measured(word)
        print(word, f"{kept[word]['seconds']:.0f} s", flush=True)
        if path is not None:
            path.write_text(json.dumps(kept))
    figures = figures_of(kept)
    seconds = sum(told["seconds"] for told in kept.values())
    figures.append(Figure(name="all of it, on one core that others use too", value=round(seconds), unit="s"))
    write("personalised", figures, "make bench NAME=personalised")


if __name__ == "__main__":
    main(sys.argv[1:])
