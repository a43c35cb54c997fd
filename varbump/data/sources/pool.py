"""Shuffling of rows that are read group by group: a pool of rows, from which blocks are drawn at random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["interleaved", "pooled"]


def interleaved(
    groups: Iterator[tuple[int, Iterator[np.ndarray]]], rng: np.random.Generator, num_open: int
) -> Iterator[np.ndarray]:
    """Yield the pieces of all groups, each from a random one of at most `num_open` that are open at a time.

    A group is its number of rows and its pieces. It is closed with its last row, since open files hold memory.
    """
    opened: list[list[Any]] = []
    while True:
        while len(opened) < num_open and (group := next(groups, None)) is not None:
            opened.append(list(group))
        if not opened:
            return
        index = int(rng.integers(len(opened)))
        left, pieces = opened[index]
        piece = next(pieces, None)
        opened[index][0] -= 0 if piece is None else len(piece)
        if piece is None or len(piece) == left:
            opened.pop(index)
            pieces.close()
        if piece is not None:
            yield piece


def pooled(
    pieces: Iterator[np.ndarray], sizes: Iterable[int], pool_rows: int, rng: np.random.Generator, num_data: int
) -> Iterator[np.ndarray]:
    """Yield blocks of the given sizes, each drawn without replacement from a pool that the pieces refill.

    The pool holds at least `pool_rows` rows before each draw, or all that are left. A block of all that are left has
    the order of the pool.

    Raises
    ------
    ValueError
        If the pieces have fewer or more rows than `num_data`, the sum of the sizes.
    """
    pool, filled, arrived = np.empty((0, 0)), 0, 0
    for size in sizes:
        while filled < max(pool_rows, size) and (piece := next(pieces, None)) is not None:
            if filled + len(piece) > len(pool):
                pool = _larger(pool[:filled], piece, min(max(pool_rows, size) + len(piece), num_data + len(piece)))
            pool[filled : filled + len(piece)] = piece
            filled += len(piece)
            arrived += len(piece)
        if filled < size:
            raise _other_number(num_data, f"only {arrived:,} were read")
        if filled == size:
            yield pool[:size].copy()
            filled = 0
            continue
        chosen = rng.choice(filled, size, replace=False, shuffle=False)
        yield np.take(pool, chosen, axis=0)
        filled -= size
        stays = np.ones(size, bool)  # of the last rows, which move into the holes of the others
        stays[chosen[chosen >= filled] - filled] = False
        pool[chosen[chosen < filled]] = np.take(pool, filled + np.flatnonzero(stays), axis=0)
    if filled or any(len(piece) for piece in pieces):
        raise _other_number(num_data, "there are more")


def _larger(pool: np.ndarray, piece: np.ndarray, size: int) -> np.ndarray:
    larger = np.empty((max(size, len(pool) + len(piece)), piece.shape[1]), piece.dtype)
    if len(pool):
        larger[: len(pool)] = pool
    return larger


def _other_number(num_data: int, found: str) -> ValueError:
    return ValueError(f"the source was to have {num_data:,} rows, but {found}: it has changed, or num_data is wrong")
