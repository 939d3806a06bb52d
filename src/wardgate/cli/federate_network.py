"""`wardgate federate architecture`: a network as a document, written, read and checked before a study locks it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from wardgate.cli.files import text_in, write_out
from wardgate.cli.options import AsJson
from wardgate.cli.study import read_study
from wardgate.computations.networks import described
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.mlp import Bend, mlp
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.measures.layers.traps import traps
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid, Refused
from wardgate.records.network import SCHEMA, Architecture, BatchNorm, Layer, Residual
from wardgate.records.study import Study
from wardgate.records.yaml_file import check_schema, read, validate

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command("architecture")
def architecture(
    file: Annotated[
        Path | None, typer.Argument(help="A network's document (YAML or JSON) to check.", show_default=False)
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="The study that locks it, or whose features shall go in.", show_default=False)
    ] = None,
    network: Annotated[str | None, typer.Option(help="The name of a network that the study locks.")] = None,
    hidden: Annotated[
        str | None, typer.Option(help="Write a multilayer perceptron: units of its hidden layers, e.g. 32,16.")
    ] = None,
    activation: Annotated[
        str, typer.Option(help="With --hidden: relu, leaky_relu, tanh, sigmoid, silu, gelu, elu.")
    ] = "relu",
    norm: Annotated[
        str, typer.Option(help="With --hidden: group, batch or none; noise needs group or none.")
    ] = "group",
    dropout: Annotated[float, typer.Option(help="With --hidden: chance of leaving a number out in training.")] = 0.0,
    seed: Annotated[int, typer.Option(help="With --hidden: from which the start weights follow.")] = 0,
    persons: Annotated[
        int | None, typer.Option(help="Training persons of all hospitals at least; no layer may have more units.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the document here.", show_default=False)] = None,
    json_output: AsJson = False,
) -> None:
    """Check a network's document, say what is in it and whether hospitals would train it; or write one.

    Give one of: a FILE, a --study with --network, or a --study with --hidden.
    """
    locked = None if study is None else read_study(study)
    given = [file is not None, network is not None, hidden is not None]
    if sum(given) != 1 or (file is None and locked is None):
        raise Invalid("give one of: a FILE, --study with --network, or --study with --hidden")
    if out is not None and out.exists():
        raise Invalid(f"{out} exists; choose another name, or remove it")
    if file is not None:
        found = _read(file)
    elif network is not None:
        found = _of_study(cast(Study, locked), network)
    else:
        found = _perceptron(cast(Study, locked), str(hidden), activation, norm, dropout, seed)
    against = tuple(_against(found, locked, persons))
    if out is not None:
        write_out(out, canonical(found.plain()) + b"\n")
    if json_output:
        typer.echo(json.dumps(_plain(found, against), indent=2))
    else:
        typer.echo("\n".join(_lines(found, locked, against)))
        if out is not None:
            typer.echo(f"Wrote {out}. A study locks it under 'networks: {{NAME: ...}}'; JSON is YAML too.")
    if against:
        raise Refused(f"no hospital would train this network: {against[0]}")


def _read(file: Path) -> Architecture:
    parsed = read(text_in(file, "a network's document (YAML or JSON)"), name=str(file), what="a network")
    check_schema(parsed, (SCHEMA,))
    return validate(parsed, Architecture)


def _of_study(study: Study, network: str) -> Architecture:
    if network not in study.networks:
        known = ", ".join(f"'{name}'" for name in sorted(study.networks)) or "none"
        raise Invalid(f"the study has no network '{network}'; it has {known}")
    return study.networks[network]


def _perceptron(study: Study, hidden: str, activation: str, norm: str, dropout: float, seed: int) -> Architecture:
    units = [part.strip() for part in hidden.split(",") if part.strip()]
    if not all(part.isdecimal() for part in units):
        raise Invalid(f"found --hidden {hidden[:40]}, expected units of the hidden layers, e.g. 32,16")
    if norm not in ("group", "batch", "none"):
        raise Invalid(f"found --norm {norm[:40]}, expected group, batch or none")
    return mlp(
        len(design_columns(study.features)) - 1,
        [int(part) for part in units],
        activation=cast(Bend, activation),
        norm=None if norm == "none" else "group" if norm == "group" else "batch",
        dropout=dropout,
        seed=seed,
    )


def _against(found: Architecture, study: Study | None, persons: int | None) -> Iterator[str]:
    """Say why a hospital would refuse to train it, one reason after the other."""
    try:
        yield from traps(found, start(found), persons=persons)
    except Invalid as error:
        yield str(error)
        return
    columns = None if study is None else len(design_columns(study.features)) - 1
    if columns is not None and columns != found.inputs:
        yield f"it takes {found.inputs} numbers, and the study's design has {columns} columns"


def _plain(found: Architecture, against: tuple[str, ...]) -> dict[str, Any]:
    parts = [] if against else [{"name": one.name, "shape": list(one.shape)} for one in tensors(found)]
    return {
        "sha256": found.sha256,
        "inputs": found.inputs,
        "numbers": 0 if against else size(found),
        "tensors": parts,
        "refused": list(against),
        "architecture": found.plain(),
    }


def _lines(found: Architecture, study: Study | None, against: tuple[str, ...]) -> Iterator[str]:
    yield f"sha256 {found.sha256}"
    if against:
        yield from (f"refused: {words}" for words in against)
        return
    yield described(found)
    yield ""
    yield from (f"{one.name:<20} {' x '.join(map(str, one.shape)):>14} {one.size:>9,}" for one in tensors(found))
    yield f"{'in all':<20} {'':>14} {size(found):>9,}"
    yield ""
    if _any_batch_norm(found.layers):
        yield "Has batch norms: it cannot be trained with noise, since one person's gradient holds the others'."
    if study is not None:
        ratio = study.gate.small_cells.max_numbers_per_person
        yield f"An exact round needs about {size(found) / ratio:,.0f} training persons in all, by the study's policy."
    yield "Every hospital would train it, if the locked study names it and lists 'network_update' under 'analyses'."


def _any_batch_norm(layers: tuple[Layer, ...]) -> bool:
    return any(
        isinstance(one, BatchNorm) or (isinstance(one, Residual) and _any_batch_norm(one.layers)) for one in layers
    )
