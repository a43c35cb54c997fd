"""The group of commands, and the handling of errors."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from varbump.cli.compare_command import compare
from varbump.cli.demo_command import demo
from varbump.cli.errors import UserError
from varbump.cli.fit_command import fit
from varbump.cli.output import written
from varbump.cli.predict_command import predict
from varbump.cli.report_command import report
from varbump.version import __version__

__all__ = ["varbump"]

USER_ERROR, USAGE_ERROR, INTERRUPTED = 1, 2, 130


class Commands(click.Group):
    """A group whose errors are one line, or one JSON object with --json, and never a traceback."""

    def main(  # type: ignore[override]
        self, args: Any = None, prog_name: str | None = None, **options: Any
    ) -> Any:
        """Run, and exit with 0, 1 (the task cannot be done), 2 (the usage is wrong) or 130 (Ctrl-C)."""
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in arguments
        options["standalone_mode"] = False
        written.clear()
        try:
            code = super().main(arguments, prog_name, **options)
            sys.stdout.flush()
        except click.UsageError as error:
            if not as_json and error.ctx is not None:
                click.echo(f"{error.ctx.get_usage()}\n", err=True)
            _say(error.format_message(), as_json)
            code = USAGE_ERROR
        except (UserError, click.ClickException) as error:
            _say(str(error), as_json)
            code = USER_ERROR
        except (KeyboardInterrupt, click.Abort):
            _say(f"interrupted; {written[-1] if written else 'nothing'} was written", as_json)
            code = INTERRUPTED
        except MemoryError:
            _say("there is not enough memory for this table or network", as_json)
            code = USER_ERROR
        except BrokenPipeError:  # the reader of the pipe is gone; stay silent, also at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = USER_ERROR
        except OSError as error:
            _say(f"{error.filename or 'standard output'}: {error.strerror or error}", as_json)
            code = USER_ERROR
        sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, as_json: bool) -> None:
    message = " ".join(message.split())
    if as_json:
        click.echo(json.dumps({"error": message}))
    else:
        click.echo(f"varbump: {message}", err=True)


HELP = """Regression with honest uncertainty, for a table of data.

\b
varbump fit data.csv --target y --out run
varbump predict run new.csv --out predictions.csv --intervals 50,95
varbump report run
varbump compare data.csv --target y
"""


@click.group(cls=Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="varbump %(version)s")
def varbump() -> None:
    """The command line."""


for command in (fit, predict, report, compare, demo):
    varbump.add_command(command)
