"""What commands on tables from anywhere have in common: how to say what their columns mean."""

from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import text_in
from wardgate.federation.gate import Columns
from wardgate.records import dictionary_file
from wardgate.records.dictionary import Dictionary

Label = Annotated[str | None, typer.Option(help="Column of the outcome, 0 or 1.")]
Person = Annotated[str | None, typer.Option(help="Column that says whose a row is.")]
Time = Annotated[str | None, typer.Option(help="Column of hours since the index date; the tables are timelines.")]
Period = Annotated[str | None, typer.Option(help="Column of the calendar period; looked at, never released.")]
Known = Annotated[list[str] | None, typer.Option(help="A column that outsiders know. May be repeated.")]
Sensitive = Annotated[list[str] | None, typer.Option(help="A column that must not be inferred. May be repeated.")]
DictionaryOption = Annotated[Path | None, typer.Option(help="Data dictionary (YAML); else it is inferred.")]


def columns(
    label: str | None,
    person: str | None,
    time: str | None,
    period: str | None,
    known: list[str] | None,
    sensitive: list[str] | None,
) -> Columns:
    """Return what was said of the columns."""
    return Columns(
        label=label,
        person=person,
        time=time,
        period=period,
        known=tuple(known or ()),
        sensitive=tuple(sensitive or ()),
    )


def dictionary_in(file: Path) -> Dictionary:
    """Return a data dictionary.

    Raises:
        Invalid: no such file.
        Findings: everything that is wrong in it, with its line.
    """
    return dictionary_file.parse(text_in(file, "a data dictionary; 'wardgate gate dictionary'"), name=str(file))
