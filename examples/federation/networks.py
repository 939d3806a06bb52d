"""A network over nine countries of the International Stroke Trial: chosen on corpora, trained, judged, checked.

    .venv/bin/python examples/federation/networks.py DIR/ist_stroke OUT [--rounds 30] [--seeds 2]

Every step is a command that a person could type, and is printed as it runs. `OUT/study.yaml` is the IST study by
country with a network locked in it, `OUT/demo` the study's own chain, whose corpora are the commons, `OUT/compare` what
was tried on them, `OUT/trained` the model with its report and its signed evidence.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from wardgate import cli
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.mlp import mlp
from wardgate.records.study_file import parse

EXAMPLES = Path(__file__).resolve().parent.parent
COUNTRIES = ("ARGE", "AUSL", "ITAL", "NETH", "NORW", "POLA", "SWED", "SWIT", "UK")
ANALYSES = ("network_update", "network_gradient", "network_votes", "model_scores", "glm")


def write_study(folder: Path) -> Path:
    """Write the study by country with fewer countries and a network, and its mapping beside it."""
    text = (EXAMPLES / "ist" / "country.yaml").read_text(encoding="utf-8")
    text = text.replace("id: ist-country", "id: ist-networks")
    text = re.sub(r"sites: \[.*?\]", f"sites: [{', '.join(COUNTRIES)}]", text, flags=re.DOTALL)
    network = mlp(len(design_columns(parse(text, name="study.yaml").features)) - 1, (32,), norm="group", seed=1)
    text += f"analyses: [{', '.join(ANALYSES)}]\nnetworks:\n  mlp: {json.dumps(network.plain())}\n"
    study = folder / "study.yaml"
    study.write_text(text, encoding="utf-8")
    mapping = (EXAMPLES / "ist" / "mapping.yaml").read_text(encoding="utf-8")
    (folder / "mapping.yaml").write_text(mapping.replace("ist-country:", "ist-networks:", 1), encoding="utf-8")
    return study


def call(*words: object) -> None:
    """Print a command and run it; end where it fails."""
    arguments = [str(word) for word in words]
    print(f"\n$ wardgate {' '.join(arguments)}", flush=True)
    code = cli.run(arguments)
    if code:
        sys.exit(code)


def main() -> None:
    """Write the study, make its commons, compare, train and verify."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    study, compared = write_study(given.out), given.out / "compare"
    tried = min(given.rounds, 20)
    call("federate", "architecture", "--study", study, "--network", "mlp")
    call("demo", "--data", given.data, "--study", study, "--out", given.out / "demo")
    shown = ("--rounds", tried, "--seeds", given.seeds, "--out", compared)
    call("federate", "compare", study, given.out / "demo" / "commons", "--network", "mlp", *shown)
    chosen = ("--algorithm", "auto", "--compared", compared / "compare.json", "--rounds", given.rounds)
    call("federate", "train", study, "--network", "mlp", "--data", given.data, *chosen, "--out", given.out / "trained")
    call("verify", given.out / "trained" / "transcript")


if __name__ == "__main__":
    main()
