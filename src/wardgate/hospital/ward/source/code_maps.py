"""A hospital's code maps, read from its folder and applied to any source's events."""

from collections.abc import Sequence
from pathlib import Path

import ibis
import ibis.expr.operations as ops

from wardgate.hospital.ward.source.events import EVERY, Expression
from wardgate.hospital.ward.source.texts import text_in
from wardgate.records.code_map import CodeMap, parse
from wardgate.records.errors import Invalid


def read_code_maps(folder: Path, files: Sequence[str]) -> CodeMap:
    """Read the code maps that `source.yaml` names under `codes`.

    Raises:
        Invalid: a file is missing or not UTF-8, or a line is wrong; one line of message for each.
    """
    texts = []
    for file in files:
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise Invalid(f"the code map {file} is missing in {folder.name}; correct 'codes' in source.yaml")
        texts.append((file, text_in(path)))
    return parse(texts)


def apply_code_maps(events: Expression, maps: CodeMap) -> Expression:
    """Give events their standard codes.

    The code is replaced where the code as recorded, else the code itself, stands in the maps; what was recorded is
    kept as `source_code`. Coded values are replaced likewise. A line's unit is given to numbers without one.

    Args:
        events: A table with the columns of EVERY.

    Returns:
        The same rows, with the same columns.
    """
    if not maps.applied:
        return events.select(*EVERY)
    lines = _lines(maps)
    by_source = lines.rename(own_1="own", standard_1="standard", given_1="given")
    by_code = lines.rename(own_2="own", standard_2="standard", given_2="given")
    by_value = lines.rename(own_3="own", standard_3="standard", given_3="given")
    joined = events.left_join(by_source, events.source_code == by_source.own_1)
    joined = joined.left_join(by_code, joined.code == by_code.own_2)
    joined = joined.left_join(by_value, joined.value_code == by_value.own_3)
    standard = ibis.coalesce(joined.standard_1, joined.standard_2)
    given = ibis.coalesce(joined.given_1, joined.given_2).nullif("")
    unitless = joined.unit.isnull() & joined.numeric_value.notnull()
    return joined.mutate(
        source_code=ibis.ifelse(standard.notnull(), ibis.coalesce(joined.source_code, joined.code), joined.source_code),
        code=ibis.coalesce(standard, joined.code),
        unit=ibis.ifelse(unitless, given, joined.unit),
        value_code=ibis.coalesce(joined.standard_3, joined.value_code),
    ).select(*EVERY)


def _lines(maps: CodeMap) -> Expression:
    """The lines that are applied, as a table. Several lists unnested beside each other keep their order in step."""
    applied = sorted(maps.applied.items())
    columns = {
        "own": [own for own, _ in applied],
        "standard": [line.standard for _, line in applied],
        "given": [line.unit or "" for _, line in applied],
    }
    unnested = {name: ops.Unnest(ibis.literal(texts, type="array<string>")) for name, texts in columns.items()}
    return ops.DummyTable(unnested).to_expr()
