"""Neural networks over hospitals: every algorithm on four public sets, beside the tuned pooled network.

make bench NAME=networks        (needs the real data: WARDGATE_DATA, default ../shared/data)

Words after the command choose sets (heart, ist, ist-skew, diabetes, images); what was measured before is kept in the
file that WARDGATE_KEPT names, and `figures` writes up what is kept. WARDGATE_SEEDS caps the seeds of a set.

The drivers and the wards' own answers run over tables in the open (`federation.plain`); that the road of masks and the
gate gives the same figures up to rounding is a test's business. How hospitals work in a round is chosen for each
algorithm from a small menu by the AUROC of all tuning persons under the first seed; the round by the driver itself, by
the loss on tuning persons; the recommended algorithm by the tuning AUROC, mean over seeds, among those that give one
common model. No test person is looked at for any of it.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figure, Value, write
from network_pooled import Parts, Vector, encoded, judged, pooled, regression, scores
from network_sets import Divided, Set, all_sets

from wardgate.computations.network_update import shared
from wardgate.entropy import SystemEntropy
from wardgate.federation.plain import Plain, PlainSite, plain_sites
from wardgate.hospital.ward.learning.network_update import key_of
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS, Algorithm, algorithm_of
from wardgate.hub.pooling.networks.rounds import train
from wardgate.measures.layers.forward import logits
from wardgate.networks.federated.own import State
from wardgate.records.errors import WardgateError
from wardgate.records.messages import SplitName

GOAL = 0.98
TUNE_EVERY = 3
SEEDS = int(os.environ.get("WARDGATE_SEEDS", "100"))
FLAMBY = {
    "FLamby pooled": 0.795,
    "FLamby FedAvg": 0.748,
    "FLamby FedProx": 0.748,
    "FLamby SCAFFOLD": 0.748,
    "FLamby FedAdam": 0.779,
    "FLamby FedYogi": 0.779,
    "FLamby cyclic": 0.785,
}
"""Accuracy on all test rows, mean of five seeds; from the result files of its repository."""

COMMON = ("fedavg", "fedprox", "scaffold", "fedadam", "fedyogi", "cyclic")
"""Whose common weights predict by themselves; those of `ditto` are those of `fedavg`."""

Told = dict[str, Any]


def network_of(name: str) -> str:
    """Return which network an algorithm trains: only FedBN the one with batch norms."""
    return "batch" if name == "fedbn" else "plain"


def algorithm(name: str, work: Mapping[str, Any]) -> Algorithm:
    """Return an algorithm with the work of a menu."""
    return algorithm_of(name, **work)


def run(divided: Divided, parts: Parts, one: Algorithm, *, rounds: int, seed: int) -> Told:
    """Train once; return figures on tuning and test persons, each site by the model that it would use."""
    network, entropy = network_of(one.name), SystemEntropy()
    plain = Plain(
        study=divided.study,
        sites=plain_sites(divided.study, divided.tables, entropy=entropy, seed=seed),
        entropy=entropy,
    )
    begun = time.perf_counter()
    found = plain.drive(
        train(
            study=divided.study,
            sites=tuple(sorted(divided.tables)),
            network=network,
            algorithm=one,
            rounds=rounds,
            tune_every=TUNE_EVERY,
            patience=rounds,
        )
    )
    seconds = time.perf_counter() - begun
    common = found.model.vector
    vectors = {site: own_vector(plain.sites[site], divided, one, common) for site in parts}
    told: Told = {"rounds": len(found.history), "best": found.best, "bytes": found.bytes_moved, "seconds": seconds}
    splits: tuple[SplitName, ...] = ("tuning", "holdout")
    for split in splits:
        score = {
            site: logits(divided.study.networks[network], vectors[site], own[split].x[:, 1:])
            for site, own in parts.items()
        }
        figures = judged(parts, split, score)
        told |= {f"{split} {name}": getattr(figures, name) for name in figures.__slots__}
    last = found.history[-1]
    told["sat out"] = sum(word not in ("trained", "one-class") for word in last.said.values())
    return told


def own_vector(site: PlainSite, divided: Divided, one: Algorithm, common: Vector) -> Vector:
    """Return the weights that a site would use: the common ones, with what stays there, or its personal model."""
    network = network_of(one.name)
    architecture = divided.study.networks[network]

    def kept(kind: str) -> Vector | None:
        raw = site.own.get(key_of(network=network, sha256=architecture.sha256, kind=kind))
        return None if raw is None else State.from_bytes(raw).now

    if one.work.personal is not None:
        own = kept("personal")
        return common if own is None else own
    if one.work.stays and (own := kept("stays")) is not None:
        vector = common.copy()
        vector[~shared(architecture, one.work.stays)] = own
        return vector
    return common


# ---- measuring


def measured(key: str, chosen: Set, kept: dict[str, Any], keep: Any) -> None:
    """Measure what is not kept yet, keeping each run as it ends."""
    mine = kept.setdefault(key, {"pooled": {}, "work": {}, "runs": {}})
    for seed in range(1, min(SEEDS, chosen.seeds) + 1):
        divided = chosen.divided(seed)
        parts = encoded(divided)
        if str(seed) not in mine["pooled"]:
            begun = time.perf_counter()
            best = pooled(divided.study.networks["plain"], parts, seed=seed)
            score = scores(divided.study.networks["plain"], best.weights, parts, "holdout")
            figures = judged(parts, "holdout", score)
            mine["pooled"][str(seed)] = {name: getattr(figures, name) for name in figures.__slots__} | {
                "tuning": best.tuning,
                "how": best.how,
                "logistic": judged(parts, "holdout", regression(divided, parts)).auroc,
                "seconds": time.perf_counter() - begun,
            }
            print(key, seed, "pooled", mine["pooled"][str(seed)], flush=True)
            keep()
        for name in ALGORITHMS:
            runs = mine["runs"].setdefault(name, {})
            if str(seed) in runs:
                continue
            works = chosen.menu if name not in mine["work"] else {mine["work"][name]: chosen.menu[mine["work"][name]]}
            tried = {
                words: attempt(divided, parts, algorithm(name, work), rounds=chosen.rounds, seed=seed)
                for words, work in works.items()
            }
            mine["work"].setdefault(name, max(tried, key=lambda words: tried[words].get("tuning auroc", 0.0)))
            runs[str(seed)] = tried[mine["work"][name]]
            shown = {what: round(one, 4) for what, one in runs[str(seed)].items() if isinstance(one, float)}
            each = {words: round(one.get("tuning auroc", 0.0), 4) for words, one in tried.items()}
            print(key, seed, name, mine["work"][name], each, shown, flush=True)
            keep()


def attempt(divided: Divided, parts: Parts, one: Algorithm, *, rounds: int, seed: int) -> Told:
    """Run once; an algorithm that fails is shown as such."""
    try:
        return run(divided, parts, one, rounds=rounds, seed=seed)
    except WardgateError as error:
        return {"failed": str(error)}


# ---- figures


def mean(runs: Sequence[Told], what: str) -> float:
    """Return a mean over seeds of what is there; NaN where nothing is."""
    values = [one[what] for one in runs if one.get(what) is not None and np.isfinite(one[what])]
    return float(np.mean(values)) if values else float("nan")


def shown(value: float, digits: int = 4) -> Value:
    """Return a figure as it is written; words where there is none."""
    return round(value, digits) if np.isfinite(value) else "none"


def recommended(mine: Told) -> str:
    """Return the algorithm with the best tuning AUROC, mean over seeds, among those that give one common model."""
    return max(
        (name for name in COMMON if mine["runs"].get(name)),
        key=lambda name: np.nan_to_num(mean(list(mine["runs"][name].values()), "tuning auroc")),
    )


def told_of(chosen: Set, mine: Told) -> Iterator[Figure]:
    """Yield the figures of one set."""
    whole = list(mine["pooled"].values())
    best = recommended(mine)
    runs = {name: list(found.values()) for name, found in mine["runs"].items() if found}
    bound = mean(whole, "auroc")
    seeds = len(runs[best])
    area = mean(runs[best], "holdout auroc")
    share = area / bound
    met = share >= GOAL
    where = f"{chosen.sites}; at most {chosen.rounds} rounds"
    menu = ", ".join(chosen.menu)
    yield Figure(
        name=f"{chosen.name}: AUROC of the recommended algorithm ({best}) as a share of the tuned pooled network's",
        value=round(share, 4),
        goal=f">= {GOAL:g} within 50 rounds",
        met=met,
        seeds=seeds,
        peers={
            "its AUROC": round(area, 4),
            "lowest share over seeds": round(_lowest(runs[best], whole), 4),
            "pooled, tuned": round(bound, 4),
            "pooled accuracy": round(mean(whole, "accuracy"), 4),
            "pooled O/E": round(mean(whole, "oe"), 3),
            "pooled worst site": shown(mean(whole, "worst")),
            "pooled settings of seed 1": mine["pooled"]["1"]["how"],
            "AUROC of pooled logistic regression": shown(mean(whole, "logistic")),
        },
        reason=("" if met else "short of it in these few rounds under this split. ")
        + ("" if len(runs) == len(ALGORITHMS) else f"Only {', '.join(runs)} measured so far. ")
        + f"{where}. The algorithm was chosen by the tuning persons' AUROC, its work in a round out of: {menu}",
    )
    if chosen.name.startswith("Heart"):
        accuracy = mean(runs[best], "holdout accuracy")
        yield Figure(
            name=f"{chosen.name}: accuracy on all test rows, recommended algorithm ({best}), 15 rounds",
            value=round(accuracy, 4),
            goal=">= every federated figure of FLamby's table",
            met=accuracy >= 0.785,
            seeds=seeds,
            peers={
                **FLAMBY,
                **{f"ours, {name}": shown(mean(one, "holdout accuracy")) for name, one in runs.items()},
                "ours, pooled": round(mean(whole, "accuracy"), 4),
            },
            reason="the same rows and test rows; a fifth of FLamby's training rows tunes here instead of training, the"
            " network has 16 hidden units where FLamby's is a logistic regression, and numbers are scaled by"
            " their range where FLamby's are standardised at each centre; 254 test rows: one standard error is 0.025",
        )
    for name, found in runs.items():
        yield _one(chosen, mine, name, found, bound)


def _lowest(runs: Sequence[Told], whole: Sequence[Told]) -> float:
    return min(one["holdout auroc"] / other["auroc"] for one, other in zip(runs, whole, strict=False))


def _one(chosen: Set, mine: Told, name: str, found: Sequence[Told], bound: float) -> Figure:
    title = f"{chosen.name}: {name}, AUROC on all test persons"
    good = [one for one in found if "failed" not in one]
    if not good:
        return Figure(name=title, value=None, seeds=len(found), reason=found[0]["failed"])
    own = name in ("fedbn", "ditto", "local-head")
    area = mean(good, "holdout auroc")
    return Figure(
        name=title,
        value=round(area, 4),
        seeds=len(good),
        peers={
            "share of pooled": round(area / bound, 4),
            "worst site": shown(mean(good, "holdout worst")),
            "mean of sites": shown(mean(good, "holdout within")),
            "sites with 20 events and 20 others": shown(mean(good, "holdout judged"), 1),
            "O/E": round(mean(good, "holdout oe"), 3),
            "accuracy": round(mean(good, "holdout accuracy"), 4),
            "tuning AUROC": round(mean(good, "tuning auroc"), 4),
            "round taken": shown(mean(good, "best"), 1),
            "kB a site and round, both ways": shown(mean(good, "bytes") / chosen.count / mean(good, "rounds") / 1e3, 1),
            "seconds, hub and all sites one after the other": round(mean(good, "seconds"), 1),
            "work": mine["work"][name],
            **({"failed seeds": len(found) - len(good)} if len(found) > len(good) else {}),
        },
        reason=(
            "each site by its own model, so over sites that differ in the outcome alone the score knows the site: the"
            " mean of sites is the fair figure. "
            if own
            else ""
        )
        + "bytes without masks' handshakes and signed records, tuning sums included; seconds on a shared machine",
    )


def main() -> None:
    """Measure and write."""
    words = sys.argv[1:]
    place = Path(os.environ.get("WARDGATE_KEPT", os.devnull))
    kept: dict[str, Any] = json.loads(place.read_text() or "{}") if place.exists() else {}
    sets = all_sets()

    def keep() -> None:
        place.write_text(json.dumps(kept))

    for key in [word for word in words if word != "figures"] or ([] if words else list(sets)):
        measured(key, sets[key], kept, keep)
    figures = [figure for key, chosen in sets.items() if key in kept for figure in told_of(chosen, kept[key])]
    write("networks", figures, "make bench NAME=networks")


if __name__ == "__main__":
    main()
