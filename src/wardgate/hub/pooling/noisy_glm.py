"""Generalised linear models by noisy sums that together cost one epsilon."""

from collections.abc import Generator, Sequence

import numpy as np

from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.glm import Fitted, first_question, model_of
from wardgate.hub.pooling.noisy_climb import RESIDUAL, NoisyFit, climb
from wardgate.measures.encoding import LABEL
from wardgate.measures.glm import Family
from wardgate.measures.outcomes import outcome_bound
from wardgate.measures.shrinkage import FLAT
from wardgate.measures.terms import Term
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.errors import Invalid
from wardgate.records.study import Study


def noisy_glm(
    *,
    study: Study,
    sites: tuple[str, ...],
    epsilon: float,
    delta: float,
    family: Family = "logistic",
    outcome: str = LABEL,
    terms: Sequence[Term] | None = None,
    largest_mean: float | None = None,
    clip: float | None = None,
) -> Generator[Ask, Told, Fitted]:
    """Fit by sums whose noise together costs `epsilon` at `delta`, one person added or removed.

    Args:
        clip: L2 norm of a person's centred row; by default that of a person whose features are spread evenly over
            their ranges, which is public.

    Raises:
        Invalid: parameters that do not fit the study.
        NotEvaluable: noise drowns the number of persons; there are too few for this epsilon.
    """
    bound = outcome_bound(family, outcome, study.features)
    asked = first_question(
        study=study,
        family=family,
        outcome=outcome,
        terms=terms,
        largest_mean=bound if largest_mean is None else largest_mean,
    )
    design = asked.design(study)
    if clip is not None and not clip > 0:
        raise Invalid(f"expected a clip above 0, found {clip}")
    fit = NoisyFit(
        study=study,
        sites=sites,
        asked=asked,
        family=family,
        once=noise_multiplier_for(epsilon=epsilon, delta=delta),
        bound=bound,
        first_residual=RESIDUAL * bound,
        dispersion=1.0 / 3.0 if family == "linear" else 1.0,
        largest_mean=asked.largest_mean,
    )
    beta = yield from climb(
        fit,
        start=np.zeros(design.columns),
        ones=np.eye(design.columns)[0],
        centring=design.centring(),
        row=min(design.typical_norm if clip is None else clip, design.norm),
        level_variance=FLAT,
    )
    return Fitted(
        model=model_of(asked, study, beta, noise=f"Gaussian, epsilon {epsilon:g} at delta {delta:g}"),
        covariance=None,
        log_likelihood=None,
        freedom=None,
        score={},
        gaussian=tuple(fit.events),
        sites=fit.sites,
        rounds=len(fit.events),
        bytes_moved=fit.bytes_moved,
    )
