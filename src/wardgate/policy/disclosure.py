"""Rules for synthetic corpora: what does the corpus tell of one person, beyond what any corpus would?"""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Judge, Rule, bounded, where_set
from wardgate.records.gate_policy import Disclosure, GatePolicy


def _limited(
    name: str, *, most: Callable[[Disclosure], float] | None = None, least: Callable[[Disclosure], float] | None = None
) -> Judge:
    """Judge by the section on disclosure; a policy that was signed before there was one sets no such limit."""

    def of(limit: Callable[[Disclosure], float] | None) -> Callable[[GatePolicy], float] | None:
        if limit is None:
            return None
        return lambda policy: limit(policy.disclosure or Disclosure())

    judge = bounded(name, most=of(most), least=of(least), attack=True)
    return where_set(judge, lambda policy: policy.disclosure)


_SOURCE = "0.09: EMA Policy 0070 and Health Canada; its use for an excess over a control: " + CHOICE

RULES: tuple[Rule, ...] = (
    Rule(
        name="disclosure.attribute",
        kinds=("corpus", "joint-corpus"),
        tests="How much better sensitive columns of the patients used are guessed with the corpus than those of "
        "patients never seen; the worst column counts.",
        attacker="The corpus, and a patient's outwardly known traits, or all of the record but a few columns.",
        meaning="At 0.09 an attacker learns a sensitive value of 9 in 100 patients only because they were used.",
        source=_SOURCE,
        judge=_limited("disclosure.attribute", most=lambda limits: limits.attribute_max),
    ),
    Rule(
        name="disclosure.linkability",
        kinds=("corpus", "joint-corpus"),
        tests="How much more often two halves of a record are joined through the corpus for patients used than for "
        "patients never seen.",
        attacker="The corpus, and two sources that each hold half of the columns, without names in common.",
        meaning="At 0.09 the records of 9 in 100 patients can be joined only because they were used.",
        source=_SOURCE,
        judge=_limited("disclosure.linkability", most=lambda limits: limits.linkability_max),
    ),
    Rule(
        name="disclosure.singling_out",
        kinds=("corpus", "joint-corpus"),
        tests="How many more patients used than patients never seen are the only one to meet a condition read off "
        "the corpus.",
        attacker="The corpus alone.",
        meaning="At 0.09 a condition from the corpus points at 9 in 100 patients, and at nobody else, because they "
        "were used.",
        source=_SOURCE,
        judge=_limited("disclosure.singling_out", most=lambda limits: limits.singling_out_max),
    ),
    Rule(
        name="disclosure.identity",
        kinds=("corpus", "joint-corpus"),
        tests="The chance that a patient is matched by outwardly known traits and the match teaches something new, "
        "less the same for patients never seen.",
        attacker="The corpus and a patient's outwardly known traits; knows that the patient was treated here.",
        meaning="At 0.09 nine in 100 patients are found and something is learned of them, because they were used.",
        source="0.09: EMA Policy 0070 and Health Canada; the model: El Emam et al. 2020; the control: " + CHOICE,
        judge=_limited("disclosure.identity", most=lambda limits: limits.identity_max),
    ),
    Rule(
        name="disclosure.k_map",
        kinds=("corpus", "joint-corpus"),
        tests="How many people of the population stand behind a rare combination of outwardly known traits that the "
        "corpus shows because a patient with it was used.",
        attacker="The corpus and a register of the population with everybody's outwardly known traits.",
        meaning="At 11 such a combination names its patient with a chance of 1 in 11; at 1 with certainty.",
        source="11: the same rule as a risk of 0.09 (EMA Policy 0070, Health Canada; CMS cell size)",
        judge=_limited("disclosure.k_map", least=lambda limits: float(limits.k_map_min)),
    ),
)
