"""Rules for a corpus whose population has released corpora before."""

from collections.abc import Callable

from wardgate.policy.rule import CHOICE, Judge, Rule, probable, where_set
from wardgate.records.gate_policy import GatePolicy, Refreshes

_HOLDS_ALL = "Every corpus of this population that ever left, and one patient's whole record."


def _where_limited(name: str, level: Callable[[Refreshes], float]) -> Judge:
    """Judge by the policy's section on refreshes; a policy that was signed before it existed sets no such limit."""

    def level_of(policy: GatePolicy) -> float:
        return 1.0 if policy.refreshes is None else level(policy.refreshes)

    return where_set(probable(name, level_of), lambda policy: policy.refreshes)


RULES: tuple[Rule, ...] = (
    Rule(
        name="refresh.battery",
        kinds=("corpus",),
        tests="The membership test with all earlier corpora and this one together: their union, the mean over them, "
        "and the difference of every two that follow each other.",
        attacker=_HOLDS_ALL,
        meaning="A small value says that collecting the corpora names patients whom none of them names alone.",
        source=CHOICE,
        judge=_where_limited("refresh.battery", lambda refreshes: refreshes.battery_level),
    ),
    Rule(
        name="refresh.changed",
        kinds=("corpus",),
        tests="Whether patients who entered or left since an earlier corpus are told by the difference of the two "
        "corpora, beside patients who came when they did and were never used.",
        attacker=_HOLDS_ALL,
        meaning="A small value says that comparing two corpora shows who came, or who withdrew, in between.",
        source=CHOICE,
        judge=_where_limited("refresh.changed", lambda refreshes: refreshes.changed_level),
    ),
)
