"""A certificate, and what a check of it found, in a terminal."""

from collections.abc import Sequence
from textwrap import wrap

from wardgate.papers.rulings import families, in_numbers, untested
from wardgate.papers.words import OUTCOMES
from wardgate.records.certificate import Opened
from wardgate.records.finding import Check

WIDTH = 106

STATES = {"holds": "holds", "broken": "BROKEN", "refused": "REFUSED", "not checked": "not checked"}


def certificate_text(opened: Opened, *, checks: Sequence[Check]) -> str:
    """Return what a certificate says, at most 110 characters wide. Control characters become a question mark."""
    said = opened.certificate
    study = f"study {said.study.id}, version {said.study.version}" if said.study else "without a study"
    lines = [
        f"{OUTCOMES[said.verdict.outcome].upper()}: {said.evidence.kind} of {said.site.id}, {study}",
        f"  {said.claim}",
        f"  issued on {said.issued_on or 'a day not told'}, valid until {said.valid_until or 'no day told'}; policy"
        f" {said.policy.sha256[:16]} ({said.policy.profile}); attempt {said.attempts.number} of {said.attempts.of}",
    ]
    lines += [f"  {name}  {digest}" for name, digest in opened.subjects]
    if opened.simulated:
        lines.append("  SIMULATED APPROVALS: they bind nobody")
    if not checks:
        lines.append("  The signature was NOT CHECKED; give --keys")
    for family in families(said.verdict):
        lines += ["", family.title]
        for row in family.rows:
            found = f"{row.found} ({row.interval})" if row.interval else row.found
            lines.append(
                f"  {row.ruling.rule:<32} {OUTCOMES[row.ruling.outcome]:<22} {found:<26} {row.ruling.limit}".rstrip()
            )
    told = in_numbers(said.verdict)
    if told:
        lines += ["", "What it means for one patient"]
        lines += [part for sentence in told for part in _item(sentence)]
    lines += ["", "Not tested, and what remains"]
    missing = [f"{name}: {what}; {why}" for name, what, why in untested(said.evidence, said.verdict)]
    lines += [part for words in (*missing, *said.known_gaps, *said.residual_risks) for part in _item(words)]
    if checks:
        lines += ["", *_lines(checks)]
    return "\n".join(printable(line) for line in lines)


def checks_text(name: str, checks: Sequence[Check]) -> str:
    """Return one line for each check, and what they come to."""
    states = [check.state for check in checks]
    if "broken" in states:
        end = "Broken: do not use it."
    elif "refused" in states:
        end = "Refused: what is signed holds, but it may not be relied on."
    else:
        left = states.count("not checked")
        end = "Everything that was checked holds." + (f" Not checked: {left}, see above." if left else "")
    return "\n".join(printable(line) for line in [name, *_lines(checks), end])


def _lines(checks: Sequence[Check]) -> list[str]:
    width = max((len(check.what) for check in checks), default=0)
    return [f"  {STATES[check.state]:<12} {check.what:<{width}}  {check.words}" for check in checks]


def _item(words: str) -> list[str]:
    return wrap(words, WIDTH, initial_indent="  - ", subsequent_indent="    ")


def printable(line: str) -> str:
    """Return a line without the signs that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in line).rstrip()
