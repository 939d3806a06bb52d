"""Four real hospitals through the whole chain by the command line, and checked afterwards."""

import json
from pathlib import Path

import commands
import pytest


@pytest.mark.data
@pytest.mark.slow
def test_four_real_hospitals_from_locked_study_to_verified_run(root: Path, data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    study = root / "examples" / "heart" / "study.yaml"
    arguments = ["demo", "--data", str(data_folder / "uci_heart"), "--study", str(study), "--out", str(out)]
    done = commands.wardgate(*arguments, "--reference")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"Report:  {out}/report.html" in done.stdout
    results = json.loads((out / "results.json").read_text())
    assert {site["id"]: site["state"] for site in results["sites"]} == dict.fromkeys(
        ("cleveland", "hungarian", "switzerland", "va"), "took part"
    )
    assert not results["simulated"]
    auroc = {approach["name"]: approach["auroc"] for approach in results["approaches"]}
    assert auroc["federated"] == pytest.approx(auroc["pooled"], abs=0.001)
    assert auroc["federated"] > 0.85
    checked = commands.wardgate("verify", str(out))
    assert checked.returncode == 0, checked.stdout
    data = bytearray((out / "report.html").read_bytes())
    data[1000] ^= 1
    (out / "report.html").write_bytes(data)
    broken = commands.wardgate("verify", str(out))
    assert broken.returncode == 4
    assert "report.html" in broken.stderr
