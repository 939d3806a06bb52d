"""The commands: each parses, calls one function and prints one record. Exit codes: docs/exit-codes.md."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import typer
from typer.exceptions import TyperException

from wardgate import __version__
from wardgate.records.errors import Invalid, StepFailed, WardgateError

JOINING = ("init", "renew", "enrol", "serve")
"""Commands of a hospital that need no code that sees patients; `serve` stays, and should stay small."""

Adds = Callable[[typer.Typer, str], None]
"""Adds a command, or a group of which the second word names a command."""


def _study(app: typer.Typer, _: str) -> None:
    from wardgate.cli import study, study_lead, study_officer

    words = "Write and lock a study; propose, sign and run it between hospitals."
    _add(app, "study", words, study.app, study_lead.app, study_officer.app)


def _hub(app: typer.Typer, _: str) -> None:
    from wardgate.cli import hub

    app.add_typer(hub.app, name="hub", help="The consortium's hub: found it, admit hospitals, serve.")


def _site(app: typer.Typer, word: str) -> None:
    from wardgate.cli import site

    parts = [site.app]
    if word not in JOINING:
        from wardgate.cli import site_officer

        parts.append(site_officer.app)
    _add(app, "site", "A hospital: join, serve, see every question, approve, pause, leave.", *parts)


def _add(app: typer.Typer, name: str, words: str, *parts: typer.Typer) -> None:
    """Add one group that has the commands of all parts."""
    group = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for part in parts:
        group.add_typer(part)
    app.add_typer(group, name=name, help=words)


def _data(app: typer.Typer, _: str) -> None:
    from wardgate.cli import data

    app.add_typer(data.app, name="data", help="Whether a hospital's data mean what the study means; profile; convert.")


def _certificate(app: typer.Typer, _: str) -> None:
    from wardgate.cli import certificate

    app.add_typer(certificate.app, name="certificate", help="Show, approve, verify and revoke a signed verdict.")


def _budget(app: typer.Typer, _: str) -> None:
    from wardgate.cli import budget

    app.add_typer(budget.app, name="budget", help="What a population has spent, and what a plan would cost.")


def _gate(app: typer.Typer, _: str) -> None:
    from wardgate.cli import gate

    app.add_typer(gate.app, name="gate", help="Judge what wants to leave; explain a rule; write and check a policy.")


def _synth(app: typer.Typer, _: str) -> None:
    from wardgate.cli import synth

    app.add_typer(synth.app, name="synth", help="Make synthetic tables: fit, draw, compare.")


def _federate(app: typer.Typer, _: str) -> None:
    from wardgate.cli import federate, federate_contributions, federate_network, federate_train

    words = "Train networks over hospitals: choose an algorithm with evidence, train, check a network's document."
    _add(app, "federate", words, federate.app, federate_train.app, federate_network.app, federate_contributions.app)


def _demo(app: typer.Typer, _: str) -> None:
    from wardgate.cli import demo

    app.command("demo")(demo.demo)


def _verify(app: typer.Typer, _: str) -> None:
    from wardgate.cli import verify

    app.command("verify")(verify.verify)


def _version(app: typer.Typer, _: str) -> None:
    app.command("version")(version)


def version() -> None:
    """Print the version."""
    typer.echo(__version__)


COMMANDS: Mapping[str, Adds] = MappingProxyType(
    {
        "study": _study,
        "hub": _hub,
        "site": _site,
        "data": _data,
        "certificate": _certificate,
        "budget": _budget,
        "gate": _gate,
        "synth": _synth,
        "federate": _federate,
        "demo": _demo,
        "verify": _verify,
        "version": _version,
    }
)


def application(words: Sequence[str] = ()) -> typer.Typer:
    """Return the command line: with all commands, or, to start sooner, with the one that the first word names."""
    app = typer.Typer(
        name="wardgate",
        help="The data firewall for hospitals that build diagnostic AI together.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    # Of one command alone, typer would make the whole line; this keeps its name a word.
    app.callback()(lambda: None)
    first, second = (*words, "", "")[:2]
    for add in [COMMANDS[first]] if first in COMMANDS else COMMANDS.values():
        add(app, second)
    return app


WRONG_USAGE = 64
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with a documented code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Errors go to standard error in one line or a short list."""
    try:
        app = application(arguments)
        code = app(arguments, standalone_mode=False, prog_name="wardgate")
    except WardgateError as error:
        sys.stderr.write(f"wardgate: {error}\n")
        return error.exit_code
    except TyperException as error:
        words = error.format_message().rstrip(".")
        if not words:  # no argument at all: the help is shown already
            return 0
        sys.stderr.write(f"wardgate: {words}. See 'wardgate --help'\n")
        return WRONG_USAGE
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"wardgate: the system says: {os.strerror(error.errno or 0)} ({_place(error)})\n")
        return Invalid.exit_code
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            return _unforeseen(error)
        # Whoever read the output went away, as `head` does. Output comes last, so the work is done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, its words may quote a patient
        return _unforeseen(error)
    if code == INTERRUPTED:  # typer, too, turns an interrupt into this code
        sys.stderr.write("wardgate: interrupted; nothing half-written was left\n")
    return code if isinstance(code, int) else 0


def _unforeseen(error: BaseException) -> int:
    sys.stderr.write(
        f"wardgate: {type(error).__name__} in {_place(error)}, which nobody foresaw; its words are not shown, since"
        " they may quote a patient. Please report the place\n"
    )
    return StepFailed.exit_code


def _place(error: BaseException) -> str:
    """Return the innermost line of ours behind an error, and none of its words."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "wardgate" in frame.filename]
    if not frames:
        return "the command line"
    return f"wardgate{frames[-1].filename.rpartition('wardgate')[2]}, line {frames[-1].lineno}"
