"""A model from anywhere, against the persons it was fitted on and persons it never saw."""

from pathlib import Path

import numpy as np

from wardgate.hospital.ward.answering.trials.corpus import Tables, apart, no_control, persons
from wardgate.hospital.ward.answering.trials.record import Asked, Found, Judged, judge
from wardgate.hospital.ward.cohort import described
from wardgate.hospital.ward.gate.battery.models import measure_model
from wardgate.records.bands import band
from wardgate.records.errors import Refused


def judge_model(asked: Asked, tables: Tables, *, model: Path) -> Judged:
    """Judge a model file as `wardgate.models.saving` writes them. No other form is read: pickles run code.

    Raises:
        Refused: as for a corpus, or the holdout is of another period.
        Invalid: a table or the file cannot be used.
    """

    def found(attempt: int, seed: int) -> Found:
        dictionary = tables.meant()
        real, holdout, *more = (described.read(path, dictionary) for path in tables.paths)
        apart(real, holdout, dictionary)
        reason = no_control(real, holdout, dictionary)
        if reason:
            raise Refused(reason)
        data = model.read_bytes()
        measured, absent = measure_model(
            data,
            train=real,
            tuning=more[0] if more else real.clear(),
            holdout=holdout,
            dictionary=dictionary,
            policy=asked.policy,
            attempt=attempt,
            rng=np.random.default_rng(seed),
        )
        return Found(
            persons_train=band(persons(real, dictionary)),
            measured=measured,
            absent=absent,
            name="model.json",
            released=lambda: data,
        )

    return judge(asked, real=(tables.real, tables.holdout), candidate=model, measure=found)
