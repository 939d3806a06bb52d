"""Synthetic images at the gate: copies are refused whatever their disguise, safe images pass, wrong input is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardgate.hospital.ward.gate.battery.images import MEMBERSHIP, NAMES, measure_images
from wardgate.policy import decide
from wardgate.policy.common import RULES as COMMON
from wardgate.policy.images import RULES
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Verdict

POLICY = GatePolicy()
Found = tuple[tuple[Measured, ...], tuple[Absent, ...]]
Arrays = dict[str, np.ndarray]


def bodies(count: int, rng: np.random.Generator) -> np.ndarray:
    """Images of fifteen soft spots of each patient's own."""
    down, across = np.mgrid[:20, :20] / 20
    found = np.full((count, 20, 20), 100.0)
    for _ in range(15):
        y, x, width = rng.random((3, count, 1, 1))
        spot = np.exp(-((down - y) ** 2 + (across - x) ** 2) / (0.004 + 0.02 * width))
        found += 50 * rng.normal(size=(count, 1, 1)) * spot
    return np.clip(found, 0, 255).astype(np.uint8)


def hospital(seed: int, *, train: int = 900, holdout: int = 600) -> Arrays:
    rng = np.random.default_rng(seed)
    counts = {"train": train, "tuning": 150, "holdout": holdout, "candidate": 600}
    return {name: bodies(count, rng) for name, count in counts.items()}


def with_copies(site: Arrays, how: str, *, count: int = 15, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    copies = site["train"][rng.choice(len(site["train"]), size=count, replace=False)].astype(np.float64)
    if how == "shifted":
        copies = np.roll(copies, (1, -1), axis=(1, 2))
    elif how == "mirrored":
        copies = copies[:, :, ::-1]
    elif how == "darker":
        copies = 0.8 * copies
    elif how == "noisy":
        copies = copies + rng.normal(0, 6, copies.shape)
    candidate = site["candidate"].astype(np.float64)
    candidate[rng.choice(len(candidate), size=count, replace=False)] = copies
    return {**site, "candidate": np.clip(candidate, 0, 255).astype(np.uint8)}


def measured_on(site: Arrays, **how: Any) -> Found:
    return measure_images(**{**site, "policy": POLICY, "attempt": 1, "rng": np.random.default_rng(0), **how})


def verdict_on(found: Found, policy: GatePolicy = POLICY) -> Verdict:
    measured, absent = found
    evidence = Evidence(
        kind="images",
        persons_train="500-999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=measured,
        absent=absent,
    )
    return decide(evidence, policy, rules=(*COMMON, *RULES))


def refusing(verdict: Verdict) -> set[str]:
    return {ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass"}


def test_images_of_other_patients_pass_and_the_verdict_says_what_it_would_have_seen() -> None:
    found = measured_on(hospital(0))
    assert {part.name for part in (*found[0], *found[1])} == set(NAMES)
    verdict = verdict_on(found)
    assert refusing(verdict) == set()
    rehearsal = next(ruling for ruling in verdict.rulings if ruling.rule == "images.rehearsal")
    assert "2.0% shifted copies" in rehearsal.detects


@pytest.mark.parametrize("how", ["whole", "shifted", "mirrored", "darker", "noisy"])
def test_fifteen_copies_among_six_hundred_are_refused(how: str) -> None:
    refused = refusing(verdict_on(measured_on(with_copies(hospital(1), how))))
    assert refused & {"images.near", "images.copied"}
    assert refusing(verdict_on(measured_on(hospital(1)))) == set()


def test_a_generator_that_replays_everybody_is_refused_by_every_attack() -> None:
    site = hospital(2)
    site["candidate"] = site["train"]
    assert {"images.near", "images.copied", "images.battery", "images.membership_auc"} <= refusing(
        verdict_on(measured_on(site))
    )


def test_an_average_of_a_hundred_patients_is_nobody_s_image() -> None:
    site, rng = hospital(3), np.random.default_rng(0)
    site["candidate"] = np.stack([site["train"][rng.choice(900, 100, replace=False)].mean(axis=0) for _ in range(400)])
    assert not refusing(verdict_on(measured_on(site))) & {"images.near", "images.copied"}


def test_patients_with_several_images_count_once() -> None:
    site = hospital(4, train=900, holdout=600)
    few = {"train_patients": np.arange(900) % 30, "holdout_patients": 100 + np.arange(600) % 30}
    measured, absent = measured_on(site, **few)
    assert measured == () and {part.name for part in absent} == set(NAMES)
    pairs = {"train_patients": np.arange(900) // 2, "holdout_patients": 1_000 + np.arange(600) // 2}
    measured, absent = measured_on(with_copies(site, "whole"), **pairs)
    assert {part.name for part in absent} == set(MEMBERSHIP)
    assert {"images.near", "images.copied"} & refusing(verdict_on((measured, absent)))
    assert next(part for part in measured if part.name == "images.near").n == (450, 300)


def test_too_few_patients_are_not_evaluable() -> None:
    measured, absent = measured_on(hospital(5, holdout=200))
    assert {part.name for part in absent} == set(MEMBERSHIP)
    assert verdict_on((measured, absent)).outcome == "not_evaluable"
    measured, absent = measured_on(hospital(5, holdout=30))
    assert {part.name for part in absent} == set(NAMES)
    assert verdict_on((measured, absent)).outcome == "not_evaluable"


@pytest.mark.parametrize("part", ["train", "tuning", "holdout", "candidate"])
def test_wrong_images_are_refused_by_the_name_of_their_set(part: str) -> None:
    site = hospital(6, train=120, holdout=120)
    broken = {
        "different sizes": site[part][:, :18],
        "one brightness": np.zeros_like(site[part]),
        "not finite": np.where(np.arange(20) == 3, np.nan, site[part].astype(np.float64)),
        "shape": site[part].reshape(len(site[part]), -1),
        "at least one": site[part][:0],
    }
    for message, images in broken.items():
        with pytest.raises(Invalid, match=message):
            measured_on({**site, part: images})


def test_a_patient_on_both_sides_is_refused() -> None:
    site = hospital(7, train=120, holdout=120)
    with pytest.raises(Invalid, match="both sides"):
        measured_on(site, train_patients=np.arange(120), holdout_patients=np.arange(119, 239))
    with pytest.raises(Invalid, match="neither"):
        measured_on(site, train_patients=np.arange(120))
    with pytest.raises(Invalid, match="each"):
        measured_on(site, train_patients=np.arange(119), holdout_patients=np.arange(200, 320))


def test_a_policy_without_limits_for_images_lets_none_leave() -> None:
    old = POLICY.model_copy(update={"images": None})
    assert refusing(verdict_on(measured_on(hospital(0), policy=old), old)) == {"images.near"}


def test_a_measure_left_out_of_the_evidence_is_no_pass() -> None:
    measured, absent = measured_on(hospital(0))
    for rule in RULES:
        kept = tuple(part for part in measured if part.name != rule.name)
        assert rule.name in refusing(verdict_on((kept, absent)))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_shifted_copies_of_real_radiographs_are_refused(data_folder: Path, shift: int) -> None:
    with np.load(data_folder / "medmnist" / "pneumoniamnist_rebuilt.npz", allow_pickle=False) as file:
        every = np.concatenate([file[name] for name in file if name.endswith("_images")])
    rng = np.random.default_rng(shift)
    train, tuning, holdout, candidate = np.split(rng.permutation(every)[:5300], (2000, 2300, 3300))
    site = {"train": train, "tuning": tuning, "holdout": holdout, "candidate": candidate.copy()}
    assert not refusing(verdict_on(measured_on(site))) & {"images.near", "images.copied", "images.rehearsal"}
    site["candidate"][:40] = np.roll(train[:40], shift, axis=1)
    assert {"images.near", "images.copied"} & refusing(verdict_on(measured_on(site)))
