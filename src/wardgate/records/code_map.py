"""Tables of codes: a hospital's own code to a standard one, each line with who mapped it, when, and from what."""

import csv
import datetime
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from wardgate.records.record import Record
from wardgate.records.yaml_file import Finding, Findings, shown_text

REQUIRED = (
    "vocabulary",
    "code",
    "standard_vocabulary",
    "standard_code",
    "relation",
    "mapped_by",
    "mapped_on",
    "from",
)
OPTIONAL = ("unit",)
RELATIONS = ("exact", "broader", "narrower")
_MAX_LINES = 200_000


class CodeLine(Record):
    """One line of a code map.

    Attributes:
        vocabulary, code: As the hospital records it.
        unit: UCUM unit of its numbers where they come without one.
        standard_vocabulary, standard_code: What it means.
        relation: How the standard code relates to the hospital's: `exact`; `broader`, it says less; `narrower`, it
            says more than was recorded. Narrower lines are kept as knowledge and never applied.
        mapped_by, mapped_on, source: Who said so, when, and from what; the column is called `from`.
        file, line: Where it stands.
    """

    vocabulary: str
    code: str
    unit: str | None = None
    standard_vocabulary: str
    standard_code: str
    relation: Literal["exact", "broader", "narrower"]
    mapped_by: str
    mapped_on: str
    source: str
    file: str
    line: int

    @property
    def own(self) -> str:
        """`VOCABULARY/CODE` as recorded."""
        return f"{self.vocabulary}/{self.code}"

    @property
    def standard(self) -> str:
        """`VOCABULARY/CODE` of the standard."""
        return f"{self.standard_vocabulary}/{self.standard_code}"

    @property
    def applies(self) -> bool:
        """Whether the standard code says no more than was recorded."""
        return self.relation != "narrower"


class CodeMap(Record):
    """All lines of a hospital's code maps; every own code stands there once."""

    lines: tuple[CodeLine, ...] = ()

    @property
    def applied(self) -> Mapping[str, CodeLine]:
        """What is applied, by own code."""
        return {line.own: line for line in self.lines if line.applies}


def parse(texts: Sequence[tuple[str, str]]) -> CodeMap:
    """Read the code maps of one hospital.

    Args:
        texts: Name and text of each CSV file: UTF-8, comma, a header with the columns of REQUIRED and, if wanted,
            `unit`.

    Raises:
        Findings: a column missing, unknown or twice; a line of another length, with an empty cell, an unknown relation
            or no date; a code that stands twice, in one file or in two. Each with its line.
    """
    wrong: list[Finding] = []
    first: dict[str, CodeLine] = {}
    for name, text in texts:
        for line in _lines(name, text, wrong):
            before = first.setdefault(line.own, line)
            if before is not line:
                same = before.standard == line.standard and before.relation == line.relation
                what = "a second time" if same else "with another meaning"
                found = f"{shown_text(line.own)} {what} (first in {before.file}, line {before.line})"
                wrong.append(_at(name, line.line, "code", found, "every code once"))
    if wrong:
        raise Findings(wrong)
    return CodeMap(lines=tuple(first.values()))


def _at(name: str, line: int, path: str, found: str, expected: str) -> Finding:
    return Finding(file=name, line=line, path=path, found=found, expected=expected)


def _lines(name: str, text: str, wrong: list[Finding]) -> Iterator[CodeLine]:
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    problem = ""
    try:
        header = [cell.strip() for cell in next(rows, [])]
        wrong_header = list(_header_findings(name, header))
        wrong += wrong_header
        if wrong_header:
            return
        count = 0
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > _MAX_LINES:
                problem = f"more than {_MAX_LINES} lines"
                break
            line = _line(name, rows.line_num, header, [cell.strip() for cell in cells], wrong)
            if line is not None:
                yield line
    except csv.Error:
        problem = "text that is no CSV (an open quote?)"
    if problem:
        wrong.append(_at(name, rows.line_num, "file", problem, "a CSV file of codes, comma between cells"))


def _header_findings(name: str, header: Sequence[str]) -> Iterator[Finding]:
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        found = f"no column {', '.join(missing)}"
        yield _at(name, 1, "header", found, f"the columns {', '.join(REQUIRED)} (and {', '.join(OPTIONAL)} if wanted)")
    unknown = [column for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if unknown:
        yield _at(name, 1, "header", f"{len(unknown)} unknown columns", f"only {', '.join((*REQUIRED, *OPTIONAL))}")
    if len(set(header)) != len(header):
        yield _at(name, 1, "header", "a column twice", "every column once")


def _line(name: str, number: int, header: Sequence[str], cells: Sequence[str], wrong: list[Finding]) -> CodeLine | None:
    if len(cells) != len(header):
        wrong.append(_at(name, number, "line", f"{len(cells)} cells", f"{len(header)}, as in the header"))
        return None
    row = dict(zip(header, cells, strict=True))
    before = len(wrong)
    empty = [column for column in REQUIRED if not row[column]]
    wrong += [_at(name, number, column, "nothing", "a text; every line says where it comes from") for column in empty]
    if row["relation"] and row["relation"] not in RELATIONS:
        wrong.append(_at(name, number, "relation", shown_text(row["relation"]), f"one of {', '.join(RELATIONS)}"))
    if row["mapped_on"] and not _is_date(row["mapped_on"]):
        wrong.append(_at(name, number, "mapped_on", shown_text(row["mapped_on"]), "a date such as 2026-03-31"))
    slashed = [column for column in ("vocabulary", "standard_vocabulary") if "/" in row[column]]
    expected = "a vocabulary's name without a slash"
    wrong += [_at(name, number, column, shown_text(row[column]), expected) for column in slashed]
    if len(wrong) > before:
        return None
    return CodeLine.model_validate(
        {key: row[key] for key in REQUIRED if key != "from"}
        | {"source": row["from"], "unit": row.get("unit") or None, "file": name, "line": number}
    )


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
