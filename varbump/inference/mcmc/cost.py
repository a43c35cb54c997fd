"""Estimate the cost of sampling before it starts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.forward.programs import compiled
from varbump.inference.mcmc.coordinates import Coordinates
from varbump.model.log_posterior import LogPosterior

__all__ = ["MAX_MINUTES", "MAX_WEIGHTS", "refuse_if_dear", "time_gradient"]

MAX_WEIGHTS = 2_000
"""Without `max_minutes`, sampling more weights than this is refused with an estimate of the cost."""

MAX_MINUTES = 10.0
"""Bound on the estimate without `max_minutes`."""

TIMED_SECONDS = 0.02


def time_gradient(target: LogPosterior, coordinates: Coordinates, u: np.ndarray) -> float:
    """Measure the seconds that a gradient of the log density takes once compiled.

    The gradient is timed in a loop inside one program, since a call from Python costs more than one of a small network.

    Raises
    ------
    ValueError
        If the log density or its gradient at u (n,) is not finite.
    """

    def repeated(u: Any, factors: Any, times: Any) -> Any:
        def one(i: Any, u: Any, value: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(u)
                value = target.log_prob(coordinates.weights(u, factors))
            return i + 1, u + 1e-12 * tape.gradient(value, u), value  # each depends on the one before

        return tf.while_loop(lambda i, *_: i < times, one, (0, u, tf.zeros([], u.dtype)))[1:]

    program = compiled(repeated)
    factors = [tf.constant(factor) for factor in coordinates.factors]
    after, value = program(u, factors, np.int32(1))  # compiles
    if not np.isfinite(value) or not np.isfinite(after).all():
        raise ValueError(
            f"The log density of the weights is {float(value):.4g} at a draw of q, or its gradient is not finite "
            f"there; sampling needs a start that is finite: fit the network first, and check the scales of x and y"
        )
    times = 1
    while True:
        best = min(_seconds(program, u, factors, times) for _ in range(3))
        if best > TIMED_SECONDS or times >= 4096:
            return best / times
        times *= 8


def _seconds(program: Any, u: np.ndarray, factors: Any, times: int) -> float:
    began = time.perf_counter()
    program(u, factors, np.int32(times))[1].numpy()
    return time.perf_counter() - began


def refuse_if_dear(
    num_weights: int, seconds_a_gradient: float, num_gradients: int, num_threads: int, max_minutes: float | None
) -> None:
    """Raise a ValueError that gives the cost if it exceeds the bound.

    Parameters
    ----------
    num_weights : int
    seconds_a_gradient : float
    num_gradients : int
        Largest possible number over all chains.
    num_threads : int
        Number of chains that run at the same time.
    max_minutes : float or None
        If None, the bounds are 10 minutes and 2,000 weights.
    """
    minutes = num_gradients * seconds_a_gradient / num_threads / 60
    allowed = MAX_MINUTES if max_minutes is None else max_minutes
    cost = (
        f"up to {num_gradients:,} gradients of {1e6 * seconds_a_gradient:,.0f} microseconds each over {num_threads} "
        f"threads, about {_told(minutes)}"
    )
    if minutes > allowed:
        raise ValueError(
            f"NUTS over the {num_weights:,} weights of this network would take {cost}, more than "
            f"max_minutes={allowed:g}. Pass max_minutes={np.ceil(1.5 * minutes):.0f} to go on, or fewer draws, less "
            f"warm-up, a lower max_tree_depth, fewer rows or a smaller network."
        )
    if max_minutes is None and num_weights > MAX_WEIGHTS:
        raise ValueError(
            f"The network has {num_weights:,} weights; above {MAX_WEIGHTS:,}, NUTS with the default settings seldom "
            f"converges. It would take {cost}. Pass max_minutes={max(np.ceil(1.5 * minutes), 1):.0f} to go on."
        )


def _told(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} seconds"
    return f"{minutes:,.0f} minutes" if minutes < 120 else f"{minutes / 60:,.0f} hours"
