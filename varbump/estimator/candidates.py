"""Models among which a regressor chooses: which networks, kinds of noise and inputs "auto" stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from varbump.estimator.settings import likelihood_of
from varbump.predict.pool import can_be_pooled

__all__ = ["ARGUMENTS", "AUTO", "Candidate", "EMBEDDINGS", "candidates"]

AUTO = "auto"

EMBEDDINGS = {AUTO, "forest"}
"""Words for the argument `embedding`."""


class Candidate(NamedTuple):
    """One model.

    Attributes
    ----------
    hidden_layer_sizes : int or sequence of int
    likelihood : str or likelihood
    embedding : "forest" or None
    num_steps : int
        Steps of its training on FEW rows or less, if `max_iter` is None.
    most_steps : int, optional
        Steps on very many rows; between, their number grows with the cube root of that of the rows.
    """

    hidden_layer_sizes: Any
    likelihood: Any
    embedding: str | None
    num_steps: int = 20_000
    most_steps: int | None = None

    @property
    def name(self) -> str:
        """Name in reports, such as "50-50, normal" or "50, heteroscedastic, forest"."""
        sizes = self.hidden_layer_sizes
        units = "-".join(map(str, sizes)) if isinstance(sizes, (tuple, list)) else str(sizes)
        kind = self.likelihood if isinstance(self.likelihood, str) else type(self.likelihood).__name__
        return ", ".join([units or "linear", kind, *([self.embedding] if self.embedding else [])])

    def steps(self, num_rows: int) -> int:
        """Steps of the training on a table of so many rows."""
        grown = round(self.num_steps * max(num_rows / FEW, 1.0) ** (1 / 3))
        return min(grown, self.most_steps or self.num_steps)


FEW = 1_000

TABLE = (
    Candidate((50, 50), "normal", None, 15_000, 30_000),
    Candidate((50,), "heteroscedastic", None, 12_000),
    Candidate((50,), "heteroscedastic", "forest", 12_000),
)
"""What a table may need: a smooth function of several features at once, found by depth, and the more exactly the
longer it is trained; noise that varies; steps and small groups of similar rows, found by trees. Student's t noise with
the forest adds nothing on five of six small tables and 0.02 nats on a large one, and its exponential has no mean,
which whoever fits the log of y asks for; the pool has heavier tails than any of its normals."""

PLAIN = Candidate((50,), "normal", None)
"""What "auto" means where nothing can be pooled."""

ARGUMENTS = ("hidden_layer_sizes", "likelihood", "embedding")
"""Parameters of a regressor that a candidate has values for."""


def candidates(parameters: Mapping[str, Any]) -> list[Candidate]:
    """Candidates for the parameters of a regressor, each of which is either "auto" or holds for all of them.

    Likelihoods whose noise has no fixed shape, such as that of counts, cannot be pooled: the rest of "auto" is `PLAIN`.
    """
    given = {name: parameters[name] for name in ARGUMENTS if not _is_auto(parameters[name])}
    likelihood = given.get("likelihood")
    if likelihood is not None and not can_be_pooled(likelihood_of(likelihood)):
        return [PLAIN._replace(**given)]
    found: list[Candidate] = []
    for candidate in TABLE:
        made = candidate._replace(**given)
        if not any(_same(made, other) for other in found):
            found.append(made)
    return found if len(found) > 1 else [PLAIN._replace(**given)]


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == AUTO


def _same(one: Candidate, other: Candidate) -> bool:
    return all(a is b or (isinstance(a, (str, tuple)) and a == b) for a, b in zip(one[:3], other[:3], strict=True))
