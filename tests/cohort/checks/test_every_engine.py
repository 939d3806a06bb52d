"""The checks say the same of one hospital's records from a folder of Parquet and from PostgreSQL."""

from pathlib import Path

import numpy as np
from checked_studies import DIABETES, study
from tests.conftest import PostgresServer
from tests.source.omop.conftest import as_postgres

from wardgate.hospital.ward.cohort.checks.records import check_records
from wardgate.hospital.ward.cohort.from_events.picks import picks_of
from wardgate.hospital.ward.source.omop.opened import opened_omop
from wardgate.records.feature import Feature
from wardgate.records.source_file import SourceFile
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.hospitals import write_hospital
from wardgate.simulate.records.plant import Planted, plant
from wardgate.simulate.records.tables import records

CREATININE = Feature(name="creatinine", type="number", unit="umol/L", range=(9.0, 2000.0), concepts="creatinine")
STUDY = study(CREATININE, DIABETES.model_copy(update={"concepts": "heart_rate", "name": "watched"}))


def test_duckdb_and_postgresql_find_the_same(tmp_path: Path, postgres_server: PostgresServer) -> None:
    rng = np.random.default_rng(3)
    tables = plant(records(150, rng, site=Site()), Planted.SHIFTED_CLOCK, rng, size=4)
    write_hospital(tmp_path, plant(tables, Planted.UNIT_SWAP, rng, size=0.2), site=Site(), form="csv")
    settings = as_postgres(tmp_path / "cdm", postgres_server.socket, "checks")
    found = []
    for source in (SourceFile(kind="omop", place="cdm"), settings):
        with opened_omop(tmp_path, source) as opened:
            found.append(check_records(opened, STUDY, picks_of(STUDY))[1:])
    assert found[0] == found[1]
    assert {"clock", "units of creatinine"} <= {one.name for one in found[0] if one.state == "fail"}
