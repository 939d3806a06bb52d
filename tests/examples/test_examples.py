"""The scripts under `examples/` run as they are told to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wardgate import cli
from wardgate.federation.model_files import load_model
from wardgate.hub.intake.audit import audit


@pytest.mark.data
def test_the_heart_hospitals_fit_judge_and_save_their_models(root: Path, data_folder: Path, tmp_path: Path) -> None:
    script, out = root / "examples" / "heart" / "federated.py", tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(script), str(data_folder / "uci_heart"), str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = {line.split()[0]: float(line.split()[2].rstrip(",")) for line in done.stdout.splitlines()[:3]}
    assert all(auroc > 0.8 for auroc in figures.values()), figures
    for name in ("logistic", "curves", "boosting"):
        assert load_model(out / f"{name}.json").feature_names
    assert audit(out / "transcript").findings == ()


@pytest.mark.slow
@pytest.mark.data
def test_the_gate_tells_the_noisy_candidate_from_trees_and_copies(
    root: Path, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, out = root / "examples" / "gate" / "three_tables.py", tmp_path / "out"
    command = [sys.executable, str(script), str(data_folder / "ist_stroke"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert cli.run(["gate", "policy", "init", str(out / "policy.yaml")]) == 0
    chances = {}
    for name in ("noisy", "trees", "leak"):
        given = {"real": "real.csv", "holdout": "holdout.csv", "tuning": "tuning.csv", "synthetic": f"{name}.csv"}
        given |= {"policy": "policy.yaml", "dictionary": "dictionary.yaml", "record": "record"}
        arguments = [part for key, value in given.items() for part in (f"--{key}", str(out / value))]
        capsys.readouterr()
        code = cli.run(["gate", "check", *arguments, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert code == {"pass": 0, "fail": 1}[told["verdict"]["outcome"]]
        measured = {one["name"]: float(one["low"]) for one in told["evidence"]["measured"]}
        chances[name] = min(measured["copies.near"], measured["copies.exact"])
    assert chances["trees"] < 1e-6
    assert chances["leak"] < 1e-6
    assert chances["noisy"] > 1e-6, "an innocent candidate falls below that once in a million"
