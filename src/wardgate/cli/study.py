"""`wardgate study`: start, check, show and lock a study. Whether data satisfy it: `wardgate data check`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wardgate.cli.files import text_in, write_out
from wardgate.cli.options import AsJson
from wardgate.computations.menu import MENU, OF_THE_CHAIN
from wardgate.computations.networks import check_networks
from wardgate.records import study_file
from wardgate.records.canonical import canonical
from wardgate.records.circe import read_circe, to_yaml
from wardgate.records.errors import Invalid, Refused
from wardgate.records.study import Study
from wardgate.records.study_template import template

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).", show_default=False)]


@app.command("init")
def init(
    file: StudyFile,
    events: Annotated[
        bool, typer.Option("--events", help="Of records: concept sets and events; else of the fields of one table.")
    ] = False,
) -> None:
    """Write a commented study to start from."""
    if file.exists():
        raise Invalid(f"{file} exists; choose another name, or remove it")
    write_out(file, template("events" if events else "table").encode())
    typer.echo(f"Wrote {file}. Change it, then: wardgate study lint {file}")


@app.command("lint")
def lint(file: StudyFile, json_output: AsJson = False) -> None:
    """Say everything that is wrong in a study, line by line."""
    findings: tuple[study_file.Finding, ...] = ()
    study = None
    try:
        study = read_study(file)
    except study_file.Findings as error:
        if not json_output:
            raise
        findings = error.findings
    if json_output:
        plain = [
            {"file": f.file, "line": f.line, "path": f.path, "found": f.found, "expected": f.expected} for f in findings
        ]
        typer.echo(json.dumps({"clean": study is not None, "findings": plain}, indent=2))
        if findings:
            raise Invalid(f"{file.name}: {len(findings)} finding{'s' if len(findings) != 1 else ''}")
    else:
        typer.echo(f"{file}: clean")


@app.command("show")
def show(file: StudyFile, json_output: AsJson = False) -> None:
    """Show what a study asks, and its SHA-256."""
    study = read_study(file)
    if json_output:
        typer.echo(json.dumps({"sha256": study.fingerprint(), "study": study.plain()}, indent=2, ensure_ascii=False))
        return
    typer.echo("\n".join(_lines(study)))


@app.command("lock")
def lock(
    file: StudyFile,
    out: Annotated[Path | None, typer.Option(help="The lock file; else beside the study.")] = None,
    json_output: AsJson = False,
) -> None:
    """Fix a study's canonical bytes and SHA-256, which every later record names."""
    study = read_study(file)
    target = out or file.with_name(f"{file.stem}.lock.json")
    sha256 = study.fingerprint()
    if target.exists():
        locked = _locked_sha256(target)
        if locked != sha256:
            raise Refused(
                f"{target} locks another study (sha256 {locked[:16]}...), expected {sha256[:16]}...; a changed study "
                "is a new version: raise 'version' and lock it under another name"
            )
    else:
        write_out(target, canonical({"sha256": sha256, "study": study.plain()}) + b"\n")
    if json_output:
        typer.echo(json.dumps({"sha256": sha256, "lock": str(target)}, indent=2))
    else:
        typer.echo(f"{study.id} version {study.version} is locked in {target}\nsha256 {sha256}")


@app.command("import-circe")
def import_circe(
    file: Annotated[Path, typer.Argument(help="A cohort definition as ATLAS exports it (JSON).", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write the part of a study here; else it is printed.")] = None,
    by_code: Annotated[
        bool, typer.Option("--by-code", help="Name concepts by vocabulary and code, which MEDS and FHIR know as well.")
    ] = False,
) -> None:
    """Turn an OHDSI cohort definition into concept sets and a cohort; what cannot be said is refused by name."""
    if out is not None and out.exists():
        raise Invalid(f"{out} exists; choose another name, or remove it")
    imported = read_circe(
        text_in(file, "a cohort definition (JSON)"), name=file.name, by="code" if by_code else "concept_id"
    )
    if out is None:
        typer.echo(to_yaml(imported), nl=False)
    else:
        write_out(out, to_yaml(imported).encode())
    for note in imported.notes:
        typer.echo(f"note: {note}", err=True)


def read_study(file: Path) -> Study:
    """Return the study in a file.

    Raises:
        Findings: everything that is wrong in it.
        Invalid: no such file, not UTF-8, or it asks for an analysis that nobody knows.
    """
    if not file.is_file():
        raise Invalid(f"{file} is not a file; start one with 'wardgate study init {file}'")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise Invalid(f"{file} is not UTF-8 text; save it as UTF-8")
    study = study_file.parse(text, name=str(file))
    known = sorted(MENU.keys() - OF_THE_CHAIN)
    unknown = sorted(set(study.analyses) - set(known))
    if unknown:
        raise Invalid(f"{file}: analyses: found '{unknown[0]}', expected any of {', '.join(known)}")
    try:
        check_networks(study)
    except Invalid as error:
        raise Invalid(f"{file}: networks: {error}") from None
    return study


def _locked_sha256(target: Path) -> str:
    """Read a lock and check that its SHA-256 is that of the study inside."""
    found: Any = None
    try:
        found = json.loads(target.read_text(encoding="utf-8"))
        inside = Study.from_plain(found["study"]).fingerprint()
    except (OSError, ValueError, KeyError, TypeError, Invalid):
        inside = None
    if inside is None or found.get("sha256") != inside:
        raise Invalid(f"{target} is no whole lock file; move it away and lock again")
    return inside


def _lines(study: Study) -> list[str]:
    lines = [
        f"{study.title}",
        f"  {study.id} version {study.version}, sha256 {study.fingerprint()}",
        f"  question   {study.question}",
        f"  entry      {study.cohort.entry} ({study.cohort.entries})",
    ]
    lines += [f"  requires   {one.meaning or one.field}" for one in study.cohort.requires]
    first, last = study.label.window_days
    lines += [
        *_events(study),
        f"  index date {study.index_date}",
        f"  label      {study.label.name}: {study.label.meaning} (days {first} to {last})",
        f"  features   {len(study.features)}",
    ]
    for feature in study.features:
        if feature.range is not None:
            low, high = feature.range
            values = f"{low:g} to {high:g} {feature.unit}"
        else:
            values = ", ".join(feature.values or ("yes", "no"))
        lines.append(f"    {feature.name:<22} {values}{'' if feature.missing == 'allowed' else ', required'}")
    sites = ", ".join(study.sites[:8]) + (f" and {len(study.sites) - 8} more" if len(study.sites) > 8 else "")
    lines.append(f"  sites      {len(study.sites)}: {sites}")
    return lines


def _events(study: Study) -> list[str]:
    entry = study.cohort.events
    if entry is None:
        return []
    hours = f" + {entry.index_hours:g} h" if entry.index_hours else ""
    lines = [f"  enters     {', '.join(entry.concepts)}; the model is asked at its {entry.index}{hours}"]
    lines += [f"  stays in   {rule.meaning or rule.name}" for rule in entry.rules]
    lines.append(f"  concepts   {len(study.concept_sets or {})} sets")
    return lines
