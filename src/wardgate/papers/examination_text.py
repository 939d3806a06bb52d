"""What a hospital's doctor found, on one screen of a terminal."""

from collections.abc import Iterator

from wardgate.records.examination import Examination

SIDES = {"wire": "The way to the hub", "ward": "The hospital's own side"}


def examination_text(record: Examination) -> str:
    """Return the record as plain text, what is in the way first within each side. Pure."""
    return "\n".join(_lines(record))


def _lines(record: Examination) -> Iterator[str]:
    for side, title in SIDES.items():
        checks = [check for check in record.checks if check.side == side]
        if checks:
            yield title
        for check in checks:
            yield f"  {check.state:<12} {check.name}: {check.found}"
            if check.do:
                yield f"  {'':<12} -> {check.do}"
    if record.rule:
        yield "To ask the network team for"
        yield from (f"  {line}" for line in record.rule.splitlines())
    yield "Nothing stands in the way." if not record.failed else f"{len(record.failed)} things stand in the way."
