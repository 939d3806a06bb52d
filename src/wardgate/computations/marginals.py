"""Counts of one stage of the joint corpus."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.marginals.domain import Domain, domain_of
from wardgate.marginals.sites.growth import with_site
from wardgate.marginals.workload import Workload
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape


def cells_of(study: Study) -> Domain:
    """Return the cells that the joint corpus of a study counts in, those of the site among them where it is told apart.

    Raises:
        Invalid: the study's features cannot be laid in cells.
    """
    domain = domain_of(study.features)
    return domain if study.joint_site is None else with_site(domain, study.sites)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginals:
    """The queries of a workload over the study's own cells.

    Attributes:
        workload: As `Workload.to_parameters` gives it.
    """

    name: ClassVar[str] = "marginals"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    workload: Mapping[str, Any]

    def parameters(self) -> dict[str, Any]:
        return {"workload": dict(self.workload)}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return ()

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        del arrays
        workload = parameters.get("workload")
        if not isinstance(workload, Mapping):
            raise Invalid("marginals need a 'workload'")
        return cls(workload=workload)

    def over(self, study: Study) -> Workload:
        """Return the workload over the study's cells."""
        return Workload.from_parameters(self.workload, domain=cells_of(study))

    def shape(self, study: Study) -> Shape:
        """A person adds at most 1 to an entry and `l2` of the workload to the whole vector."""
        workload = self.over(study)
        return Shape(bound=np.ones(workload.size), l2=workload.l2)
