"""``varbump fit``: turn a table into a folder with the model, its scores and pictures."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import click

from varbump.cli.columns import Columns, Rows
from varbump.cli.errors import UserError
from varbump.cli.many import files_of, is_many, parts_of, refuse_options
from varbump.cli.options import Share, for_scripts, of_model, of_table, replaces
from varbump.cli.output import check_target, new_folder
from varbump.cli.screen import Screen, silenced
from varbump.cli.tables import Table
from varbump.cli.to_learn import find_table
from varbump.core.interrupts import uninterrupted

__all__ = ["fit"]

NUMBERS = re.compile(r"\[\n([-+.,\deE\s]*)\]")


@click.command(short_help="Learn from a table.")
@of_table
@click.option("--out", type=click.Path(path_type=Path), default=Path("run"), show_default=True, help="Folder to make.")
@replaces
@click.option("--test-size", type=Share(), default=0.2, show_default=True,
              help="Fraction of the rows to hold out for scoring; 0 for none.")  # fmt: skip
@of_model
@click.option("--checkpoint", type=click.Path(path_type=Path), metavar="FOLDER",
              help="State of a fit to several files: the same command goes on from there after a kill.")  # fmt: skip
@for_scripts
def fit(data: Path, targets: tuple[str, ...], features: str | None, out: Path, force: bool, **options: Any) -> None:
    """Learn to predict the --target of a table (CSV, TSV or Parquet, by suffix) from its other columns.

    DATA is a file, or - for standard input; or a folder of Parquet files, or a pattern such as "part-*.parquet" in
    quotation marks, which are read in blocks and may be larger than memory. Features are numbers, ISO dates or
    categories, by their content; their cells may be empty.

    Writes the folder --out: the model, run.json (what was done, and scores), held_out.csv and pictures.
    """
    screen = Screen(as_json=options["as_json"], quiet=options["quiet"])
    started = time.perf_counter()
    files = files_of(data) if is_many(data) else []
    if files:
        refuse_options(options)
    elif options["checkpoint"] is not None:
        raise UserError("--checkpoint is for several files, but DATA is a single table")
    found = find_table(files[0] if files else data, targets, features, options)
    check_target(out, force=force, folder=True)
    rows = None if files else found.read(screen)
    with screen.waiting("starting TensorFlow"), silenced(), uninterrupted():
        from varbump.cli.fitting import Fitted, fit_parts, fit_rows
        from varbump.cli.names import check_names
    check_names(options)
    with silenced():
        fitted: Fitted
        if rows is None:
            parts = parts_of(files, found.columns, options["test_size"], options["seed"])
            fitted = fit_parts(found.columns, parts, options, verbose=int(screen.talks))
            count = sum(fitted.info["rows"][name] for name in ("train", "held_out"))
            about = {"file": str(data), "rows": count, "dropped": 0, "columns": found.table.columns}
            about["sha256"] = parts.source.digest
        else:
            fitted = fit_rows(found.columns, rows, options, verbose=int(screen.talks))
            about = _about(found.file, rows, found.table)
        info = fitted.info | {
            "data": about,
            "arguments": _arguments(found.columns, out, options),
        }
        info["seconds"] = round(time.perf_counter() - started, 1)
        with new_folder(out) as folder, screen.waiting("drawing"):
            fitted.write(folder)
            (folder / "run.json").write_text(_as_text(info), "utf-8")
    for part in fitted.summary:
        screen.show(part)
    screen.show(f"\nWrote {out}: the model, run.json, held_out.csv and pictures. Next: varbump report {out}")
    screen.result({"run": str(out), **info})


def _as_text(info: dict[str, Any]) -> str:
    """JSON with one entry a line, but numbers of a list on a single one; text in it has no line breaks."""
    text = json.dumps(info, indent=1, allow_nan=False)
    return NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def _about(file: Path, rows: Rows, table: Table) -> dict[str, Any]:
    from varbump.cli.run_file import checksum

    count = len(rows.x) + rows.num_dropped
    about = {"file": table.name, "rows": count, "dropped": rows.num_dropped, "columns": table.columns}
    return {**about, "sha256": checksum(file)}


def _arguments(columns: Columns, out: Path, options: dict[str, Any]) -> dict[str, Any]:
    hidden = {name: value for name, value in options.items() if name not in ("as_json", "quiet", "checkpoint")}
    return {"targets": columns.targets, "features": columns.features, "out": str(out), **hidden}
