"""What the gate found, on one page, before there is a certificate: verdict, remedies, every rule."""

from collections.abc import Sequence

from wardgate.papers.certificate import LOOKS
from wardgate.papers.page import page
from wardgate.papers.rulings import attackers, drawn, families, in_numbers, untested
from wardgate.records.certificate import claim_for
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.verdict import Evidence, Verdict

AGAINST = ("fail", "not_evaluable")


def gate_report_html(
    evidence: Evidence,
    verdict: Verdict,
    *,
    remedies: Sequence[tuple[str, str]] = (),
    title: str = "A candidate at the gate",
    policy: GatePolicy | None = None,
    held_back: Sequence[str] = (),
    on: str = "",
) -> str:
    """Return the gate's report as one self-contained HTML page, in the look of the certificate.

    Pure: equal arguments give equal bytes.

    Args:
        remedies: (rule, what may be done about it), in the order in which they should be tried.
        policy: The limits; with it the page names profile and attempts.
        held_back: What was taken out of the candidate, in words.
        on: Today, as an ISO date.
    """
    against = [ruling for ruling in verdict.rulings if ruling.outcome in AGAINST]
    return page(
        "gate_report.html",
        helpers={"drawn": drawn},
        evidence=evidence,
        verdict=verdict,
        title=title,
        policy=policy,
        held_back=held_back,
        on=on,
        look=LOOKS[verdict.outcome],
        words=claim_for(verdict),
        held=sum(ruling.outcome in ("pass", "covered_by_dp") for ruling in verdict.rulings),
        against=against,
        todo=[(one.rule, one.reason, [words for rule, words in remedies if rule == one.rule]) for one in against],
        families=families(verdict),
        sentences=in_numbers(verdict),
        knows=attackers(evidence, verdict),
        untested=untested(evidence, verdict),
    )
