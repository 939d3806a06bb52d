"""The tables of the OMOP CDM 5.4 that are simulated, with all their columns.

Reference: OHDSI Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_COLUMNS = {
    "person": "person_id gender_concept_id year_of_birth month_of_birth day_of_birth birth_datetime:t race_concept_id "
    "ethnicity_concept_id location_id provider_id care_site_id person_source_value:s gender_source_value:s "
    "gender_source_concept_id race_source_value:s race_source_concept_id ethnicity_source_value:s "
    "ethnicity_source_concept_id",
    "observation_period": "observation_period_id person_id observation_period_start_date:d "
    "observation_period_end_date:d period_type_concept_id",
    "visit_occurrence": "visit_occurrence_id person_id visit_concept_id visit_start_date:d visit_start_datetime:t "
    "visit_end_date:d visit_end_datetime:t visit_type_concept_id provider_id care_site_id visit_source_value:s "
    "visit_source_concept_id admitted_from_concept_id admitted_from_source_value:s discharged_to_concept_id "
    "discharged_to_source_value:s preceding_visit_occurrence_id",
    "visit_detail": "visit_detail_id person_id visit_detail_concept_id visit_detail_start_date:d "
    "visit_detail_start_datetime:t visit_detail_end_date:d visit_detail_end_datetime:t visit_detail_type_concept_id "
    "provider_id care_site_id visit_detail_source_value:s visit_detail_source_concept_id admitted_from_concept_id "
    "admitted_from_source_value:s discharged_to_source_value:s discharged_to_concept_id preceding_visit_detail_id "
    "parent_visit_detail_id visit_occurrence_id",
    "condition_occurrence": "condition_occurrence_id person_id condition_concept_id condition_start_date:d "
    "condition_start_datetime:t condition_end_date:d condition_end_datetime:t condition_type_concept_id "
    "condition_status_concept_id stop_reason:s provider_id visit_occurrence_id visit_detail_id "
    "condition_source_value:s condition_source_concept_id condition_status_source_value:s",
    "drug_exposure": "drug_exposure_id person_id drug_concept_id drug_exposure_start_date:d "
    "drug_exposure_start_datetime:t drug_exposure_end_date:d drug_exposure_end_datetime:t verbatim_end_date:d "
    "drug_type_concept_id stop_reason:s refills quantity:n days_supply sig:s route_concept_id lot_number:s provider_id "
    "visit_occurrence_id visit_detail_id drug_source_value:s drug_source_concept_id route_source_value:s "
    "dose_unit_source_value:s",
    "procedure_occurrence": "procedure_occurrence_id person_id procedure_concept_id procedure_date:d "
    "procedure_datetime:t procedure_end_date:d procedure_end_datetime:t procedure_type_concept_id modifier_concept_id "
    "quantity provider_id visit_occurrence_id visit_detail_id procedure_source_value:s procedure_source_concept_id "
    "modifier_source_value:s",
    "device_exposure": "device_exposure_id person_id device_concept_id device_exposure_start_date:d "
    "device_exposure_start_datetime:t device_exposure_end_date:d device_exposure_end_datetime:t device_type_concept_id "
    "unique_device_id:s production_id:s quantity provider_id visit_occurrence_id visit_detail_id "
    "device_source_value:s device_source_concept_id unit_concept_id unit_source_value:s unit_source_concept_id",
    "measurement": "measurement_id person_id measurement_concept_id measurement_date:d measurement_datetime:t "
    "measurement_time:s measurement_type_concept_id operator_concept_id value_as_number:n value_as_concept_id "
    "unit_concept_id range_low:n range_high:n provider_id visit_occurrence_id visit_detail_id "
    "measurement_source_value:s measurement_source_concept_id unit_source_value:s unit_source_concept_id "
    "value_source_value:s measurement_event_id meas_event_field_concept_id",
    "observation": "observation_id person_id observation_concept_id observation_date:d observation_datetime:t "
    "observation_type_concept_id value_as_number:n value_as_string:s value_as_concept_id qualifier_concept_id "
    "unit_concept_id provider_id visit_occurrence_id visit_detail_id observation_source_value:s "
    "observation_source_concept_id unit_source_value:s qualifier_source_value:s value_source_value:s "
    "observation_event_id obs_event_field_concept_id",
    "death": "person_id death_date:d death_datetime:t death_type_concept_id cause_concept_id cause_source_value:s "
    "cause_source_concept_id",
    "cdm_source": "cdm_source_name:s cdm_source_abbreviation:s cdm_holder:s source_description:s "
    "source_documentation_reference:s cdm_etl_reference:s source_release_date:d cdm_release_date:d cdm_version:s "
    "cdm_version_concept_id vocabulary_version:s",
}

_TYPES = {"": pl.Int64(), "s": pl.String(), "n": pl.Float64(), "d": pl.Date(), "t": pl.Datetime("us")}

FORMS: dict[str, dict[str, pl.DataType]] = {
    table: {name: _TYPES[kind] for name, _, kind in (column.partition(":") for column in columns.split())}
    for table, columns in _COLUMNS.items()
}
"""Type of every column, by table."""


def frame(table: str, **columns: pl.Series | Ints | NDArray[np.float64] | Sequence[str] | int) -> pl.DataFrame:
    """Return a table with all its columns in the standard's order; those not given are null.

    Args:
        table: Name in the CDM.
        columns: Values, or one whole number for all rows.
    """
    lengths = {len(values) for values in columns.values() if not isinstance(values, int)}
    if len(lengths) != 1 or not columns.keys() <= FORMS[table].keys():
        raise RuntimeError(f"columns of '{table}' differ in length or are unknown")
    height = lengths.pop()
    made = []
    for name, kind in FORMS[table].items():
        values = columns.get(name)
        if values is None or isinstance(values, int):
            made.append(pl.Series([values], dtype=kind).new_from_index(0, height).alias(name))
        else:
            made.append(pl.Series(name, values).cast(kind))
    return pl.DataFrame(made)


def moments(seconds: Ints) -> pl.Series:
    """Return seconds since 1970 as local times."""
    return pl.Series(seconds * 1_000_000).cast(pl.Datetime("us"))


def texts(words: Sequence[str | None], which: Ints) -> pl.Series:
    """Return `words[which]` as text."""
    return pl.Series(list(words), dtype=pl.String).gather(which)
