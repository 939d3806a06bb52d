"""Joining a study: the site checks the locked study against its own data and says what it can deliver."""

from pathlib import Path

from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.bench import Bench, part_of
from wardgate.hospital.ward.cohort.build import Cohort, load, satisfies
from wardgate.hospital.ward.cohort.split import NAMES, commitment, tables
from wardgate.hospital.ward.gate.candidate import Statement
from wardgate.hospital.ward.gate.door import Door
from wardgate.records.bands import band, shown
from wardgate.records.canonical import text_of
from wardgate.records.errors import Refused
from wardgate.records.mapping import Hospital
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
    cohort: Cohort, *, hospital: Hospital, study: Study, door: Door, entropy: Entropy, seed: int, salt: bytes
) -> Bench:
    """Split the cohort by person and commit to the splits, before anything is fitted."""
    parts = tables(cohort, study.splits, salt=salt)
    door.commitments = commitment({name: parts[name]["person"].to_list() for name in NAMES}, salt=salt)
    return Bench(
        hospital=hospital,
        study=study,
        study_sha256=door.study_sha256,
        parts={
            "train": part_of(study, parts["train"]),
            "tuning": part_of(study, parts["tuning"]),
            "holdout": part_of(study, parts["holdout"]),
            "locked_test": part_of(study, parts["locked_test"]),
        },
        persons=cohort.table.height,
        door=door,
        exchange_key=private_key(entropy=entropy),
        seed=seed,
    )


def described(cohort: Cohort, study: Study, *, hospital: Hospital, bench: Bench | None) -> Statement:
    """Return what the consortium may know of this site's data: flow, quality, requirements, keys.

    A count, or a difference between two shown counts, of 1 to 10 persons is never shown.
    """
    minimum = study.gate.small_cells.min_count
    check = satisfies(cohort, study)
    said: dict[str, object] = {
        "agreed": check.can,
        "reasons": list(check.reasons),
        "note": hospital.note,
        "persons_band": band(cohort.table.height),
        "requirements": [finding.model_dump(mode="json") for finding in cohort.findings],
        "flow": _flow(cohort, minimum),
        "quality": _quality(cohort, minimum),
    }
    if bench is not None:
        said |= {
            "exchange_key": public_bytes(bench.exchange_key).hex(),
            "commitments": bench.door.commitments,
            "generator": (hospital.generator.name if hospital.generator else study.generator.name),
        }
    return Statement(said=said, smallest_cell=minimum)


def _flow(cohort: Cohort, minimum: int) -> list[dict[str, str]]:
    steps, last = [], None
    for step in cohort.flow:
        if step.persons < minimum:
            text = shown(step.persons, minimum=minimum)
        elif last is not None and 0 < last - step.persons < minimum:
            text = f"{last} less fewer than {minimum}"
        else:
            text, last = str(step.persons), step.persons
        steps.append({"step": step.step, "persons": text})
    return steps


def _quality(cohort: Cohort, minimum: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for one in cohort.quality:
        entry: dict[str, object] = {"feature": one.feature, "converted": one.converted}
        if one.unit_found is not None:
            entry["unit_found"] = one.unit_found
        if _can_show(one.present, one.total, minimum):
            entry["present"] = text_of(round(one.present / one.total, 2))
        if _can_show(one.out_of_range, one.total, minimum):
            entry["out_of_range"] = text_of(round(one.out_of_range / one.total, 3))
        found.append(entry)
    return found


def _can_show(part: int, whole: int, minimum: int) -> bool:
    """A share is shown where neither side holds 1 to 10 persons; nobody at all on one side is no cell of persons."""
    rest = whole - part
    return whole >= minimum and (part == 0 or part >= minimum) and (rest == 0 or rest >= minimum)
