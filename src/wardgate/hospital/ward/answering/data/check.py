"""A hospital's data against a study, before anything runs."""

from pathlib import Path

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.disclosed import data_check
from wardgate.hospital.ward.cohort.from_events.build import build
from wardgate.hospital.ward.cohort.from_files.build import load_files, read_mapping
from wardgate.hospital.ward.generators.recommendation import recommendation
from wardgate.hospital.ward.source.opening import Place, opened, place_of
from wardgate.hospital.ward.source.texts import text_in
from wardgate.records.bands import at_least, band
from wardgate.records.data_check import DataCheck
from wardgate.records.errors import Invalid
from wardgate.records.mapping import parse_hospital
from wardgate.records.study import Study

HOSPITAL = "hospital.yaml"
UNNAMED = "this-hospital"


def check(
    study: Study,
    where: str,
    *,
    mapping: Path | None = None,
    site: str | None = None,
    memory_limit_mb: int = 4_000,
) -> DataCheck:
    """Build the cohort of one hospital and say what may be said of it.

    Args:
        where: A place as `source.opening.place_of` reads it.
        mapping: Another mapping than the folder's own, where the place is one table.
        site: The hospital's name; absent, `hospital.yaml` says.

    Raises:
        Invalid: the source cannot be read, or holds one table where the study asks for events.
    """
    place = place_of(where) if mapping is None else Place(folder=Path(where), settings=None)
    cohort = cohort_of(study, place, mapping=mapping, memory_limit_mb=memory_limit_mb)
    return data_check(cohort, study, site=site or _site(place.folder), source=place.words)


def advice(record: DataCheck, study: Study) -> str:
    """Say what a private corpus of this hospital would be worth, by the least that its band of persons holds."""
    training = at_least(band(int(at_least(record.persons_band) * study.splits.train)))
    if training == 0:
        return "Too few persons for any corpus. Take part in sums."
    return recommendation(training, study.budget.corpus, dictionary=study.dictionary).words


def cohort_of(study: Study, place: Place, *, mapping: Path | None, memory_limit_mb: int) -> Cohort:
    """Build the cohort of a place, whatever it holds."""
    if place.settings is None:
        read = None if mapping is None else read_mapping(mapping, study)
        return load_files(place.folder, study, mapping=read, memory_limit_mb=memory_limit_mb)
    if not study.of_events:
        raise Invalid(
            f"the source holds records ({place.words}), but study '{study.id}' asks for the fields of one table; start "
            "a study of events with 'wardgate study init --events', or give a folder with a mapping.yaml"
        )
    with opened(place.folder, place.settings, memory_limit_mb=memory_limit_mb) as source:
        return build(source, study)


def _site(folder: Path) -> str:
    path = folder / HOSPITAL
    if not path.is_file():
        return UNNAMED
    return parse_hospital(text_in(path), name=path.name).id
