"""FLARE's own FedAvg recipe between real processes: a server and one client a site, provisioned, mutual TLS.

    unshare --net sh -c 'ip link set lo up; PYTHON benchmarks/peers/fedavg_flare.py SPEC'

Run by an interpreter that has `nvflare`, in a network namespace of its own, so that every byte on its loopback is the
deployment's. SPEC is the JSON of benchmarks/federation_peers.py; `newton` runs FLARE's own Newton recipe for logistic
regression in place of FedAvg; `polling` replaces the seconds between a client's requests for work. Prints one line of
JSON: seconds to the first round, seconds of the later rounds, bytes, memory, coefficients.
"""

import json
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from watched import watched

HERE = Path(__file__).resolve().parent

TRAIN = """
import argparse, sys
import numpy as np
sys.path.insert(0, {here!r})
from fedavg_site import persons, stamp, trained
import nvflare.client as flare
flare.init()
site = flare.get_site_name()
x, y = persons({data!r}, site)
while flare.is_running():
    model = flare.receive()
    if model is None:
        break
    stamp({stamps!r} + "/" + site, site, model.current_round)
    beta = np.asarray(model.params["numpy_key"], dtype=float)
    beta = trained(beta, x, y, steps={steps}, ridge={ridge}, everybody={everybody})
    flare.send(flare.FLModel(params={{"numpy_key": beta}}, params_type="FULL", metrics={{"accuracy": 0.0}},
                             meta={{"NUM_STEPS_CURRENT_ROUND": len(y)}}))
"""

NEWTON = """
import sys
import numpy as np
sys.path.insert(0, {here!r})
from fedavg_site import persons, stamp
import nvflare.client as flare
from nvflare.apis.fl_constant import FLMetaKey
flare.init()
site = flare.get_site_name()
x, y = persons({data!r}, site)
while flare.is_running():
    model = flare.receive()
    if model is None:
        break
    stamp({stamps!r} + "/" + site, site, model.current_round)
    theta = np.asarray(next(iter(model.params.values())), dtype=float).ravel()
    p = 1.0 / (1.0 + np.exp(-x @ theta))
    penalty = np.full(x.shape[1], {ridge} * len(y) / {everybody})
    penalty[0] = 0.0
    gradient = (x.T @ (y - p) - penalty * theta).reshape(-1, 1)
    hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
    flare.send(flare.FLModel(params={{"gradient": gradient, "hessian": hessian}}, params_type="FULL",
                             meta={{"data_size": len(y)}}))
"""


def project(spec, folder):
    sites = "".join(f"  - {{name: {site}, type: client, org: {site.lower()}}}\n" for site in spec["sites"])
    (folder / "project.yml").write_text(
        "api_version: 3\nname: peers\ndescription: peers\nparticipants:\n"
        "  - {name: hub, type: server, org: c, fed_learn_port: 8402, default_host: localhost}\n"
        f"{sites}"
        "  - {name: lead@c.org, type: admin, org: c, role: project_admin}\n"
        "builders:\n"
        "  - {path: nvflare.lighter.impl.workspace.WorkspaceBuilder, args: {template_file: master_template.yml}}\n"
        "  - {path: nvflare.lighter.impl.static_file.StaticFileBuilder, args: {config_folder: config, scheme: grpc}}\n"
        "  - {path: nvflare.lighter.impl.cert.CertBuilder}\n"
        "  - {path: nvflare.lighter.impl.signature.SignatureBuilder}\n"
    )
    command = [sys.executable, "-m", "nvflare.lighter.provision", "-p", "project.yml", "-w", "kits"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "kits/peers/prod_00"


def job(spec, folder):
    """Write a job's folder and return it."""
    words = {"here": str(HERE), "data": spec["data"], "stamps": str(folder / "stamps")}
    words |= {name: spec[name] for name in ("steps", "ridge", "everybody")}
    script = folder / "train.py"
    script.write_text((NEWTON if spec["newton"] else TRAIN).format(**words))
    common = {"min_clients": len(spec["sites"]), "num_rounds": spec["rounds"], "train_script": str(script)}
    if spec["newton"]:
        from nvflare.app_common.np.recipes.lr.fedavg import FedAvgLrRecipe

        recipe = FedAvgLrRecipe(name="job", damping_factor=1.0, num_features=spec["columns"] - 1, **common)
    else:
        from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe

        recipe = NumpyFedAvgRecipe(name="job", model=spec.get("start") or [0.0] * spec["columns"], **common)
    recipe.export(str(folder / "jobs"))
    made = folder / "jobs/job"
    if spec.get("polling"):
        for path in made.rglob("config_fed_server.json"):
            plain = json.loads(path.read_text())
            plain.setdefault("server", {})["task_request_interval"] = spec["polling"]
            for workflow in plain.get("workflows", []):
                workflow.setdefault("args", {})["task_check_period"] = spec["polling"]
            path.write_text(json.dumps(plain))
    return made


def run(spec):
    folder = Path(spec["work"])
    (folder / "stamps").mkdir(parents=True)
    kits = project(spec, folder)
    made = job(spec, folder)
    python = [sys.executable, "-u", "-m"]
    secure = ["--set", "secure_train=true", "config_folder=config"]
    with watched() as watch:
        (kits / "hub/transfer").mkdir(exist_ok=True)
        module = [*python, "nvflare.private.fed.app.server.server_train", "-m", kits / "hub", "-s", "fed_server.json"]
        watch.start("hub", [*module, *secure, "org=c"], log=folder / "hub.log")
        time.sleep(4)
        for site in spec["sites"]:
            (kits / site / "transfer").mkdir(exist_ok=True)
            module = [*python, "nvflare.private.fed.app.client.client_train", "-m", kits / site]
            more = ["-s", "fed_client.json", *secure, f"uid={site}", f"org={site.lower()}"]
            watch.start(site, [*module, *more], log=folder / f"{site}.log")
        from nvflare.fuel.flare_api.flare_api import new_secure_session

        session = new_secure_session("lead@c.org", str(kits / "lead@c.org"))
        until = time.monotonic() + 120
        while len(session.get_system_info().client_info) < len(spec["sites"]):
            if time.monotonic() > until:
                raise SystemExit("not every client registered")
            time.sleep(0.5)
        start = time.monotonic()
        number = session.submit_job(str(made))
        while not str(session.get_job_meta(number).get("status")).startswith("FINISHED"):
            if time.monotonic() > start + spec["limit"]:
                raise SystemExit("the job did not finish: " + str(session.get_job_meta(number).get("status")))
            time.sleep(0.2)
        end = time.monotonic()
        status = str(session.get_job_meta(number).get("status"))
        found = session.download_job_result(number)
        session.close()
        memory = dict(watch.peak)
    import numpy as np

    models = sorted(Path(found).rglob("*.npy"))
    beta = np.load(models[0]).ravel().tolist() if models else None
    stamps = {site: [json.loads(line) for line in (folder / "stamps" / site).open()] for site in spec["sites"]}
    shutil.rmtree(kits, ignore_errors=True)
    return {
        "start": start,
        "end": end,
        "stamps": stamps,
        "memory": memory,
        "beta": beta,
        "status": status,
        "version": version("nvflare"),
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
