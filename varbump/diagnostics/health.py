"""Health of a posterior: what it has learned compared with its prior and the data, and the known traps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console

from varbump.core.checks import check_draws
from varbump.core.keras import keras
from varbump.core.printed import Printed, Table
from varbump.core.random import host_seed
from varbump.core.temperature import temperature_of
from varbump.diagnostics.parameters import parameter_report
from varbump.diagnostics.signal import predictable_share
from varbump.diagnostics.traps import (
    far_inputs,
    ignores_the_features,
    odd_and_wide,
    on_the_floor,
    scales_apart,
    weights_of_the_kl,
    wider_than_the_data_allow,
)
from varbump.diagnostics.weights import LayerWeights, WeightSummary, weight_summary
from varbump.forward.apply import apply
from varbump.layers import VariationalLayer
from varbump.layers.variational import layers_with_estimated_kl
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network
from varbump.model.heads import separated
from varbump.predict.sampler import Sampler

__all__ = ["HealthReport", "LayerHealth", "health_report"]

COLLAPSED = 0.05
"""KL in nats below which a weight counts as still at the prior; for sd 0.8 under N(0, 1) it is 0.04."""


@dataclass(frozen=True)
class LayerHealth:
    """Summary of what one layer has learned.

    Attributes
    ----------
    name : str
    num_weights : int
    kl : float or None
        KL(q || p) in nats.
    signal_to_noise : float
        Median over weights of |mean| / sd.
    share_below_one : float
        Share of the weights whose |mean| is below their sd.
    share_collapsed : float
        Share of the weights that have stayed at the prior, with a KL below 0.05 nats each; nan if the prior has no
        variance.
    num_effective : float or None
        Sum over weights of 1 - sd_q^2 / sd_p^2.
    """

    name: str
    num_weights: int
    kl: float | None
    signal_to_noise: float
    share_below_one: float
    share_collapsed: float
    num_effective: float | None


@dataclass(frozen=True, repr=False)
class HealthReport(Printed):
    """Health of a posterior; prints as tables with a sentence for each finding.

    Attributes
    ----------
    layers : tuple of LayerHealth
    prior_sd, posterior_sd : float
        Root mean square over x of the sd of E[y | f] under the prior and under q, units of y; that of the prior is nan
        if a layer's prior has no variance, such as the horseshoe.
    data_sd : float
        sd of y.
    residual_sd : float
        Root mean square of y minus the posterior mean, units of y.
    noise_sd : float
        Root mean square of the sd of y given f, units of y.
    num_data : int
    temperature : float
    findings : tuple of str
        A sentence or two for each trap, with its figures; empty for a healthy posterior.
    estimated_kl : tuple of str
        Names of the layers whose KL in training is a Monte Carlo estimate, which is no trap, but noisy.
    """

    layers: tuple[LayerHealth, ...]
    prior_sd: float
    posterior_sd: float
    data_sd: float
    residual_sd: float
    noise_sd: float
    num_data: int
    temperature: float
    findings: tuple[str, ...]
    estimated_kl: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Posterior of the weights", title_justify="left")
        table.add_column("layer")
        for column in ("weights", "KL / nats", "|mean| / sd", "below 1", "at the prior", "effective"):
            table.add_column(column, justify="right")
        for row in self.layers:
            sums = ["-" if v is None else f"{v:,.1f}" for v in (row.kl, row.num_effective)]
            collapsed = f"{row.share_collapsed:.0%}" if np.isfinite(row.share_collapsed) else "-"
            shares = f"{row.share_below_one:.0%}", collapsed
            table.add_row(row.name, f"{row.num_weights:,}", sums[0], f"{row.signal_to_noise:.3g}", *shares, sums[1])
        yield table
        if self.estimated_kl:
            yield f"Training estimates the KL of {', '.join(self.estimated_kl)} by Monte Carlo.\n"
        figures = Table(title=f"In the units of y, {self.num_data:,} rows", title_justify="left")
        figures.add_column("")
        figures.add_column("sd", justify="right")
        for name, value in (
            ("y", self.data_sd),
            ("the function under the prior", self.prior_sd),
            ("the function under the posterior", self.posterior_sd),
            ("the residuals of its mean", self.residual_sd),
            ("the noise", self.noise_sd),
        ):
            figures.add_row(name, f"{value:.3g}" if np.isfinite(value) else "-")
        yield figures
        yield from self.findings or ["None of the known traps was found."]


def health_report(
    network: keras.Model, likelihood: Any, x: Any, y: Any, *, num_draws: int = 50, seed: int | None = 0
) -> HealthReport:
    """Compare the posterior of a trained network with its prior and the data, and look for the known traps.

    The traps are wide mean-field layers with an odd activation, which ignore the data; a KL weight other than 1 / N or
    a temperature other than 1; columns of x far from unit scale; a fixed noise scale far from the residuals; a prior
    over functions far from the scale of y; a posterior that has stayed at the prior; a mean that is constant although x
    predicts y; a noise scale at its floor; a posterior wider than the data allow. Each is reported with its figures and
    a remedy.

    Parameters
    ----------
    network : tf_keras.Model
        Trained, with layers of `varbump.layers.DenseVariational`.
    likelihood : likelihood
        The one it was trained with; None for a network that ends in a distribution of y.
    x, y : array-like (N, D), (N, Q)
        The training data.
    num_draws : int, default=50
        Draws of functions from the posterior, and as many from the prior.
    seed : int, optional

    Returns
    -------
    HealthReport

    Raises
    ------
    ValueError
        If x or y does not fit the network, it has no variational layer, or its outputs are not finite.

    References
    ----------
    Coker, Bruinsma, Burt, Pan and Doshi-Velez (2022), "Wide Mean-Field Bayesian Neural Networks Ignore the Data".
    """
    trained = network
    network, likelihood = separated(network, likelihood, x)
    check_network(network)
    check_likelihood(likelihood, "mean", "stddev")
    num_draws, seed = check_draws(num_draws, minimum=2), host_seed(seed)
    x, y = check_data(network, likelihood, x, y)
    summary = weight_summary(network)
    counted = {layer.name: layer for layer in parameter_report(network, num_data=len(x)).layers}
    layers = tuple(_layer(layer, counted[layer.name]) for layer in summary.layers)
    parts = list(Sampler(network, x.shape[1:], num_draws, seed, None).chunks(x))
    f = np.concatenate([part for _, part in parts], axis=1)
    if not np.isfinite(f).all():
        raise ValueError("network gives nan or infinite numbers on x; varbump.diagnose_nan says where they come from")
    mean, noise = (np.asarray(part).astype(float) for part in (likelihood.mean(f), likelihood.stddev(f)))
    figures = {
        "prior_sd": _prior_sd(summary, network, likelihood, x, num_draws, seed),
        "posterior_sd": _rms(mean.std(0, ddof=1)),
        "data_sd": _rms(np.std(y.astype(float), axis=0)),
        "residual_sd": _rms(y - mean.mean(0)),
        "noise_sd": _rms(noise),
    }
    known = [(row.share_collapsed, row.num_weights) for row in layers if np.isfinite(row.share_collapsed)]
    collapsed = sum(share * size for share, size in known) / max(sum(size for _, size in known), 1)
    findings = (
        *far_inputs(network, x),
        *weights_of_the_kl(network, len(x)),
        *odd_and_wide(network, figures),
        *scales_apart(likelihood, collapsed, figures),
        *ignores_the_features(collapsed, predictable_share(x, y), figures),
        *on_the_floor(likelihood, f),
        *wider_than_the_data_allow(_sum_of_ratios(mean, noise, figures), sum(row.num_weights for row in layers)),
    )
    return HealthReport(
        layers,
        **figures,
        num_data=len(x),
        temperature=temperature_of(trained),
        findings=findings,
        estimated_kl=layers_with_estimated_kl(network),
    )


def _sum_of_ratios(mean: np.ndarray, noise: np.ndarray, figures: dict[str, float]) -> float:
    """Sum over rows of var f / sigma^2, with a sigma no smaller than the residuals."""
    variance = np.square(noise).mean(0)
    average = max(float(variance.mean()), np.finfo(float).tiny)
    variance *= max(1.0, figures["residual_sd"] ** 2 / average)
    return float(np.sum(mean.var(0, ddof=1) / np.maximum(variance, np.finfo(float).tiny)))


def _layer(weights: LayerWeights, counts: Any) -> LayerHealth:
    ratio = weights.signal_to_noise
    return LayerHealth(
        weights.name,
        len(weights.mean),
        counts.kl,
        float(np.median(ratio)),
        float(np.mean(ratio < 1.0)),
        float(np.mean(weights.marginal_kl < COLLAPSED)) if np.isfinite(weights.prior_sd).all() else float("nan"),
        counts.num_effective,
    )


def _prior_sd(summary: WeightSummary, *rest: Any) -> float:
    """Root mean square sd of functions drawn from the prior; nan if it has none."""
    if not all(np.isfinite(layer.prior_sd).all() for layer in summary.layers):
        return float("nan")
    return _rms(_prior_means(*rest).std(0, ddof=1))


def _prior_means(network: keras.Model, likelihood: Any, x: np.ndarray, num_draws: int, seed: int) -> np.ndarray:
    """Compute E[y | f] of functions drawn from the prior, (S, N', Q), at up to 200 rows."""
    rows = x[np.linspace(0, len(x) - 1, min(len(x), 200)).astype(int)]
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, VariationalLayer)]

    @tf.function(autograph=False)
    def one(key: Any) -> tf.Tensor:
        draws = [layer.prior(None).sample(seed=key + tf.constant([0, i])) for i, layer in enumerate(layers)]
        return likelihood.mean(apply(network, rows, draws=draws).f)

    return np.array([one(tf.constant([seed, 1000 * s], tf.int32)) for s in range(num_draws)], float)


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, float)))))
