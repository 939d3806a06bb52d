"""One hospital's half of FedAvg on a logistic regression: the same arithmetic for FLARE, Flower and the loop beside.

Needs numpy alone. The pooled objective divided by all persons is the weighted mean of the sites' objectives, so FedAvg
with one local step is gradient descent on the pooled fit; more local steps drift, as FedAvg does.
"""

import json
import time
from pathlib import Path

import numpy as np


def persons(folder, site):
    """Return design (n, p) and labels (n,) of one site."""
    with np.load(Path(folder) / f"{site}.npz") as held:
        return held["x"], held["y"]


def trained(beta, x, y, *, steps, ridge, everybody):
    """Return beta after full-batch gradient steps of length 1/L on this site's persons.

    Args:
        ridge: Penalty of the pooled fit, on all columns but the intercept.
        everybody: Persons of all sites, over which the penalty is spread.
    """
    n = len(y)
    penalty = np.full(x.shape[1], ridge / everybody)
    penalty[0] = 0.0
    length = 1.0 / (np.linalg.eigvalsh(x.T @ x / n)[-1] / 4.0 + ridge / everybody)
    beta = np.array(beta, dtype=np.float64)
    for _ in range(steps):
        gradient = x.T @ (1.0 / (1.0 + np.exp(-x @ beta)) - y) / n + penalty * beta
        beta -= length * gradient
    return beta


def moved():
    """Return all bytes on this network namespace's loopback so far."""
    with Path("/proc/self/net/dev").open() as counters:
        return next(int(line.split()[1]) for line in counters if line.strip().startswith("lo:"))


def stamp(file, site, number):
    """Note when a round reached a site, and all bytes so far."""
    with Path(file).open("a") as out:
        out.write(json.dumps({"site": site, "round": number, "at": time.monotonic(), "bytes": moved()}) + "\n")
