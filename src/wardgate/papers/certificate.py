"""A certificate on one page, for a privacy officer."""

from collections.abc import Sequence

from wardgate.papers.page import page
from wardgate.papers.rulings import attackers, drawn, families, in_numbers, untested
from wardgate.records.approval import Approval
from wardgate.records.certificate import Certificate, Opened
from wardgate.records.finding import Check

LOOKS = {"pass": "pass", "pass_with_exceptions": "warn", "fail": "fail", "not_evaluable": "none"}


def certificate_html(opened: Opened, *, checks: Sequence[Check] = (), approvals: Sequence[Approval] = ()) -> str:
    """Return a certificate as one self-contained HTML page.

    Pure: equal arguments give equal bytes. The page asks nothing of any network, needs no script and no mouse.

    Args:
        checks: What `wardgate verify` found; without them the page says that nothing was checked.
        approvals: Those that lie beside the certificate, beyond those inside it.
    """
    said = opened.certificate
    outcomes = [ruling.outcome for ruling in said.verdict.rulings]
    grouped = families(said.verdict)
    return page(
        "certificate.html",
        helpers={"drawn": drawn},
        opened=opened,
        look=LOOKS[said.verdict.outcome],
        passed=said.verdict.outcome in ("pass", "pass_with_exceptions"),
        checks=checks,
        trouble=[one for one in checks if one.state in ("broken", "refused")],
        held=sum(outcome in ("pass", "covered_by_dp") for outcome in outcomes),
        covered=outcomes.count("covered_by_dp"),
        families=grouped,
        sentences=in_numbers(said.verdict),
        knows=attackers(said.evidence, said.verdict),
        untested=untested(said.evidence, said.verdict),
        held_back=held_back(said),
        approvals=tuple(dict.fromkeys((*said.approvals, *approvals))),
    )


def held_back(said: Certificate) -> tuple[str, ...]:
    """Return what was taken out, in words."""
    kept = said.restrictions
    return (
        *(f"dropped: {name}" for name in kept.columns_dropped),
        *(f"coarsened: {name}" for name in kept.columns_coarsened),
        *(f"left out: {name}" for name in kept.subgroups_left_out),
    )
