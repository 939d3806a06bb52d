"""One step of a Cox model on shared time bins, as sums over persons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.computations.glm import VIEWED, View, check_view, noisy_shape, view_from_plain, view_to_plain
from wardgate.measures.glm import Family, curvature_bound, gain_bound, slope_bound
from wardgate.measures.survival import Form, check_edges
from wardgate.measures.terms import Design, Term, design_of, terms_from_plain, terms_to_plain
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

NO_NOISE = (
    "among Cox models the discrete-time logistic hazard alone takes noise: Breslow's risk sets stand in a denominator,"
    " where noise has no bounded effect, and a cloglog hazard's slope is too steep for a useful bound"
)

LARGEST_REACH = 20.0
"""Breslow's sums hold exp(x beta); beyond this |x beta| the ring would be too coarse, and no such effect is real."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cox:
    """The sums at one coefficient vector. Time is a numeric feature, the event is the study's label.

    `counts`: persons by the bin in which observation ended, so that the hub can join bins that hold few.
    `breslow`: events by bin, rows of the events, and by the bin in which observation ended the sums of exp(x beta),
    exp(x beta) x and the upper triangle of exp(x beta) x x'. Else: gradient, upper triangle of the Hessian and
    log-likelihood of the discrete-time hazard, each person one row for each bin under observation.

    Attributes:
        form: `counts`, `breslow`, `cloglog` or `logistic`.
        time: The feature that holds the time.
        terms: The predictors.
        edges: Ends of the time bins in the time's unit, shape (bins + 1,).
        beta: `breslow`: coefficients, shape (p,); `counts`: none, shape (0,); else one level a bin, then coefficients,
            shape (bins + p,).
        largest_rate: `cloglog`: beyond this hazard rate the likelihood goes on as a line, which bounds one person.
        view: `logistic`: how persons are seen and cut in a noisy sum, bins + p columns; `beta` is then of its own
            columns, shape (q,). A person's gradient over all bins is cut to row x residual, the Hessian to row^2 / 4.
    """

    name: ClassVar[str] = "cox"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    form: Form | Literal["counts"]
    time: str
    terms: tuple[Term, ...]
    edges: Vector
    beta: Vector
    largest_rate: float = 10.0
    view: View | None = None

    def __post_init__(self) -> None:
        if self.form not in (*get_args(Form), "counts"):
            raise Invalid("expected the form 'counts', 'breslow', 'cloglog' or 'logistic'")
        check_edges(self.edges)
        if self.time in (term.feature for term in self.terms):
            raise Invalid(f"'{self.time}' is the time and a predictor; leave it out of the predictors")
        if not (np.isfinite(self.largest_rate) and self.largest_rate > 0):
            raise Invalid(f"expected a finite largest_rate above 0, found {self.largest_rate}")
        if self.view is not None:
            if self.form != "logistic":
                raise Unsupported(NO_NOISE)
            check_view(self.view)

    @property
    def bins(self) -> int:
        """Number of time bins."""
        return len(self.edges) - 1

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "form": self.form,
            "time": self.time,
            "terms": terms_to_plain(self.terms),
            "largest_rate": text_of(self.largest_rate),
        }
        return found if self.view is None else found | view_to_plain(self.view)

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        found = (("beta", self.beta), ("edges", self.edges))
        return found if self.view is None else (*found, ("lens", self.view.lens.ravel()))

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        expected = {"form", "time", "terms", "largest_rate"}
        view = view_from_plain(parameters, arrays)
        seen = (set(VIEWED), {"lens"}) if view is not None else (set(), set())
        if set(parameters) - seen[0] != expected or set(arrays) - seen[1] != {"beta", "edges"}:
            raise Invalid(f"a Cox step has the parameters {', '.join(sorted(expected))} and the vectors beta, edges")
        if not isinstance(parameters["time"], str):
            raise Invalid("'time' must be the name of a feature")
        return cls(
            form=parameters["form"],
            time=parameters["time"],
            terms=terms_from_plain(parameters["terms"]),
            edges=arrays["edges"],
            beta=arrays["beta"],
            largest_rate=number_of(parameters["largest_rate"]),
            view=view,
        )

    def design(self, study: Study) -> Design:
        """Return the columns of the terms, an intercept first that Cox models do not use.

        Raises:
            Invalid: the terms, the time or the coefficients do not fit the study.
        """
        found = design_of(study.features, self.terms)
        time = next((feature for feature in study.features if feature.name == self.time), None)
        if time is None or time.range is None:
            raise Invalid(f"the time '{self.time}' must be a feature that is a number")
        expected = found.columns - 1 + (0 if self.form == "breslow" else self.bins)
        expected = 0 if self.form == "counts" else expected
        if self.view is not None:
            if len(self.view.lens) != expected:
                raise Invalid(f"'lens' must have {expected} rows, found {len(self.view.lens)}")
        elif self.beta.shape != (expected,):
            raise Invalid(f"'beta' must hold {expected} coefficients, found shape {self.beta.shape}")
        return found

    def shape(self, study: Study) -> Shape:
        design = self.design(study)
        bins, p = self.bins, design.columns - 1
        if self.view is not None:
            return noisy_shape(len(self.beta), self.longest_gradient(), self.view.hessian_share)
        if self.form == "counts":
            return Shape(bound=np.ones(bins), l2=1.0)
        coefficients = self.beta if self.form == "breslow" else self.beta[bins:]
        reach = design.reach(np.concatenate([[0.0], coefficients]))
        if self.form == "breslow":
            if reach > LARGEST_REACH:
                raise Invalid(
                    f"a relative risk may reach exp({reach:.0f}) at these coefficients: separable data, or too many "
                    "columns for the events; set a larger ridge"
                )
            block = 1 + p + p * (p + 1) // 2
            bound = np.concatenate([np.ones(bins + p), np.full(bins * block, float(np.exp(reach)))])
            # A person is in one bin: at most one event, one row, and one block.
            squares = 1.0 + (design.norm**2 - 1.0) + np.exp(2.0 * reach) * design.norm**4
            return Shape(bound=bound, l2=float(np.sqrt(squares)))
        family: Family = "logistic" if self.form == "logistic" else "cloglog"
        reach += float(np.max(np.abs(self.beta[:bins])))
        steep = slope_bound(family, outcome=1.0, reach=reach, largest_mean=self.largest_rate)
        bend = curvature_bound(family, reach=reach, largest_mean=self.largest_rate)
        gain = bins * gain_bound(family, outcome=1.0, reach=reach, largest_mean=self.largest_rate)
        level = np.arange(bins + p) < bins
        rows, columns = np.triu_indices(bins + p)
        bound = np.concatenate(
            [
                np.where(level, steep, bins * steep),
                np.where(level[rows] | level[columns], bend, bins * bend),
                [gain],
            ]
        )
        return Shape(bound=bound, l2=float(np.linalg.norm(bound)))

    def longest_gradient(self) -> float:
        """L2 norm of the longest gradient that one person may add in a noisy sum."""
        if self.view is None:
            raise Invalid("only a noisy step cuts gradients")
        return self.view.row * self.view.residual

    def longest_hessian(self) -> float:
        """Frobenius norm of the largest Hessian that one person may add in a noisy sum, over all bins."""
        if self.view is None:
            raise Invalid("only a noisy step cuts Hessians")
        return 0.25 * self.view.row**2

    def hessian_weight(self, outcome: float) -> float:
        """Scale of the Hessian's block, so that it has its share of the squared sensitivity; `outcome` is 1."""
        if self.view is None or not self.view.hessian_share:
            raise Invalid("this step asks for no noisy Hessian")
        share = self.view.hessian_share
        return outcome * self.longest_gradient() * float(np.sqrt(share / (1.0 - share))) / self.longest_hessian()

    def check_noise(self) -> None:
        """Check that noise can hide a person in this sum; a hospital asks before it adds any.

        Raises:
            Unsupported: any form but the discrete-time logistic hazard, seen through a view.
        """
        if self.view is None:
            raise Unsupported(NO_NOISE)
