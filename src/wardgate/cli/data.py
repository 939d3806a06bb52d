"""`wardgate data`: what a hospital holds, and whether it means what the study means."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import json_in, write_out
from wardgate.cli.options import AsJson
from wardgate.cli.study import read_study
from wardgate.federation.data import DIALECTS, advice, check, convert, profile, warehouse_sql
from wardgate.papers.data_check_page import data_check_page
from wardgate.papers.data_check_text import check_text
from wardgate.papers.profile_page import profile_page
from wardgate.papers.side_by_side import side_by_side
from wardgate.records.data_check import DataCheck
from wardgate.records.errors import CheckFailed, Invalid

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

StudyOption = Annotated[Path, typer.Option(help="The study file (YAML).", show_default=False)]
SourceOption = Annotated[
    str,
    typer.Option(
        help="Folder, DuckDB file, or postgresql:///DATABASE?host=/FOLDER/OF/SOCKET&schema=SCHEMA.", show_default=False
    ),
]
Memory = Annotated[int, typer.Option(help="Megabytes that the reading may use; nothing is spilled to disk.")]
Html = Annotated[Path | None, typer.Option(help="Also write it as one page.")]


@app.command("check")
def check_(
    study: StudyOption,
    source: SourceOption,
    mapping: Annotated[Path | None, typer.Option(help="Another mapping than mapping.yaml, for one table.")] = None,
    site: Annotated[
        str | None, typer.Option(help="The hospital's name in the record; else hospital.yaml says.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the record that the consortium may see (JSON).")] = None,
    html: Html = None,
    memory: Memory = 4_000,
    json_output: AsJson = False,
) -> None:
    """Say whether a hospital's data satisfy a study, before anything runs. Counts below 11 are never shown."""
    asked = read_study(study)
    record = check(asked, source, mapping=mapping, site=site, memory_limit_mb=memory)
    if out is not None:
        write_out(out, record.to_bytes() + b"\n")
    if html is not None:
        write_out(html, data_check_page(record).encode())
    if json_output:
        typer.echo(json.dumps(record.plain(), indent=2, ensure_ascii=False))
    else:
        typer.echo(f"{check_text(record)}A corpus of its own\n  {advice(record, asked)}")
    if not record.satisfies:
        count = len(record.reasons)
        raise CheckFailed(f"the data do not satisfy the study: {count} requirement{'s' if count != 1 else ''} failed")


@app.command("compare")
def compare(
    checks: Annotated[list[Path], typer.Argument(help="Records that 'data check --out' wrote.", show_default=False)],
    html: Annotated[Path, typer.Option(help="The page to write.", show_default=False)],
) -> None:
    """Put the checks of several hospitals side by side."""
    records = [DataCheck.from_plain(json_in(file)) for file in checks]
    if len({record.study_sha256 for record in records}) != 1:
        raise Invalid("the records speak of different studies, expected one; compare checks of the same locked study")
    if len({record.site for record in records}) != len(records):
        raise Invalid("two records speak of the same hospital; give each once (name it with 'data check --site')")
    write_out(html, side_by_side(records).encode())
    typer.echo(f"{len(records)} hospitals side by side: {html}")


@app.command("profile")
def profile_(
    source: SourceOption,
    html: Annotated[Path, typer.Option(help="The page to write. It holds true counts and stays inside.")],
    study: Annotated[Path | None, typer.Option(help="Also show the concept sets of a study.")] = None,
    memory: Memory = 4_000,
) -> None:
    """Show a hospital its own data, with true counts. For its own eyes only."""
    found = profile(source, None if study is None else read_study(study), memory_limit_mb=memory)
    write_out(html, profile_page(found).encode(), private=True)
    typer.echo(f"For this hospital's eyes only: {html}")


@app.command("convert")
def convert_(
    source: SourceOption,
    out: Annotated[Path, typer.Option(help="New folder for the MEDS data. It holds patients and stays inside.")],
    name: Annotated[str, typer.Option(help="Name of the data set in its metadata.")] = "hospital",
    memory: Memory = 4_000,
) -> None:
    """Write any source of records as MEDS 0.4."""
    written = convert(source, out, name=name, memory_limit_mb=memory)
    left_out = f" ({written.left_out} without a subject or a code were left out)" if written.left_out else ""
    typer.echo(f"{written.events} events of {written.subjects} real patients{left_out}: {out}. They stay inside.")


@app.command("sql")
def sql(
    study: StudyOption,
    out: Annotated[Path, typer.Option(help="New folder for the statements.", show_default=False)],
    dialect: Annotated[str, typer.Option(help=f"One of {', '.join(DIALECTS)}.", show_default=False)],
    schema: Annotated[str | None, typer.Option(help="Where the CDM's tables lie in the warehouse.")] = None,
) -> None:
    """Compile what a study asks of an OMOP warehouse to its SQL, for the hospital's own export job."""
    if out.exists():
        raise Invalid(f"{out} exists; choose a new folder")
    files = warehouse_sql(read_study(study), dialect, schema=schema)
    out.mkdir(parents=True)
    for file, text in files.items():
        write_out(out / file, text.encode())
    typer.echo(f"{', '.join(files)} in {out}; README.txt says what to do with them")
