"""Does evidence speak of what was asked? The policy judges evidence; here it is held against the question."""

from collections.abc import Mapping

from wardgate.computations.menu import probability_of
from wardgate.computations.network_update import OUTCOMES
from wardgate.measures.disclosure import unrounded
from wardgate.records.canonical import number_of
from wardgate.records.errors import Broken
from wardgate.records.messages import Answer, Question
from wardgate.records.verdict import Evidence

KINDS = {
    "review": "record",
    "roster": "record",
    "close": "record",
    "corpus": "corpus",
    "associations": "sited",
    "evaluate": "sited",
    "personal": "sited",
    "prepare": "record",
    "shares": "record",
    "confirm": "summed",
    "reveal": "record",
}
"""What may leave as an answer to each question that asks for no sum."""


def check_evidence(answer: Answer, question: Question, *, persons: int, step: float) -> None:
    """Check the parts of an answer's evidence that anybody can count.

    Args:
        persons: Persons at least whom the question touches, by what its sites signed.
        step: To which the policy rounds one site's own figures.

    Raises:
        Broken: the noise was a test's, or kind, sites, numbers, persons or noise are not those of the question.
    """
    evidence = answer.evidence
    if evidence is None:
        return
    check_noise_source(evidence)
    if evidence.kind == "corpus":
        check_outcome(evidence)
    check_kind(evidence, question)
    terms = question.sum
    expected: dict[str, float] = {}
    if terms is not None:
        expected = {"sum.sites": len(terms.roster), "sum.numbers": terms.entries, "sum.persons": persons}
    elif question.computation == "confirm":
        expected = {"sum.sites": len(set(question.parameters["survivors"]))}
    elif evidence.kind == "sited":
        figures = [number_of(text) for text in answer.statement["figures"].values()]
        expected = {"sited.unrounded": unrounded(figures, step=step).value}
    measured = {one.name: one.value for one in evidence.measured}
    for name, value in expected.items():
        if measured.get(name) != value:
            raise Broken(f"the evidence states {name} = {measured.get(name)}, question and answer make it {value}")
    if terms is None:
        return
    claim, probability = evidence.claim, probability_of(question)
    stated = [(event.noise_multiplier, 1.0, event.count) for event in claim.gaussian]
    stated += [(event.noise_multiplier, event.probability, event.count) for event in claim.sampled]
    wanted = [] if terms.noise_multiplier is None else [(terms.noise_multiplier, probability, 1)]
    if stated != wanted or (evidence.claim.kind == "exact") != (terms.noise_multiplier is None):
        raise Broken("the evidence claims other noise than the question asks for")
    if answer.outcome == "released" and not _may_say(answer.statement, exact=terms.noise_multiplier is None):
        raise Broken("the answer to a sum says more beside it than a hospital may say of its work")


def _may_say(statement: Mapping[str, object], *, exact: bool) -> bool:
    """Whether words beside a masked answer are none, or beside an exact one how training went, out of a fixed list."""
    return not statement or (exact and statement.keys() == {"training"} and statement["training"] in OUTCOMES)


def check_kind(evidence: Evidence, question: Question) -> None:
    """Hold the kind of an answer's evidence against the question; each kind has rules of its own.

    Raises:
        Broken: it is of another kind, so that gentler rules would have judged it.
    """
    kind = "summed" if question.sum is not None else KINDS.get(question.computation, "nothing")
    if evidence.kind != kind:
        raise Broken(f"the evidence is of kind '{evidence.kind}', the question asks for '{kind}'")


def check_outcome(evidence: Evidence) -> None:
    """Refuse evidence on a study's corpus that says there is no outcome: rules of models would then not speak.

    Raises:
        Broken: it says so; every study has one.
    """
    if any(one.name == "realism.outcomes" and one.value != 1 for one in evidence.measured):
        raise Broken("the evidence says that the corpus has no outcome, the study names one")


def check_noise_source(evidence: Evidence) -> None:
    """Refuse what was made with a test's repeatable noise.

    Raises:
        Broken: the noise did not come from the operating system.
    """
    if evidence.claim.noise_source != "system":
        raise Broken(
            f"made with noise from '{evidence.claim.noise_source}', a repeatable stream for tests; such a run protects"
            " nobody and is never accepted"
        )
