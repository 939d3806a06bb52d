"""Rules for synthetic corpora: the veto against copies. Passing proves nothing."""

from wardgate.policy.rule import CHOICE, Rule, probable, where_set

RULES: tuple[Rule, ...] = (
    Rule(
        name="copies.near",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: among the rows nearest to any patient, is the nearest one suspiciously often a training patient?",
        attacker="The corpus and one patient's whole record.",
        meaning="A small value says that rows lie closer to the patients used than to patients never seen. "
        "Passing proves nothing.",
        source=CHOICE,
        judge=probable("copies.near", lambda policy: policy.proximity.near_copy_level),
    ),
    Rule(
        name="copies.crowded",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: do many rows crowd around one training patient, far more than around any patient never seen?",
        attacker="The corpus and one patient's whole record.",
        meaning="Many rows made from one record give that patient away, though every other patient is safe.",
        source=CHOICE,
        judge=where_set(
            probable("copies.crowded", lambda policy: policy.proximity.crowded_level or 0.0),
            lambda policy: policy.proximity.crowded_level,
        ),
    ),
    Rule(
        name="copies.exact",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: are whole records reproduced more often for training patients than for patients never seen?",
        attacker="The corpus and one patient's whole record.",
        meaning="Identical rows happen by chance among common patients; more of them than chance are copies.",
        source=CHOICE,
        judge=probable("copies.exact", lambda policy: policy.proximity.exact_match_level),
    ),
    Rule(
        name="copies.reused_values",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: numbers that one person alone has: do the training patients' turn up more often than others'?",
        attacker="The corpus and one laboratory value of a patient.",
        meaning="A value that only one patient has can name that patient, even when the rest of the row is invented.",
        source=CHOICE,
        judge=probable("copies.reused_values", lambda policy: policy.proximity.reused_values_level),
    ),
    Rule(
        name="copies.rare_combinations",
        kinds=("corpus", "joint-corpus"),
        tests="Veto: combinations of outwardly known traits held by 1 to 10 persons: are the training patients' "
        "reproduced more often than others'?",
        attacker="The corpus and what a neighbour knows: age, sex, region.",
        meaning="A reproduced rare combination tells that somebody like this was a patient here.",
        source="1 to 10 persons: CMS cell-size policy (2024); level: " + CHOICE,
        judge=probable("copies.rare_combinations", lambda policy: policy.proximity.rare_combinations_level),
    ),
)
