"""What a measured value means for one patient, in numbers that people can picture."""

from wardgate.papers.words import chance, figure, measure
from wardgate.records.measured import Measured
from wardgate.records.verdict import Ruling

_GAIN = {
    "disclosure.attribute": "guesses a sensitive value of a patient",
    "disclosure.linkability": "joins two halves of a patient's record",
    "disclosure.singling_out": "writes a description that fits one patient alone",
}

_TPR = {"membership.tpr_at_1_percent": (1_000, 10), "membership.tpr_at_0_1_percent": (10_000, 10)}


def for_one_patient(ruling: Ruling) -> str:
    """Return a sentence about the measured value of a ruling, or nothing where the rule's own words say it all.

    The pessimistic end of the interval is always told: that is what the rule judges.
    """
    found = ruling.measured
    if found is None or not found.low <= found.value <= found.high:
        return ""
    if ruling.limit.startswith("chance of"):
        return _by_chance(found)
    if ruling.rule.endswith(".auc"):
        return (
            f"Asked which of two patients was used, an attacker is right {100 * found.value:.0f} times in 100, at worst"
            f" {100 * found.high:.0f} times; guessing is right 50 times."
        )
    if ruling.rule in _TPR:
        of, wrong = _TPR[ruling.rule]
        return (
            f"Of {of:,} patients who were used, an attacker names {found.value * of:.0f}, at worst"
            f" {found.high * of:.0f}, while wrongly naming {wrong} of {of:,} who were not; chance names {wrong}."
        )
    if ruling.rule == "membership.rehearsal":
        return (
            f"Had patients been copied, these tests would have noticed in {chance(found.value)} of the rehearsals, and"
            f" by the interval in at least {chance(found.low)} of such cases."
        )
    if ruling.rule in _GAIN:
        return (
            f"With the corpus in hand an attacker {_GAIN[ruling.rule]} {_more(found.value)} in 100 tries if the patient"
            f" was used than if not; at worst {_more(found.high)}."
        )
    if ruling.rule == "disclosure.identity":
        return f"The chance that a patient is recognised and something new is learned is at most {chance(found.high)}."
    if ruling.rule == "disclosure.k_map" and found.low >= 1:
        return f"Whoever matches a row to a person of the population is right at most 1 time in {found.low:.0f}."
    return ""


def _by_chance(found: Measured) -> str:
    if found.value >= 0.1:
        return f"Looks like chance: of 100 corpora that leak nobody, {100 * found.value:.0f} look like this or worse."
    if found.value >= 0.001:
        about = max(1, round(1000 * found.value))
        return f"Of 1,000 corpora that leak nobody, about {about} would look like this or worse."
    return f"Chance alone hardly does this: a probability of {measure(found.value)}."


def _more(value: float) -> str:
    times = 100 * value
    return f"{figure(times, 1)} times more" if times >= 0 else f"{figure(-times, 1)} times fewer"
