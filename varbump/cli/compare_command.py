"""``varbump compare``: cross-validate the model beside what a table is usually fitted with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from varbump.cli.options import for_scripts, of_model, of_table
from varbump.cli.screen import Screen, silenced
from varbump.cli.to_learn import find_table
from varbump.core.interrupts import uninterrupted

__all__ = ["compare"]


@click.command(short_help="Cross-validate beside a line, a forest and boosting.")
@of_table
@click.option("--folds", type=click.IntRange(2, 100), default=5, show_default=True, help="Folds to predict in turn.")
@of_model
@for_scripts
def compare(data: Path, targets: tuple[str, ...], features: str | None, folds: int, **options: Any) -> None:
    """Say how well this table can be predicted, by this model and by others, on rows that they have not seen.

    The others are scikit-learn's Bayesian ridge regression, random forest and histogram gradient boosting, with their
    default settings; what predicts only a mean gets normal noise with the sd of its errors on rows that it was not
    trained with. All see the same inputs. Writes nothing.
    """
    screen = Screen(as_json=options["as_json"], quiet=options["quiet"])
    found = find_table(data, targets, features, options)
    rows = found.read(screen)
    with screen.waiting("starting TensorFlow"), silenced(), uninterrupted():
        from varbump.cli.comparing import cross_validated, table_of
        from varbump.cli.names import check_names
    check_names(options)
    with silenced(), screen.waiting("fitting") as say:
        result = cross_validated(rows, options, folds, say)
    screen.show(*table_of(result))
    screen.result(result)
