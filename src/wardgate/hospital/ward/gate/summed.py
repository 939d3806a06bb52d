"""The evidence on a secure sum: how many stand in it, what it costs, and whom it gives away beside earlier ones."""

from collections.abc import Mapping

from wardgate.hospital.ward.gate.ledger import PrivateLedger
from wardgate.privacy.budget import Spending, Split
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.measured import Measured
from wardgate.records.verdict import Evidence
from wardgate.sums.incidence import isolates, thin


def summed_evidence(
    ledger: PrivateLedger,
    *,
    minimum: int,
    split: Split,
    roster: frozenset[str],
    persons: int,
    numbers: int,
    claim: Claim,
    persons_of: Mapping[str, int],
    share: float,
    spending: Spending | None = None,
) -> Evidence:
    """Return the evidence on one sum.

    Args:
        minimum: Fewest persons whom exact sums together may give away.
        persons: In the whole sum, at least.
        numbers: Entries of the vector.
        persons_of, share: Of each site over all splits, at least, and the share of this split.
        spending: What the sum costs, where that is not in the ledger yet.
    """
    isolated = None
    if claim.kind == "exact":
        rosters = (*ledger.rosters(split), roster)
        isolated = isolates(rosters) or thin(rosters, persons=persons_of, minimum=minimum / share)
    used = ledger.exact_answers(split) + (0 if spending is None else spending.exact)
    return Evidence(
        kind="summed",
        persons_train=band(persons),
        attempt=1,
        claim=claim,
        cumulative_epsilon=ledger.cumulative(split, extra=spending),
        measured=(
            counted("sum.sites", len(roster)),
            counted("sum.persons", persons),
            counted("sum.numbers", numbers),
            counted("sum.isolated", 0 if isolated is None else 1),
            counted("sum.exact_used", used),
        ),
    )


def counted(name: str, value: int) -> Measured:
    """Return a count, which is known without error."""
    return Measured(name=name, value=value, low=value, high=value)
