"""The commands: each parses, calls one function and prints one record. Exit codes: docs/exit-codes.md."""

import os
import sys
import traceback

import typer
from typer.exceptions import TyperException

from wardgate import __version__
from wardgate.cli import (
    budget,
    certificate,
    data,
    demo,
    gate,
    hub,
    site,
    study,
    study_lead,
    study_officer,
    synth,
    verify,
)
from wardgate.records.errors import Invalid, StepFailed, WardgateError

app = typer.Typer(
    name="wardgate",
    help="The data firewall for hospitals that build diagnostic AI together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (study_lead.propose, study_lead.run, study_lead.resume, study_lead.status, study_lead.abort):
    study.app.command(command.__name__)(command)
for decision in (study_officer.review, study_officer.sign, study_officer.refuse):
    study.app.command(decision.__name__)(decision)
app.add_typer(study.app, name="study", help="Write and lock a study; propose, sign and run it between hospitals.")
app.add_typer(hub.app, name="hub", help="The consortium's hub: found it, admit hospitals, serve.")
app.add_typer(site.app, name="site", help="A hospital: join, serve, see every question, approve, pause, leave.")
app.add_typer(data.app, name="data", help="Whether a hospital's data mean what the study means; profile; convert.")
app.add_typer(certificate.app, name="certificate", help="Show, approve, verify and revoke a signed verdict.")
app.add_typer(budget.app, name="budget", help="What a population has spent, and what a plan would cost.")
app.add_typer(gate.app, name="gate", help="Judge what wants to leave; explain a rule; write and check a policy.")
app.add_typer(synth.app, name="synth", help="Make synthetic tables: fit, draw, compare.")
app.command("demo")(demo.demo)
app.command("verify")(verify.verify)


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


WRONG_USAGE = 64
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with a documented code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Errors go to standard error in one line or a short list."""
    try:
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
