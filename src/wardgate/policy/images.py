"""Rules for synthetic images: copies of patients' images, whatever their shift, and membership."""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Case, Judge, Judgement, Rule, bounded, missing, probable, sound, where_set
from wardgate.records.gate_policy import GatePolicy, Images


def _limited(judge: Judge) -> Judge:
    """Judge only under a policy that has limits for images; `images.near` refuses under one that has none."""

    return where_set(judge, lambda policy: policy.images)


def _of(limit: Callable[[Images], float]) -> Callable[[GatePolicy], float]:
    return lambda policy: limit(policy.images or Images())


def _near(case: Case) -> Judgement | None:
    if case.policy.images is None:
        reason = "the policy was signed before images could be judged; sign one with limits for images"
        return Judgement(outcome="fail", limit="a policy with limits for images", reason=reason)
    return probable("images.near", _of(lambda limits: limits.near_copy_level))(case)


def _rehearsal(case: Case) -> Judgement:
    name, least = "images.rehearsal", case.policy.membership.min_detect_probability
    limit = f"planted copies caught with probability at least {least:g}"
    measured, _ = case.find(name)
    if measured is None:
        return missing(case, name, limit, attack=True)
    if not sound(measured) or measured.level < case.interval_level - 1e-9:
        reason = "the measure is not a number, or its interval too narrow"
        return Judgement(outcome="fail", limit=limit, measured=measured, reason=reason)
    share = case.policy.membership.planted_copy_fraction
    detects = f"{share:.1%} shifted copies in {measured.value:.0%} of rehearsals (at least {measured.low:.0%})"
    if measured.low >= least:
        return Judgement(outcome="pass", limit=limit, measured=measured, detects=detects)
    reason = "the tests are too weak on such images to call their silence a pass"
    return Judgement(outcome=case.untested, limit=limit, measured=measured, reason=reason, detects=detects)


_SEES_IMAGES = "The synthetic images and one patient's real image, perhaps in another position or brightness."

RULES: tuple[Rule, ...] = (
    Rule(
        name="images.near",
        kinds=("images",),
        tests="Veto: among the synthetic images nearest to any patient's, are the nearest patients suspiciously often "
        "training patients? In three spaces, as they are and mirrored.",
        attacker=_SEES_IMAGES,
        meaning="A small value says that images lie closer to the patients used than to patients never seen. "
        "Passing proves nothing.",
        source=CHOICE,
        judge=_near,
    ),
    Rule(
        name="images.copied",
        kinds=("images",),
        tests="Veto: are synthetic images copies of one training patient's, shifted, mirrored, or changed in "
        "brightness and contrast?",
        attacker=_SEES_IMAGES,
        meaning="A copied image shows a patient's body to whoever has seen the original. Passing proves nothing.",
        source=CHOICE,
        judge=_limited(probable("images.copied", _of(lambda limits: limits.copied_level))),
    ),
    Rule(
        name="images.rehearsal",
        kinds=("images",),
        tests="Shifted and mirrored copies of training images are planted in the candidate; how often are they caught?",
        attacker=_SEES_IMAGES,
        meaning="A test that would not notice copied images says nothing by staying silent.",
        source=CHOICE,
        judge=_limited(_rehearsal),
    ),
    Rule(
        name="images.battery",
        kinds=("images",),
        tests="One test over all attacks and the most unusual tenth of patients: the largest standardised success, "
        "against random relabelling of members and non-members.",
        attacker=_SEES_IMAGES + " Images of other patients as well.",
        meaning="A small value says that some attack tells patients who were used from patients who were not.",
        source=CHOICE,
        judge=_limited(probable("images.battery", _of(lambda limits: limits.membership_level))),
    ),
    Rule(
        name="images.membership_auc",
        kinds=("images",),
        tests="How well the attacks together sort training patients before others; 0.5 is guessing.",
        attacker=_SEES_IMAGES + " Images of other patients as well.",
        meaning="At 0.55 an attacker who must choose between a used and an unused patient is right 55 times in 100.",
        source=CHOICE,
        judge=_limited(bounded("images.membership_auc", most=_of(lambda limits: limits.auc_max), attack=True)),
    ),
)
