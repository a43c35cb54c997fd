"""Output of a command: tables and progress for people, one JSON object for scripts, or nothing."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

__all__ = ["Screen", "silenced"]


class Screen:
    """Standard output of one command.

    Parameters
    ----------
    as_json, quiet : bool
        Print only the result, as JSON; print nothing but errors.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.talks = as_json, not (as_json or quiet)
        self._out = Console(highlight=False)

    def show(self, *what: Any) -> None:
        """Print for a person."""
        for part in what if self.talks else ():
            self._out.print(part, markup=False)

    def result(self, content: dict[str, Any]) -> None:
        """Print for a script."""
        if self.as_json:
            sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")

    @contextmanager
    def waiting(self, doing: str) -> Iterator[Any]:
        """Show a spinner on a terminal; yields a function that changes its text."""
        if not (self.talks and self._out.is_terminal):
            yield lambda text: None
            return
        with self._out.status(doing) as status:
            yield status.update


@contextmanager
def silenced() -> Iterator[None]:
    """Silence warnings, and the start-up messages that TensorFlow writes to standard error from C++."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            sys.stderr.flush()
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
