"""CTGAN at its defaults; run by the interpreter that WARDGATE_CTGAN names. It is only compared with, never shipped.

python ctgan_defaults.py SPEC.json -> one JSON line with the CPU seconds and seconds of fitting

SPEC names train and out (CSV), discrete (columns), rows, epochs and seed. Nothing is missing in the table: the
benchmark writes missingness as columns of its own.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN

warnings.filterwarnings("ignore")
spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
np.random.seed(spec["seed"])  # noqa: NPY002
torch.manual_seed(spec["seed"])
torch.set_num_threads(1)
table = pd.read_csv(spec["train"], keep_default_na=False, dtype=dict.fromkeys(spec["discrete"], str))
model = CTGAN(epochs=spec["epochs"], enable_gpu=False)
cpu, clock = time.process_time(), time.perf_counter()
model.fit(table, spec["discrete"])
found = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - clock}
model.sample(spec["rows"]).to_csv(spec["out"], index=False)
print(json.dumps(found))
