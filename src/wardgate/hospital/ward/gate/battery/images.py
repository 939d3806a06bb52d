"""Everything that is measured on synthetic images that want to leave. Patients are compared, not images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.hospital.ward.gate.battery.sample import LEAST, LEAST_REFERENCE, MOST
from wardgate.measures.attacks import images as looks
from wardgate.measures.attacks import membership
from wardgate.measures.attacks.copies import p_value
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.space import Points
from wardgate.measures.disclosure import coarse, shown
from wardgate.measures.intervals import clopper_pearson, two_sided
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import GatePolicy, Images
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

COPIES = ("images.near", "images.copied", "images.rehearsal")
MEMBERSHIP = ("images.battery", "images.membership_auc")
NAMES = (*COPIES, *MEMBERSHIP)

LEAST_MEMBERS = 500
"""Members, and non-members, below whom membership is not evaluable: an AUROC would pass or fail by chance."""

REHEARSED = 500
"""Training images at most from which copies are planted."""

SPACES = ("components", "gradients", "frequencies")
ATTACKED = ("components", "gradients")

Patients = NDArray[np.int64]
Arrays = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Real images of patients who were used and who were not, and how they are seen.

    Attributes:
        real: Training images, then held-out ones.
        person: Whose each is, shape (n,): patients who were used first.
        member: Which patients were used.
        tuning: Reference images.
        candidate: The images that want to leave.
        eyes: Made from the reference images and the candidate, so alike for everybody who is compared.
        level: Two-sided level of every interval at this attempt.
    """

    real: looks.Pictures
    person: Patients
    member: NDArray[np.bool_]
    tuning: looks.Pictures
    candidate: looks.Pictures
    eyes: looks.Eyes
    spaces: Mapping[str, Points]
    policy: GatePolicy
    attempt: int
    level: float
    rng: np.random.Generator

    @property
    def sides(self) -> tuple[int, int]:
        """Patients who were used, and who were not."""
        return int(self.member.sum()), int((~self.member).sum())

    @property
    def persons(self) -> tuple[int, int]:
        """The same, as they may be shown."""
        return coarse(self.sides[0]), coarse(self.sides[1])


def measure_images(
    *,
    train: Arrays,
    tuning: Arrays,
    holdout: Arrays,
    candidate: Arrays,
    policy: GatePolicy,
    attempt: int,
    rng: np.random.Generator,
    train_patients: Arrays | None = None,
    holdout_patients: Arrays | None = None,
) -> tuple[tuple[Measured, ...], tuple[Absent, ...]]:
    """Take every measure that the rules for images read.

    Args:
        train: Real images that the generator saw, shape (n, h, w) or (n, h, w, c).
        tuning: Real images used for nothing here but as reference; at least `LEAST_REFERENCE`.
        holdout: Real images of other patients, which the generator never saw.
        candidate: The images that want to leave, of the same height and width.
        attempt: 1 for the first candidate; p-values must be higher and intervals are wider with each further one.
        rng: Subsampling, relabelling and rehearsal; it protects nobody.
        train_patients, holdout_patients: Whose each image is, shape (n,); left out, every image is a patient's only.

    Returns:
        The measures, rounded, and those that could not be taken, by name with a reason.

    Raises:
        Invalid: images that are no images, are blank or differ in size, or a patient on both sides.
    """
    given = {"training": train, "tuning": tuning, "holdout": holdout, "candidate": candidate}
    sizes = {name: images.shape[1:3] for name, images in given.items() if images.ndim in (3, 4)}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size[0]} x {size[1]}" for name, size in sizes.items())
        raise Invalid(f"images of different sizes cannot be compared: {told}")
    seen = {name: looks.pictures(images, name=name) for name, images in given.items()}
    owner = _owners(train_patients, holdout_patients, len(train), len(holdout))
    reason = ""
    if min(len(np.unique(owner[: len(train)])), len(np.unique(owner[len(train) :]))) < LEAST:
        reason = f"fewer than {LEAST} training or holdout patients"
    elif len(tuning) < LEAST_REFERENCE:
        reason = f"fewer than {LEAST_REFERENCE} tuning images as reference"
    if reason:
        return (), tuple(Absent(name=name, reason=reason) for name in NAMES)
    real = np.concatenate((seen["training"], seen["holdout"]))
    eyes = looks.Eyes.of(np.concatenate((seen["tuning"], seen["candidate"])))
    compared = Compared(
        real=real,
        person=owner,
        member=np.arange(int(owner.max()) + 1) <= int(owner[: len(train)].max()),
        tuning=seen["tuning"],
        candidate=seen["candidate"],
        eyes=eyes,
        spaces=eyes.spaces(real),
        policy=policy,
        attempt=attempt,
        level=two_sided(policy.bound_level, attempt),
        rng=rng,
    )
    found = [*_copies(compared), *_membership(compared)]
    return (
        tuple(shown(part) for part in found if isinstance(part, Measured)),
        tuple(part for part in found if isinstance(part, Absent)),
    )


def _owners(train: Arrays | None, holdout: Arrays | None, used: int, unused: int) -> Patients:
    """Return whose each image is as 0, 1, ..., those of the training images first."""
    if (train is None) != (holdout is None):
        raise Invalid("expected patient numbers for training and holdout images, or for neither")
    if train is None or holdout is None:
        return np.arange(used + unused)
    if train.shape != (used,) or holdout.shape != (unused,):
        raise Invalid("expected one patient number for each training and each holdout image")
    if np.intersect1d(train, holdout).size:
        raise Invalid("a patient has images on both sides; split by patient, not by image")
    first = np.unique(train, return_inverse=True)[1]
    second = np.unique(holdout, return_inverse=True)[1]
    return np.concatenate((first, second + int(first.max()) + 1)).astype(np.int64)


def _copies(compared: Compared) -> Iterator[Measured]:
    def matched(images: looks.Pictures) -> dict[str, looks.Matches]:
        return looks.matches(compared.eyes, compared.real, compared.spaces, compared.person, images)

    rng, level, policy = compared.rng, compared.level, compared.policy
    persons = compared.persons
    found = matched(compared.candidate)
    near, copied = _near_and_copied(found, compared)
    note = "Images nearest to any patient's, in three spaces, as they are and mirrored."
    yield p_value("images.near", near, persons=persons, level=level, note=note)
    note = f"Images that one patient's matches best by far, shifted by up to {looks.REACH} pixels, or mirrored."
    yield p_value("images.copied", copied, persons=persons, level=level, note=note)
    limits = policy.images or Images()
    train = np.flatnonzero(compared.member[compared.person])
    chosen = rng.choice(train, size=min(REHEARSED, len(train)), replace=False)
    copies = matched(looks.disguised(compared.real[chosen], rng))
    count = max(1, round(policy.membership.planted_copy_fraction * len(compared.candidate)))
    draws, caught = policy.membership.rehearsals, 0
    for _ in range(draws):
        with_copies = looks.planted(found, copies, rng, count=min(count, len(chosen)))
        near, copied = _near_and_copied(with_copies, compared)
        caught += near < limits.near_copy_level * compared.attempt or copied < limits.copied_level * compared.attempt
    low, high = clopper_pearson(caught, draws, level=level)
    yield Measured(name="images.rehearsal", value=caught / draws, low=low, high=high, level=level, n=(draws, *persons))


def _near_and_copied(found: Mapping[str, looks.Matches], compared: Compared) -> tuple[float, float]:
    chances = {name: looks.tail_p(one, compared.person, compared.member) for name, one in found.items()}
    return min(1.0, len(SPACES) * min(chances[name] for name in SPACES)), chances["copies"]


def _membership(compared: Compared) -> Iterator[Measured | Absent]:
    size, rng = coarse(min(*compared.sides, MOST)), compared.rng
    if size < LEAST_MEMBERS:
        reason = f"fewer than {LEAST_MEMBERS} training or holdout patients"
        yield from (Absent(name=name, reason=reason) for name in MEMBERSHIP)
        return
    used, unused = np.flatnonzero(compared.member), np.flatnonzero(~compared.member)
    pool = np.concatenate((rng.permutation(used)[:size], rng.permutation(unused)[:size]))
    place = np.full(len(compared.member), -1)
    place[pool] = np.arange(2 * size)
    whose = place[compared.person]
    rest = compared.real[(whose < 0) & compared.member[compared.person]]
    images = np.flatnonzero(whose >= 0)
    near = _distances(compared, images, compared.candidate)
    usual = _distances(compared, images, np.concatenate((rest, compared.tuning)))
    scores = {
        name: _of_patients(score, whose[images], 2 * size) for name, score in membership.attacks(near, usual).items()
    }
    groups = [
        membership.unusual(-_of_patients(-distance, whose[images], 2 * size).astype(np.float32))
        for distance in usual.values()
    ]
    member = np.arange(2 * size) < size
    drawn = membership.battery(member, groups, permutations=compared.policy.membership.permutations, rng=rng)
    found, _ = membership.null(scores, drawn)
    persons, level = (size, size), compared.level
    yield p_value("images.battery", found, persons=persons, level=level, note="All attacks and the most unusual tenth.")
    auc = membership.auc(membership.together(scores), member, persons=persons, level=level)
    yield auc.model_copy(update={"name": "images.membership_auc"})


def _distances(compared: Compared, images: Patients, others: looks.Pictures) -> dict[str, Points]:
    """Return by space the distances of real images to their nearest others, as they are or mirrored."""
    ways = [compared.eyes.spaces(side) for side in (others, looks.mirrored(others))]
    return {
        name: nearest(
            compared.spaces[name][images], np.concatenate([way[name] for way in ways]), membership.DEEP
        ).distance
        for name in ATTACKED
    }


def _of_patients(values: NDArray[np.floating], whose: Patients, patients: int) -> NDArray[np.float64]:
    """Return each patient's highest value, of shape (patients, ...)."""
    found = np.full((patients, *values.shape[1:]), -np.inf)
    np.maximum.at(found, whose, values)
    return found
