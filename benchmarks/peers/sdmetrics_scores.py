"""SDMetrics' privacy scores on corpora written as tables; run by the interpreter that WARDGATE_SDMETRICS names.

    python sdmetrics_scores.py FOLDER... -> one JSON line for each folder

Each folder holds members.csv, holdout.csv, synthetic.csv and columns.json, written by benchmarks/gate_peers.py.
SDMetrics documents no score from which on a table may leave, so `caught` is null; 1 is best, and scores are given as 1
- score. Distances are taken of 1,000 rows of each table by its own option, since all take minutes. Missing numbers are
left missing. Needs sdmetrics (0.32.0 was used) with its dependency copulas.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from sdmetrics.single_table import DCRBaselineProtection, DCROverfittingProtection, DisclosureProtectionEstimate

warnings.filterwarnings("ignore")
ROWS = 1000


def judged(folder):
    columns = json.loads((folder / "columns.json").read_text())
    texts = dict.fromkeys(columns["categories"], str)
    members, holdout, synthetic = (
        pd.read_csv(folder / f"{name}.csv", dtype=texts) for name in ("members", "holdout", "synthetic")
    )
    synthetic = synthetic.sample(min(len(synthetic), len(members)), random_state=0).reset_index(drop=True)
    kinds = {name: {"sdtype": "categorical" if name in texts else "numerical"} for name in members.columns}
    begin = time.process_time()
    found = {
        "over-fitting": 1
        - DCROverfittingProtection.compute_breakdown(
            real_training_data=members,
            synthetic_data=synthetic,
            real_validation_data=holdout,
            metadata={"columns": kinds},
            table_name=None,
            num_rows_subsample=ROWS,
            num_iterations=1,
        )["score"],
        "baseline": 1
        - DCRBaselineProtection.compute_breakdown(
            real_data=members,
            synthetic_data=synthetic,
            metadata={"columns": kinds},
            table_name=None,
            num_rows_subsample=ROWS,
            num_iterations=1,
        )["score"],
        "disclosure": 1
        - DisclosureProtectionEstimate.compute_breakdown(
            real_data=members.fillna(dict.fromkeys(texts, "missing")),
            synthetic_data=synthetic.fillna(dict.fromkeys(texts, "missing")),
            known_column_names=columns["known"],
            sensitive_column_names=[columns["label"]],
            continuous_column_names=[name for name in columns["known"] if name not in texts],
            num_rows_subsample=500,
            num_iterations=3,
            verbose=False,
        )["score"],
    }
    spent = time.process_time() - begin
    return {"scores": found, "caught": None, "seconds": spent, "version": version("sdmetrics")}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps(judged(Path(name))), flush=True)
