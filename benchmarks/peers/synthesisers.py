"""Other projects' synthesisers behind one door. Runs in an environment of their own: python synthesisers.py NAME SPEC.

SPEC is a JSON file: train and out (CSV), numbers (name: [low, high]), categories (name: values), rows, epsilon, delta,
seed. Nothing is missing in the table: the benchmark writes missingness as columns of its own, for all alike. Prints
one JSON line with the CPU seconds of fitting and of drawing: a busy machine does not change them much.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd

CUTS = 16
"""Bins of a number for OpenDP, which asks for public cuts."""

SHARE_OF_PREPROCESSING = 0.1


def dpmm(kind, table, spec):
    from dpmm.pipelines import AIMPipeline, MSTPipeline

    domain = {name: {"lower": low, "upper": high} for name, (low, high) in spec["numbers"].items()}
    domain |= {name: {"categories": values} for name, values in spec["categories"].items()}
    before = SHARE_OF_PREPROCESSING * spec["epsilon"]
    pipeline = {"mst": MSTPipeline, "aim": AIMPipeline}[kind]
    model = pipeline(epsilon=spec["epsilon"] - before, delta=spec["delta"], proc_epsilon=before, n_jobs=1)
    model.fit(table, domain=domain, random_state=spec["seed"])
    return lambda rows: model.generate(n_records=rows)


def opendp(kind, table, spec):
    import opendp.prelude as dp
    import polars as pl

    dp.enable_features("contrib")
    cuts = {
        name: [low + (high - low) * k / CUTS for k in range(1, CUTS)] for name, (low, high) in spec["numbers"].items()
    }
    algorithm = {"mst": dp.mbi.MST, "aim": dp.mbi.AIM}[kind]
    for attempt in range(20):  # its own splitting of rho can pass it by a rounding; a slightly smaller one then fits
        context = dp.Context.compositor(
            data=pl.from_pandas(table).lazy(),
            privacy_unit=dp.unit_of(contributions=1),
            privacy_loss=dp.loss_of(rho=spec["rho"] * (1 - 1e-4 * attempt)),
            split_evenly_over=1,
        )
        asked = context.query().contingency_table(keys=spec["categories"], cuts=cuts, algorithm=algorithm())
        try:
            found = asked.release()
        except dp.OpenDPException as error:
            if "insufficient budget" not in str(error):
                raise
            continue
        return lambda rows: found.synthesize(rows).to_pandas()
    raise SystemExit("no rho was accepted")


def arfpy(kind, table, spec):
    from arfpy import arf

    found = arf.arf(x=table, num_trees=30, verbose=False)
    found.forde()
    return lambda rows: found.forge(n=rows)


def ctgan(kind, table, spec):
    import ctgan as library
    import numpy
    import torch

    torch.manual_seed(spec["seed"])
    numpy.random.seed(spec["seed"])  # noqa: NPY002 - the peer draws from the global generator
    torch.set_num_threads(1)
    model = {"ctgan": library.CTGAN, "tvae": library.TVAE}[kind]()
    model.fit(table, list(spec["categories"]))
    return model.sample


def mostlyai(kind, table, spec):
    sys.modules["torchvision"] = None  # its import fails beside a torch without graphics
    import torch
    from mostlyai.engine import TabularARGN, set_random_state

    torch.set_num_threads(1)
    set_random_state(spec["seed"])
    model = TabularARGN(verbose=0)
    model.fit(table)
    return lambda rows: model.sample(n_samples=rows)


def smartnoise(kind, table, spec):
    import torch
    from snsynth import Synthesizer

    torch.manual_seed(spec["seed"])
    torch.set_num_threads(1)
    model = Synthesizer.create("dpctgan", epsilon=spec["epsilon"], delta=spec["delta"], verbose=False)
    model.fit(
        table,
        categorical_columns=list(spec["categories"]),
        continuous_columns=list(spec["numbers"]),
        preprocessor_eps=SHARE_OF_PREPROCESSING * spec["epsilon"],
    )
    return model.sample


LIBRARIES = {one.__name__: one for one in (dpmm, opendp, arfpy, ctgan, mostlyai, smartnoise)}


def main():
    library, _, kind = sys.argv[1].partition(":")
    with Path(sys.argv[2]).open() as stream:
        spec = json.load(stream)
    table = pd.read_csv(spec["train"], keep_default_na=False, dtype=dict.fromkeys(spec["categories"], str))
    table = table.astype(dict.fromkeys(spec["numbers"], float))
    start = time.process_time()
    draw = LIBRARIES[library](kind, table, spec)
    fitted = time.process_time()
    drawn = draw(spec["rows"])
    done = time.process_time()
    pd.DataFrame(drawn)[list(table.columns)].to_csv(spec["out"], index=False)
    print(json.dumps({"fit": fitted - start, "draw": done - fitted}))


if __name__ == "__main__":
    main()
