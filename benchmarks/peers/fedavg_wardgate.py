"""Wardgate between real processes, measured as its peers are: a hub, and sites of a ward and a wire each.

    unshare --net sh -c 'ip link set lo up; PYTHON benchmarks/peers/fedavg_wardgate.py SPEC'

SPEC is the JSON of benchmarks/federation_peers.py with `homes` (the hospitals' folders) and `study` (its YAML). The
fit is exact Newton by the secure sum; each of `runs` versions of the study is proposed, signed and fitted. Prints one
line of JSON with a list of runs, each as the peers print theirs.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from fedavg_site import moved
from watched import watched

from wardgate import __version__
from wardgate.entropy import SystemEntropy
from wardgate.federation import consortium as joining
from wardgate.federation import site as site_of
from wardgate.federation.connect import Wait, connect
from wardgate.hospital.premises import Premises
from wardgate.hub.home import Home
from wardgate.hub.pooling.newton import newton
from wardgate.hub.study.proposal import propose
from wardgate.records.study_file import parse

COMMAND = Path(sys.executable).with_name("wardgate")
PORT = 8443
"""In a network of its own, so it is always free."""


def now():
    return datetime.now(UTC)


def founded(spec, folder):
    """Found a consortium and let every site join; return the hub's folder and the sites'."""
    home, entropy, premises = Home(folder / "hub"), SystemEntropy(), {}
    code = joining.hub_init(home, consortium="peers", host="127.0.0.1", port=PORT, now=now(), entropy=entropy)
    for site in spec["sites"]:
        premises[site] = Premises(folder / site)
        source = Path(spec["homes"]) / site
        asking = joining.site_init(premises[site], site=site, source=source, policy=None, entropy=entropy)
        response = joining.hub_admit(home, asking.request.read_bytes(), now=now()).response
        joining.site_enrol(premises[site], response, hub_code=code, now=now())
        premises[site].salt.write_bytes(bytes.fromhex(spec["salts"][site]))  # the peers' persons
    return home, premises


def sign(premises, study_sha256, limit):
    """Sign a study at every site as soon as its proposal is there."""
    until = time.monotonic() + limit
    for place in premises.values():
        code = ""
        while not code:
            if time.monotonic() > until:
                raise SystemExit("a proposal did not come")
            time.sleep(0.2)
            seen = site_of.studies(place)
            code = next((one.code for one in seen if one.study_sha256 == study_sha256), "")
        site_of.sign(place, study_sha256, code=code, now=now().isoformat(timespec="seconds"))


def fitted(spec, home, premises, text):
    """Propose, sign and fit one version of the study; return stamps of its rounds and the coefficients."""
    stamps = []

    def stamp(_what, _sites):
        stamps.append({"at": time.monotonic(), "bytes": moved()})

    start = time.monotonic()
    proposed = propose(home, parse(text, name="study.yaml"), text, seed=1)
    sign(premises, proposed.study_sha256, spec["limit"])
    wait = Wait(patience_seconds=spec["limit"])
    with connect(hub=home.root, study=proposed.study_sha256, now=now, wait=wait) as federation:
        federation.on_event = stamp
        found = federation.drive(newton(sites=federation.sites, start=np.zeros(spec["columns"]), ridge=spec["ridge"]))
        stamp("", 0)
    load = os.getloadavg()[0]
    return {"start": start, "stamps": {"hub": stamps}, "beta": found.beta.tolist(), "load": load}


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
    status = Path("/proc/self/status").read_text().splitlines()
    driver = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    memory["hub"] += 1024 * driver
    return [one | {"memory": memory} for one in runs]


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
