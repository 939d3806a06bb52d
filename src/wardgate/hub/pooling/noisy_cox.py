"""Cox regression in discrete time by noisy sums that together cost one epsilon."""

from collections.abc import Generator, Sequence

import numpy as np

from wardgate.computations.cox import Cox
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.cox import FittedCox, cox_model, edges_of
from wardgate.hub.pooling.noisy_climb import NoisyFit, climb
from wardgate.measures.outcomes import predictors
from wardgate.measures.terms import Term, design_of
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

LEVEL = -2.0
"""Where the levels of all time bins start: a hazard of 12 % in each."""

LEVEL_VARIANCE = 4.0
"""Prior variance of a level around the start; a bin without events ends there, not at minus infinity."""


def noisy_cox(
    *,
    study: Study,
    sites: tuple[str, ...],
    epsilon: float,
    delta: float,
    time: str,
    bins: int | Sequence[float] = 5,
    terms: Sequence[Term] | None = None,
    clip: float | None = None,
) -> Generator[Ask, Told, FittedCox]:
    """Fit the discrete-time logistic hazard; the event is the study's label. One person is one unit, however many bins.

    Args:
        time: A numeric feature; persons without it must not be in the study.
        bins: Number of equal bins over the time's range, or their edges. They stay as they are: noise hides small ones.
        terms: Predictors; every feature but the time by default.
        clip: As in `noisy_glm`.

    Raises:
        Invalid: parameters that do not fit the study.
        NotEvaluable: noise drowns the number of persons.
    """
    chosen = predictors(study.features, time) if terms is None else tuple(terms)
    design = design_of(study.features, chosen)
    edges = edges_of(study, time, bins)
    count, p = len(edges) - 1, design.columns - 1
    if clip is not None and not clip > 0:
        raise Invalid(f"expected a clip above 0, found {clip}")
    ones = (np.arange(count + p) < count).astype(np.float64)
    centring = np.eye(count + p)
    centring[:count, count:] = design.centring()[0, 1:]
    start = LEVEL * ones
    asked = Cox(form="logistic", time=time, terms=chosen, edges=edges, beta=start)
    fit = NoisyFit(
        study=study,
        sites=sites,
        asked=asked,
        family="logistic",
        once=noise_multiplier_for(epsilon=epsilon, delta=delta),
        bound=1.0,
        first_residual=1.0,
        dispersion=1.0,
        largest_mean=1.0,
    )
    beta = yield from climb(
        fit,
        start=start,
        ones=ones,
        centring=centring,
        row=min(design.typical_norm if clip is None else clip, design.norm),
        level_variance=LEVEL_VARIANCE,
    )
    return FittedCox(
        model=cox_model(
            asked,
            study,
            coefficients=beta[count:],
            baseline=beta[:count],
            noise=f"Gaussian, epsilon {epsilon:g} at delta {delta:g}",
        ),
        covariance=None,
        log_likelihood=None,
        freedom=None,
        gaussian=tuple(fit.events),
        sites=fit.sites,
        rounds=len(fit.events),
        bytes_moved=fit.bytes_moved,
    )
