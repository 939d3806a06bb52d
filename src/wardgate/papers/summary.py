"""The run on one screen of a terminal."""

from wardgate.papers.overview import overview
from wardgate.papers.words import (
    APPROACHES,
    KINDS,
    belief,
    chance,
    figure,
    listed,
    measure,
    number,
    size,
    with_interval,
)
from wardgate.records.results import Approach, Results

_HEAD = f"  {'approach':<16}{'AUROC (95 % interval)':<25}{'O/E':>6}{'slope':>7}  {'worst hospital':<24}{'bytes':>9}"


def summarise(results: Results) -> str:
    """Return the run as plain text of about 25 lines. Pure; figures that may not be shown are said in words.

    Control characters in texts of `results` (a terminal would obey them) become a question mark.
    """
    facts = overview(results)
    lines = [
        f"{results.title} ({results.study_id}, version {results.study_version}, {results.study_sha256[:16]})",
        "SYNTHETIC AND AGGREGATES ONLY" + (" / SIMULATED HOSPITALS, SIMULATED APPROVALS" if results.simulated else ""),
        "",
        _HEAD,
        *(_row(approach) for approach in results.approaches),
        "",
        f"Accepted    {_accepted(results, facts.joint)}",
        *(f"Short       {words}" for words in results.acceptance[:4]),
        f"Hospitals   {len(facts.took_part)} of {len(results.sites)} took part; "
        f"{len(facts.too_small) or 'none'} of them too small for figures of their own",
        f"Named       {listed(results.mismatched_sites) or 'nobody'}",
    ]
    for words, sites in (("Excluded", facts.mismatched), ("Refused", facts.refused)):
        lines += [f"{words:<12}{site.id}: {site.reason}" for site in sites[:3]]
        if len(sites) > 3:
            lines.append(f"{'':<12}and {len(sites) - 3} more")
    candidates = [attempt for site in results.sites for attempt in site.attempts] + list(results.joint_corpus)
    released = sum(attempt.released for attempt in candidates)
    lines.append(f"Gate        {number(len(candidates), 'candidate')} judged, {released or 'none'} released")
    lines += [
        f"{'':<12}{one.where}: {len(one.attempts)} refused, {listed(one.reasons, 3)}" for one in facts.refusals[:3]
    ]
    if len(facts.refusals) > 3:
        lines.append(f"{'':<12}and refusals at {len(facts.refusals) - 3} more places")
    flows = [f"{number(flow.items, *KINDS[flow.kind])}" for flow in facts.flows if flow.items]
    lines.append(
        f"Left        {size(facts.bytes_out)} in {number(facts.items_out, 'item')}: {', '.join(flows) or 'nothing'}"
    )
    if facts.epsilon > 0:
        lines.append(
            f"Privacy     epsilon {measure(facts.epsilon)} at most (at {facts.epsilon_site}): belief rises from 50 % "
            f"to {chance(belief(facts.epsilon, 0.5))} at most"
        )
    if facts.exact_answers:
        lines.append(f"{'':<12}{number(facts.exact_answers, 'exact answer')} given as shares of sums, outside epsilon")
    lines += [f"Warning     {warning}" for warning in results.warnings[:3]]
    if len(results.warnings) > 3:
        lines.append(f"{'':<12}and {len(results.warnings) - 3} more warnings")
    lines.append("Risk below the stated limits under the listed attacks. Not a legal finding of anonymity.")
    return "\n".join(_printable(line) for line in lines) + "\n"


def _row(approach: Approach) -> str:
    name = APPROACHES[approach.name]
    if approach.auroc is None and not approach.sites:
        return f"  {name:<16}{approach.reason_absent or 'no figure may be shown'}"
    worst = f"{approach.worst_site} ({figure(approach.worst_site_auroc)})" if approach.worst_site else "not shown"
    told = with_interval(approach.auroc, approach.auroc_low, approach.auroc_high, 3)
    note = "  (impossible in reality)" if approach.name == "pooled" else ""
    return (
        f"  {name:<16}{told:<25}{_short(approach.oe):>6}{_short(approach.slope):>7}  "
        f"{worst:<24}{size(approach.bytes_moved):>9}{note}"
    )


def _short(value: float | None) -> str:
    text = figure(value)
    return text if text[-1].isdigit() else "none"


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in line).rstrip()


def _accepted(results: Results, joint: Approach | None) -> str:
    if joint is None:
        return "NO: there is no joint model"
    if results.accepted:
        return f"yes: the {joint.name} model meets every threshold of the study"
    return f"NO: the {joint.name} model misses thresholds of the study"
