"""`wardgate budget`: what a population has spent over all studies, and what a plan would cost."""

import datetime
import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.options import AsJson
from wardgate.cli.policy import read_policy
from wardgate.hub.commons.durable import write_whole
from wardgate.papers.budget import budget_html, forecast_plain, forecast_text, state_plain, state_text
from wardgate.privacy.forecast import State, forecast, planned, state
from wardgate.privacy.population import FILE, HEAD, ONE, Book, read_book
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import Population

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Memory = Annotated[Path, typer.Argument(help="The folder that the hospital keeps over studies.", show_default=False)]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="The gate's policy, whose limits hold; else the defaults.")
]
Name = Annotated[str | None, typer.Option(help="The population, where the hospital names several.")]
Day = Annotated[str | None, typer.Option("--on", help="The day, YYYY-MM-DD; else today.")]


@app.command("show")
def show(
    memory: Memory,
    population: Name = None,
    policy: PolicyFile = None,
    on: Day = None,
    html: Annotated[Path | None, typer.Option(help="Write a page for people.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show what was spent on each population, what an attacker can believe by it, and when time gives it back."""
    book, limits, day = _book(memory), _limits(policy), _day(on)
    names = [population] if population else list(dict.fromkeys(entry.population for entry in book.entries)) or [ONE]
    _known(book, population)
    found = [state(book, population=name, limits=limits, on=day) for name in names]
    if html is not None:
        write_whole(html, budget_html(found).encode())
    if json_output:
        typer.echo(json.dumps({"populations": [state_plain(one) for one in found]}, indent=2))
    else:
        typer.echo("\n\n".join(state_text(one) for one in found))


@app.command("forecast")
def forecast_(
    memory: Memory,
    add: Annotated[
        list[str], typer.Option(help="A planned release: corpus:epsilon=1, rounds=20:noise=5, sum=3:exact. Repeat.")
    ],
    population: Name = None,
    policy: PolicyFile = None,
    on: Day = None,
    json_output: AsJson = False,
) -> None:
    """Say what planned releases would cost in this order, whether they are allowed, and else from when on."""
    book, limits, day = _book(memory), _limits(policy), _day(on)
    _known(book, population)
    plan = [planned(text, delta=limits.delta) for text in add]
    name = population or _only(book)
    steps = forecast(book, plan, population=name, limits=limits, on=day)
    now: State = state(book, population=name, limits=limits, on=day)
    if json_output:
        typer.echo(json.dumps(forecast_plain(steps, now), indent=2))
    else:
        typer.echo(forecast_text(steps, now))


def _book(memory: Path) -> Book:
    path = memory / FILE
    if not memory.is_dir():
        raise Invalid(f"{memory} is not a folder, expected the one that the hospital keeps over studies")
    if not path.is_file():
        inside = sorted(found.parent.name for found in memory.glob(f"*/{FILE}"))
        hint = f"; there is one in {', '.join(inside[:5])}" if inside else "; nothing was spent with this memory yet"
        raise Invalid(f"{memory} holds no {FILE}{hint}")
    head = memory / HEAD
    return read_book(path.read_bytes(), head=head.read_bytes() if head.is_file() else None)


def _known(book: Book, population: str | None) -> None:
    names = {entry.population for entry in book.entries}
    if population is not None and population not in names:
        raise Invalid(f"the book knows no population '{population}', expected one of {', '.join(sorted(names))}")


def _only(book: Book) -> str:
    names = sorted({entry.population for entry in book.entries})
    if len(names) > 1:
        raise Invalid(f"the book holds several populations; name one with --population: {', '.join(names)}")
    return names[0] if names else ONE


def _limits(policy: Path | None) -> Population:
    if policy is None:
        return Population()
    limits = read_policy(policy).population
    if limits is None:
        raise Invalid(f"{policy} sets no limit for a population; add a section 'population'")
    return limits


def _day(on: str | None) -> str:
    if on is None:
        return datetime.date.today().isoformat()
    try:
        return datetime.date.fromisoformat(on).isoformat()
    except ValueError:
        pass
    raise Invalid("expected a day as YYYY-MM-DD")
