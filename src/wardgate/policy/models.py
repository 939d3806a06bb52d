"""Rules for released models: what kind they are, whom they hold, whom they over-fit, whom they give away."""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Case, Judge, Judgement, Rule, bounded, counted, where_set
from wardgate.records.gate_policy import GatePolicy, Models


def _limited(judge: Judge) -> Judge:
    """Judge only under a policy that has limits for models; `model.type` refuses under one that has none."""

    return where_set(judge, lambda policy: policy.models)


def _of(limit: Callable[[Models], float]) -> Callable[[GatePolicy], float]:
    return lambda policy: limit(policy.models or Models())


def _type(case: Case) -> Judgement | None:
    if case.policy.models is None:
        reason = "the policy was signed before models could be judged; sign one with limits for models"
        return Judgement(outcome="fail", limit="a policy with limits for models", reason=reason)
    return counted("model.type", most=lambda _: 0)(case)


_SEES_MODEL = "The model with all its numbers, one patient's whole record, and similar patients who took no part."

RULES: tuple[Rule, ...] = (
    Rule(
        name="model.type",
        kinds=("model",),
        tests="Is the model of a kind that is known here and keeps no patients' records (nearest neighbours, support "
        "vectors, Gaussian processes, kernel densities)?",
        attacker="The model.",
        meaning="A model that keeps records hands a patient's record to everybody who has the model.",
        source="SACRO-ML; refusing what is unknown: " + CHOICE,
        judge=_type,
    ),
    Rule(
        name="model.finite",
        kinds=("model",),
        tests="Is every number of the model finite?",
        attacker="Nothing.",
        meaning="A model that is not a number for some patients cannot be judged for them.",
        source=CHOICE,
        judge=_limited(counted("model.finite", most=lambda _: 0)),
    ),
    Rule(
        name="model.smallest_leaf",
        kinds=("model",),
        tests="Training patients at least behind every leaf of a tree and every column with an effect, counted by "
        "sending them through the model.",
        attacker="The model, and what a neighbour knows of one patient.",
        meaning="A leaf of one patient tells that patient's outcome to whoever knows the patient's values.",
        source="11: CMS cell-size policy (2024); SACRO-ML asks for 5",
        judge=_limited(counted("model.smallest_leaf", least=_of(lambda limits: limits.min_leaf))),
    ),
    Rule(
        name="model.rare_columns",
        kinds=("model",),
        tests="Columns with an effect that 1 to 10 training patients have, or lack.",
        attacker="The model, and that one patient has a rare trait.",
        meaning="The effect of a trait that few patients have is what became of these few.",
        source="1 to 10 persons: CMS cell-size policy (2024)",
        judge=_limited(counted("model.rare_columns", most=lambda _: 0)),
    ),
    Rule(
        name="model.kept_records",
        kinds=("model",),
        tests="Do whole records of training patients stand among the model's numbers, one value after the other?",
        attacker="The model's file.",
        meaning="A patient whose record stands in the file can be read from it.",
        source=CHOICE,
        judge=_limited(counted("model.kept_records", most=lambda _: 0)),
    ),
    Rule(
        name="model.parameters_per_person",
        kinds=("model",),
        tests="Free numbers of the model for each training patient.",
        attacker=_SEES_MODEL,
        meaning="With as many free numbers as patients a model can store each of them.",
        source="0.33: DataSHIELD's nfilter.glm",
        judge=_limited(
            bounded("model.parameters_per_person", most=_of(lambda limits: limits.parameters_per_person_max))
        ),
    ),
    Rule(
        name="model.overfit_gap",
        kinds=("model",),
        tests="AUROC on the training patients less AUROC on patients never seen.",
        attacker=_SEES_MODEL,
        meaning="What a model knows better of the patients it learned from is what gives them away.",
        source=CHOICE,
        judge=_limited(
            bounded("model.overfit_gap", most=_of(lambda limits: limits.overfit_gap_max), attack=True),
        ),
    ),
    Rule(
        name="model.membership_auc",
        kinds=("model",),
        tests="How well the strongest attack (confidence, calibrated confidence, RMIA, LiRA) sorts training patients "
        "before patients never seen; 0.5 is guessing.",
        attacker=_SEES_MODEL,
        meaning="At 0.60 an attacker who must choose between a used and an unused patient is right 60 times in 100.",
        source=CHOICE,
        judge=_limited(bounded("model.membership_auc", most=_of(lambda limits: limits.auc_max), attack=True)),
    ),
    Rule(
        name="model.tpr_at_1_percent",
        kinds=("model",),
        tests="Share of training patients named by the worst attack when 1 in 100 others is wrongly named.",
        attacker=_SEES_MODEL,
        meaning="0.01 is guessing; at 0.03 a patient is found three times as often as chance would.",
        source=CHOICE,
        judge=_limited(
            bounded("model.tpr_at_1_percent", most=_of(lambda limits: limits.tpr_at_1_percent), attack=True)
        ),
    ),
)
