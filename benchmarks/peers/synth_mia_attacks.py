"""Synth-MIA's membership attacks on corpora written as tables; run by the interpreter that WARDGATE_SYNTH_MIA names.

    python synth_mia_attacks.py FOLDER... -> one JSON line for each folder

Each folder holds members.csv, holdout.csv, reference.csv, synthetic.csv and columns.json, written by
benchmarks/gate_peers.py. All attacks of the package with their defaults but the two that train a network for each table
or fit a density for each person (LOGAN, Gen-LRA). The package names no value from which on a table may leave, so
`caught` is null; scores are the AUROC and the share of members found at 1 % and 0.1 % false alarms. Missing values are
filled alike in all tables; categories are one-hot, but numbered for the two kernel densities, which one-hot columns
make singular. Needs the package's source (0.1.0, commit 9ef39e1) on the interpreter's path.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import synth_mia
import torch
from synth_mia.attackers.classifier import Classifier
from synth_mia.attackers.dcr import DCR
from synth_mia.attackers.dcr_diff import DCRDiff
from synth_mia.attackers.density_estimate import DensityEstimate
from synth_mia.attackers.domias import DOMIAS
from synth_mia.attackers.dpi import DPI
from synth_mia.attackers.local_neighborhood import LocalNeighborhood
from synth_mia.attackers.mc import MC
from synth_mia.utils import TabularPreprocessor

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
RATES = (0.001, 0.01)


def judged(folder):
    columns = json.loads((folder / "columns.json").read_text())
    names = ("members", "holdout", "synthetic", "reference")
    tables = [pd.read_csv(folder / f"{name}.csv") for name in names]
    fills = {name: tables[0][name].median() for name in columns["numbers"]}
    for place, table in enumerate(tables):
        filled = table.fillna(fills)
        for name in columns["numbers"]:
            filled[name] = filled[name].astype(float)
        for name in columns["categories"]:
            filled[name] = filled[name].astype(object).where(filled[name].notna(), "missing").astype(str).astype(object)
        tables[place] = filled
    np.random.seed(0)  # noqa: NPY002 - the package draws from the global generator
    torch.manual_seed(0)
    begin = time.process_time()
    encoded = {}
    for encoding in ("one-hot", "ordinal"):
        preprocessor = TabularPreprocessor(
            fit_target="synth", categorical_encoding=encoding, numeric_encoding="standard"
        )
        preprocessor.fit(*tables[:3])
        encoded[encoding] = preprocessor.transform(*tables)[:4]
    found = {}
    for encoding, attacks in (
        ("one-hot", (DCR(), DCRDiff(), DPI(), MC(), Classifier(), LocalNeighborhood())),
        ("ordinal", (DOMIAS(), DensityEstimate())),
    ):
        for attack in attacks:
            labels, scores = attack.attack(*encoded[encoding])
            values = attack.eval(labels, np.nan_to_num(scores), metrics=["roc"], target_fprs=list(RATES))
            found |= {f"{attack.name} {name}": float(value) for name, value in values.items()}
    spent = time.process_time() - begin
    return {"scores": found, "caught": None, "seconds": spent, "version": synth_mia.__version__}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps(judged(Path(name))), flush=True)
