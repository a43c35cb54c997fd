"""Kinds of draws and bands: what they are of, which labels and reports mention."""

from __future__ import annotations

from typing import Any

__all__ = ["KINDS", "check_kind", "common_kind", "kind_of"]

KINDS = ("epistemic", "predictive", "prior", "prior predictive")
"""Functions and observations, given the data and before any."""


def kind_of(source: Any, *, observed: bool) -> str:
    """Return the kind of the draws that a network or another source gives, of observations or of functions."""
    if getattr(source, "of_prior", False):
        return "prior predictive" if observed else "prior"
    return "predictive" if observed else "epistemic"


def check_kind(kind: Any) -> str | None:
    """Return `kind` if it is None or one of `KINDS`, or raise a ValueError."""
    if kind is not None and (not isinstance(kind, str) or kind not in KINDS):
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    return kind


def common_kind(kind: Any, known: str | None, what: str) -> str | None:
    """Return the kind that is named or known; a ValueError if they contradict each other, `what` being what is known.

    Draws and bands that do not know their kind, such as plain arrays, take the one that is named.
    """
    if check_kind(kind) is not None and known is not None and kind != known:
        raise ValueError(f"kind is {kind!r}, but {what} are of kind {known!r}; leave kind out")
    return known if kind is None else kind
