"""What to do after a verdict that is no pass: make it anew, hold something back, or keep it inside."""

from dataclasses import dataclass
from typing import Literal

from wardgate.records.gate_policy import GatePolicy
from wardgate.records.verdict import Evidence, Ruling, Verdict

Way = Literal["regenerate", "restrict", "waive", "refuse"]

_RESTRICT: dict[str, str] = {
    "copies.reused_values": "coarsen the numbers that single persons have (round to a clinical step), or drop them",
    "copies.rare_combinations": "coarsen the quasi-identifiers (wider age bands, fewer regions), or drop one of them",
    "copies.exact": "coarsen numbers; identical records among few coarse columns are chance and pass",
    "disclosure.attribute": "drop or coarsen the sensitive column, or the quasi-identifier that tells it",
    "disclosure.linkability": "drop or coarsen columns that outsiders hold",
    "disclosure.singling_out": "merge rare categories and top-code outliers",
    "disclosure.identity": "coarsen the quasi-identifiers",
    "disclosure.k_map": "coarsen the quasi-identifiers (wider age bands, fewer regions), or drop one of them",
    "membership.battery": "leave the subgroup or the unusual tenth out of the training persons, or merge its values",
}

_ANEW: dict[str, str] = {
    "membership": "fit anew with less capacity, more persons for each leaf or cell, earlier stopping or noise",
    "copies": "fit anew without memory of single persons: more persons for each leaf or cell, or noise",
    "disclosure": "fit anew with less capacity or with noise",
    "refresh": "keep the earlier generalisation, skip this refresh, or spend noise on it",
    "canaries": "fit anew with less capacity or with noise: invented records came back",
    "control": "split the persons again, at random and by person, under a new protocol version, and fit anew",
    "realism": "fit anew with more capacity, or correct what the rule names",
    "timelines": "fit a generator of timelines: rows drawn one by one lose what binds them within a person",
    "model": "fit anew: more persons for each leaf, fewer parameters, a stronger penalty, or noise",
    "aggregate": "merge categories until every cell holds enough persons",
    "images": "fit anew with less capacity, earlier stopping or noise",
}

FINAL = ("evidence.", "attempts", "claim.")
"""Rules after whose failure nothing helps but other evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One thing to do about one ruling."""

    rule: str
    way: Way
    words: str


def remedies(evidence: Evidence, verdict: Verdict, policy: GatePolicy) -> tuple[Remedy, ...]:
    """Return what may be done about every ruling that did not pass, the gentlest way first; none after a pass."""
    against = [ruling for ruling in verdict.rulings if ruling.outcome in ("fail", "not_evaluable")]
    left = policy.max_attempts - evidence.attempt
    return tuple(remedy for ruling in against for remedy in _about(ruling, left, policy))


def _about(ruling: Ruling, left: int, policy: GatePolicy) -> list[Remedy]:
    def remedy(way: Way, words: str) -> Remedy:
        return Remedy(rule=ruling.rule, way=way, words=words)

    if ruling.rule.startswith(FINAL):
        return [remedy("refuse", ruling.reason or f"outside {ruling.limit}")]
    if ruling.rule.startswith("control."):
        return [remedy("refuse", _ANEW["control"])]
    if ruling.outcome == "not_evaluable":
        found = [remedy("regenerate", "with noise whose cumulative epsilon the policy accepts, attacks are replaced")]
        if policy.profile != "public-open":
            found.append(remedy("waive", "a privacy officer and a second person may accept it, with a reason"))
        return found
    found = []
    if ruling.rule in _RESTRICT:
        found.append(remedy("restrict", _RESTRICT[ruling.rule]))
    family = ruling.rule.partition(".")[0]
    if left > 0 and family in _ANEW:
        tries = "1 attempt is" if left == 1 else f"{left} attempts are"
        found.append(remedy("regenerate", f"{_ANEW[family]}; {tries} left, each with stricter limits"))
    if family in ("realism", "timelines"):
        found.append(remedy("waive", "a privacy officer and a second person may accept it, with a reason"))
    if policy.profile != "internal-only" and family in ("disclosure", "copies", "membership"):
        found.append(remedy("refuse", "else keep it inside the hospital"))
    return found or [remedy("refuse", "no attempt is left, so it stays inside the hospital")]
