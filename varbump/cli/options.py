"""Options shared by commands, and their parsing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["Intervals", "Share", "Sizes", "for_scripts", "of_model", "of_table", "path_argument", "replaces"]


class Sizes(click.ParamType):
    """Parameter type of hidden layers, such as 50,50; "none" for a linear model, "auto" to have them chosen."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...] | str:
        """Parse integers of at least 1, or a word."""
        if isinstance(value, tuple):
            return value
        word = value.strip().lower()
        if word in ("none", "auto"):
            return () if word == "none" else word
        parts = [part.strip() for part in value.split(",")]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 10_000 for part in parts):
            self.fail(f"{value!r} is not a list of layer sizes such as 50 or 50,50 (each 1 to 10000), none or auto")
        return tuple(int(part) for part in parts)


class Intervals(click.ParamType):
    """Parameter type of percentages, such as 50,95."""

    name = "percentages"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Parse distinct numbers between 0 and 100, and sort them."""
        if isinstance(value, tuple):
            return value
        try:
            levels = [float(part) for part in value.replace("%", "").split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of percentages such as 50,95")
        if not all(0 < level < 100 for level in levels):
            self.fail(f"{value!r}: percentages must lie between 0 and 100, such as 50,95")
        if any(float(f"{level:g}") != level for level in levels):  # the names of columns have no more digits
            self.fail(f"{value!r}: percentages have at most six digits, such as 99.9999")
        if len(set(levels)) < len(levels):
            self.fail(f"{value!r} names an interval twice")
        return tuple(sorted(levels))


class Share(click.FloatRange):
    """Parameter type of a number from 0 to 1, without 1; a `click.FloatRange` lets nan pass."""

    def __init__(self) -> None:
        super().__init__(0, 1, max_open=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Parse a number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number from 0 to 1")
        return number


def of_table(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument DATA, and what to read of it."""
    for option in reversed((
        path_argument("data", "DATA"),
        click.option("--target", "-t", "targets", multiple=True, required=True,
                     help="Column to predict; repeat for several."),
        click.option("--features", help="Columns to predict from, separated by commas.  [default: all others]"),
        click.option("--categorical", help="Features that are categories, such as codes, separated by commas."),
        click.option("--numeric", help="Features that are numbers, so that any other cell is an error."),
        click.option("--drop-missing", is_flag=True, help="Leave out rows with empty or infinite cells."),
        click.option("--delimiter", help="Delimiter of a text table, such as ';' or the word tab."),
    )):  # fmt: skip
        command = option(command)
    return command


def of_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a model is made of."""
    for option in reversed((
        click.option("--likelihood", default="auto", show_default=True, metavar="NAME",
                     help="Distribution of y: normal, heteroscedastic (noise differs by row), student_t (heavy tails), "
                     "poisson or negative_binomial (counts), gamma or log_normal (positive), censored_normal; auto "
                     "tries the first two."),
        click.option("--posterior", metavar="[full_covariance|joint|low_rank|mean_field]", default="mean_field",
                     show_default=True, help="Family of distributions over weights."),
        click.option("--prior", metavar="[ard|laplace|normal|scale_mixture|trainable]", default="ard",
                     show_default=True, help="Prior of the weights; ard learns how relevant each feature is."),
        click.option("--hidden", type=Sizes(), default="auto", show_default=True,
                     help="Units of hidden layers, such as 50,50; none: linear; auto tries one and two layers."),
        click.option("--embedding", type=click.Choice(["auto", "forest", "none"]), default="auto", show_default=True,
                     help="What networks see of a row beside its features: predictions of a forest, nothing, or both "
                     "in turn."),
        click.option("--max-iter", type=click.IntRange(1, 10**9),
                     help="Passes over the rows.  [default: about 20,000 steps]"),
        click.option("--members", type=click.IntRange(1, 100), default=4, show_default=True, help="Networks to pool."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
                     help="Seed of the split and fit."),
    )):  # fmt: skip
        command = option(command)
    return command


def for_scripts(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet and --json."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(command)
    return click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")(command)


def replaces(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --force."""
    return click.option("--force", is_flag=True, help="Replace what --out names.")(command)


def path_argument(name: str, metavar: str) -> Callable[..., Any]:
    """Add a path argument that the command checks itself, with its own error messages."""
    return click.argument(name, type=click.Path(path_type=Path), metavar=metavar)
