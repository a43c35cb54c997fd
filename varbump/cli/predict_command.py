"""``varbump predict``: predict the rows of another table, chunk by chunk."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv, parquet

from varbump.cli.digits import rounded
from varbump.cli.errors import UserError
from varbump.cli.features import rows_in_chunks
from varbump.cli.many import files_of, is_many, refuse_options
from varbump.cli.options import Intervals, for_scripts, path_argument, replaces
from varbump.cli.output import check_target, new_file, new_folder
from varbump.cli.output_names import prediction_names
from varbump.cli.run_file import Run, read_run
from varbump.cli.screen import Screen, silenced
from varbump.cli.standard_input import NAME, STANDARD, table_file
from varbump.cli.tables import KINDS, Table, kind_of, open_table
from varbump.cli.unusual_cells import num_unseen, unusable
from varbump.core.interrupts import uninterrupted

__all__ = ["predict"]


@click.command(short_help="Predict the rows of a table.")
@path_argument("run", "RUN")
@path_argument("data", "DATA")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Table to write; - for standard output.")
@click.option("--intervals", type=Intervals(), default="95", show_default=True, help="Percentages, such as 50,95.")
@click.option("--keep", is_flag=True, help="Copy the columns of DATA in front of the predictions.")
@click.option(
    "--skip-missing",
    is_flag=True,
    help="Leave predictions of rows with empty cells empty, if the fit had none in their columns.",
)
@click.option("--delimiter", help="Delimiter of a text table, such as ';' or the word tab.")
@replaces
@for_scripts
def predict(
    run: Path, data: Path, out: Path, intervals: tuple[float, ...], keep: bool, skip_missing: bool,
    delimiter: str | None, force: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Predict the rows of DATA with the model in the folder RUN: mean, sd and intervals of each.

    Tables are read and written in pieces, CSV, TSV or Parquet by suffix; DATA is a file, or - for standard input; or a
    folder of Parquet files or a pattern, and --out then a folder to make, with a file for each.
    Features are found by name, in any order. Text tables get 7 significant digits, and as many more as keep 7 of the
    sd; Parquet holds all of them.
    """
    to_stdout = out == STANDARD
    if to_stdout and as_json:
        raise click.UsageError("--json cannot go with --out -: both need standard output")
    screen = Screen(as_json=as_json, quiet=quiet or to_stdout)
    the_run = read_run(run)
    many = is_many(data)
    if many:
        refuse_options({"delimiter": delimiter})
        files = files_of(data)
    else:
        files = [click.get_current_context().with_resource(table_file(data))]
    tables = [open_table(file, delimiter, NAME if data == STANDARD else None) for file in files]
    for table in tables:
        table.require(the_run.features, f", a feature of {run}")
    if many and (to_stdout or out.suffix.lower() in KINDS):
        raise UserError(f"--out {out} must be a folder to make, since DATA is several files")
    if not to_stdout:
        if not many:
            kind_of(out)
        if data != STANDARD and out.absolute() == data.absolute():
            raise UserError(f"--out {out} is the table to read; name another")
        check_target(out, force=force, folder=many)
    kept = list(tables[0].columns) if keep else []
    names = _names(the_run, intervals, set(kept))
    with screen.waiting("starting TensorFlow"), silenced(), uninterrupted():
        from varbump.cli.run_file import load_model

        model = load_model(the_run)
    counts = {"rows": 0, "skipped": 0, "unseen": 0}
    with screen.waiting("predicting") as say, silenced():

        def write_all(table: Table, to: Path, place: Any) -> None:
            text = to == STANDARD or KINDS[kind_of(to)] is not None
            with place(to, names) as write:
                for batch in _batches(model, table, the_run, intervals, kept, names, counts, skip_missing, text):
                    write(batch)
                    say(f"predicting: {counts['rows']:,} rows")

        if many:
            with new_folder(out) as folder:
                for file, table in zip(files, tables, strict=True):
                    write_all(table, folder / file.name, _written)
        else:
            write_all(tables[0], out, _sink)
    skipped = f" ({counts['skipped']:,} with empty cells were left empty)" if counts["skipped"] else ""
    screen.show(f"Wrote {counts['rows']:,} rows to {out}{skipped}: {', '.join(names)}")
    if counts["unseen"]:
        screen.show(f"{counts['unseen']:,} cells hold categories that the fit has not seen; their intervals are wider")
    screen.result({"out": str(out), **counts, "columns": [*kept, *names]})


def _batches(
    model: Any, table: Table, run: Run, intervals: tuple[float, ...], kept: list[str], names: list[str],
    counts: dict[str, int], skip: bool, text: bool,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Predict a table, in pieces."""
    first = counts["rows"]
    for values, others in rows_in_chunks(table, run.kinds, kept):
        predicted = _rows(model, values, intervals, table, run, counts, skip, counts["rows"] - first)
        if text:
            predicted = rounded(predicted, predicted[..., 1:2])
        predicted = predicted.reshape(len(values), -1)
        columns = [*others.columns, *(pa.array(column, mask=np.isnan(column)) for column in predicted.T)]
        counts["rows"] += len(values)
        yield pa.RecordBatch.from_arrays(columns, names=[*kept, *names])
    if counts["rows"] == first:
        raise UserError(f"{table.name} has no rows, only a header")


def _names(run: Run, intervals: Sequence[float], taken: set[str]) -> list[str]:
    names = prediction_names(run.targets, intervals)
    clash = [name for name in names if name in taken]
    if clash:
        raise UserError(f"--keep: the table has a column {clash[0]!r} already; rename it or leave --keep out")
    return names


def _rows(
    model: Any,
    x: Any,
    intervals: Sequence[float],
    table: Table,
    run: Run,
    counts: dict[str, int],
    skip: bool,
    first: int,
) -> np.ndarray:
    """Predict one chunk, which begins with row `first`: mean, sd and intervals of each target, (n, Q, 2 + 2 L).

    They are nan for rows that the model cannot fill if these may be skipped.
    """
    from varbump.cli.forecasts import forecast
    from varbump.cli.learning import library_errors

    bad = unusable(model.encoder_.source, x)
    finite = ~bad.any(axis=1)
    if bad.any() and not skip:
        row = int(np.argmin(finite))
        name = run.features[int(np.argmax(bad[row]))]
        raise UserError(
            f"{table.name}, row {first + row + table.first_row:,}, column {name!r}: the cell is infinite, or "
            f"empty in a column that had no empty cell in the fit; fill it, or add --skip-missing to leave the "
            f"predictions of such rows empty"
        )
    counts["skipped"] += int(bad.any(axis=1).sum())
    counts["unseen"] += num_unseen(model.encoder_.source, run.features, x)
    result = np.full((len(x), len(run.targets), 2 + 2 * len(intervals)), np.nan)
    if finite.any():
        with library_errors():
            predicted = forecast(model, x[finite], [level / 100 for level in intervals])
        ends = [side[level / 100] for level in intervals for side in (predicted.lower, predicted.upper)]
        result[finite] = np.stack([predicted.mean, predicted.sd, *ends], axis=-1)
    return result


@contextmanager
def _sink(out: Path, names: Sequence[str]) -> Iterator[Any]:
    """Yield a function that writes a batch to `out`, in the format of its suffix, or to standard output as CSV."""
    if out == STANDARD:
        with _text(pa.PythonFile(sys.stdout.buffer, mode="w"), ",") as write:
            yield write
        return
    kind = kind_of(out)
    delimiter = KINDS[kind]
    with new_file(out) as beside:
        if delimiter is None:
            with _written(beside, names) as write:
                yield write
            return
        compression = "gzip" if out.suffix.lower() == ".gz" else None
        with pa.output_stream(str(beside), compression=compression) as stream, _text(stream, delimiter) as write:
            yield write


@contextmanager
def _written(path: Path, names: Sequence[str]) -> Iterator[Any]:
    """Yield a function that writes a batch to a new Parquet file."""
    writers: list[Any] = []

    def write(batch: pa.RecordBatch) -> None:
        if not writers:
            writers.append(parquet.ParquetWriter(str(path), batch.schema))
        writers[0].write_batch(batch)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


@contextmanager
def _text(stream: Any, delimiter: str) -> Iterator[Any]:
    """Yield a function that writes a batch as delimited text, quoted where needed."""
    writers: list[Any] = []

    def write(batch: pa.RecordBatch) -> None:
        if not writers:
            options = arrow_csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="needed")
            try:
                writers.append(arrow_csv.CSVWriter(stream, batch.schema, write_options=options))
            except pa.ArrowInvalid as error:  # lists and the like, in Parquet
                raise UserError(f"--keep: a column cannot be written as text ({error}); write Parquet") from None
            line = io.StringIO()
            csv.writer(line, delimiter=delimiter, lineterminator="\n").writerow(batch.schema.names)
            stream.write(line.getvalue().encode())
        writers[0].write_batch(batch)

    yield write
    for writer in writers:
        writer.close()
