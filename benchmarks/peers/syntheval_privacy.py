"""SynthEval's privacy metrics on corpora written as tables; run by the interpreter that WARDGATE_SYNTHEVAL names.

    python syntheval_privacy.py FOLDER... -> one JSON line for each folder

Each folder holds members.csv, holdout.csv, synthetic.csv and columns.json, written by benchmarks/gate_peers.py.
SynthEval names no value from which on a table may leave, so `caught` is null. It refuses missing values: numbers are
filled with the members' median, categories with a word of their own, alike in all tables. Its attribute disclosure, a
sweep over many models, is left out for its time. Needs syntheval (1.7.3 was used).
"""

import json
import os
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from syntheval import SynthEval

warnings.filterwarnings("ignore")

METRICS = {
    "nndr": {},
    "nnaa": {"n_resample": 3},
    "dcr": {},
    "hit_rate": {},
    "eps_risk": {},
    "mia": {"num_eval_iter": 5},
}
WORSE = {
    "hit_rate": ("hit_rate", 1),
    "eps_identif_risk": ("identifiability", 1),
    "priv_loss_eps": ("identifiability, loss", 1),
    "priv_loss_nndr": ("NNDR, loss", 1),
    "priv_loss_nnaa": ("adversarial accuracy, loss", 1),
    "median_DCR": ("median DCR", -1),
    "avg_nndr": ("NNDR", -1),
    "mia_recall": ("membership, recall", 1),
    "mia_precision": ("membership, precision", 1),
}


def judged(folder):
    columns = json.loads((folder / "columns.json").read_text())
    members, holdout, synthetic = (pd.read_csv(folder / f"{name}.csv") for name in ("members", "holdout", "synthetic"))
    synthetic = synthetic.sample(min(len(synthetic), len(members)), random_state=0).reset_index(drop=True)
    fills = {name: members[name].median() for name in columns["numbers"]}
    tables = []
    for table in (members, holdout, synthetic):
        filled = table.fillna(fills)
        for name in columns["categories"]:
            filled[name] = filled[name].astype(object).where(filled[name].notna(), "missing").astype(str)
        tables.append(filled)
    members, holdout, synthetic = tables
    np.random.seed(0)  # noqa: NPY002 - the package draws from the global generator
    begin = time.process_time()
    evaluator = SynthEval(
        members,
        holdout_dataframe=holdout,
        cat_cols=columns["categories"],
        verbose=False,
        enable_plots=False,
        console="off",
        show_warnings=False,
    )
    key = evaluator.evaluate(synthetic, analysis_target=columns["label"], **METRICS)
    spent = time.process_time() - begin
    values = dict(zip(key["metric"], key["val"], strict=True)) if "metric" in key else key["val"].to_dict()
    found = {WORSE[name][0]: WORSE[name][1] * float(value) for name, value in values.items() if name in WORSE}
    return {"scores": found, "caught": None, "seconds": spent, "version": version("syntheval")}


if __name__ == "__main__":
    folders = [Path(name).resolve() for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as away:
        os.chdir(away)  # it writes where it stands
        for folder in folders:
            print(json.dumps(judged(folder)), flush=True)
