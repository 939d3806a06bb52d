"""One step of a generalised linear model: gradient, Hessian and log-likelihood as sums over persons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.glm import FAMILIES, Family, curvature_bound, gain_bound, slope_bound
from wardgate.measures.outcomes import outcome_bound
from wardgate.measures.terms import Design, Term, design_of, terms_from_plain, terms_to_plain
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Wants = Literal["step", "firth"]

NO_NOISE = (
    "site intercepts take exact sums only: through the hospital's own intercept one person also moves what the others"
    " add, and no bound of that is proved here, so no noise is known to be enough"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How persons are seen and cut when a sum is noisy.

    Attributes:
        lens: Public linear map of the columns, shape (p, q): a person is seen as x @ lens.
        row: L2 norm to which that row is clipped.
        residual: Largest |slope| times norm of a person's gradient, in parts of `row`; longer ones are shortened.
        hessian_share: Share of the squared sensitivity that the Hessian gets; 0 asks for the gradient alone.
    """

    lens: Vector
    row: float
    residual: float
    hessian_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Glm:
    """The sums at one coefficient vector.

    `step` without a view is exact: gradient (p), upper triangle of the Hessian, log-likelihood. With a view it can bear
    noise: gradient (q), and the Hessian's triangle, off-diagonal entries times sqrt(2), times `hessian_weight`.
    `firth` is what Firth's penalty adds to the gradient.

    Attributes:
        family: How outcome and linear predictor hang together.
        outcome: `label`, or the name of a feature.
        terms: The predictors.
        beta: Coefficients, shape (p,), or (q,) with a view.
        largest_mean: `poisson`: beyond this mean the likelihood goes on as a line, so one person is bounded.
        site_ridge: Each site maximises out an intercept of its own with this ridge; None for none.
        inverse: `firth`: inverse of the pooled penalised Hessian, shape (p, p).
        view: How persons are seen in a noisy sum; None for an exact one.
    """

    name: ClassVar[str] = "glm"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    family: Family
    outcome: str
    terms: tuple[Term, ...]
    beta: Vector
    largest_mean: float = 1.0
    wants: Wants = "step"
    site_ridge: float | None = None
    inverse: Vector | None = None
    view: View | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES or self.family == "cloglog":
            raise Invalid("expected the family 'logistic', 'linear' or 'poisson'")
        if self.outcome in (term.feature for term in self.terms):
            raise Invalid(f"'{self.outcome}' is the outcome and a predictor; leave it out of the predictors")
        if not (np.isfinite(self.largest_mean) and self.largest_mean > 0):
            raise Invalid(f"expected a finite largest_mean above 0, found {self.largest_mean}")
        if self.site_ridge is not None and not (np.isfinite(self.site_ridge) and self.site_ridge > 0):
            raise Invalid(f"expected a finite site_ridge above 0, found {self.site_ridge}")
        if self.wants not in get_args(Wants) or (self.wants == "firth") != (self.inverse is not None):
            raise Invalid("'inverse' travels with wants 'firth', and with nothing else")
        if self.wants == "firth" and (self.family != "logistic" or self.site_ridge is not None):
            raise Unsupported("Firth's penalty is built for logistic regression without site intercepts")
        if self.view is not None and self.site_ridge is not None:
            raise Unsupported(NO_NOISE)
        if self.view is not None and self.wants == "firth":
            raise Unsupported(
                "Firth's penalty takes exact sums only: all it adds to a gradient is at most half the number of"
                " columns, which noise would drown; a noisy fit shrinks by itself"
            )
        if self.view is not None:
            check_view(self.view)

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "family": self.family,
            "outcome": self.outcome,
            "terms": terms_to_plain(self.terms),
            "largest_mean": text_of(self.largest_mean),
            "wants": self.wants,
        }
        if self.site_ridge is not None:
            found["site_ridge"] = text_of(self.site_ridge)
        return found if self.view is None else found | view_to_plain(self.view)

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        found = [("beta", self.beta)]
        if self.inverse is not None:
            found.append(("inverse", self.inverse.ravel()))
        if self.view is not None:
            found.append(("lens", self.view.lens.ravel()))
        return tuple(found)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        known = {"family", "outcome", "terms", "largest_mean", "wants", "site_ridge", "row", "residual"}
        strange = sorted(set(parameters) - known - {"hessian_share"}) + sorted(
            set(arrays) - {"beta", "inverse", "lens"}
        )
        if strange:
            raise Invalid(f"a regression step knows no '{strange[0]}'")
        for name in ("family", "outcome", "terms", "largest_mean", "wants"):
            if name not in parameters:
                raise Invalid(f"a regression step needs '{name}'")
        if "beta" not in arrays or arrays["beta"].ndim != 1 or not len(arrays["beta"]):
            raise Invalid("a regression step needs the coefficients 'beta' beside the question")
        if not isinstance(parameters["outcome"], str):
            raise Invalid("'outcome' must be the name of a feature, or 'label'")
        beta, site_ridge = arrays["beta"], parameters.get("site_ridge")
        view = view_from_plain(parameters, arrays)
        inverse = arrays.get("inverse")
        if inverse is not None and inverse.size != len(beta) ** 2:
            raise Invalid("'inverse' must be a square of the number of coefficients")
        return cls(
            family=parameters["family"],
            outcome=parameters["outcome"],
            terms=terms_from_plain(parameters["terms"]),
            beta=beta,
            largest_mean=number_of(parameters["largest_mean"]),
            wants=parameters["wants"],
            site_ridge=None if site_ridge is None else number_of(site_ridge),
            inverse=None if inverse is None else inverse.reshape(len(beta), len(beta)),
            view=view,
        )

    def design(self, study: Study) -> Design:
        """Return the columns that `terms` make of the study.

        Raises:
            Invalid: the terms do not fit the study, or the coefficients do not fit the columns.
        """
        found = design_of(study.features, self.terms)
        rows = len(self.beta) if self.view is None else len(self.view.lens)
        if rows != found.columns:
            raise Invalid(f"expected {found.columns} columns as the terms have, found {rows}")
        return found

    def shape(self, study: Study) -> Shape:
        design = self.design(study)
        outcome = outcome_bound(self.family, self.outcome, study.features)
        if self.view is not None:
            return noisy_shape(len(self.beta), self.longest_gradient(outcome), self.view.hessian_share)
        p = len(self.beta)
        if self.wants == "firth":
            return Shape(bound=np.full(p, 0.5), l2=0.5 * design.norm)
        reach = design.reach(self.beta)
        # A site's own intercept has no bound that is known beforehand; bounded slopes need none, and a least-squares
        # residual at most doubles.
        far = reach if self.site_ridge is None else float("inf")
        if self.family == "linear":
            slope = slope_bound("linear", outcome=outcome, reach=reach, largest_mean=1.0)
            slope = slope if self.site_ridge is None else 2.0 * slope
        else:
            slope = slope_bound(self.family, outcome=outcome, reach=far, largest_mean=self.largest_mean)
        bend = curvature_bound(self.family, reach=far, largest_mean=self.largest_mean)
        gain = gain_bound(self.family, outcome=outcome, reach=reach, largest_mean=self.largest_mean)
        if self.family == "poisson" and self.site_ridge is not None:
            if self.largest_mean < outcome:
                raise Invalid(f"with site intercepts largest_mean must be at least the outcome's bound, {outcome:g}")
            # At a site's own best intercept the log-likelihood may rise to that of a perfect fit.
            gain = max(gain, outcome * float(np.log(max(outcome, 1.0))))
        bound = np.concatenate([np.full(p, slope), np.full(p * (p + 1) // 2, bend), [gain]])
        return Shape(bound=bound, l2=float(np.linalg.norm(bound)))

    def check_noise(self) -> None:
        """Check that noise can hide a person in this sum; a hospital asks before it adds any.

        Raises:
            Unsupported: the sum has site intercepts; its `shape` bounds persons on average, not each of them.
        """
        if self.site_ridge is not None:
            raise Unsupported(NO_NOISE)

    def longest_gradient(self, outcome: float) -> float:
        """L2 norm of the longest gradient that one person may add in a noisy sum; `outcome` bounds |y|."""
        if self.view is None:
            raise Invalid("only a noisy step cuts gradients")
        reach = self.view.row * float(np.linalg.norm(self.beta))
        steepest = slope_bound(self.family, outcome=outcome, reach=reach, largest_mean=self.largest_mean)
        return self.view.row * min(steepest, self.view.residual)

    def hessian_weight(self, outcome: float) -> float:
        """Scale of the Hessian's block, so that it has its share of the squared sensitivity."""
        if self.view is None or not self.view.hessian_share:
            raise Invalid("this step asks for no noisy Hessian")
        share = self.view.hessian_share
        reach = self.view.row * float(np.linalg.norm(self.beta))
        largest = curvature_bound(self.family, reach=reach, largest_mean=self.largest_mean) * self.view.row**2
        return self.longest_gradient(outcome) * float(np.sqrt(share / (1.0 - share))) / largest


def noisy_shape(columns: int, longest: float, hessian_share: float) -> Shape:
    """Shape of a gradient and, where it has a share, a Hessian's triangle, each person's cut to stated lengths."""
    if not hessian_share:
        return Shape(bound=np.full(columns, longest), l2=longest)
    block = longest * float(np.sqrt(hessian_share / (1.0 - hessian_share)))
    bound = np.concatenate([np.full(columns, longest), np.full(columns * (columns + 1) // 2, block)])
    return Shape(bound=bound, l2=float(np.hypot(longest, block)))


VIEWED = ("row", "residual", "hessian_share")


def view_to_plain(view: View) -> dict[str, str]:
    """Return a view's numbers as JSON; its lens travels as a vector."""
    return {name: text_of(getattr(view, name)) for name in VIEWED}


def view_from_plain(parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> View | None:
    """Read the view of a question, if it has one.

    Raises:
        Invalid: a part of it is missing, or the lens does not suit the coefficients.
    """
    given = [name for name in VIEWED if name in parameters] + [name for name in ("lens",) if name in arrays]
    if not given:
        return None
    missing = [name for name in (*VIEWED, "lens") if name not in given]
    if missing:
        raise Invalid(f"a noisy step needs '{missing[0]}'")
    beta = arrays.get("beta", np.zeros(0))
    if not beta.size or arrays["lens"].size % beta.size:
        raise Invalid("'lens' does not suit the number of coefficients")
    numbers = {name: number_of(parameters[name]) for name in VIEWED}
    return View(lens=arrays["lens"].reshape(-1, beta.size), **numbers)


def check_view(view: View) -> None:
    if not (np.isfinite(view.row) and view.row > 0 and np.isfinite(view.residual) and view.residual > 0):
        raise Invalid("'row' and 'residual' must be finite numbers above 0")
    if not 0 <= view.hessian_share < 1:
        raise Invalid(f"expected a hessian_share of at least 0 and below 1, found {view.hessian_share}")
    if view.lens.ndim != 2 or not np.all(np.isfinite(view.lens)):
        raise Invalid("'lens' must be a finite matrix")
