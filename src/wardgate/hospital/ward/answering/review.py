"""Joining a study: the site checks the locked study against its own data and says what it can deliver."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.answering.kept.cohort import cohort_digest
from wardgate.hospital.ward.cohort.cohort import Cohort, satisfies
from wardgate.hospital.ward.cohort.disclosed import data_check
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.part import part_of
from wardgate.hospital.ward.cohort.shown import shown_flow, shown_quality
from wardgate.hospital.ward.cohort.split import NAMES, commitment, tables
from wardgate.hospital.ward.gate.candidate import Statement
from wardgate.hospital.ward.gate.cohorts import EarlierCohorts
from wardgate.hospital.ward.gate.door import Door
from wardgate.hospital.ward.gate.keyed import secret
from wardgate.hospital.ward.gate.released import Released
from wardgate.records.bands import band
from wardgate.records.canonical import text_of
from wardgate.records.errors import Broken, Refused
from wardgate.records.mapping import Hospital
from wardgate.records.messages import SplitName
from wardgate.records.results import FeatureQuality
from wardgate.records.study import Study
from wardgate.sums.keys import private_key, public_bytes


def read_cohort(folder: Path, study: Study, *, site: str) -> Cohort:
    """Read the hospital's files for a study.

    Raises:
        Refused: this site is not in the study.
        Invalid: the files or the mapping cannot be used.
    """
    if site not in study.sites:
        raise Refused(f"the study does not name the site '{site}'")
    return load(folder, study)


def open_bench(
    cohort: Cohort,
    *,
    hospital: Hospital,
    study: Study,
    door: Door,
    entropy: Entropy,
    seed: int,
    salt: bytes,
    memory: Path | None,
    exchange_key: X25519PrivateKey | None = None,
) -> Bench:
    """Split the cohort by person and commit to the splits, before anything is fitted.

    Args:
        memory: The hospital's private folder over studies, or None to remember nothing.
        exchange_key: Of a ward that remembers; without one it is made here, and the cohort's digest is not taken.
    """
    bench = Bench(
        hospital=hospital,
        study=study,
        study_sha256=door.study_sha256,
        parts={},
        persons=cohort.table.height,
        door=door,
        exchange_key=exchange_key or private_key(entropy=entropy),
        seed=seed,
        cohort_sha256="" if exchange_key is None else cohort_digest(cohort),
    )
    lay_out(bench, cohort, salt=salt, memory=memory, entropy=entropy)
    return bench


def lay_out(bench: Bench, cohort: Cohort, *, salt: bytes, memory: Path | None, entropy: Entropy) -> None:
    """Lay the persons of each split on the bench.

    Raises:
        Broken: they are not those that the bench was opened with; the answers before and after would not belong
            together.
    """
    door, study = bench.door, bench.study
    check_same(bench, cohort)
    parts = tables(cohort, study.splits, salt=salt)
    persons: dict[SplitName, list[str]] = {name: parts[name]["person"].to_list() for name in NAMES}
    committed = commitment(persons, salt=salt)
    if door.commitments and door.commitments != committed:
        raise Broken(
            "the secret of the splits changed since the study began: persons would move between training and test."
            " Restore the hospital's salt"
        )
    door.commitments = committed
    door.earlier = EarlierCohorts(
        memory,
        study_sha256=door.study_sha256,
        persons=persons,
        minimum=study.gate.small_cells.min_count,
        entropy=entropy,
    )
    bench.released = _released(memory, bench.hospital, persons, entropy)
    bench.parts = {
        "train": part_of(study, parts["train"]),
        "tuning": part_of(study, parts["tuning"]),
        "holdout": part_of(study, parts["holdout"]),
        "locked_test": part_of(study, parts["locked_test"]),
    }


def check_same(bench: Bench, cohort: Cohort) -> None:
    """Check that a cohort is the one that the study began with, where that is remembered.

    Raises:
        Broken: it is another one.
    """
    if bench.cohort_sha256 and cohort_digest(cohort) != bench.cohort_sha256:
        raise Broken(
            "the data changed since the study began: this hospital's persons or their values are not those of its"
            " earlier answers. Restore the data as they were, or lock a new version of the study"
        )


def _released(
    memory: Path | None, hospital: Hospital, persons: Mapping[SplitName, Sequence[str]], entropy: Entropy
) -> Released | None:
    if memory is None:
        return None
    folder = memory / f"released-{hospital.population or 'one'}"
    return Released(folder=folder, key=secret(memory / "cohorts.key", entropy), persons=persons)


def described(cohort: Cohort, study: Study, *, hospital: Hospital, bench: Bench | None) -> Statement:
    """Return what the consortium may know of this site's data: flow, quality, requirements, its data check, keys.

    A count, or a difference between two shown counts, of 1 to 10 persons is never shown. Where the policy asks for
    noise in every figure, flow and quality stay inside: only the band of persons and the verdicts are said.
    """
    minimum = study.gate.small_cells.min_count
    check = satisfies(cohort, study)
    noise_only = study.gate.dp.required or study.gate.profile == "public-open"
    flow = [] if noise_only else [step.model_dump(mode="json") for step in shown_flow(cohort, minimum=minimum)]
    quality = [] if noise_only else [_plain(one) for one in shown_quality(cohort, minimum=minimum)]
    source = "records of events" if cohort.found else "one table with a mapping"
    seen = data_check(cohort, study, site=hospital.id, source=source)
    said: dict[str, object] = {
        "agreed": check.can,
        "reasons": list(check.reasons),
        "note": hospital.note,
        "persons_band": band(cohort.table.height),
        "requirements": [finding.model_dump(mode="json") for finding in cohort.findings],
        "flow": flow,
        "quality": quality,
        "data_check": seen.plain(),
    }
    if bench is not None:
        said |= {
            "exchange_key": public_bytes(bench.exchange_key).hex(),
            "commitments": bench.door.commitments,
            "generator": (hospital.generator.name if hospital.generator else study.generator.name),
        }
    return Statement(said=said, smallest_cell=minimum, figures=len(flow) + len(quality) + len(seen.features))


def _plain(one: FeatureQuality) -> dict[str, object]:
    """Numbers as text, absent ones left out."""
    return {
        name: text_of(value) if isinstance(value, float) else value
        for name, value in one.model_dump(mode="json", exclude_none=True).items()
    }
