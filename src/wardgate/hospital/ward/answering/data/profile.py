"""A hospital's own records as its own people see them, with true counts."""

from wardgate.hospital.ward.cohort import profile as profiles
from wardgate.hospital.ward.source.opening import opened, place_of
from wardgate.measures.profile import Profile
from wardgate.records.study import Study


def profile(where: str, study: Study | None, *, memory_limit_mb: int) -> Profile:
    """Profile a source of records. Nothing of it may leave the hospital.

    Raises:
        Invalid: the source cannot be read, or holds one table with a mapping.
    """
    place = place_of(where)
    with opened(place.folder, place.settings, memory_limit_mb=memory_limit_mb) as source:
        return profiles.profile(source, study=study)
