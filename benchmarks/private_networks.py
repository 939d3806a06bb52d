"""A network with differential privacy over hospitals, beside one without, and beside Opacus at every hospital alone.

make bench NAME=private_networks        (needs the real data: WARDGATE_DATA, default ../shared/data)

IST by country (see benchmarks/network_sets.py), epsilon 3 and 8. Ours adds one noise to the sum over all hospitals,
by the drivers and the wards' own answers over tables in the open (`federation.plain`). WARDGATE_OPACUS names a Python
that has `opacus`; it runs with Adam at the rate of ours and about as many steps. Ours is run as it comes.
WARDGATE_SEEDS seeds, two by default.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import ROOT, Figure, Value, write
from network_pooled import Judged, Parts, Vector, encoded, judged, pooled, scores
from network_sets import Divided, all_sets

from wardgate.entropy import SystemEntropy
from wardgate.federation.plain import Plain, plain_sites
from wardgate.hub.pooling.networks.algorithms import algorithm_of
from wardgate.hub.pooling.networks.private import private_training
from wardgate.hub.pooling.networks.rounds import train
from wardgate.records.study import Study

EPSILONS, DELTA = (3.0, 8.0), 1e-6
SEEDS = int(os.environ.get("WARDGATE_SEEDS", "2"))
ROUNDS = 50
POOLED, CLEAN, ALONE, TOGETHER = (
    "pooled, tuned, without noise",
    "FedAvg without noise",
    "Opacus at each hospital alone",
    "Opacus on all rows together, which no hospital may hold",
)
Found = dict[str, list[Judged]]


def granted(divided: Divided) -> Study:
    """Return the study with room for the largest epsilon."""
    plain = divided.study.plain()
    budget = dict(plain["budget"]) | {"epsilon_total": max(EPSILONS), "delta": DELTA}
    return Study.from_plain(plain | {"budget": budget})


def driven(divided: Divided, study: Study, parts: Parts, seed: int, epsilon: float | None) -> tuple[Judged, Any, float]:
    """Train once over hospitals; return what it is worth on test persons, the training and its seconds."""
    entropy = SystemEntropy()
    hospitals = Plain(
        study=study, sites=plain_sites(study, divided.tables, entropy=entropy, seed=seed), entropy=entropy
    )
    sites, begun = tuple(sorted(divided.tables)), time.perf_counter()
    if epsilon is None:
        algorithm = algorithm_of("fedavg", steps=10, rate=0.1)
        steps = train(study=study, sites=sites, network="plain", algorithm=algorithm, rounds=ROUNDS, patience=ROUNDS)
    else:
        known = sum(len(own["train"].y) for own in parts.values()) // 100 * 100
        steps = private_training(
            study=study,
            sites=sites,
            network="plain",
            epsilon=epsilon,
            delta=DELTA,
            rounds=ROUNDS,
            persons_at_least=known,
        )
    found = hospitals.drive(steps)
    score = scores(study.networks["plain"], found.model.vector, parts, "holdout")
    return judged(parts, "holdout", score), found, time.perf_counter() - begun


def opacus(parts: Parts, epsilon: float, seed: int) -> dict[str, Judged] | str:
    """Return what the peer's networks are worth; words where it could not run."""
    python = os.environ.get("WARDGATE_OPACUS", "")
    if not python:
        return "WARDGATE_OPACUS names no interpreter that has it"
    held: dict[str, Any] = {"tx": np.concatenate([own["holdout"].x[:, 1:] for own in parts.values()])}
    for site, own in parts.items():
        held |= {f"x/{site}": own["train"].x[:, 1:], f"y/{site}": own["train"].y}
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "rows.npz", Path(folder) / "found.npz"
        np.savez(file, **held)
        script = str(ROOT / "benchmarks/peers/network_opacus.py")
        command = [python, script, str(file), f"{epsilon}", f"{DELTA}", f"{seed}", str(out)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=_bare(), timeout=590)
        if done.returncode:
            return f"failed: {done.stderr.strip().splitlines()[-1][:160] if done.stderr.strip() else 'without a word'}"
        with np.load(out, allow_pickle=False) as read:
            said = {name: read[name].astype(np.float64) for name in read.files}
    settings = sorted({name.split("/")[0] for name in said})
    ends = np.cumsum([len(own["holdout"].y) for own in parts.values()])[:-1]

    def of(setting: str, whose: Mapping[str, str]) -> Judged:
        score: dict[str, Vector] = {}
        for place, site in enumerate(parts):
            score[site] = np.split(said[f"{setting}/{whose[site]}"], ends)[place]
        return judged(parts, "holdout", score)

    alone = [of(setting, {site: site for site in parts}) for setting in settings]
    together = [of(setting, dict.fromkeys(parts, "all rows together")) for setting in settings]
    return {ALONE: max(alone, key=lambda one: one.within), TOGETHER: max(together, key=lambda one: one.auroc)}


def _bare() -> dict[str, str]:
    """Return the environment without what belongs to this interpreter."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}


def middle(runs: Sequence[Judged], what: str, digits: int = 4) -> Value:
    """Return a mean over seeds."""
    return round(float(np.mean([getattr(one, what) for one in runs])), digits)


def figures() -> list[Figure]:
    """Measure."""
    chosen = all_sets()["ist"]
    clean: Found = {POOLED: [], CLEAN: []}
    ours: dict[float, list[Judged]] = {epsilon: [] for epsilon in EPSILONS}
    theirs: dict[float, Found] = {epsilon: {ALONE: [], TOGETHER: []} for epsilon in EPSILONS}
    cost, seconds, moved, words = dict[float, float](), list[float](), list[float](), ""
    for seed in range(1, SEEDS + 1):
        divided = chosen.divided(seed)
        parts, study = encoded(divided), granted(divided)
        best = pooled(study.networks["plain"], parts, seed=seed)
        clean[POOLED].append(judged(parts, "holdout", scores(study.networks["plain"], best.weights, parts, "holdout")))
        clean[CLEAN].append(driven(divided, study, parts, seed, None)[0])
        for epsilon in EPSILONS:
            worth, found, took = driven(divided, study, parts, seed, epsilon)
            ours[epsilon].append(worth)
            cost[epsilon] = max(cost.get(epsilon, 0.0), found.claim.epsilon or np.inf)
            seconds.append(took)
            moved.append(found.bytes_moved / len(parts) / ROUNDS)
            print(seed, epsilon, worth, round(took, 1), flush=True)
            peer = opacus(parts, epsilon, seed)
            print(seed, epsilon, peer, flush=True)
            if isinstance(peer, str):
                words = peer
            else:
                for name, one in peer.items():
                    theirs[epsilon][name].append(one)
    return [
        one
        for epsilon in EPSILONS
        for one in _told(epsilon, ours[epsilon], clean | theirs[epsilon], cost, seconds, moved, words)
    ]


def _told(
    epsilon: float,
    ours: Sequence[Judged],
    others: Mapping[str, Sequence[Judged]],
    cost: Mapping[float, float],
    seconds: Sequence[float],
    moved: Sequence[float],
    words: str,
) -> list[Figure]:
    there = {name: runs for name, runs in others.items() if runs}
    peer = there.get(ALONE)
    title = f"IST by country, 12 sites, network with epsilon {epsilon:g} at delta {DELTA:g}"
    share = float(np.mean([one.auroc for one in ours]) / np.mean([one.auroc for one in others[POOLED]]))
    above = None if peer is None else middle(ours, "within") > middle(peer, "within")  # type: ignore[operator]
    names = {"auroc": "AUROC over all test persons", "within": "mean AUROC of sites", "worst": "worst site's AUROC"}
    found = []
    for what, said in names.items():
        goal = "above Opacus at each hospital alone" if what != "auroc" else ""
        met = above if what == "within" else None
        if what == "worst" and peer is not None:
            met = middle(ours, "worst") > middle(peer, "worst")  # type: ignore[operator]
        found.append(
            Figure(
                name=f"{title}: {said}",
                value=middle(ours, what),
                goal=goal,
                met=met,
                seeds=len(ours),
                peers={name: middle(runs, what) for name, runs in there.items()}
                | (
                    {"share of pooled without noise": round(share, 4), "epsilon of the claim": round(cost[epsilon], 4)}
                    if what == "auroc"
                    else {}
                ),
                reason=f"{words or 'Opacus: Adam at the rate of ours, 48 steps'}; its hospitals"
                f" alone are judged each on its own test persons. Ours: {ROUNDS} noisy sums,"
                f" {np.mean(moved) / 1e3:.1f} kB a site and round, {np.mean(seconds):.0f} s on a shared machine",
            )
        )
    found.append(
        Figure(
            name=f"{title}: O/E over all test persons",
            value=middle(ours, "oe", 3),
            goal="0.85 to 1.15",
            met=0.85 <= float(np.mean([one.oe for one in ours])) <= 1.15,
            seeds=len(ours),
            peers={name: middle(runs, "oe", 3) for name, runs in there.items()},
            reason="mean over seeds",
        )
    )
    return found


def main() -> None:
    """Measure and write."""
    write("private_networks", figures(), "make bench NAME=private_networks")


if __name__ == "__main__":
    sys.exit(main())
