"""Synthetic images from anywhere, against real images that the generator saw and real ones of other patients."""

from pathlib import Path

import numpy as np

from wardgate.hospital.ward.answering.trials.record import Asked, Found, Judged, judge
from wardgate.hospital.ward.gate.battery.images import measure_images
from wardgate.hospital.ward.source.images import Images, read_images
from wardgate.records.bands import band
from wardgate.records.errors import Invalid, Refused


def judge_images(asked: Asked, *, real: Path, holdout: Path, tuning: Path, synthetic: Path) -> Judged:
    """Judge an archive of images.

    Raises:
        Refused: the policy is weaker than its floor, the attempts are used up, or the real files share patients.
        Invalid: an archive cannot be used.
        Broken: the gate's book was changed.
    """

    def found(attempt: int, seed: int) -> Found:
        seen, unseen, reference, candidate = (read_images(path) for path in (real, holdout, tuning, synthetic))
        if candidate.patients is not None:
            raise Invalid(f"{synthetic.name} says whose its images are; synthetic images are nobody's")
        _apart(seen, unseen)
        measured, absent = measure_images(
            train=seen.images,
            tuning=reference.images,
            holdout=unseen.images,
            candidate=candidate.images,
            train_patients=seen.patients,
            holdout_patients=unseen.patients,
            policy=asked.policy,
            attempt=attempt,
            rng=np.random.default_rng(seed),
        )
        return Found(
            persons_train=band(len(seen.images) if seen.patients is None else len(np.unique(seen.patients))),
            measured=measured,
            absent=absent,
            name="images.npz",
            released=synthetic.read_bytes,
        )

    return judge(asked, real=(real, holdout), candidate=synthetic, measure=found)


def _apart(seen: Images, unseen: Images) -> None:
    if seen.patients is not None and unseen.patients is not None and np.isin(seen.patients, unseen.patients).any():
        raise Refused(
            "the holdout overlaps the training images: both hold some of the same patients; a control group must never"
            " have been used"
        )
