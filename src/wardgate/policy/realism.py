"""Rules for synthetic corpora: are they good for anything?"""

from wardgate.policy.rule import CHOICE, Rule, bounded
from wardgate.records.verdict import Kind

JOINT_OPTIONAL: tuple[Kind, ...] = ("joint-corpus",)

RULES: tuple[Rule, ...] = (
    Rule(
        name="realism.marginal_error",
        kinds=("corpus", "joint-corpus"),
        tests="Mean distance (total variation) between real and synthetic columns, missing values included.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="At 0.15, fifteen in a hundred values would have to change to match reality.",
        source=CHOICE,
        judge=bounded(
            "realism.marginal_error", most=lambda policy: policy.realism.marginal_error_max, optional=JOINT_OPTIONAL
        ),
    ),
    Rule(
        name="realism.pairwise_error",
        kinds=("corpus", "joint-corpus"),
        tests="The same over all pairs of columns.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="Low values say that findings which go together in patients go together in the corpus.",
        source=CHOICE,
        judge=bounded(
            "realism.pairwise_error", most=lambda policy: policy.realism.pairwise_error_max, optional=JOINT_OPTIONAL
        ),
    ),
    Rule(
        name="realism.clinical_rules",
        kinds=("corpus", "joint-corpus"),
        tests="Share of rows that break none of the study's clinical rules.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="Rows that no real patient could be teach a model nonsense.",
        source=CHOICE,
        judge=bounded(
            "realism.clinical_rules", least=lambda policy: policy.realism.clinical_rules_min, optional=JOINT_OPTIONAL
        ),
    ),
    Rule(
        name="realism.tstr_loss",
        kinds=("corpus", "joint-corpus"),
        tests="AUROC lost on patients never seen by a model trained on the corpus instead of on the training patients.",
        attacker="Nothing; this is about use, not privacy.",
        meaning="At 0.08 a model learned from the corpus ranks 8 pairs in 100 worse than one learned from patients.",
        source=CHOICE,
        judge=bounded("realism.tstr_loss", most=lambda policy: policy.realism.tstr_loss_max, optional=JOINT_OPTIONAL),
    ),
)
