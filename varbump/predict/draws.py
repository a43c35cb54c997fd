"""Arrays of draws that know what they are draws of."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

__all__ = ["Draws", "draws_of_kind"]


class Draws(np.ndarray):
    """Array (S, N, Q) of draws with their kind, which `varbump.credible_bands` and plots take from it.

    Slices, copies and elementwise functions of draws keep the kind, such as ``2 * draws + 1``. What may be of another
    kind does not know it: reductions over draws, and sums with arrays that differ from draw to draw, such as noise.

    Attributes
    ----------
    kind : str or None
        "epistemic", "predictive", "prior" or "prior predictive"; None if it is not known.
    """

    kind: str | None = None

    def __array_finalize__(self, template: Any) -> None:
        self.kind = getattr(template, "kind", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        kinds = {array.kind if isinstance(array, Draws) else None for array in inputs if _varies(array, self.ndim)}
        kind = kinds.pop() if method == "__call__" and len(kinds) == 1 else None
        targets = options.get("out", ())
        if targets:
            options["out"] = tuple(map(_plain, targets))
        result = getattr(ufunc, method)(*map(_plain, inputs), **options)
        for target in targets:
            if isinstance(target, Draws):
                target.kind = kind
        if targets:
            return targets if len(targets) > 1 else targets[0]
        return draws_of_kind(result, kind) if kind and isinstance(result, np.ndarray) else result

    def __reduce__(self) -> Any:
        make, arguments, state = cast("tuple[Any, Any, Any]", super().__reduce__())
        return make, arguments, (state, self.kind)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state[0])
        self.kind = state[1]


def draws_of_kind(array: np.ndarray, kind: str | None) -> Draws:
    """Return a view of an array of draws that knows their kind."""
    draws = array.view(Draws)
    draws.kind = kind
    return draws


def _varies(array: Any, ndim: int) -> bool:
    """Whether an operand differs from draw to draw: draws do; a shift or unit (Q,) or (N, Q) does not."""
    return isinstance(array, Draws) or (np.ndim(array) >= max(ndim, 1) and np.shape(array)[0] > 1)


def _plain(array: Any) -> Any:
    return array.view(np.ndarray) if isinstance(array, Draws) else array
