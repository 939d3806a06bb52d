"""Two studies over nearly the same persons: the difference of two exact sums is the person between them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smallest import COLUMNS, STUDY, write_hospital

from wardgate.computations.newton import Newton
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.hub.pooling.ask import sum_ask
from wardgate.records.errors import Broken, CheckFailed
from wardgate.records.study_file import parse

SITES = ["h0", "h1", "h2"]


def hospitals(folder: Path) -> Path:
    for place, site in enumerate(SITES):
        write_hospital(folder / site, 230, [5, place], inverted=False, note="")
    return folder


def without(folder: Path, site: str, persons: int) -> None:
    """Take training persons out of a hospital, as a changed cohort would."""
    path = folder / site / "patients.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-persons] if persons else lines) + "\n")


def gradient(folder: Path, work: Path, *, version: int, memory: Path | None, noise: float | None = None) -> Any:
    """Ask for one step over all hospitals in a study of its own."""
    text = STUDY.replace("SITES", ", ".join(SITES)).replace("version: 1", f"version: {version}")
    study = parse(text, name="study.yaml")
    work.mkdir()
    settings = Settings(seed=1, issued_on="2026-01-02", memory=memory)
    with local(study=study, hospitals=find_hospitals(folder, study), settings=settings, work=work) as federation:
        asked = Newton(beta=np.zeros(COLUMNS))
        ask = sum_ask(asked, what="a step", study=study, sites=federation.sites, noise_multiplier=noise)
        return federation.ask(ask).sum()


def last_training_person(folder: Path) -> int:
    """How many persons must go from the end of h1's file before its training persons change by one."""
    from wardgate.hospital.ward.cohort.load import load
    from wardgate.hospital.ward.cohort.split import tables

    study = parse(STUDY.replace("SITES", ", ".join(SITES)), name="study.yaml")
    salt = Settings(seed=1, issued_on="2026-01-02").salt("h1")
    train = set(tables(load(folder / "h1", study), study.splits, salt=salt)["train"]["person"])
    return next(count for count in range(1, 50) if f"h1-{230 - count}" in train)


def test_without_a_memory_two_cohorts_give_the_person_between_them_away(tmp_path: Path) -> None:
    """The protection off: the second total lacks one person, and the difference is that person's row."""
    folder = hospitals(tmp_path / "hospitals")
    first = gradient(folder, tmp_path / "one", version=1, memory=None)
    without(folder, "h1", last_training_person(folder))
    second = gradient(folder, tmp_path / "two", version=2, memory=None)
    row = 2.0 * (first - second)[:COLUMNS]
    assert abs(row[0]) == pytest.approx(1.0), "the intercept: exactly one person"
    assert np.all(np.abs(row) <= 1.0 + 1e-9), "age, marker and sex of that person, on the scale of the study"


def test_a_hospital_that_remembers_refuses_the_second_cohort(tmp_path: Path) -> None:
    folder, memory = hospitals(tmp_path / "hospitals"), tmp_path / "memory"
    gradient(folder, tmp_path / "one", version=1, memory=memory)
    without(folder, "h1", last_training_person(folder))
    with pytest.raises(CheckFailed, match=r"1 of 3 sites refused.*nearly the same persons: fewer than 11 differ"):
        gradient(folder, tmp_path / "two", version=2, memory=memory)
    noisy = gradient(folder, tmp_path / "three", version=3, memory=memory, noise=20.0)
    assert np.all(np.isfinite(noisy)), "with noise it is welcome"


def test_the_same_persons_or_clearly_others_are_welcome_again(tmp_path: Path) -> None:
    folder, memory = hospitals(tmp_path / "hospitals"), tmp_path / "memory"
    first = gradient(folder, tmp_path / "one", version=1, memory=memory)
    assert np.array_equal(first, gradient(folder, tmp_path / "two", version=2, memory=memory))
    without(folder, "h1", 60)
    gradient(folder, tmp_path / "three", version=3, memory=memory)


def test_the_memory_holds_no_identifier_and_a_broken_one_stops_everything(tmp_path: Path) -> None:
    folder, memory = hospitals(tmp_path / "hospitals"), tmp_path / "memory"
    gradient(folder, tmp_path / "one", version=1, memory=memory)
    kept = (memory / "h1" / "cohorts.jsonl").read_bytes()
    assert b"h1-" not in kept
    assert (memory / "h1" / "cohorts.key").stat().st_mode & 0o077 == 0
    for broken in (kept[:-20], b"[]\n", b'{"study": "x"}\n'):
        (memory / "h1" / "cohorts.jsonl").write_bytes(broken)
        with pytest.raises((Broken, CheckFailed)):
            gradient(folder, tmp_path / f"two-{len(broken)}", version=2, memory=memory)
