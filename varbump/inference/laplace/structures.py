"""Structures of the covariance: of all weights, of those of the last layer, or none between weights."""

from __future__ import annotations

__all__ = ["MAX_FULL", "STRUCTURES", "chosen_structure"]

STRUCTURES = ("auto", "full", "last_layer", "diagonal")

MAX_FULL = 2_000
"""Up to this many weights "auto" takes their full covariance: its factorisation then takes seconds."""

LARGEST_FULL = 10_000
"""Largest number of weights with a full covariance: a matrix of this size has 800 MB, and three are needed."""


def chosen_structure(structure: str, num_weights: int, num_last: int) -> tuple[str, bool]:
    """Choose the structure, and whether only the weights of the last layer are random.

    Parameters
    ----------
    structure : str
        One of `STRUCTURES`.
    num_weights : int
        Number of weights of all layers.
    num_last : int
        Number of those of the last layer; 0 if it is not known which layer is the last.

    Raises
    ------
    ValueError
        If the network does not have the structure, or has too many weights for it.
    """
    if structure == "auto":
        sizes = {"full": num_weights, "last_layer": num_last or num_weights}
        structure = next((name for name, size in sizes.items() if size <= MAX_FULL), "diagonal")
    is_last = structure == "last_layer"
    if is_last and not num_last:
        raise ValueError(
            "structure='last_layer' needs a Sequential or functional network: the order of the layers of a subclassed "
            "one is not known; use structure='diagonal'"
        )
    size = num_last if is_last else num_weights
    if structure != "diagonal" and size > LARGEST_FULL:
        gigabytes = 8e-9 * size**2
        others = "'diagonal'" if is_last else "'last_layer' or 'diagonal'"
        raise ValueError(
            f"structure={structure!r} would take {gigabytes:,.1f} GB for the covariance of {size:,} weights; it can be "
            f"had for {LARGEST_FULL:,} at most: use structure={others}"
        )
    return structure, is_last
