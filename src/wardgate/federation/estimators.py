"""Federated estimators in the manner of scikit-learn: parameters first, `fit(federation, study)` then, a model back.

The model is an ordinary one: it predicts from a table of the study's features, and needs no federation.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from wardgate.computations.menu import OF_THE_CHAIN
from wardgate.federation.session import Federation
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.boosting import Boosted, boosting
from wardgate.hub.pooling.boosting_bins import DEFAULT_BINS
from wardgate.hub.pooling.boosting_private import PrivatelyBoosted, private_boosting
from wardgate.hub.pooling.cox import FittedCox, cox
from wardgate.hub.pooling.glm import SMOOTHING_MENU, Fitted, glm
from wardgate.hub.pooling.joint_gan import GanSettings, JointGan, joint_gan
from wardgate.hub.pooling.model_scores import Evaluated, evaluation
from wardgate.hub.pooling.noisy_cox import noisy_cox
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.boosting import Growth
from wardgate.measures.encoding import LABEL
from wardgate.measures.glm import Family
from wardgate.measures.random_trees import RandomGrowth
from wardgate.measures.survival import Form
from wardgate.measures.terms import Term
from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel
from wardgate.models.survival import CoxModel
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

T = TypeVar("T")


def drive_listed(federation: Federation, study: Study, steps: Generator[Ask, Told, T], *analyses: str) -> T:
    """Run a driver over a federation that was opened for `study` and lists what it asks for.

    Raises:
        Invalid: the federation is another study's, or the locked study does not list an analysis.
    """
    federation.check(study)
    missing = [name for name in analyses if name not in {*OF_THE_CHAIN, *study.analyses}]
    if missing:
        raise Invalid(
            f"the locked study lists no '{missing[0]}' under 'analyses', so no hospital would answer; lock a new"
            f" version of the study with analyses: [{', '.join(analyses)}]"
        )
    return federation.drive(steps)


def _delta(study: Study, given: float | None) -> float:
    return study.budget.delta if given is None else given


def _terms(
    study: Study, *, predictors: Sequence[str] | None, curves: Mapping[str, int], without: str
) -> tuple[Term, ...] | None:
    """Return the terms of a model; None for every feature as it is."""
    if predictors is None and not curves:
        return None
    names = (
        [feature.name for feature in study.features if feature.name != without] if predictors is None else predictors
    )
    strangers = [name for name in curves if name not in names]
    if strangers:
        raise Invalid(f"'{strangers[0]}' shall be a curve but is no predictor")
    return tuple(Term(feature=name, segments=curves.get(name, 0)) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Regression:
    """What all generalised linear models share.

    Attributes:
        outcome: `label`, or a study feature.
        predictors: Names of study features; every one but the outcome by default.
        curves: Segments of the spline of each numeric predictor that is no straight line.
        ridge: Penalty on every coefficient but the intercept, columns in [-1, 1].
        smoothing: Penalty on the bends of curves, or a menu from which the fit chooses.
        site_ridge: Gives every hospital an intercept of its own, shrunk by this ridge; it stays there.
        epsilon, delta: Fit with noise that together costs so much; exact sums without. The study's delta by default.
    """

    outcome: str = LABEL
    predictors: Sequence[str] | None = None
    curves: Mapping[str, int] = field(default_factory=dict)
    ridge: float = 1.0
    smoothing: float | Sequence[float] = SMOOTHING_MENU
    site_ridge: float | None = None
    epsilon: float | None = None
    delta: float | None = None

    def _run(
        self,
        federation: Federation,
        study: Study,
        family: Family,
        *,
        firth: bool = False,
        largest_mean: float | None = None,
    ) -> Fitted:
        terms = _terms(study, predictors=self.predictors, curves=self.curves, without=self.outcome)
        if self.epsilon is None:
            steps = glm(
                study=study,
                sites=federation.sites,
                family=family,
                outcome=self.outcome,
                terms=terms,
                ridge=self.ridge,
                smoothing=self.smoothing,
                firth=firth,
                site_ridge=self.site_ridge,
                largest_mean=largest_mean,
            )
            return drive_listed(federation, study, steps, "glm")
        if firth or self.site_ridge is not None:
            raise Unsupported(
                "Firth's penalty and site intercepts need exact sums: what one person changes in them has no bound"
                " that noise could cover; leave them out, or leave epsilon out"
            )
        noisy = noisy_glm(
            study=study,
            sites=federation.sites,
            epsilon=self.epsilon,
            delta=_delta(study, self.delta),
            family=family,
            outcome=self.outcome,
            terms=terms,
            largest_mean=largest_mean,
        )
        return drive_listed(federation, study, noisy, "glm")


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedLogisticRegression(_Regression):
    """Logistic regression, also as a generalised additive model.

    Attributes:
        firth: Firth's penalised likelihood, finite where a column separates the classes.

    The exact fit equals Newton's method on the pooled table with the same ridge.
    """

    firth: bool = False

    def run(self, federation: Federation, study: Study) -> Fitted:
        """Fit, and return the model with covariance, likelihood and cost; see `fit` for what can go wrong."""
        return self._run(federation, study, "logistic", firth=self.firth)

    def fit(self, federation: Federation, study: Study) -> LinearModel:
        """Fit over all hospitals that take part and return the model.

        Raises:
            Invalid: another study's federation, an analysis that the study does not list, one class only, separable
                data without a ridge, columns that cannot be told apart, or no convergence.
            CheckFailed: a sum stayed closed.
            NotEvaluable: too few persons for this epsilon.
            Unsupported: noise together with Firth's penalty or site intercepts.
        """
        return self.run(federation, study).model


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedLinearRegression(_Regression):
    """Least squares; the exact fit equals the pooled one."""

    def run(self, federation: Federation, study: Study) -> Fitted:
        """Fit, and return the model with covariance, likelihood and cost."""
        return self._run(federation, study, "linear")

    def fit(self, federation: Federation, study: Study) -> LinearModel:
        """Fit over all hospitals that take part and return the model; raises as logistic regression does."""
        return self.run(federation, study).model


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedPoissonRegression(_Regression):
    """Poisson regression of a count.

    Attributes:
        largest_mean: Beyond this mean the likelihood goes on as a line, which bounds one person.
    """

    largest_mean: float | None = None

    def run(self, federation: Federation, study: Study) -> Fitted:
        """Fit, and return the model with covariance, likelihood and cost."""
        return self._run(federation, study, "poisson", largest_mean=self.largest_mean)

    def fit(self, federation: Federation, study: Study) -> LinearModel:
        """Fit over all hospitals that take part and return the model; raises as logistic regression does."""
        return self.run(federation, study).model


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCoxRegression:
    """Cox regression on time bins that all hospitals share; the event is the study's label.

    Attributes:
        time: The numeric study feature that holds the time.
        form: `breslow`, or a discrete-time hazard with link `cloglog` or `logistic`.
        bins: Number of equal time bins, or their edges.
        predictors, curves, ridge: As in regression.
        smoothing: Penalty on the bends of curves.
        epsilon, delta: Fit with noise that together costs so much: a discrete-time hazard with link `logistic`.
    """

    time: str
    form: Form = "breslow"
    bins: int | Sequence[float] = 10
    predictors: Sequence[str] | None = None
    curves: Mapping[str, int] = field(default_factory=dict)
    ridge: float = 1.0
    smoothing: float = 10.0
    epsilon: float | None = None
    delta: float | None = None

    def run(self, federation: Federation, study: Study) -> FittedCox:
        """Fit, and return the model with covariance, likelihood and cost."""
        terms = _terms(study, predictors=self.predictors, curves=self.curves, without=self.time)
        if self.epsilon is not None:
            if self.form != "logistic":
                raise Unsupported(
                    f"noise has no bounded effect on the form '{self.form}'; choose form='logistic', or leave epsilon"
                    " out"
                )
            noisy = noisy_cox(
                study=study,
                sites=federation.sites,
                epsilon=self.epsilon,
                delta=_delta(study, self.delta),
                time=self.time,
                bins=self.bins,
                terms=terms,
            )
            return drive_listed(federation, study, noisy, "cox")
        steps = cox(
            study=study,
            sites=federation.sites,
            time=self.time,
            form=self.form,
            bins=self.bins,
            terms=terms,
            ridge=self.ridge,
            smoothing=self.smoothing,
        )
        return drive_listed(federation, study, steps, "cox")

    def fit(self, federation: Federation, study: Study) -> CoxModel:
        """Fit over all hospitals that take part and return the model.

        Raises:
            Invalid: another study's federation, an analysis that the study does not list, parameters that do not fit
                the study, nobody with the event, or no convergence.
            CheckFailed: a sum stayed closed.
        """
        return self.run(federation, study).model


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedGradientBoostingClassifier:
    """Histogram gradient boosting: the same trees as on the pooled table with the same bins.

    Attributes:
        growth: Trees, depth, learning rate, penalties, monotone constraints.
        most_bins: Bins of a feature, the missing one not counted.
        patience: Stop growing when the loss on tuning persons was best so many trees ago.
        epsilon, delta: Fit with noise instead: random trees whose leaves together cost so much.
        private_growth: How the noisy ensemble grows.
        public_seed: Draws the noisy ensemble's trees; it protects nobody.
    """

    growth: Growth = field(default_factory=Growth)
    most_bins: int = DEFAULT_BINS
    patience: int | None = None
    epsilon: float | None = None
    delta: float | None = None
    private_growth: RandomGrowth = field(default_factory=RandomGrowth)
    public_seed: int = 0

    def run(self, federation: Federation, study: Study) -> Boosted | PrivatelyBoosted:
        """Fit, and return bins, trees and cost."""
        if self.epsilon is None:
            steps = boosting(
                study=study,
                sites=federation.sites,
                growth=self.growth,
                most_bins=self.most_bins,
                numbers_most=numbers_most(federation),
                patience=self.patience,
            )
            wanted = ["boosting_bins", "boosting_histograms"]
            return drive_listed(
                federation, study, steps, *wanted, *([] if self.patience is None else ["boosting_loss"])
            )
        noisy = private_boosting(
            study=study,
            sites=federation.sites,
            growth=self.private_growth,
            epsilon=self.epsilon,
            delta=_delta(study, self.delta),
            public_seed=self.public_seed,
        )
        return drive_listed(federation, study, noisy, "boosting_bins", "boosting_leaves")

    def fit(self, federation: Federation, study: Study) -> BoostingModel:
        """Fit over all hospitals that take part and return the model.

        Raises:
            Invalid: another study's federation, an analysis that the study does not list, or a monotone constraint on
                an unknown or categorical feature.
            NotEvaluable: nobody, one class only, or too few persons for this epsilon.
            CheckFailed: a sum stayed closed, or the ration of exact answers is used up.
        """
        found = self.run(federation, study)
        noise = "" if self.epsilon is None else f"Gaussian, epsilon {self.epsilon:g}"
        return BoostingModel.of(found.bins, found.trees, noise=noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedGan:
    """A generative adversarial network whose critic learns from all hospitals by noisy sums.

    Attributes:
        epsilon, delta: What all sums together cost; the study's `joint_corpus` and `delta` by default.
        settings: Rounds and networks.
        public_seed: Of weights and synthetic rows; it protects nobody.
    """

    epsilon: float | None = None
    delta: float | None = None
    settings: GanSettings = field(default_factory=GanSettings)
    public_seed: int = 0

    def fit(self, federation: Federation, study: Study) -> JointGan:
        """Fit over all hospitals that take part and return what draws rows, with its claim and what it cost.

        Raises:
            Invalid: another study's federation, a study that does not list `critic`, or a budget beyond the study's.
            NotEvaluable: too few persons for this epsilon.
            Unsupported: the study keeps its hospitals apart.
            CheckFailed: a sum of the marginals stayed closed.
        """
        steps = joint_gan(
            study=study,
            sites=federation.sites,
            rng=np.random.default_rng(self.public_seed),
            epsilon=self.epsilon,
            delta=self.delta,
            settings=self.settings,
        )
        return drive_listed(federation, study, steps, "critic")


def numbers_most(federation: Federation) -> int:
    """Return how many numbers one exact sum on training persons may hold, by the policy's ratio to persons."""
    ratio = federation.study.gate.small_cells.max_numbers_per_person
    return max(1, int(federation.persons_at_least("train") * ratio))


def evaluate(
    federation: Federation,
    model: LinearModel | BoostingModel | CoxModel,
    *,
    split: SplitName = "holdout",
    thresholds: Sequence[float] = (),
    epsilon: float | None = None,
) -> Evaluated:
    """Judge a model on the persons of all hospitals, and nobody's score told.

    Args:
        split: `holdout`, `tuning` or `locked_test`; the last opens a counted number of times.
        thresholds: Probabilities at which decisions are judged.
        epsilon: What the sums cost together; exact sums without.

    Raises:
        Invalid: an analysis that the study does not list, or thresholds outside (0, 1).
        NotEvaluable: too few events or non-events.
        CheckFailed: a sum stayed closed.
    """
    steps = evaluation(
        study=federation.study,
        sites=federation.sites,
        model=model,
        persons_at_least=federation.persons_at_least(split),
        thresholds=thresholds,
        split=split,
        epsilon=epsilon,
    )
    return drive_listed(federation, federation.study, steps, "model_scores")
