"""Public bins for boosting, placed by one sum over finer ones."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.boosting import Grown
from wardgate.computations.boosting_bins import BoostingBins
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.histograms import Bins, every_feature, fine_edges, merged, unpacked
from wardgate.measures.trees import Trees
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.study import Study

Vector = NDArray[np.float64]

DEFAULT_BINS = 64
FINE_BINS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Bins, and what the sum that placed them said.

    Attributes:
        persons, events: Over all sites of the sum.
    """

    bins: Bins
    persons: float
    events: float

    @property
    def log_odds(self) -> float:
        """The starting score."""
        return float(np.log(self.events / (self.persons - self.events)))


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was asked for so far, and of whom.

    Attributes:
        sites: Those that are still there.
    """

    sites: tuple[str, ...]
    sums: int = 0
    numbers: int = 0
    bytes_moved: int = 0

    def add(self, told: Told) -> Vector:
        """Count a sum and return it; sites that dropped out of it are asked no more."""
        total = told.sum()
        self.sums, self.numbers = self.sums + 1, self.numbers + len(total)
        self.bytes_moved += told.bytes_moved
        if told.sites:
            self.sites = told.sites
        return total


def placed_bins(
    *,
    study: Study,
    tally: Tally,
    most: int = DEFAULT_BINS,
    fine: int = FINE_BINS,
    numbers_most: int | None = None,
) -> Generator[Ask, Told, Placed]:
    """Place bins of about equal mass from one exact sum over fine public bins.

    Args:
        most: Bins of a feature, the missing one not counted.
        fine: Fine bins of a feature.
        numbers_most: Numbers that one sum may hold; fine and coarse bins are halved until they fit.

    Raises:
        Invalid: the bins cannot fit `numbers_most`, or every feature is constant.
        NotEvaluable: nobody, or one class only.
    """
    while True:
        bins = every_feature(study.features, fine_edges(study.features, most=fine))
        if numbers_most is None or 1 + bins.width <= numbers_most:
            break
        if fine == 2:
            raise Invalid(f"two bins a feature need {1 + bins.width} numbers, and a sum may hold {numbers_most}")
        fine = max(2, fine // 2)
    asked = BoostingBins(grown=Grown.of(study, bins, Trees.none(base=0.0, depth=1)))
    total = tally.add((yield sum_ask(asked, what="boosting: how values lie", study=study, sites=tally.sites)))
    events, mass = float(total[0]), unpacked(bins, total[1:], 1)[0, 0]
    persons = float(total[1])
    both_classes(persons, events)
    while True:
        coarse = merged(bins, mass, most=most, least=0.5)
        if numbers_most is None or 3 * coarse.width <= numbers_most:
            break
        if most == 2:
            raise Invalid(f"two bins a feature need {3 * coarse.width} numbers, and a sum may hold {numbers_most}")
        most = max(2, most // 2)
    return Placed(bins=coarse, persons=persons, events=events)


def both_classes(persons: float, events: float) -> None:
    """Check that there is something to learn.

    Raises:
        NotEvaluable: nobody, or one class only.
    """
    if persons < 0.5:
        raise NotEvaluable("the sites of this sum have no training persons; nothing can be fitted")
    if events < 0.5 or persons - events < 0.5:
        raise NotEvaluable("the label has one class only over all sites; nothing can be fitted")
