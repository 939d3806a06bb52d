"""The worked example of networks: its study is one that hospitals would train, and it runs to a checked transcript."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.examples.conftest import script

from wardgate.cli.study import read_study
from wardgate.computations.networks import check_networks
from wardgate.hub.intake.audit import audit
from wardgate.records.mapping import parse_for
from wardgate.records.training import Training


def test_the_examples_study_locks_a_network_that_fits_it(root: Path, tmp_path: Path) -> None:
    example = script(root / "examples" / "federation" / "networks.py")
    study = read_study(example.write_study(tmp_path))
    check_networks(study)
    assert study.sites == example.COUNTRIES
    assert set(example.ANALYSES) == set(study.analyses)
    mapping = parse_for((tmp_path / "mapping.yaml").read_text(), study, name="mapping.yaml")
    assert mapping.sites[study.id].column == "COUNTRY"


@pytest.mark.slow
@pytest.mark.data
def test_the_example_trains_what_its_commons_recommend(root: Path, data_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "examples" / "federation" / "networks.py"), str(data_folder / "ist_stroke")]
    done = subprocess.run(
        [*command, str(tmp_path / "out"), "--rounds", "2", "--seeds", "1"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = Training.from_plain(json.loads((tmp_path / "out" / "trained" / "training.json").read_text()))
    assert record.chosen
    assert record.held_out[0].value > 0.6
    assert audit(tmp_path / "out" / "trained" / "transcript").findings == ()
