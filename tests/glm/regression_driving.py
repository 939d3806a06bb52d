"""Drives a regression's driver over parts in memory: plain float sums, or with the noise that a sum would carry."""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np
import polars as pl

from wardgate.computations.cox import Cox
from wardgate.computations.glm import Glm
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning import cox, glm
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.measures.encoding import design_matrix, labels
from wardgate.records.study import Study

KINDS: Mapping[str, Any] = {"glm": (Glm, glm), "cox": (Cox, cox)}


class Hospital:
    """A bench over one table."""

    def __init__(self, study: Study, table: pl.DataFrame) -> None:
        self.study = study
        self.kept: dict[str, Any] = {}
        self._part = Part(table=table, x=design_matrix(study.features, table), y=labels(table))

    def part(self, split: str) -> Part:
        assert split == "train"
        return self._part


def drive(
    road: Generator[Ask, Told, Any],
    tables: Mapping[str, pl.DataFrame],
    study: Study,
    *,
    rng: np.random.Generator | None = None,
    inflation: float = 1.0,
    heard: Callable[[Ask, Mapping[str, np.ndarray]], None] | None = None,
) -> Any:
    """Run a driver to its end; every question goes through its own parameters and back, as over the wire."""
    benches = {site: Hospital(study, table) for site, table in tables.items()}
    told: Told | None = None
    while True:
        try:
            ask = next(road) if told is None else road.send(told)
        except StopIteration as done:
            return done.value
        kind, ward = KINDS[ask.computation]
        asked = kind.read(ask.parameters, dict(ask.arrays))
        assert ask.shape is not None
        assert np.array_equal(asked.shape(study).bound, ask.shape.bound)
        addends = {site: ward.answer(asked, bench=bench, split="train").vector for site, bench in benches.items()}
        if heard is not None:
            heard(ask, addends)
        total = np.sum(list(addends.values()), axis=0)
        noise = 0.0
        if ask.noise_multiplier is not None:
            assert rng is not None
            noise = ask.noise_multiplier * ask.shape.l2 * inflation
            total = total + rng.normal(size=len(total)) * noise
        told = Told(total=total, noise=noise)
