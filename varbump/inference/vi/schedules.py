"""Learning rates and KL weights of all steps of a run, computed before it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from varbump.core.checks import check_number
from varbump.core.keras import keras, refuse_other_keras

__all__ = ["kl_weights", "learning_rates"]


def learning_rates(
    learning_rate: Any, schedule: str | Callable[[np.ndarray], Any], num_steps: int, steps: Any = None
) -> np.ndarray:
    r"""Learning rate of each step, shape (num_steps,).

    Parameters
    ----------
    learning_rate : float or tf_keras LearningRateSchedule
        Peak value, or the whole schedule (`schedule` is then ignored).
    schedule : {"cosine", "constant"} or callable
        Factor as a function of the fraction t in [0, 1) of the run. "cosine" is :math:`(1 + \\cos \\pi t) / 2`.

    Raises
    ------
    ValueError
        If the rate is not positive and finite, or the schedule is unknown.
    """
    refuse_other_keras(learning_rate, "learning_rate")
    steps = np.arange(num_steps) if steps is None else steps
    if isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return np.array([float(learning_rate(step)) for step in map(int, steps)])
    learning_rate = check_number(learning_rate, "learning_rate", strict=True)
    t = steps / num_steps
    if callable(schedule):
        factors = np.broadcast_to(np.asarray(schedule(t), float), t.shape)
        if not np.isfinite(factors).all() or (factors < 0).any():
            raise ValueError("schedule must give finite factors that are not negative")
        return learning_rate * factors
    if schedule == "cosine":
        return learning_rate * 0.5 * (1.0 + np.cos(np.pi * t))
    if schedule == "constant":
        return np.full(len(steps), float(learning_rate))
    raise ValueError(f"schedule must be 'cosine', 'constant' or a callable, got {schedule!r}")


def kl_weights(kl_warmup: float, num_steps: int, temperature: float = 1.0, steps: Any = None) -> np.ndarray:
    """KL weight of each step, (num_steps,): linear from 0 over the fraction `kl_warmup` of the run, then `temperature`.

    With `steps`, an array, the weights of these steps.

    Raises
    ------
    ValueError
        If `kl_warmup` is not in [0, 1), since the weight must reach its end, or `temperature` is not positive.

    References
    ----------
    Sonderby, Raiko, Maaloe, Sonderby and Winther (2016), "Ladder Variational Autoencoders", section 2.3.
    """
    if check_number(kl_warmup, "kl_warmup") >= 1.0:
        raise ValueError(f"kl_warmup must be at least 0 and below 1, got {kl_warmup!r}")
    temperature = check_number(temperature, "temperature", strict=True)
    rising = int(round(kl_warmup * num_steps))
    steps = np.arange(num_steps) if steps is None else steps
    return temperature * (np.minimum(steps / max(rising, 1), 1.0) if rising else np.ones(len(steps)))
