"""Prior and noise of the approximation: the network's own ones, or those that maximise the marginal likelihood."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from varbump.inference.laplace.curvature import Curvature
from varbump.inference.laplace.evidence import best_noise, best_prior_scale
from varbump.inference.laplace.spectrum import Spectrum, spectrum_of
from varbump.inference.laplace.weights import Weights

__all__ = ["Scaled", "scaled"]


class Scaled(NamedTuple):
    """The data and the prior, for the final scales.

    Attributes
    ----------
    data : Curvature
        For the noise.
    spectrum : Spectrum
    prior_loc, prior_sd : ndarray (P,)
    prior_scale : float or None
        Scale of the prior of a plain network.
    noise_scale : float or None
        Scale of the noise, if it was set.
    """

    data: Curvature
    spectrum: Spectrum
    prior_loc: np.ndarray
    prior_sd: np.ndarray
    prior_scale: float | None = None
    noise_scale: float | None = None


def scaled(data: Curvature, weights: Weights, likelihood: Any, num: int, prior_scale: float | None) -> Scaled:
    """Set the scales.

    Parameters
    ----------
    data : Curvature
        For the present noise of the likelihood, which is not changed.
    weights : Weights
    likelihood : likelihood
    num : int
        Number of observations, N times Q.
    prior_scale : float, optional
        If omitted, that of a plain network maximises the marginal likelihood.

    Raises
    ------
    ValueError
        If all weights are 0, which is most likely for a prior scale of 0.
    """
    if weights.prior_loc is not None and weights.prior_sd is not None:
        spectrum = spectrum_of(data.precision, weights.prior_sd)
        return Scaled(data, spectrum, weights.prior_loc, weights.prior_sd)
    loc, noise = weights.loc, None
    spectrum = spectrum_of(data.precision, np.ones_like(loc))  # for a prior of scale 1
    if _learns_noise(likelihood):
        before = float(likelihood.scale)
        noise = float(np.sqrt(data.squared_error / num))
        if noise > 0.0 and weights.structure != "diagonal":  # whose number of effective weights is too high
            unit = spectrum.values * before**2
            noise = best_noise(unit, _squared_norm(loc), data.squared_error, num, prior_scale)
        noise = float(likelihood.best_scale(np.array([noise**2])))  # not below its floor
        data, spectrum = _with_noise(data, before, noise, num), spectrum.scaled((before / noise) ** 2)
    scale = best_prior_scale(spectrum.values, _squared_norm(loc)) if prior_scale is None else prior_scale
    return Scaled(data, spectrum.scaled(scale**2), np.zeros_like(loc), np.full_like(loc, scale), scale, noise)


def _squared_norm(loc: np.ndarray) -> float:
    squared_norm = float(loc @ loc)
    if squared_norm == 0.0:
        raise ValueError(
            "prior_scale cannot be chosen by the marginal likelihood, since all random weights are 0; train the "
            "network, or pass prior_scale"
        )
    return squared_norm


def _learns_noise(likelihood: Any) -> bool:
    """Whether the likelihood learns the scale of normal noise, the same for all observations."""
    if not hasattr(likelihood, "best_scale") or not likelihood.trainable_variables:
        return False
    return likelihood.best_scale(np.ones(1)) is not None and np.size(likelihood.scale) == 1


def _with_noise(data: Curvature, before: float, noise: float, num: int) -> Curvature:
    """The sums for another scale of normal noise."""
    ratio = (before / noise) ** 2
    squares = data.squared_error / noise**2
    log_likelihood = -0.5 * squares - num * (np.log(noise) + 0.5 * np.log(2.0 * np.pi))
    return data._replace(
        log_likelihood=float(log_likelihood), gradient=ratio * data.gradient, precision=ratio * data.precision
    )
