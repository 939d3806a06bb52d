"""Two generators without a guarantee, in environments of their own: python autoregressive_rivals.py NAME SPEC.

SPEC is a JSON file: train and out (CSV), numbers and categories (names), rows, seed. Prints one JSON line with the CPU
seconds of fitting.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd


def arfpy(table, spec):
    from arfpy import arf

    model = arf.arf(x=table, num_trees=30, random_state=spec["seed"], verbose=False)
    model.forde()
    return lambda rows: model.forge(n=rows)


def mostlyai(table, spec):
    # Its language models import torchvision, which does not load beside a CPU build of torch; tables do without.
    sys.modules["torchvision"] = None
    import torch
    from mostlyai.engine import TabularARGN

    torch.set_num_threads(1)
    model = TabularARGN(verbose=0, random_state=spec["seed"])
    model.fit(table)
    return lambda rows: model.sample(n_samples=rows)


def main():
    spec = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    table = pd.read_csv(spec["train"], keep_default_na=False, dtype=dict.fromkeys(spec["categories"], str))
    table = table.astype(dict.fromkeys(spec["numbers"], float))
    start = time.process_time()
    draw = {"arfpy": arfpy, "mostlyai-engine": mostlyai}[sys.argv[1]](table, spec)
    seconds = time.process_time() - start
    pd.DataFrame(draw(spec["rows"]))[list(table.columns)].to_csv(spec["out"], index=False)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
