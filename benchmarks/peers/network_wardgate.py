"""Wardgate's FedAvg of a network between real processes: a hub, and sites of a ward and a wire each.

    unshare --net sh -c 'ip link set lo up; PYTHON benchmarks/peers/network_wardgate.py SPEC'

SPEC is the JSON of benchmarks/network_peers.py; otherwise as fedavg_wardgate.py says.
"""

import json
import os
import sys
import time
from pathlib import Path

from fedavg_site import moved
from fedavg_wardgate import COMMAND, founded, now, sign
from watched import watched

from wardgate import __version__
from wardgate.federation.connect import Wait, connect
from wardgate.federation.networks import FederatedNetwork
from wardgate.hub.study.proposal import propose
from wardgate.records.study_file import parse


def fitted(spec, home, premises, text):
    """Propose, sign and train one version of the study; return stamps of its rounds and the weights."""
    stamps = []

    def stamp(_=None):
        stamps.append({"at": time.monotonic(), "bytes": moved()})

    begin = time.monotonic()
    study = parse(text, name="study.yaml")
    proposed = propose(home, study, text, seed=1)
    sign(premises, proposed.study_sha256, spec["limit"])
    work = {name: spec["how"][name] for name in ("steps", "batch", "rate")}
    ours = FederatedNetwork(network="net", rounds=spec["rounds"], work=work, tune_every=None)
    wait = Wait(patience_seconds=spec["limit"])
    with connect(hub=home.root, study=proposed.study_sha256, now=now, wait=wait) as federation:
        stamp()
        found = ours.run(federation, study, on_round=stamp)
    beta = found.model.vector.tolist()
    return {"start": begin, "stamps": {"hub": stamps}, "beta": beta, "load": os.getloadavg()[0]}


def run(spec):
    folder = Path(spec["work"])
    folder.mkdir(parents=True)
    home, premises = founded(spec, folder)
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    runs = []
    with watched() as watch:
        watch.start("hub", [COMMAND, "hub", "serve", home.root], log=folder / "hub.log", env=env)
        time.sleep(4)
        for site, place in premises.items():
            watch.start(site, [COMMAND, "site", "serve", place.root], log=folder / f"{site}.log", env=env)
        for version in range(1, spec["runs"] + 1):
            text = spec["study"].replace("\nversion: 1\n", f"\nversion: {version}\n")
            runs.append(fitted(spec, home, premises, text) | {"status": "fitted", "version": __version__})
        memory = dict(watch.peak)
    return [one | {"memory": memory} for one in runs]


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
