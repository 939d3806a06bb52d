"""The distances of mostlyai-qa's report on corpora written as tables; run by the interpreter that WARDGATE_MOSTLYAI_QA
names.

    python mostlyai_qa_report.py FOLDER... -> one JSON line for each folder

Each folder holds members.csv, holdout.csv, synthetic.csv and columns.json, written by benchmarks/gate_peers.py. The
whole public report runs, its accuracy included; the embedder comes with the package, nothing is fetched. Its
documentation says that the DCR share "should not be significantly larger than 50%": `caught` is that, as a one-sided
test at 0.05. Needs mostlyai-qa (1.10.11 was used) beside torch for CPUs.
"""

import contextlib
import io
import json
import math
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from mostlyai import qa

warnings.filterwarnings("ignore")
torch.set_num_threads(1)


def judged(folder):
    columns = json.loads((folder / "columns.json").read_text())
    texts = dict.fromkeys(columns["categories"], str)
    members, holdout, synthetic = (
        pd.read_csv(folder / f"{name}.csv", dtype=texts) for name in ("members", "holdout", "synthetic")
    )
    synthetic = synthetic.sample(min(len(synthetic), len(members)), random_state=0).reset_index(drop=True)
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as away, contextlib.redirect_stdout(io.StringIO()):
        _, metrics = qa.report(
            syn_tgt_data=synthetic,
            trn_tgt_data=members,
            hol_tgt_data=holdout,
            report_path=Path(away) / "report.html",
        )
    spent = time.process_time() - begin
    near = metrics.distances
    limit = 0.5 + 1.645 * 0.5 / math.sqrt(len(synthetic))
    found = {
        "DCR share": near.dcr_share,
        "1 - NNDR ratio": 1 - near.nndr_training / near.nndr_holdout if near.nndr_holdout else 0.0,
        "identical matches": near.ims_training - near.ims_holdout,
    }
    return {
        "scores": found,
        "caught": bool(near.dcr_share > limit),
        "seconds": spent,
        "version": version("mostlyai-qa"),
    }


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps(judged(Path(name))), flush=True)
