"""OMOP form: every value of every person stands once, where the CDM expects it."""

import polars as pl
import pytest

from wardgate.formats.omop import omop_tables
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

DICTIONARY = Dictionary(
    features=(
        Feature(name="creatinine", type="number", unit="mg/dL", range=(0.1, 20), codes={"omop": "3016723"}),
        Feature(name="sex", type="category", values=("F", "M")),
        Feature(name="smokes", type="boolean"),
    ),
    label="died",
)
TABLE = pl.DataFrame(
    {"creatinine": [1.5, None, 0.8], "sex": ["F", "M", None], "smokes": [1.0, 0.0, None], "label": [0, 1, 0]},
    schema_overrides={"label": pl.Int8},
)


def test_every_value_becomes_one_row_and_missing_ones_none():
    tables = omop_tables(TABLE, DICTIONARY)
    assert tables["person"].height == tables["observation_period"].height == 3
    measured = tables["measurement"]
    assert measured["value_as_number"].to_list() == [1.5, 0.8]
    assert set(measured["measurement_concept_id"]) == {3016723}
    assert set(measured["unit_source_value"]) == {"mg/dL"}
    observed = tables["observation"]
    assert observed.filter(pl.col("observation_source_value") == "died")["value_as_string"].to_list() == ["0", "1", "0"]
    assert observed.filter(pl.col("observation_source_value") == "sex")["value_as_string"].to_list() == ["F", "M"]
    assert set(observed["observation_concept_id"]) == {0}


def test_batches_share_no_number():
    first, second = omop_tables(TABLE, DICTIONARY), omop_tables(TABLE, DICTIONARY, first_person=4)
    for name, key in (("person", "person_id"), ("measurement", "measurement_id"), ("observation", "observation_id")):
        assert not set(first[name][key]) & set(second[name][key])
        assert first[name].schema == second[name].schema


def test_a_table_without_numbers_keeps_its_measurement_table_with_the_right_columns():
    plain = Dictionary(features=(Feature(name="smokes", type="boolean"),))
    found = omop_tables(TABLE.select("smokes"), plain)
    assert found["measurement"].is_empty()
    assert "measurement_concept_id" in found["measurement"].columns


def test_timelines_and_codes_that_are_no_concept_are_refused():
    timed = DICTIONARY.model_copy(update={"person": "who", "time": "hour"})
    with pytest.raises(Invalid, match="MEDS"):
        omop_tables(TABLE, timed)
    odd = Feature(name="creatinine", type="number", unit="mg/dL", range=(0.1, 20), codes={"omop": "high"})
    with pytest.raises(Invalid, match="concept id"):
        omop_tables(TABLE, DICTIONARY.model_copy(update={"features": (odd, *DICTIONARY.features[1:])}))
