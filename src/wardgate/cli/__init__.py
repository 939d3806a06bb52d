"""The commands: each parses, calls one function and prints one record. Exit codes: docs/exit-codes.md."""

import sys

import click
import typer

from wardgate import __version__
from wardgate.cli import demo, study, verify
from wardgate.records.errors import WardgateError

app = typer.Typer(
    name="wardgate",
    help="The data firewall for hospitals that build diagnostic AI together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(study.app, name="study", help="Write, check and lock a study.")
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
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(error.format_message() + "\n")
        return 0
    except click.UsageError as error:
        sys.stderr.write(f"wardgate: {error.format_message()}. See 'wardgate --help'\n")
        return WRONG_USAGE
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("wardgate: interrupted; nothing half-written was left\n")
        return INTERRUPTED
    return code if isinstance(code, int) else 0
