"""Names of the columns that are written, and the names of a table that they would be mistaken for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from varbump.cli.errors import UserError

__all__ = ["check_names_of_table", "held_out_names", "prediction_names"]

ENDS = ("lower", "upper")


def prediction_names(targets: Sequence[str], intervals: Sequence[float]) -> list[str]:
    """Names of the columns of ``varbump predict``: mean, sd and the ends of intervals, for each target."""
    what = ["mean", "sd", *(f"{end}_{level:g}" for level in intervals for end in ENDS)]
    return [f"{prefix}{name}" for prefix in _prefixes(targets) for name in what]


def held_out_names(target: str) -> list[str]:
    """Names of the columns of held_out.csv with the predictions of one target."""
    return [f"predicted {what} of {target}" for what in ("mean", "sd", "lower_95", "upper_95")]


def check_names_of_table(file: str, names: Sequence[str], targets: Sequence[str]) -> None:
    """Raise a UserError if one of the names that a model is to know is that of a column of its predictions.

    Otherwise ``varbump predict --keep`` and held_out.csv would have two columns of that name, which cannot be read.
    """
    prefixes = "|".join(map(re.escape, _prefixes(targets)))
    of_predictions = re.compile(rf"(?:{prefixes})(?:mean|sd|(?:lower|upper)_[\d.]+)")
    held_out = {name for target in targets for name in held_out_names(target)}
    for name in names:
        if of_predictions.fullmatch(name) or name in held_out:
            raise UserError(f"{file}: column {name!r} has the name of a column of the predictions; rename it")


def _prefixes(targets: Sequence[str]) -> list[str]:
    """What the names of predictions begin with: nothing for a single target."""
    return [f"{target}_" for target in targets] if len(targets) > 1 else [""]
