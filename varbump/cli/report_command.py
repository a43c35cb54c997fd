"""``varbump report``: make a page about a run."""

from __future__ import annotations

from pathlib import Path

import click

from varbump.cli.options import for_scripts, path_argument
from varbump.cli.output import new_file
from varbump.cli.run_file import read_run
from varbump.cli.screen import Screen, silenced
from varbump.core.interrupts import uninterrupted

__all__ = ["report"]


@click.command(short_help="Make an HTML page about a run.")
@path_argument("run", "RUN")
@for_scripts
def report(run: Path, quiet: bool, as_json: bool) -> None:
    """Write report.html into the folder RUN: one page that needs no network and no other file."""
    screen = Screen(as_json=as_json, quiet=quiet)
    the_run = read_run(run)
    path = run / "report.html"
    with screen.waiting("starting TensorFlow"), silenced(), uninterrupted():
        from varbump.cli.reporting import page_of
    with screen.waiting("drawing"), silenced():
        text = page_of(the_run)
        with new_file(path) as beside:
            beside.write_text(text, "utf-8")
    screen.show(f"Wrote {path}")
    screen.result({"report": str(path)})
