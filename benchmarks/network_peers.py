"""FedAvg of one small network beside FLARE and Flower: the same persons, network, start and steps; seconds and bytes.

make bench NAME=network_peers        (needs the real data: WARDGATE_DATA, default ../shared/data)

As benchmarks/federation_peers.py: the eight largest countries of IST on one machine, peers deployed with TLS in a
network namespace of their own. WARDGATE_FLARE and WARDGATE_FLOWER name Pythons that have `nvflare` and `flwr`. Words
after the command choose what runs (flare, flower, engine, wardgate); what was measured before is kept in the file that
WARDGATE_KEPT names; `figures` alone writes it up. WARDGATE_RUNS runs of each, one by default.

The peers' sites take their steps by numpy, ours by torch, with the same number of steps, batch and rate; what differs
is the order of persons. Ours also masks, signs, logs, and asks its gate for every answer.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from federation_peers import LIMIT_SECONDS, SEED, SITES, apart, exported, own_memory, study_of, summary
from harness import ROOT, Figure, Value, write

from federation import TODAY, locked
from wardgate.federation.local import Settings, local
from wardgate.federation.networks import FederatedNetwork
from wardgate.hub.pooling.networks.checkpoint import Checkpoint
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.start import start
from wardgate.records.study import Study

sys.path.insert(0, str(ROOT / "benchmarks/peers"))

from fedavg_site import persons
from network_site import begun, trained

RUNS = int(os.environ.get("WARDGATE_RUNS", "1"))
WORK = {"hidden": 32, "steps": 20, "batch": 64, "rate": 0.1}
PEERS: Mapping[str, tuple[str, str, int]] = {
    "flare": ("WARDGATE_FLARE", "network_flare.py", 10),
    "flower": ("WARDGATE_FLOWER", "network_flower.py", 4),
}
ROUNDS = 10
WORDS = {
    "flare": "FLARE 2.9.0 FedAvg recipe, as provisioned",
    "flower": "Flower 1.42.0 FedAvg, a process a message as by default",
    "engine": "Wardgate over its engine, processes between machines",
    "wardgate": "Wardgate in one process, gate, masks and signatures included",
}
Told = dict[str, Any]


def networked(study: Study) -> Study:
    """Return the study with the network that all train."""
    plain = study.plain()
    layers = [
        {"kind": "linear", "units": WORK["hidden"]},
        {"kind": "activation", "how": "tanh"},
        {"kind": "linear", "units": 1},
    ]
    inputs = len(design_columns(study.features)) - 1
    gate = dict(plain["gate"])
    gate["dp"] = {**gate.get("dp", {}), "exact_sum_ration": 400}
    return Study.from_plain(
        plain
        | {
            "networks": {"net": {"schema": "wardgate/network/1", "inputs": inputs, "layers": layers, "seed": SEED}},
            "analyses": ["network_update", "model_scores"],
            "gate": gate,
        }
    )


def estimator(rounds: int) -> FederatedNetwork:
    """Return ours with the work that the peers do."""
    work = {name: WORK[name] for name in ("steps", "batch", "rate")}
    return FederatedNetwork(network="net", algorithm="fedavg", rounds=rounds, work=work, tune_every=None)


def peer(kind: str, data: Path, persons_in_all: int) -> Told | str:
    """Run one peer once; its words where it could not."""
    variable, script, rounds = PEERS[kind]
    interpreter = os.environ.get(variable, "")
    if not interpreter:
        return f"{variable} names no interpreter that has it"
    with tempfile.TemporaryDirectory() as scratch:
        spec = {
            "sites": SITES,
            "data": str(data),
            "work": str(Path(scratch) / "work"),
            "steps": 0,
            "ridge": 0.0,
            "everybody": persons_in_all,
            "rounds": rounds,
            "columns": 0,
            "newton": False,
            "polling": None,
            "limit": LIMIT_SECONDS,
        }
        place = Path(scratch) / "spec.json"
        place.write_text(json.dumps(spec))
        told = apart([interpreter, ROOT / "benchmarks/peers" / script, place], seconds=LIMIT_SECONDS + 60)
    return told if isinstance(told, str) else summary(told | {"load": os.getloadavg()[0]})


def engine(study: Study, homes: Path) -> list[Told] | str:
    """Run ours over its engine."""
    settings = Settings(seed=SEED, issued_on=TODAY)
    with tempfile.TemporaryDirectory() as scratch:
        spec = {
            "sites": SITES,
            "homes": str(homes),
            "salts": {site: settings.salt(site).hex() for site in SITES},
            "study": yaml.safe_dump(study.plain(), sort_keys=False),
            "work": str(Path(scratch) / "work"),
            "rounds": ROUNDS,
            "how": WORK,
            "runs": RUNS,
            "limit": LIMIT_SECONDS,
        }
        place = Path(scratch) / "spec.json"
        place.write_text(json.dumps(spec))
        script = ROOT / "benchmarks/peers/network_wardgate.py"
        told = apart([sys.executable, script, place], seconds=LIMIT_SECONDS)
    return told if isinstance(told, str) else [summary(one) for one in told]


def wardgate(study: Study, homes: Mapping[str, Path], work: Path) -> Told:
    """Run ours in this process: every ward's answer, gate, signature and mask, and no engine."""
    work.mkdir()
    settings = Settings(seed=SEED, issued_on=TODAY)
    with local(study=study, hospitals=dict(homes), settings=settings, work=work) as federation:
        exchange = federation.exchange
        at: list[tuple[float, int]] = []

        def stamp(_: Checkpoint | None = None) -> None:
            at.append((time.monotonic(), sum(exchange.bytes_out.values()) + sum(exchange.bytes_in.values())))

        begin = time.monotonic()
        found = estimator(ROUNDS).run(federation, study, on_round=stamp)
    return {
        "round": statistics.median(later[0] - earlier[0] for earlier, later in pairwise(at)),
        "bytes": statistics.median(later[1] - earlier[1] for earlier, later in pairwise(at)) / len(SITES),
        "first": at[0][0] - begin,
        "hub": own_memory(),
        "site": None,
        "beta": found.model.vector.tolist(),
        "rounds": len(found.history),
        "load": os.getloadavg()[0],
    }


def looped(data: Path, rounds: int) -> Any:
    """Run the peers' FedAvg in one loop, which they must equal."""
    held = {site: persons(data, site) for site in SITES}
    everybody, vector = sum(len(y) for _, y in held.values()), begun(data)
    for number in range(rounds):
        moved = [len(y) * trained(vector, x, y, number=number, site=site, how=WORK) for site, (x, y) in held.items()]
        vector = sum(moved) / everybody
    return vector


def main() -> None:
    chosen = sys.argv[1:] or [*PEERS, "wardgate", "engine"]
    kept = Path(os.environ.get("WARDGATE_KEPT", os.devnull))
    runs: dict[str, list[Told] | str] = json.loads(kept.read_text() or "{}") if kept.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bare, homes = study_of(folder)
        study, data = networked(bare), folder / "data"
        everybody = exported(bare, homes, data)
        np.save(data / "start.npy", start(study.networks["net"]))
        (data / "network.json").write_text(json.dumps(WORK))
        for kind in [word for word in chosen if word != "figures"]:
            found: list[Told] = []
            words = ""
            if kind == "engine":
                told = engine(study, folder / "hospitals")
                found, words = ([], told) if isinstance(told, str) else (told, "")
            for run in range(0 if kind == "engine" else RUNS):
                told = (
                    wardgate(study, homes, folder / f"work-{run}")
                    if kind == "wardgate"
                    else peer(kind, data, everybody)
                )
                if isinstance(told, str):
                    words = told
                    break
                found.append(told)
            print(kind, words or [{k: v for k, v in one.items() if k != "beta"} for one in found], flush=True)
            runs[kind] = found or words
            kept.write_text(json.dumps(runs))
        figures = beside(runs, study, homes, data, everybody)
    write("network_peers", figures, "make bench NAME=network_peers")


def beside(
    runs: Mapping[str, list[Told] | str], study: Study, homes: dict[str, Path], data: Path, everybody: int
) -> list[Figure]:
    """Return what was measured, ours with the peers beside it."""
    network = study.networks["net"]
    there = {kind: found for kind, found in runs.items() if isinstance(found, list) and found}
    absent = "; ".join(f"{WORDS[kind]}: {found}" for kind, found in runs.items() if isinstance(found, str) and found)
    ours = next((kind for kind in ("engine", "wardgate") if kind in there), None)
    if ours is None:
        raise SystemExit("ours was not measured, so there is nothing to set peers beside")
    rounds = ", ".join(f"{WORDS[kind]} {found[0]['rounds']}" for kind, found in there.items())
    limits = (
        f"{RUNS} run of each, medians over rounds ({rounds}), the first left out; eight sites, {everybody} training"
        f" persons, {len(start(network))} numbers, {WORK['steps']} steps of {WORK['batch']} a round; a machine of two"
        " cores on which much else ran, so seconds tell orders of magnitude"
    )

    def median(kind: str, what: str, scale: float, digits: int) -> Value:
        values = [one[what] for one in there.get(kind, []) if one.get(what) is not None]
        return round(statistics.median(values) / scale, digits) if values else "not measured"

    def figure(name: str, what: str, unit: str, scale: float, digits: int, reason: str) -> Figure:
        mine = median(ours, what, scale, digits)
        peers = {WORDS[kind]: median(kind, what, scale, digits) for kind in WORDS if kind in there and kind != ours}
        for kind in PEERS:
            other = median(kind, what, scale, digits)
            if isinstance(other, float) and isinstance(mine, float):
                peers[f"ours over {kind}'s"] = round(mine / other, 2)
        loads = {WORDS[kind]: median(kind, "load", 1.0, 1) for kind in there}
        return Figure(
            name=f"IST, 8 countries, FedAvg of a network: {name}, {WORDS[ours]}",
            value=None if isinstance(mine, str) else mine,
            unit=unit,
            peers=peers,
            reason=f"{reason} {limits}. Load of the machine: {loads}. {absent}".strip(),
        )

    figures = [
        figure("seconds a round", "round", "s", 1.0, 3, ""),
        figure(
            "kilobytes a site and round, both ways",
            "bytes",
            "kB",
            1e3,
            1,
            "peers and our engine: all bytes on the deployment's own loopback, TLS, polling and heartbeats with them;"
            " without an engine: whole signed parcels.",
        ),
    ]
    x, y = locked(study, homes, SITES, SEED)
    for kind, found in there.items():
        if found[0]["beta"] is None:
            continue
        vector = np.array(found[0]["beta"])
        same: dict[str, Value] = {}
        if kind in PEERS:
            gap = float(np.max(np.abs(vector - looped(data, found[0]["rounds"]))))
            same = {"largest difference from the same FedAvg in one loop": gap}
        figures.append(
            Figure(
                name=f"{WORDS[kind]}: AUROC on all locked tests after {found[0]['rounds']} rounds",
                value=round(auroc(y, logits(network, vector, x[:, 1:])).value, 4),
                peers=same,
                reason="" if kind in PEERS else "sites draw their own batches, so weights are not equal to the peers'",
            )
        )
    return figures


if __name__ == "__main__":
    main()
