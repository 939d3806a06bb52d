"""Questions and answers in plain words: what was asked, and what left."""

from collections.abc import Mapping
from typing import Any

from wardgate.computations.menu import OF_THE_CHAIN
from wardgate.computations.networks import described
from wardgate.hospital.ward.porter.book import clean
from wardgate.hospital.ward.porter.phrases import PERSONS, STEPS, SUMMED
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid
from wardgate.records.messages import Answer, Question, SplitName, SumTerms
from wardgate.records.network import Architecture
from wardgate.records.study import Study

ALWAYS = ("review", "roster", "associations", "corpus", "evaluate", "close")
RECOVERING = ("prepare", "shares", "confirm", "reveal")


def words_of(question: Question) -> str:
    """Say what a question asks of this hospital.

    Example:
        One step of fitting the study's logistic regression on the training persons: a sum over 6 hospitals of a
        gradient, a curvature matrix and a log-likelihood (65 numbers), masked; exact.
    """
    step, phrase = STEPS.get(question.computation), SUMMED.get(question.computation)
    if step is not None:
        said = step(question)
    elif phrase is not None:
        what, content = phrase(question.parameters)
        said = f"{what} on {PERSONS.get(question.split, 'persons of no split')}: {_sum(question.sum, content)}"
    else:
        said = f"Something that this version does not know, called '{question.computation}'; it will be refused"
    opened = " It needs an opening of the locked test." if question.split == "locked_test" else ""
    return f"{said}.{opened}"


def _sum(terms: SumTerms | None, content: str) -> str:
    if terms is None:
        return f"{content}, and no sum to hide it in; it will be refused"
    noise = "exact"
    if terms.noise_multiplier is not None:
        noise = f"with noise of {terms.noise_multiplier:g} times what one person can change"
    return f"a sum over {len(terms.roster)} hospitals of {content} ({terms.entries} numbers), masked; {noise}"


def left_of(answer: Answer) -> str:
    """Return what kind of thing left with an answer, by the word that the book keeps."""
    if answer.outcome == "refused":
        return "nothing"
    match "" if answer.evidence is None else answer.evidence.kind:
        case "summed" if any(ref.name == "masked" for ref in answer.vectors):
            return "sum"
        case "sited":
            return "figures"
        case "corpus":
            return "corpus"
        case _:
            return "statement"


def answer_words(answer: Answer, question: Question, *, size: int) -> str:
    """Say what left as the answer to a question.

    Args:
        size: Bytes of the whole parcel.
    """
    if answer.outcome == "refused":
        return f"Refused, and no figure of patients left: {clean(answer.refusal)}"
    opening = "" if answer.opening is None else f" This was opening {answer.opening} of the locked test."
    claim = None if answer.evidence is None else answer.evidence.claim
    match left_of(answer):
        case "sum":
            sites = 0 if question.sum is None else len(question.sum.roster)
            numbers = sum(ref.shape[0] for ref in answer.vectors if ref.name == "masked" and ref.shape)
            said = (
                f"A masked vector of {numbers} numbers left ({size} bytes), {_noise(claim)}; by itself it is noise, and"
                f" only the sum over {sites} hospitals opens."
            )
        case "figures":
            figures = answer.statement.get("figures")
            count = len(figures) if isinstance(figures, dict) else 0
            said = f"{count} rounded figures of this hospital alone left ({size} bytes), {_noise(claim)}."
        case "corpus":
            said = f"A synthetic table with its certificate left ({size} bytes), {_noise(claim)}."
        case _:
            said = f"A statement left ({size} bytes): {_statement(question)}."
    return said + opening


def _statement(question: Question) -> str:
    return {
        "review": "bands, checks and reasons, and this hospital's key for the study",
        "close": "what was spent, and digests of everything asked and answered",
        "confirm": "a signature under the list of hospitals whose sum opens",
        "reveal": "shares of masks of other hospitals",
        "prepare": "shares of this hospital's masks, locked for its partners",
    }.get(question.computation, "that it was done; nothing about patients")


def _noise(claim: Claim | None) -> str:
    if claim is None or claim.kind == "exact":
        return "exact, covered by no epsilon"
    if claim.kind == "none":
        return "from a generator without a guarantee"
    return "with noise" if claim.epsilon is None else f"with noise worth epsilon {claim.epsilon:.3g}"


def may_ask(study: Study) -> tuple[str, ...]:
    """Say what a study may ask, a line each, without the numbers of a single question."""
    lines = [STEPS[name](_blank(study, name)) for name in ALWAYS]
    if study.drop_out is not None:
        lines += [STEPS[name](_blank(study, name)) for name in RECOVERING]
    if "likeness" in study.analyses:
        lines.append(STEPS["personal"](_blank(study, "personal")))
    for name in dict.fromkeys((*sorted(OF_THE_CHAIN), *study.analyses)):
        phrase = SUMMED.get(name)
        if phrase is None:
            lines.append(f"'{name}', which this version does not know and will refuse")
            continue
        what, content = phrase(MAY_ASK.get(name, {}))
        lines.append(f"{what}: sums of {content}")
    for name, architecture in study.networks.items():
        lines.append(f"The network '{name}' and no other under this name: {_network(architecture)}")
    return tuple(lines)


def _network(architecture: Architecture) -> str:
    try:
        return described(architecture)
    except Invalid as error:
        return f"it cannot be trained ({error})"


MAY_ASK: Mapping[str, Mapping[str, Any]] = {
    "score_bins": {"model": "any model of the study"},
    "glm": {"outcome": "any outcome", "terms": ("any features",)},
    "cox": {"form": "breslow", "time": "any time", "terms": ("any features",)},
    "summaries": {"features": ("any features",)},
    "moments": {"columns": ("any columns",), "order": 2},
    "tables": {"tables": (["any feature"], ["any other"])},
    "model_scores": {"models": ("any model",)},
}
"""Parameters under which a phrase speaks of any question of its kind."""


def _blank(study: Study, name: str) -> Question:
    parameters = {"models": ["any model of the study"]} if name == "evaluate" else {}
    split: SplitName = "holdout" if name in ("evaluate", "personal") else "none"
    return Question(study_sha256=study.fingerprint(), number=0, computation=name, split=split, parameters=parameters)
