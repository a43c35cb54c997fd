"""Known traps of variational regression, each reported with its figures and a remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras
from varbump.core.temperature import temperature_of
from varbump.layers import VariationalLayer
from varbump.model.codes import columns_of_codes
from varbump.model.scale import far_from_unit_scale

__all__ = [
    "far_inputs",
    "ignores_the_features",
    "odd_and_wide",
    "on_the_floor",
    "scales_apart",
    "weights_of_the_kl",
    "wider_than_the_data_allow",
]

WIDE = 64
"""Width of a hidden layer from which mean field with an odd activation gives a warning.

The reference bounds the posterior mean by a term that falls with the root of the width; at 16 units no effect shows.
"""

NOISE_RATIO = 2.0
"""Limit for fixed scale over residual sd, or its inverse; from 20 points on, that sd is known to within 1.5 times."""

PRIOR_RATIO = (0.02, 200.0)
"""Limits for the sd of f under the prior over that of y: N(0, 1) weights in 16-16-1 give about 10 on unit scale."""

IGNORED = 0.1
"""A fit that explains less than this share of what simple regressions predict ignores the features."""

FLOOR_SHARE = 0.1
"""Share of observations at the floor of the noise scale that is not an accident."""

TOO_WIDE = 4.0
"""Limit for the sum of var f / sigma^2 per weight: 1 at most for linear models, 2 soon before they have converged."""


def far_inputs(network: keras.Model, x: np.ndarray) -> list[str]:
    """Find columns of x far from the scale that priors and initial values assume."""
    found = [
        f"Column {column} of x has mean {mean:.3g} and sd {sd:.3g}, far from 0 and 1, for which priors and starts are "
        f"made. Standardise it."
        for column, mean, sd in far_from_unit_scale(x, codes=columns_of_codes(network, x))
    ]
    if len(found) > 5:
        found = [*found[:5], f"{len(found) - 5} more columns of x are far from unit scale."]
    return found


def weights_of_the_kl(network: keras.Model, num_data: int) -> list[str]:
    """Find a KL that counts more or less than once, by the weight of a layer or by a temperature."""
    found = []
    for layer in network._flatten_layers():
        weight = getattr(layer, "kl_weight", None)
        if isinstance(layer, VariationalLayer) and weight is not None and abs(weight * num_data - 1.0) > 0.01:
            found.append(
                f"Layer {layer.name!r} has kl_weight {weight:.3g}, but 1 / N is {1 / num_data:.3g}: in Keras fit "
                f"the KL counts {weight * num_data:.3g} times. Set kl_weight=1/{num_data}, or train with varbump.fit."
            )
    temperature = temperature_of(network)
    if temperature != 1.0:
        found.append(
            f"The network was trained at temperature {temperature:.3g}: this is not the Bayesian posterior. Train at 1."
        )
    return found


def odd_and_wide(network: keras.Model, figures: dict[str, float]) -> list[str]:
    """Find wide mean-field layers with an odd activation, which ignore the data."""
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, VariationalLayer)]
    for layer in layers[:-1]:
        independent = getattr(layer.posterior, "independent", False)
        if independent and getattr(layer, "units", 0) >= WIDE and _is_odd(getattr(layer, "activation", None)):
            share = 1.0 - (figures["residual_sd"] / figures["data_sd"]) ** 2 if figures["data_sd"] else 0.0
            return [
                f"Layer {layer.name!r} has {layer.units} units, independent weights and an odd activation: as such "
                f"layers get wider, mean-field posteriors forget the data (Coker et al. 2022); this one explains "
                f"{share:.0%} of the variance of y. Use fewer units, relu, or varbump.posteriors.LowRankNormal()."
            ]
    return []


def _is_odd(activation: Any) -> bool:
    t = tf.linspace(-3.0, 3.0, 13)[:, None]
    try:
        return bool(np.allclose(activation(t), -np.asarray(activation(-t)), atol=1e-5))
    except (TypeError, ValueError, tf.errors.OpError):
        return False  # an activation with weights for a known number of units


def scales_apart(likelihood: Any, collapsed: float, figures: dict[str, float]) -> list[str]:
    """Compare noise, prior and posterior with y; `collapsed` is the share of weights that have stayed at the prior."""
    found = []
    residual, noise, spread = figures["residual_sd"], figures["noise_sd"], figures["data_sd"]
    fixed = not getattr(likelihood, "trainable_variables", None) and not getattr(likelihood, "scale_varies", True)
    if fixed and residual > 0 and not 1 / NOISE_RATIO <= noise / residual <= NOISE_RATIO:
        side = "large: bands are too wide, and little is learned" if noise > residual else "small, or the fit too poor"
        found.append(
            f"The noise scale is fixed at {noise:.3g}, but the residuals have sd {residual:.3g}: it is too {side}. Use "
            f"varbump.likelihoods.Normal({residual:.2g}), or LearnedNormal(), which learns it."
        )
    if (
        spread > 0
        and np.isfinite(figures["prior_sd"])
        and not PRIOR_RATIO[0] <= figures["prior_sd"] / spread <= PRIOR_RATIO[1]
    ):
        found.append(
            f"Functions of the prior have sd {figures['prior_sd']:.3g}, y has {spread:.3g}. Standardise y, or scale "
            f"the prior: varbump.priors.Normal(fan_in=True)."
        )
    if _ignores_the_data(collapsed, figures):
        found.append(
            f"{collapsed:.0%} of the weights have stayed at the prior and the residuals, sd {residual:.3g}, are as "
            f"large as y, sd {spread:.3g}: the posterior ignores the data. Train longer, lower the noise scale, or "
            f"raise kl_warmup."
        )
    return found


def _ignores_the_data(collapsed: float, figures: dict[str, float]) -> bool:
    return collapsed > 0.9 and figures["residual_sd"] > 0.95 * figures["data_sd"]


def ignores_the_features(collapsed: float, predictable: float, figures: dict[str, float]) -> list[str]:
    """Find a mean that is all but constant although simple regressions predict y from x; see `predictable_share`."""
    if not predictable or _ignores_the_data(collapsed, figures):  # the latter has been found already
        return []
    residual, spread = figures["residual_sd"], figures["data_sd"]
    explained = 1.0 - (residual / spread) ** 2 if spread else 0.0
    if explained >= IGNORED * predictable:
        return []
    return [
        f"The posterior mean explains {max(explained, 0.0):.0%} of the variance of y (residuals {residual:.3g}, y "
        f"{spread:.3g}), but least squares or nearest neighbours predict {predictable:.0%} of it: the fit ignores x. "
        f"Standardise x and y, train longer, or raise kl_warmup."
    ]


def on_the_floor(likelihood: Any, f: np.ndarray) -> list[str]:
    """Find a noise scale that its floor keeps from being smaller."""
    share = likelihood.share_at_floor(f) if hasattr(likelihood, "share_at_floor") else 0.0
    if share < FLOOR_SHARE:
        return []
    name = next(key for key in likelihood.constant_keys if key.startswith("min_"))
    return [
        f"The noise scale is at its floor, {name}={getattr(likelihood, name):.3g}, for {share:.0%} of the "
        f"observations: intervals are too wide if the noise is smaller. Lower {name}, or look for rows that repeat."
    ]


def wider_than_the_data_allow(spread: float, num_weights: int) -> list[str]:
    """Find a posterior with more variance than the noise leaves; `spread` is the sum over rows of var f / sigma^2."""
    if spread <= TOO_WIDE * num_weights:
        return []
    return [
        f"The variance of the function over that of the noise, summed over the rows, is {spread:,.0f}, but the network "
        f"has {num_weights:,} weights, and exact posteriors of linear models do not exceed their number: the posterior "
        f"is wider than the data allow. Train longer, with a smaller learning rate at the end, or start the posterior "
        f"with a smaller scale."
    ]
