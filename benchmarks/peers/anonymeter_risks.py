"""Anonymeter's three risks on corpora written as tables; run by the interpreter that WARDGATE_ANONYMETER names.

    python anonymeter_risks.py FOLDER... -> one JSON line for each folder

Each folder holds members.csv, holdout.csv, synthetic.csv and columns.json, written by benchmarks/gate_peers.py. Every
attack with the holdout as its control, 1,000 tries each: singling out by one and by three columns, linkability between
the first and the second half of the columns, inference of the outcome and of two numbers from all other columns.
`caught`: some risk's own 95 % interval lies above 0, which is how the package tells a success from the control.
Scores are the lower ends. Missing values are filled alike in all tables. Needs anonymeter (1.1.0 was used).
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

warnings.filterwarnings("ignore")
TRIES = 1000


def judged(folder):
    columns = json.loads((folder / "columns.json").read_text())
    tables = [pd.read_csv(folder / f"{name}.csv") for name in ("members", "holdout", "synthetic")]
    fills = {name: tables[0][name].median() for name in columns["numbers"]}
    for place, table in enumerate(tables):
        filled = table.fillna(fills)
        for name in columns["categories"]:
            filled[name] = filled[name].astype(object).where(filled[name].notna(), "missing").astype(str)
        tables[place] = filled
    members, holdout, synthetic = tables
    synthetic = synthetic.sample(min(len(synthetic), len(members)), random_state=0).reset_index(drop=True)
    np.random.seed(0)  # noqa: NPY002 - the package draws from the global generator
    given = {"ori": members, "syn": synthetic, "control": holdout, "n_attacks": TRIES}
    everything = list(members.columns)
    half = len(everything) // 2
    begin = time.process_time()
    attacks = {
        "singling out, one column": (SinglingOutEvaluator(**given, seed=0), {"mode": "univariate"}),
        "singling out, three columns": (
            SinglingOutEvaluator(**given, n_cols=3, seed=0, max_attempts=100_000),
            {"mode": "multivariate"},
        ),
        "linkability": (
            LinkabilityEvaluator(**given, aux_cols=(everything[:half], everything[half:]), n_neighbors=10),
            {"n_jobs": 1},
        ),
    }
    for secret in [columns["label"], *[name for name in columns["numbers"] if name not in columns["known"]][-3:-1]]:
        attacks[f"inference of {secret}"] = (
            InferenceEvaluator(
                **given,
                secret=secret,
                aux_cols=[name for name in everything if name != secret],
                regression=secret in columns["numbers"],
            ),
            {"n_jobs": 1},
        )
    found = {}
    for name, (evaluator, options) in attacks.items():
        try:
            evaluator.evaluate(**options)
            found[name] = float(evaluator.risk(confidence_level=0.95).ci[0])
        except RuntimeError as fault:  # it gives up where too few queries single anybody out
            print(f"{name}: {fault}", file=sys.stderr)
            found[name] = 0.0
    spent = time.process_time() - begin
    caught = any(low > 0 for low in found.values())
    return {"scores": found, "caught": caught, "seconds": spent, "version": version("anonymeter")}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps(judged(Path(name))), flush=True)
