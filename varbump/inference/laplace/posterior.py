"""The result of `varbump.laplace`: a normal posterior around trained weights, and whether it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.keras import keras
from varbump.core.printed import Printed, Table
from varbump.inference.laplace.response import Response
from varbump.inference.laplace.sampler import LaplaceSampler
from varbump.inference.laplace.spectrum import Spectrum
from varbump.inference.laplace.weights import Weights

__all__ = ["LaplacePosterior"]

MAX_SHIFT = 1.0
"""Largest acceptable shift of f to the mode, in sds of f. After a training without a prior, the prior scale that
maximises the marginal likelihood alone causes up to 0.5: it makes |z|^2 the number of effective weights, where z are
the weights in units of the prior, and the square of the shift is a mean of z_i^2 lambda_i / (1 + lambda_i)^2."""

SAID = {
    "full": "full covariance of all weights",
    "last_layer": "full covariance of the weights of the last layer, the others held",
    "diagonal": "independent weights",
}


@dataclass(frozen=True, eq=False, repr=False)
class LaplacePosterior(Printed):
    r"""Normal posterior :math:`N(w^*, \Lambda^{-1})` of the weights; the result of `varbump.laplace`.

    `predict_f`, `predict_y`, `predict_bands`, `predict_dist`, `evaluate` and `to_arviz` accept it in place of the
    network, and take the likelihood from it if that is left out. ``dataclasses.replace(posterior, linearised=False)``
    is the same posterior with the other predictive. Print it to see what was chosen, and whether the weights are at a
    mode.

    Attributes
    ----------
    network : tf_keras.Model
        Network that the weights belong to. Later changes of its weights do not affect the draws.
    likelihood : likelihood
    head : likelihood or None
        The same, if it is the distribution of y in which the network that was passed ends. Functions are then the mean
        of this, as for the network.
    linearised : bool
        Whether functions are those of the network linearised in its weights.
    random_weights : Weights
        Which weights are random, and their values w*.
    prior_scale : float or None
        Standard deviation of the prior of a plain network; None if the network has its own priors.
    prior_chosen : bool
        Whether `prior_scale` maximises the marginal likelihood.
    noise_scale : float or None
        Scale of the noise if it was set here, in units of y.
    prior_sd : ndarray (P,)
        Standard deviation of the prior of each random weight.
    spectrum : Spectrum
        Eigenvalues of the precision of the data, in units of that of the prior.
    log_likelihood : float
        log p(y | x, w*), nats.
    log_marginal_likelihood : float
        Laplace's approximation of log p(y | x), nats; for "last_layer" given the weights of the other layers, so it
        is no measure of these.
    shift : float
        How far a Newton step to the mode would move f at the data: root of the mean square, in sds of f.
    num_data : int
        N.
    num_clipped : int
        Rows at which the log density of y is not concave in f, and counts as flat where it is convex.
    """

    network: keras.Model
    likelihood: Any
    head: Any
    linearised: bool
    random_weights: Weights
    prior_scale: float | None
    prior_chosen: bool
    noise_scale: float | None
    prior_sd: np.ndarray
    spectrum: Spectrum
    log_likelihood: float
    log_marginal_likelihood: float
    shift: float
    num_data: int
    num_clipped: int

    @property
    def structure(self) -> str:
        """What is random: "full", "last_layer" or "diagonal"."""
        return self.random_weights.structure

    @property
    def num_weights(self) -> int:
        """Number of random weights, P."""
        return len(self.prior_sd)

    @property
    def num_effective(self) -> float:
        """Number of weights that the data determine; the others keep their prior."""
        return self.spectrum.num_effective

    @property
    def loc(self) -> np.ndarray:
        """Mean of the weights, w* (P,)."""
        return self.random_weights.loc

    @property
    def variables_drawn(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of the random variables of a plain network; empty for one with variational layers."""
        names, values = self.random_weights.names, self.random_weights.values
        return tuple(
            (name, values[index].shape) for name, index in zip(names, self.random_weights.chosen, strict=False)
        )

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the weights, (P, P); a ValueError for more than 10,000, of which `variance` is the diagonal."""
        if self.num_weights > 10_000:
            raise ValueError(f"the covariance of {self.num_weights:,} weights would not fit; take .variance")
        root = self._deviations(np.eye(self.num_weights))
        return root.T @ root

    @property
    def variance(self) -> np.ndarray:
        """Variance of each weight, (P,)."""
        shares, vectors = 1.0 / (1.0 + self.spectrum.values), self.spectrum.vectors
        return self.prior_sd**2 * (shares if vectors is None else vectors**2 @ shares)

    @property
    def at_mode(self) -> bool:
        """Whether the weights are close enough to a mode: a Newton step would move f by at most its sd."""
        return self.shift <= MAX_SHIFT

    def sampler(
        self, row_shape: tuple[int, ...], num_draws: int, seed: int = 0, chunk_size: int | None = None
    ) -> LaplaceSampler:
        """Return a sampler of functions at rows of this shape, for prediction."""
        response = Response(self.random_weights, row_shape)
        return LaplaceSampler(
            response, self.random_weights, self._deviations, self.linearised, num_draws, seed, chunk_size
        )

    def _deviations(self, noise: np.ndarray) -> np.ndarray:
        """Deviations w - w* (S, P) from standard normal numbers (S, P)."""
        return self.prior_sd * self.spectrum.deviations(noise)

    @property
    def judgement(self) -> str:
        """Whether the weights are at a mode, where the approximation is right, and what to do if not."""
        if self.at_mode:
            return (
                f"The weights are close to a mode: a Newton step would move f at the data by {self.shift:.2g} of its "
                f"sd. Other modes are not in it; an ensemble or sample_nuts finds them."
            )
        remedy = (
            "Train longer, with a smaller learning rate at the end, or without early stopping."
            if not self.random_weights.draws
            else "The mean of q need not be a mode: predict with the network itself, or take sample_importance or "
            "sample_nuts, which need none."
        )
        return (
            f"Not at a mode: a Newton step would move f at the data by {self.shift:.2g} of its sd, so bands are "
            f"centred in the wrong place and the marginal likelihood is too low. {remedy}"
        )

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Laplace's approximation of the posterior", title_justify="left", show_header=False)
        table.add_column("")
        table.add_column("")
        table.add_row("covariance", f"{self.structure}: {SAID[self.structure]}")
        held = (
            f", {self.random_weights.num_held:,} trainable numbers held at their values"
            if self.random_weights.num_held
            else ""
        )
        table.add_row("weights", f"{self.num_weights:,} random{held}")
        if self.prior_scale is None:
            table.add_row("prior", "the network's own")
        else:
            by = "chosen by the marginal likelihood" if self.prior_chosen else "given"
            table.add_row("prior", f"N(0, {self.prior_scale:.4g}^2) for each weight, {by}")
        if self.noise_scale is not None:
            of_residuals = self.structure == "diagonal"
            by = "the root mean square of y - f" if of_residuals else "chosen by the marginal likelihood"
            table.add_row("noise", f"scale {self.noise_scale:.4g}, {by}")
        table.add_row("determined by the data", f"{self.num_effective:,.1f} weights, by {self.num_data:,} rows")
        table.add_row("log marginal likelihood", f"{self.log_marginal_likelihood:,.2f} nats")
        how = "linearised in its weights" if self.linearised else "at weights drawn from the posterior"
        table.add_row("functions", f"of the network {how}")
        yield table
        others = ", ".join(map(repr, self.random_weights.other_priors))
        if others:
            yield f"The prior of layer {others} is not normal; the normal with its mean and variance was used.\n"
        if self.num_clipped:
            yield (
                f"At {self.num_clipped:,} of {self.num_data:,} rows the log density of y is not concave in f; it "
                f"counts as flat where it is convex.\n"
            )
        yield self.judgement
