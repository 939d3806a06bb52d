"""The scripts under `examples/` run as they are told to."""

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
def test_the_gate_lets_the_noisy_candidate_out_and_neither_trees_nor_copies(
    root: Path, data_folder: Path, tmp_path: Path
) -> None:
    script, out = root / "examples" / "gate" / "three_tables.py", tmp_path / "out"
    command = [sys.executable, str(script), str(data_folder / "ist_stroke"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert cli.run(["gate", "policy", "init", str(out / "policy.yaml")]) == 0
    codes = {}
    for name in ("noisy", "trees", "leak"):
        given = {"real": "real.csv", "holdout": "holdout.csv", "tuning": "tuning.csv", "synthetic": f"{name}.csv"}
        given |= {"policy": "policy.yaml", "dictionary": "dictionary.yaml", "record": "record"}
        arguments = [part for key, value in given.items() for part in (f"--{key}", str(out / value))]
        codes[name] = cli.run(["gate", "check", *arguments])
    assert codes == {"noisy": 0, "trees": 1, "leak": 1}
