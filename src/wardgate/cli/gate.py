"""`wardgate gate`: judge what wants to leave, explain a rule, write and check a policy."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli import policy
from wardgate.cli.files import json_in, text_in
from wardgate.cli.options import AsJson
from wardgate.cli.policy import read_policy
from wardgate.cli.tables import (
    DictionaryOption,
    Known,
    Label,
    Period,
    Person,
    Sensitive,
    Time,
    columns,
    dictionary_in,
)
from wardgate.entropy import SystemEntropy
from wardgate.federation.gate import (
    Asked,
    Columns,
    Judged,
    Tables,
    inferred,
    judge_aggregate,
    judge_corpus,
    judge_images,
    judge_model,
    starter,
)
from wardgate.hub.commons.durable import write_whole
from wardgate.measures.aggregates import Statistic
from wardgate.papers.gate_report import gate_report_html
from wardgate.papers.verdict_text import verdict_text
from wardgate.policy import RULES
from wardgate.policy import explain as explained
from wardgate.records import clinical_rules, dictionary_file
from wardgate.records.approval import WaiverFile
from wardgate.records.claim import Claim
from wardgate.records.errors import CheckFailed, Invalid, NotEvaluable
from wardgate.records.keyring import read_key, read_keyring
from wardgate.records.restriction import Restriction, coarsening, dropping, leaving_out
from wardgate.records.verdict import Kind

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(policy.app, name="policy", help="Write, show and check a gate policy.")

PolicyFile = Annotated[Path, typer.Argument(help="The policy (YAML).", show_default=False)]
Real = Annotated[Path, typer.Option(help="Real persons whom the generator saw (CSV or Parquet).")]
Holdout = Annotated[Path, typer.Option(help="Real persons whom it never saw; the control.")]
Synthetic = Annotated[Path, typer.Option(help="The candidate.")]


PolicyOption = Annotated[Path, typer.Option("--policy", help="The gate's policy; see 'gate policy init'.")]
Floor = Annotated[Path | None, typer.Option(help="The consortium's policy, which may only be tightened.")]
Tuning = Annotated[Path | None, typer.Option(help="Further real persons, for reference only.")]
ClaimOption = Annotated[Path | None, typer.Option(help="Privacy claim of the release (JSON); else none is made.")]
Record = Annotated[Path, typer.Option(help="Folder of the gate's book of attempts.")]
Html = Annotated[Path | None, typer.Option(help="Write a report for people.")]
Out = Annotated[Path | None, typer.Option(help="After a pass, write the candidate as it was judged.")]
Key = Annotated[Path | None, typer.Option(help="The site's key; after a pass a certificate lies beside --out.")]
Waivers = Annotated[Path | None, typer.Option(help="Rulings that two persons waived; see 'certificate waive'.")]
Keys = Annotated[Path | None, typer.Option(help="Public keys of those who may waive (JSON).")]
Memory = Annotated[
    Path | None, typer.Option(help="The hospital's private memory; the release is spent from its budget.")
]
Population = Annotated[str | None, typer.Option(help="Whose budget, where the hospital keeps several.")]
BOOK = Path("gate-record")


@app.command("check")
def check(
    real: Real,
    holdout: Holdout,
    synthetic: Synthetic,
    policy_path: PolicyOption,
    floor: Floor = None,
    tuning: Tuning = None,
    dictionary: DictionaryOption = None,
    label: Label = None,
    person: Person = None,
    time: Time = None,
    period: Period = None,
    known: Known = None,
    sensitive: Sensitive = None,
    drop: Annotated[list[str] | None, typer.Option(help="Hold a column back. May be repeated.")] = None,
    coarsen: Annotated[
        list[str] | None, typer.Option(help="COLUMN=STEP, or COLUMN=VALUE+VALUE to join. May be repeated.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="COLUMN=VALUE: leave this subgroup out.")] = None,
    claim: ClaimOption = None,
    record: Record = BOOK,
    html: Html = None,
    out: Out = None,
    key: Key = None,
    waivers: Waivers = None,
    keys: Keys = None,
    memory: Memory = None,
    population: Population = None,
    json_output: AsJson = False,
) -> None:
    """Judge a synthetic table against the real tables it was made from. Nothing of one person comes out."""
    asked = _asked("corpus", policy_path, floor, claim, record, key, waivers, keys, out, memory, population)
    tables = _tables(real, holdout, tuning, dictionary, columns(label, person, time, period, known, sensitive))
    judged = judge_corpus(asked, tables, synthetic=synthetic, restrictions=_restrictions(drop, coarsen, without))
    _tell(judged, asked, html=html, out=out, json_output=json_output)


@app.command("model")
def model(
    file: Annotated[Path, typer.Argument(help="The model (JSON, as Wardgate writes them).", show_default=False)],
    real: Real,
    holdout: Holdout,
    policy_path: PolicyOption,
    floor: Floor = None,
    tuning: Tuning = None,
    dictionary: DictionaryOption = None,
    label: Label = None,
    person: Person = None,
    period: Period = None,
    claim: ClaimOption = None,
    record: Record = BOOK,
    html: Html = None,
    out: Out = None,
    key: Key = None,
    waivers: Waivers = None,
    keys: Keys = None,
    memory: Memory = None,
    population: Population = None,
    json_output: AsJson = False,
) -> None:
    """Judge a model against the persons it was fitted on and persons it never saw."""
    asked = _asked("model", policy_path, floor, claim, record, key, waivers, keys, out, memory, population)
    tables = _tables(real, holdout, tuning, dictionary, columns(label, person, None, period, None, None))
    _tell(judge_model(asked, tables, model=file), asked, html=html, out=out, json_output=json_output)


@app.command("images")
def images(
    real: Annotated[Path, typer.Option(help="Real images that the generator saw (.npz, array 'images').")],
    holdout: Annotated[Path, typer.Option(help="Real images of other patients; the control.")],
    tuning: Annotated[Path, typer.Option(help="Further real images, for reference only.")],
    synthetic: Annotated[Path, typer.Option(help="The candidate (.npz).")],
    policy_path: PolicyOption,
    floor: Floor = None,
    claim: ClaimOption = None,
    record: Record = BOOK,
    html: Html = None,
    out: Out = None,
    key: Key = None,
    waivers: Waivers = None,
    keys: Keys = None,
    memory: Memory = None,
    population: Population = None,
    json_output: AsJson = False,
) -> None:
    """Judge synthetic images against real ones; 'patients' in an archive says whose each image is."""
    asked = _asked("images", policy_path, floor, claim, record, key, waivers, keys, out, memory, population)
    judged = judge_images(asked, real=real, holdout=holdout, tuning=tuning, synthetic=synthetic)
    _tell(judged, asked, html=html, out=out, json_output=json_output)


@app.command("table")
def table(
    data: Annotated[Path, typer.Argument(help="Real rows (CSV or Parquet).", show_default=False)],
    by: Annotated[list[str], typer.Option(help="A group column. May be repeated, at most three times.")],
    policy_path: PolicyOption,
    memory: Annotated[Path, typer.Option(help="The hospital's private memory over all answers.")],
    statistic: Annotated[str, typer.Option(help="count, sum or mean.")] = "count",
    value: Annotated[str | None, typer.Option(help="Column that is added up or averaged.")] = None,
    person: Person = None,
    dictionary: DictionaryOption = None,
    floor: Floor = None,
    record: Record = BOOK,
    html: Html = None,
    out: Out = None,
    key: Key = None,
    waivers: Waivers = None,
    keys: Keys = None,
    population: Population = None,
    json_output: AsJson = False,
) -> None:
    """Make a table of the hospital's own rows, hide what must be hidden, and judge it. It is printed after a pass."""
    kinds: dict[str, Statistic] = {"count": "count", "sum": "sum", "mean": "mean"}
    if statistic not in kinds:
        raise Invalid(f"found statistic '{statistic}', expected one of {', '.join(kinds)}")
    asked = dataclasses.replace(
        _asked("aggregate", policy_path, floor, None, record, key, waivers, keys, out, memory, population),
        claim=Claim(kind="exact"),
    )
    judged = judge_aggregate(
        asked,
        data=data,
        dictionary=None if dictionary is None else dictionary_in(dictionary),
        by=by,
        statistic=kinds[statistic],
        value=value,
        person=person,
    )
    _tell(judged, asked, html=html, out=out, json_output=json_output)
    if judged.released is not None and not json_output:
        typer.echo("\n" + judged.released.decode(), nl=False)


@app.command("rules")
def rules(
    suite: Annotated[Path | None, typer.Option(help="A suite of clinical rules (YAML); else the starter set.")] = None,
    json_output: AsJson = False,
) -> None:
    """List the clinical rules that corpora are held against, each with its source."""
    found = starter()
    if suite is not None:
        found = clinical_rules.parse(text_in(suite, "a suite of clinical rules"), name=str(suite))
    if json_output:
        typer.echo(json.dumps(found.plain(), indent=2))
        return
    for one in found.rules:
        typer.echo(f"{one.name:<40} {one.severity:<12} {one.words} ({one.source})")


def _asked(
    kind: Kind,
    policy_path: Path,
    floor: Path | None,
    claim: Path | None,
    record: Path,
    key: Path | None,
    waivers: Path | None,
    keys: Path | None,
    out: Path | None,
    memory: Path | None,
    population: str | None,
) -> Asked:
    if key is not None and out is None:
        raise Invalid("--key signs what --out writes; name the file that leaves")
    stated = Claim(kind="none") if claim is None else Claim.from_plain(json_in(claim))
    return Asked(
        kind=kind,
        policy=read_policy(policy_path),
        floor=None if floor is None else read_policy(floor),
        claim=stated,
        memory=memory,
        population=population,
        entropy=SystemEntropy(),
        waivers=() if waivers is None else WaiverFile.from_plain(json_in(waivers)).waivers,
        keys=None if keys is None else read_keyring(text_in(keys, "public keys").encode()),
        issuer=None if key is None else read_key(text_in(key, "the site's key").encode()),
        record=record,
        on=datetime.date.today().isoformat(),
    )


def _tables(real: Path, holdout: Path, tuning: Path | None, dictionary: Path | None, said: Columns) -> Tables:
    return Tables(
        real=real,
        holdout=holdout,
        tuning=tuning,
        dictionary=None if dictionary is None else dictionary_in(dictionary),
        columns=said,
    )


def _tell(judged: Judged, asked: Asked, *, html: Path | None, out: Path | None, json_output: bool) -> None:
    held_back = [one.words for one in judged.restrictions]
    if html is not None:
        ways = [(one.rule, f"{one.way}: {one.words}") for one in judged.remedies]
        page = gate_report_html(
            judged.evidence, judged.verdict, remedies=ways, policy=asked.policy, held_back=held_back, on=asked.on
        )
        write_whole(html, page.encode())
    if json_output:
        plain = {
            "evidence": judged.evidence.plain(),
            "verdict": judged.verdict.plain(),
            "heldBack": held_back,
            "remedies": [{"rule": one.rule, "way": one.way, "words": one.words} for one in judged.remedies],
        }
        typer.echo(json.dumps(plain, indent=2))
    else:
        typer.echo(verdict_text(judged.evidence, judged.verdict, judged.remedies, held_back=held_back))
    rules = ", ".join(ruling.rule for ruling in judged.verdict.rulings if ruling.outcome in ("fail", "not_evaluable"))
    if judged.verdict.outcome == "fail":
        raise CheckFailed(f"the gate does not let this out: {rules}")
    if judged.verdict.outcome == "not_evaluable":
        raise NotEvaluable(f"the gate cannot tell, so it stays inside: {rules}")
    if out is not None and judged.released is not None:
        write_whole(out, judged.released)
        if judged.certificate is not None:
            write_whole(out.with_name(f"{out.name}.certificate.json"), judged.certificate)


@app.command("dictionary")
def dictionary_(
    tables: Annotated[list[Path], typer.Argument(help="Tables with the same columns.", show_default=False)],
    label: Label = None,
    person: Person = None,
    time: Time = None,
    period: Period = None,
    known: Known = None,
    sensitive: Sensitive = None,
) -> None:
    """Print the data dictionary that the gate would infer, to be reviewed and given with --dictionary."""
    said = columns(label, person, time, period, known, sensitive)
    typer.echo(dictionary_file.text_of(inferred(tables, said)), nl=False)


@app.command("explain")
def explain(
    rule: Annotated[str | None, typer.Argument(help="A rule; without it all are listed.", show_default=False)] = None,
    json_output: AsJson = False,
) -> None:
    """Say what a rule tests, what an attacker would know, and what its number means for one patient."""
    if rule is not None:
        words = explained(rule)
        typer.echo(json.dumps({"rule": rule, "words": words}, indent=2) if json_output else words)
        return
    if json_output:
        rows = [{"rule": one.name, "kinds": list(one.kinds), "words": explained(one.name)} for one in RULES]
        typer.echo(json.dumps(rows, indent=2))
        return
    for one in RULES:
        typer.echo(f"{one.name:<32} {one.tests}")


def _restrictions(
    drop: list[str] | None, coarsen: list[str] | None, without: list[str] | None
) -> tuple[Restriction, ...]:
    return (
        *(leaving_out(text) for text in without or ()),
        *(coarsening(text) for text in coarsen or ()),
        *(dropping(text) for text in drop or ()),
    )
