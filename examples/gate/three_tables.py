"""Tables for the gate from the International Stroke Trial: real persons, persons never used, and three candidates.

    .venv/bin/python examples/gate/three_tables.py DIR/ist_stroke OUT

OUT then holds `real.csv`, `tuning.csv` and `holdout.csv` (split by person), their `dictionary.yaml`, and as candidates
`noisy.csv` (marginals with epsilon 1; its claim beside it), `trees.csv` (regression trees without noise) and
`leak.csv` (the noisy one with 2 % of the real rows put in).
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.generators import MarginalTree, SequentialCart
from wardgate.measures.encoding import LABEL
from wardgate.records import dictionary_file
from wardgate.records.mapping import parse_for
from wardgate.records.study_file import parse

IST = Path(__file__).resolve().parent.parent / "ist"


def main(data: Path, out: Path) -> None:
    """Split, fit, sample and write."""
    study = parse((IST / "country.yaml").read_text(encoding="utf-8"), name="country.yaml")
    mapping = parse_for((IST / "mapping.yaml").read_text(encoding="utf-8"), study, name="mapping.yaml")
    names = [feature.name for feature in study.features]
    persons = load(data, study, mapping=mapping).table.select(*names, LABEL)
    rng = np.random.default_rng(1)
    persons = persons[rng.permutation(persons.height)]
    cuts = [round(share * persons.height) for share in (0.68, 0.75)]
    real, tuning, holdout = persons[: cuts[0]], persons[cuts[0] : cuts[1]], persons[cuts[1] :]
    noisy = MarginalTree().fit(real, study, epsilon=1.0, delta=1e-6, entropy=SystemEntropy(), rng=rng)
    trees = SequentialCart(min_leaf=11).fit(real, study, epsilon=1.0, delta=1e-6, entropy=SystemEntropy(), rng=rng)
    candidate = noisy.sample(real.height, rng=rng)
    copied = real[: round(0.02 * real.height)]
    out.mkdir(parents=True)
    for name, table in (
        ("real", real),
        ("tuning", tuning),
        ("holdout", holdout),
        ("noisy", candidate),
        ("trees", trees.sample(real.height, rng=rng)),
        ("leak", pl.concat((candidate[copied.height :].select(copied.columns), copied))),
    ):
        table.select(*names, LABEL).rename({LABEL: study.label.name}).write_csv(out / f"{name}.csv")
    (out / "claim.json").write_text(json.dumps(noisy.claim.plain(), indent=2))
    (out / "dictionary.yaml").write_text(dictionary_file.text_of(study.dictionary))
    print(
        f"Tables are in {out}. Next: cd {out}; wardgate gate policy init policy.yaml, then README.md beside this file"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
