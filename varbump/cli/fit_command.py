"""``varbump fit``: turn a table into a folder with the model, its scores and pictures."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from varbump.cli.columns import Columns, Rows, choose, read_rows
from varbump.cli.features import Declared, check_declared
from varbump.cli.options import Share, Sizes, for_scripts, path_argument, replaces
from varbump.cli.output import check_target, new_folder
from varbump.cli.output_names import check_names_of_table
from varbump.cli.screen import Screen, silenced
from varbump.cli.standard_input import NAME, STANDARD, table_file
from varbump.cli.tables import Table, open_table
from varbump.core.interrupts import uninterrupted

__all__ = ["fit"]


@click.command(short_help="Learn from a table.")
@path_argument("data", "DATA")
@click.option("--target", "-t", "targets", multiple=True, required=True, help="Column to predict; repeat for several.")
@click.option("--features", help="Columns to predict from, separated by commas.  [default: all others]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("run"), show_default=True, help="Folder to make.")
@replaces
@click.option("--test-size", type=Share(), default=0.2, show_default=True,
              help="Fraction of the rows to hold out for scoring; 0 for none.")  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the split and fit."
)
@click.option("--categorical", help="Features that are categories, such as codes, separated by commas.")
@click.option("--numeric", help="Features that are numbers, so that any other cell is an error.")
@click.option("--drop-missing", is_flag=True, help="Leave out rows with empty or infinite cells.")
@click.option("--delimiter", help="Delimiter of a text table, such as ';' or the word tab.")
@click.option("--likelihood", default="auto", show_default=True, metavar="NAME",
              help="Distribution of y: normal, heteroscedastic (noise differs by row), student_t (heavy tails), "
              "poisson or negative_binomial (counts), gamma or log_normal (positive), censored_normal; auto tries the "
              "first two.")  # fmt: skip
@click.option("--posterior", metavar="[full_covariance|joint|low_rank|mean_field]", default="mean_field",
              show_default=True, help="Family of distributions over weights.")  # fmt: skip
@click.option("--prior", metavar="[ard|laplace|normal|scale_mixture|trainable]", default="ard", show_default=True,
              help="Prior of the weights; ard learns how relevant each feature is.")  # fmt: skip
@click.option("--hidden", type=Sizes(), default="auto", show_default=True,
              help="Units of hidden layers, such as 50,50; none: linear; auto tries one and two layers.")  # fmt: skip
@click.option("--embedding", type=click.Choice(["auto", "forest", "none"]), default="auto", show_default=True,
              help="What networks see of a row beside its features: predictions of a forest, nothing, or both in "
              "turn.")  # fmt: skip
@click.option("--max-iter", type=click.IntRange(1, 10**9), help="Passes over the rows.  [default: about 20,000 steps]")
@click.option("--members", type=click.IntRange(1, 100), default=4, show_default=True, help="Networks to pool.")
@for_scripts
def fit(data: Path, targets: tuple[str, ...], features: str | None, out: Path, force: bool, **options: Any) -> None:
    """Learn to predict the --target of a table (CSV, TSV or Parquet, by suffix) from its other columns.

    DATA is a file, or - for standard input. Features are numbers, ISO dates or categories, by their content; their
    cells may be empty.

    Writes the folder --out: the model, run.json (what was done, and scores), held_out.csv and pictures.
    """
    screen = Screen(as_json=options["as_json"], quiet=options["quiet"])
    started = time.perf_counter()
    file = click.get_current_context().with_resource(table_file(data))
    table = open_table(file, options["delimiter"], NAME if data == STANDARD else None)
    columns = choose(table, targets, _names(features))
    declared = Declared(_names(options["categorical"]), _names(options["numeric"]))
    check_declared(table, declared, columns.features)
    check_names_of_table(table.name, [*columns.features, *columns.targets], columns.targets)
    check_target(out, force=force, folder=True)
    with screen.waiting(f"reading {table.name}"):
        rows = read_rows(table, columns, declared, drop_missing=options["drop_missing"])
    with screen.waiting("starting TensorFlow"), silenced(), uninterrupted():
        from varbump.cli.fitting import Fitted, fit_rows
        from varbump.cli.names import check_names
    check_names(options)
    with silenced():
        fitted: Fitted = fit_rows(columns, rows, options, verbose=int(screen.talks))
        info = fitted.info | {"data": _about(file, rows, table), "arguments": _arguments(columns, out, options)}
        info["seconds"] = round(time.perf_counter() - started, 1)
        with new_folder(out) as folder, screen.waiting("drawing"):
            fitted.write(folder)
            (folder / "run.json").write_text(json.dumps(info, indent=1, allow_nan=False) + "\n", "utf-8")
    for part in fitted.summary:
        screen.show(part)
    screen.show(f"\nWrote {out}: the model, run.json, held_out.csv and pictures. Next: varbump report {out}")
    screen.result({"run": str(out), **info})


def _names(option: str | None) -> list[str]:
    return [name.strip() for name in option.split(",")] if option is not None else []


def _about(file: Path, rows: Rows, table: Table) -> dict[str, Any]:
    from varbump.cli.run_file import checksum

    count = len(rows.x) + rows.num_dropped
    about = {"file": table.name, "rows": count, "dropped": rows.num_dropped, "columns": table.columns}
    return {**about, "sha256": checksum(file)}


def _arguments(columns: Columns, out: Path, options: dict[str, Any]) -> dict[str, Any]:
    hidden = {name: value for name, value in options.items() if name not in ("as_json", "quiet")}
    return {"targets": columns.targets, "features": columns.features, "out": str(out), **hidden}
