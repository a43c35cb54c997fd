"""Names of likelihoods, families and priors: shown in the help before TensorFlow is there, checked once it is."""

from __future__ import annotations

from typing import Any

import click

from varbump.cli.errors import listed
from varbump.core.registry import by_short_name
from varbump.likelihoods import Likelihood
from varbump.posteriors import PosteriorFactory
from varbump.priors import Prior

__all__ = ["check_names"]

BASES: dict[str, type] = {"likelihood": Likelihood, "posterior": PosteriorFactory, "prior": Prior}


def check_names(options: dict[str, Any]) -> None:
    """Raise the error of a `click.Choice`, exit code 2, for a name that no class goes by."""
    for option, base in BASES.items():
        known = [*by_short_name(base), *(["auto"] if option == "likelihood" else [])]
        if options[option] not in known:
            raise click.BadParameter(
                f"{options[option]!r} is not one of {listed(known)}.",
                ctx=click.get_current_context(silent=True),
                param_hint=f"'--{option}'",
            )
