"""Code maps: every line with its provenance, every code once."""

import pytest

from wardgate.records.code_map import REQUIRED, parse
from wardgate.records.yaml_file import Findings

HEADER = ",".join(REQUIRED)
LINE = "HOUSE,crea,LOINC,2160-0,exact,A. Person,2026-01-31,laboratory handbook"


def found(*lines: str, header: str = HEADER) -> Findings:
    with pytest.raises(Findings) as caught:
        parse([("codes.csv", "\n".join((header, *lines)) + "\n")])
    return caught.value


def test_a_line_is_read_with_its_provenance() -> None:
    (line,) = parse([("codes.csv", f"{HEADER}\n{LINE}\n")]).lines
    assert (line.own, line.standard) == ("HOUSE/crea", "LOINC/2160-0")
    assert (line.mapped_by, line.mapped_on, line.source) == ("A. Person", "2026-01-31", "laboratory handbook")
    assert (line.file, line.line) == ("codes.csv", 2)


def test_the_unit_is_optional() -> None:
    header, line = f"{HEADER},unit", f"{LINE},mg/dL"
    assert parse([("codes.csv", f"{header}\n{line}\n")]).lines[0].unit == "mg/dL"
    assert parse([("codes.csv", f"{header}\n{LINE},\n")]).lines[0].unit is None


def test_a_byte_order_mark_and_empty_lines_are_no_lines() -> None:
    assert len(parse([("codes.csv", f"\ufeff{HEADER}\n\n{LINE}\n\n")]).lines) == 1


def test_a_narrower_code_is_kept_and_never_applied() -> None:
    codes = parse([("codes.csv", f"{HEADER}\n{LINE.replace('exact', 'narrower')}\n")])
    assert len(codes.lines) == 1
    assert codes.applied == {}


def test_a_broader_code_is_applied() -> None:
    assert "HOUSE/crea" in parse([("codes.csv", f"{HEADER}\n{LINE.replace('exact', 'broader')}\n")]).applied


@pytest.mark.parametrize("column", REQUIRED)
def test_every_column_is_required(column: str) -> None:
    wrong = found(header=",".join(one for one in REQUIRED if one != column))
    assert f"no column {column}" in str(wrong)


@pytest.mark.parametrize("position", range(len(REQUIRED)))
def test_every_cell_is_required(position: int) -> None:
    cells = LINE.split(",")
    cells[position] = " "
    wrong = found(LINE.replace("crea", "urea"), ",".join(cells))
    assert [finding.line for finding in wrong.findings] == [3]
    assert wrong.findings[0].path == REQUIRED[position]


def test_a_code_that_stands_twice_is_named_by_both_lines() -> None:
    wrong = found(LINE, LINE.replace("crea", "urea"), LINE)
    assert wrong.findings[0].line == 4
    assert "a second time (first in codes.csv, line 2)" in str(wrong)


def test_a_code_with_two_meanings_is_refused_across_files() -> None:
    other = LINE.replace("2160-0", "14682-9")
    with pytest.raises(Findings, match=r"b.csv:2: code: found 'HOUSE/crea' with another meaning"):
        parse([("a.csv", f"{HEADER}\n{LINE}\n"), ("b.csv", f"{HEADER}\n{other}\n")])


WRONG = {
    "a relation": (LINE.replace("exact", "same"), "relation", "one of exact, broader, narrower"),
    "a date": (LINE.replace("2026-01-31", "31.1.2026"), "mapped_on", "a date such as"),
    "a slash": (LINE.replace("LOINC", "LOINC/x"), "standard_vocabulary", "without a slash"),
    "a short line": ("HOUSE,crea", "line", "8, as in the header"),
    "an open quote": ('HOUSE,"crea', "file", "CSV file of codes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_line_is_named(case: str) -> None:
    line, path, expected = WRONG[case]
    (finding,) = found(line).findings
    assert (finding.line, finding.path) == (2, path)
    assert expected in finding.expected


def test_all_wrong_lines_are_named_at_once() -> None:
    wrong = found(LINE.replace("exact", "same"), LINE.replace("2026-01-31", "now"))
    assert [finding.line for finding in wrong.findings] == [2, 3]


def test_an_unknown_column_is_refused() -> None:
    assert "1 unknown columns" in str(found(header=f"{HEADER},patient"))
