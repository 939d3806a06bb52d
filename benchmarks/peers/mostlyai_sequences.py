"""mostlyai-engine's sequential model on timelines, run by the peer's own Python.

    python mostlyai_sequences.py SPEC.json

The spec names people.csv (one row a person: key, label, static columns), rows.csv (key, hours, values), the columns
that are categories, the minutes that training may take, a seed, how many persons to draw, and where to write the rows.
People come from its flat model, their rows from its sequential one with the people as context; defaults otherwise.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd


def main():
    import torch
    from mostlyai.engine import TabularARGN, set_random_state

    torch.set_num_threads(1)
    spec = json.loads(Path(sys.argv[1]).read_text())
    key, texts = spec["key"], dict.fromkeys(spec["categories"], str)
    people = pd.read_csv(spec["people"], dtype=texts)
    rows = pd.read_csv(spec["rows"])
    people[key], rows[key] = people[key].astype(str), rows[key].astype(str)
    set_random_state(spec["seed"])
    start = time.process_time()
    flat = TabularARGN(verbose=0, max_training_time=spec["minutes"] / 5)
    flat.fit(people.drop(columns=key))
    sequential = TabularARGN(
        verbose=0,
        max_training_time=spec["minutes"],
        tgt_context_key=key,
        ctx_primary_key=key,
        ctx_data=people,
        max_sequence_window=spec["window"],
    )
    sequential.fit(rows)
    fitted = time.process_time()
    drawn = flat.sample(n_samples=spec["persons"])
    drawn[key] = [str(number) for number in range(len(drawn))]
    found = sequential.sample(ctx_data=drawn[list(people.columns)])
    done = time.process_time()
    found.merge(drawn, on=key, how="left").to_csv(spec["out"], index=False)
    print(json.dumps({"fit": fitted - start, "draw": done - fitted}))


if __name__ == "__main__":
    main()
