"""`wardgate synth`: fit a generator to patients, draw from it, compare several. What leaves asks the gate."""

import datetime
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.options import AsJson
from wardgate.cli.policy import read_policy
from wardgate.cli.tables import (
    DictionaryOption,
    Label,
    Period,
    Person,
    Time,
    columns,
    dictionary_in,
)
from wardgate.entropy import SystemEntropy
from wardgate.federation.synth import (
    AUTO,
    FORMS,
    GENERATORS,
    SHOWN,
    Compared,
    Form,
    Source,
    Wish,
    compare,
    draw,
    fit,
    more,
    recommendation,
    timelines,
    told,
)
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

NAMES = ", ".join((*GENERATORS, *timelines.GENERATORS))

Real = Annotated[Path, typer.Option(help="Patients to learn from (CSV or Parquet).")]
Tuning = Annotated[Path | None, typer.Option(help="Other patients, to stop in time; never the gate's holdout.")]
Epsilon = Annotated[float | None, typer.Option(help="Privacy budget; without it no private generator is chosen.")]
Delta = Annotated[float, typer.Option(help="Of the privacy budget; well below one over the number of patients.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="SETTING=VALUE of the generator. May be repeated.")]
Seed = Annotated[int, typer.Option(help="Makes everything repeatable but the noise that protects people.")]
Fit = Annotated[Path, typer.Argument(help="The folder that 'synth fit' wrote.", show_default=False)]


@app.command("recommend")
def recommend(
    persons: Annotated[int, typer.Option(help="How many patients there are to learn from.")],
    epsilon: Epsilon = None,
    dictionary: DictionaryOption = None,
    json_output: AsJson = False,
) -> None:
    """Say which generator suits so many patients and such a demand, and what to expect of it."""
    meant = None if dictionary is None else dictionary_in(dictionary)
    advice = recommendation(persons, 1.0 if epsilon is None else epsilon, dictionary=meant, private=epsilon is not None)
    if json_output:
        typer.echo(json.dumps({"generator": advice.generator, "level": advice.level, "words": advice.words}, indent=2))
    else:
        typer.echo(f"{advice.generator}\n{advice.words}")


@app.command("fit")
def fit_(
    real: Real,
    out: Annotated[Path, typer.Option(help="New folder for the fit. It is private and never leaves the hospital.")],
    generator: Annotated[str, typer.Option(help=f"{AUTO}, or one of {NAMES}.")] = AUTO,
    epsilon: Epsilon = None,
    delta: Delta = 1e-6,
    tuning: Tuning = None,
    dictionary: DictionaryOption = None,
    label: Label = None,
    person: Person = None,
    time: Time = None,
    period: Period = None,
    settings: Set = None,
    seed: Seed = 1,
    json_output: AsJson = False,
) -> None:
    """Fit a generator and keep it. Nothing leaves and nothing is judged by this."""
    source = _source(real, tuning, dictionary, label, person, time, period)
    wish = Wish(generator=generator, settings=_settings(settings), epsilon=epsilon, delta=delta)
    record = fit(source, wish, out=out, entropy=SystemEntropy(), seed=seed, on=_today(), tell=_tell)
    if json_output:
        typer.echo(json.dumps(record.plain(), indent=2))
        return
    typer.echo(f"Fitted '{record.generator}': {_protected(record.claim)}.")
    typer.echo(f"Kept in {out}, which holds what was learnt of patients: it stays in the hospital.")
    typer.echo(f"Draw with: wardgate synth sample {out} --out corpus.parquet")


@app.command("sample")
def sample(
    folder: Fit,
    out: Annotated[Path, typer.Option(help="The file to write, or a new folder for --format omop.")],
    rows: Annotated[
        int | None, typer.Option(help="Rows, or persons of timelines; else as many as the fit says.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE, COLUMN=LOW..HIGH or COLUMN=missing. May be repeated.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help=f"{', '.join(FORMS)}; else by the file's name.")] = None,
    seed: Seed = 1,
    json_output: AsJson = False,
) -> None:
    """Draw a corpus. It is marked as synthetic in every file; only the gate may let it out."""
    drawn = draw(folder, rows=rows, where=where or (), out=out, form=_form(form, out), seed=seed, on=_today())
    if json_output:
        plain = {"rows": drawn.rows, "files": [str(file) for file in drawn.files], "sha256": drawn.sha256}
        typer.echo(json.dumps(plain, indent=2))
        return
    typer.echo(f"Wrote {drawn.rows} rows: {', '.join(str(file) for file in drawn.files[:4])}")
    if _form(form, out) == "omop":
        typer.echo("Nothing may leave before the gate has judged it: draw the same rows with --format parquet for it.")
        return
    typer.echo(
        "Nothing may leave before the gate has judged it: wardgate gate check --real R --holdout H"
        f" --synthetic {out} --policy P --dictionary {folder}/dictionary.yaml --claim {folder}/claim.json"
    )


@app.command("rebalance")
def rebalance(
    folder: Fit,
    more_of: Annotated[
        list[str],
        typer.Option("--more", help="CONDITION[,CONDITION]:FACTOR or :SHARE%, e.g. label=1:2. May be repeated."),
    ],
    real: Annotated[Path, typer.Option(help="The patients on whom the fit was made.")],
    tuning: Annotated[Path, typer.Option(help="Other patients to judge by; never the gate's holdout.")],
    out: Annotated[Path, typer.Option(help="The corpus that may be used: rebalanced where that does no harm.")],
    refits: Annotated[
        bool | None,
        typer.Option("--refits/--no-refits", help="Fit anew for every fold, so that all patients can be judged on."),
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help=f"{', '.join(FORMS)}; else by the file's name.")] = None,
    seed: Seed = 1,
    json_output: AsJson = False,
) -> None:
    """Draw more of the few, and keep them only if models that learn from them serve real patients better."""
    found, drawn = more(
        folder,
        Source(real=real, tuning=tuning),
        more_of,
        out=out,
        form=_form(form, out),
        refits=refits,
        entropy=SystemEntropy(),
        seed=seed,
        on=_today(),
    )
    if json_output:
        typer.echo(told(found))
        return
    typer.echo(found.text())
    typer.echo(f"Wrote {drawn.rows} rows: {drawn.files[0]}")


@app.command("compare")
def compare_(
    real: Real,
    tuning: Annotated[Path, typer.Option(help="Other patients to compare with; never the gate's holdout.")],
    policy: Annotated[Path, typer.Option(help="The gate's policy; see 'gate policy init'.")],
    generator: Annotated[list[str] | None, typer.Option(help=f"One of {NAMES}. May be repeated.")] = None,
    epsilon: Epsilon = None,
    delta: Delta = 1e-6,
    dictionary: DictionaryOption = None,
    label: Label = None,
    person: Person = None,
    time: Time = None,
    period: Period = None,
    seeds: Annotated[int, typer.Option(help="Fits of each generator.")] = 1,
    json_output: AsJson = False,
) -> None:
    """Fit several generators to the same patients and measure what each would bring. Nothing leaves."""
    source = _source(real, tuning, dictionary, label, person, time, period)
    names = generator or list(timelines.GENERATORS if time is not None or _timed(source) else GENERATORS)
    wishes = [Wish(generator=name, epsilon=epsilon, delta=delta) for name in names]
    found = compare(source, wishes, policy=read_policy(policy), seeds=seeds, entropy=SystemEntropy(), tell=_tell)
    if json_output:
        typer.echo(json.dumps([one.plain() for one in found], indent=2))
        return
    typer.echo(_table(found))


def _timed(source: Source) -> bool:
    return source.dictionary is not None and source.dictionary.time is not None


def _source(
    real: Path,
    tuning: Path | None,
    dictionary: Path | None,
    label: str | None,
    person: str | None,
    time: str | None,
    period: str | None,
) -> Source:
    return Source(
        real=real,
        tuning=tuning,
        dictionary=None if dictionary is None else dictionary_in(dictionary),
        columns=columns(label, person, time, period, None, None),
    )


def _settings(texts: list[str] | None) -> dict[str, str]:
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise Invalid(f"found '{text[:60]}', expected SETTING=VALUE")
        found[name] = value
    return found


def _form(form: str | None, out: Path) -> Form:
    asked = form or {".csv": "csv", ".parquet": "parquet"}.get(out.suffix, "")
    for known in FORMS:
        if asked == known:
            return known
    raise Invalid(f"found '{form or out.name}', expected --format {', '.join(FORMS)}, or a file .parquet or .csv")


def _protected(claim: Claim) -> str:
    if claim.kind == "dp":
        return f"differentially private, epsilon {claim.epsilon:g} at delta {claim.delta:g} for each person"
    return "no guarantee by design; the gate has to judge by attack what it makes"


def _table(found: tuple[Compared, ...]) -> str:
    heads = [name.partition(".")[2].replace("_", " ") for name in SHOWN]
    lines = [f"{'generator':<26} {'epsilon':>8} " + " ".join(f"{head:>15}" for head in heads) + f" {'seconds':>9} gate"]
    for one in found:
        if one.words:
            lines.append(f"{one.generator:<26} {one.words}")
            continue
        epsilon = f"{one.claim.epsilon:.3g}" if one.claim is not None and one.claim.epsilon else "none"
        values = " ".join(f"{one.values[name]:>15.3f}" if name in one.values else f"{'-':>15}" for name in SHOWN)
        gate = f"{one.passed} of {one.seeds} pass" + (f"; {', '.join(one.failing[:3])}" if one.failing else "")
        lines.append(f"{one.generator:<26} {epsilon:>8} {values} {one.seconds:>9.1f} {gate}")
    lines += [
        "",
        "tstr loss: AUROC lost on patients; detection: AUROC of telling rows from patients; auc: of membership.",
    ]
    return "\n".join(lines)


def _tell(words: str) -> None:
    if sys.stderr.isatty():
        typer.echo(words, err=True)


def _today() -> str:
    return datetime.date.today().isoformat()
