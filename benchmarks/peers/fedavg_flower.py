"""Flower's own FedAvg between real processes: a SuperLink and one SuperNode a site, TLS.

    unshare --net sh -c 'ip link set lo up; PYTHON benchmarks/peers/fedavg_flower.py SPEC'

Run by an interpreter that has `flwr` and `cryptography`, in a network namespace of its own, so that every byte on its
loopback is the deployment's. SPEC is the JSON of benchmarks/federation_peers.py. Prints one line of JSON: seconds to
the first round, seconds of the later rounds, bytes, memory, coefficients.
"""

import datetime
import ipaddress
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from watched import watched

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
PORT = 8000

CLIENT = """
import sys
sys.path.insert(0, {here!r})
from fedavg_site import persons, stamp, trained
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()

@app.train()
def train(message, context):
    site = {sites!r}[int(context.node_config["partition-id"])]
    stamp({stamps!r} + "/" + site, site, int(message.content["config"]["server-round"]))
    x, y = persons({data!r}, site)
    beta = message.content["arrays"].to_numpy_ndarrays()[0]
    beta = trained(beta, x, y, steps={steps}, ridge={ridge}, everybody={everybody})
    content = RecordDict({{"arrays": ArrayRecord(numpy_ndarrays=[beta]),
                           "metrics": MetricRecord({{"num-examples": len(y)}})}})
    return Message(content=content, reply_to=message)
"""

SERVER = """
import json
import numpy as np
from flwr.app import ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
app = ServerApp()

@app.main()
def main(grid, context):
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes={count}, min_available_nodes={count})
    result = strategy.start(grid=grid, initial_arrays=ArrayRecord(numpy_ndarrays=[np.zeros({columns})]),
                            num_rounds={rounds})
    beta = result.arrays.to_numpy_ndarrays()[0]
    with open({out!r}, "w") as file:
        json.dump(beta.tolist(), file)
"""

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "peers"
version = "1.0.0"
description = ""
license = "Apache-2.0"
dependencies = []
[tool.hatch.build.targets.wheel]
packages = ["."]
[tool.flwr.app]
publisher = "peers"
[tool.flwr.app.components]
serverapp = "peers.server:app"
clientapp = "peers.client:app"
[tool.flwr.app.config]
"""


def certificates(folder):
    """Write a certificate authority and a server certificate for 127.0.0.1; return their paths."""
    now = datetime.datetime.now(datetime.UTC)

    def signed(name, key, issuer, issuer_key, *, authority):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=2))
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = signed("root", root_key, None, root_key, authority=True)
    leaf = signed("localhost", key, root.subject, root_key, authority=False)
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    (folder / "ca.pem").write_bytes(root.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "server.key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"


def application(spec, folder):
    """Write the app's folder and return it."""
    words = {"here": str(HERE), "data": spec["data"], "stamps": str(folder / "stamps"), "sites": list(spec["sites"])}
    words |= {name: spec[name] for name in ("steps", "ridge", "everybody", "rounds", "columns")}
    words |= {"count": len(spec["sites"]), "out": str(folder / "beta.json")}
    package = folder / "app/peers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "client.py").write_text(CLIENT.format(**words))
    (package / "server.py").write_text(SERVER.format(**words))
    (folder / "app/pyproject.toml").write_text(PROJECT)
    return folder / "app"


def run(spec):
    folder = Path(spec["work"])
    (folder / "stamps").mkdir(parents=True)
    root, certificate, key = certificates(folder)
    app = application(spec, folder)
    home = folder / "home"
    (home / ".flwr").mkdir(parents=True)
    (home / ".flwr/config.toml").write_text(
        f'[superlink]\ndefault = "peers"\n[superlink.peers]\naddress = "127.0.0.1:{PORT}"\n'
        f'root-certificates = "{root}"\n'
    )
    env = os.environ | {"HOME": str(home), "FLWR_HOME": str(home / ".flwr"), "FLWR_TELEMETRY_ENABLED": "0"}
    env["PATH"] = f"{BIN}:{env['PATH']}"
    tls = ["--ssl-ca-certfile", root, "--ssl-certfile", certificate, "--ssl-keyfile", key]
    with watched() as watch:
        link = [BIN / "flower-superlink", *tls, "--port", str(PORT), "--disable-runtime-dependency-installation"]
        watch.start("hub", link, log=folder / "hub.log", env=env)
        time.sleep(6)
        for place, site in enumerate(spec["sites"]):
            node = [BIN / "flower-supernode", "--superlink", f"127.0.0.1:{PORT}", "--root-certificates", root]
            node += [*tls, "--port", str(PORT + 10 + place), "--node-config", f"partition-id={place}"]
            watch.start(site, node, log=folder / f"{site}.log", env=env)
        time.sleep(15)
        start = time.monotonic()
        command = [BIN / "flwr", "run", str(app), "peers"]
        with (folder / "run.log").open("w") as log:
            subprocess.run(command, env=env, stdout=log, stderr=log, check=True, timeout=60)
        while not (folder / "beta.json").exists():
            if time.monotonic() > start + spec["limit"]:
                raise SystemExit("the run did not finish")
            time.sleep(0.2)
        time.sleep(0.5)
        end = time.monotonic()
        memory = dict(watch.peak)
    stamps = {site: [json.loads(line) for line in (folder / "stamps" / site).open()] for site in spec["sites"]}
    beta = json.loads((folder / "beta.json").read_text())
    return {
        "start": start,
        "end": end,
        "stamps": stamps,
        "memory": memory,
        "beta": beta,
        "status": "finished",
        "version": version("flwr"),
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
