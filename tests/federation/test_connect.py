"""A study over the road: the same object, drivers and answers as in one process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from made_road import SITES, make_road, now, salts_of, study_text, write_hospitals
from smallest import COLUMNS

from wardgate.federation.connect import connect
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.hub.pooling.newton import newton
from wardgate.records.study_file import parse


def test_a_connected_fit_is_bit_identical_to_a_local_one(tmp_path: Path) -> None:
    hospitals = write_hospitals(tmp_path / "hospitals")
    road = make_road(tmp_path, hospitals=hospitals)
    road.sign_all()
    with connect(hub=road.home.root, study="attacked", now=now, wait=road.wait()) as federation:
        far = federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
    study = parse(study_text(), name="study.yaml")
    (tmp_path / "work").mkdir()
    with local(
        study=study,
        hospitals=find_hospitals(hospitals, study),
        settings=Settings(seed=99, issued_on="2026-05-05", salts=salts_of(SITES)),
        work=tmp_path / "work",
    ) as federation:
        near = federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
    assert far.beta.tobytes() == near.beta.tobytes()
    assert far.rounds == near.rounds


def test_the_hubs_side_loads_no_hospital() -> None:
    code = (
        "import sys, wardgate.federation.connect, wardgate.federation.studies\n"
        "print([name for name in sys.modules if name.startswith('wardgate.hospital')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
