"""What a run comes to: the few facts that the first page and the terminal both tell."""

import math
from dataclasses import dataclass

from wardgate.papers.words import KINDS, OUTCOMES
from wardgate.records.results import Approach, CorpusAttempt, Results, Site

JOINT = ("federated", "hybrid", "commons")
"""The approaches that build one model for all hospitals, the one that is reported first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Everything of one kind that left the hospitals."""

    kind: str
    items: int
    sites: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One place whose candidates the gate refused: a hospital, or the joint corpus."""

    where: str
    attempts: tuple[CorpusAttempt, ...]
    released_later: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The facts of page one.

    Attributes:
        joint: The joint model's figures, or None where no approach has any.
        took_part, refused, mismatched: Hospitals by what they did.
        refusals: Where the gate refused a candidate corpus.
        flows: What left, by kind, in the order of `words.KINDS`.
        epsilon: Largest joint epsilon that one population and split has spent; infinite where one is unknown.
        epsilon_site: Where that was.
        exact_answers: Exact answers given over all hospitals.
        not_evaluable, covered_by_dp: Rulings over all candidates that no attack could decide.
        too_small: Hospitals that took part and have no figure in any approach.
    """

    joint: Approach | None
    took_part: tuple[Site, ...]
    refused: tuple[Site, ...]
    mismatched: tuple[Site, ...]
    refusals: tuple[Refusal, ...]
    flows: tuple[Flow, ...]
    items_out: int
    bytes_out: int
    bytes_in: int
    epsilon: float
    epsilon_site: str
    exact_answers: int
    rulings: int
    not_evaluable: int
    covered_by_dp: int
    too_small: tuple[str, ...]


def overview(results: Results) -> Overview:
    """Return what `results` comes to. Pure; counts, sums and picks, nothing is estimated here."""
    sites = results.sites
    rulings = [
        ruling.outcome
        for attempt in (*(a for site in sites for a in site.attempts), *results.joint_corpus)
        for ruling in attempt.verdict.rulings
    ]
    spent = ((line.epsilon, site.id) for site in sites for line in site.budget)
    lines = [(math.inf if math.isnan(epsilon) else epsilon, name) for epsilon, name in spent]
    epsilon, epsilon_site = max(lines, key=lambda line: line[0], default=(0.0, ""))
    with_figures = {figure.id for approach in results.approaches for figure in approach.sites}
    took_part = tuple(site for site in sites if site.state == "took part")
    return Overview(
        joint=joint(results.approaches),
        took_part=took_part,
        refused=tuple(site for site in sites if site.state == "refused the study"),
        mismatched=tuple(site for site in sites if site.state == "excluded: definition mismatch"),
        refusals=_refusals(results),
        flows=_flows(sites),
        items_out=sum(len(site.left) for site in sites),
        bytes_out=sum(site.bytes_out for site in sites),
        bytes_in=sum(site.bytes_in for site in sites),
        epsilon=epsilon,
        epsilon_site=epsilon_site,
        exact_answers=sum(line.exact_answers for site in sites for line in site.budget),
        rulings=len(rulings),
        not_evaluable=rulings.count("not_evaluable"),
        covered_by_dp=rulings.count("covered_by_dp"),
        too_small=tuple(site.id for site in took_part if site.id not in with_figures),
    )


def joint(approaches: tuple[Approach, ...]) -> Approach | None:
    """Return the joint model among `approaches`: the first of `JOINT` that has an AUROC."""
    found = {approach.name: approach for approach in approaches if approach.auroc is not None}
    return next((found[name] for name in JOINT if name in found), None)


def _flows(sites: tuple[Site, ...]) -> tuple[Flow, ...]:
    flows = []
    for kind in KINDS:
        per_site = [[left.bytes for left in site.left if left.kind == kind] for site in sites]
        flows.append(
            Flow(
                kind=kind,
                items=sum(len(sizes) for sizes in per_site),
                sites=sum(bool(sizes) for sizes in per_site),
                bytes=sum(sum(sizes) for sizes in per_site),
            )
        )
    return tuple(flows)


def _refusals(results: Results) -> tuple[Refusal, ...]:
    places = [(site.id, site.attempts) for site in results.sites] + [("the joint corpus", results.joint_corpus)]
    found = []
    for where, attempts in places:
        refused = tuple(attempt for attempt in attempts if not attempt.released)
        if refused:
            reasons = {
                f"{ruling.rule} ({OUTCOMES[ruling.outcome]})": None
                for attempt in refused
                for ruling in attempt.verdict.rulings
                if ruling.outcome in ("fail", "not_evaluable")
            }
            found.append(
                Refusal(
                    where=where,
                    attempts=refused,
                    released_later=any(attempt.released for attempt in attempts),
                    reasons=tuple(reasons),
                )
            )
    return tuple(found)
