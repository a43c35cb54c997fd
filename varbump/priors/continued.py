"""Priors that are the posterior of an earlier fit: learning goes on where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.keras import keras
from varbump.core.registry import register_builtin
from varbump.priors.base import Prior

__all__ = ["ContinuedNormal", "from_posterior"]


@register_builtin("ContinuedNormal")
class ContinuedNormal(Prior):
    r"""Normal prior with a mean and covariance of its own for each layer, :math:`p(w_l) = N(w_l; m_l, C_l)`.

    Made by `from_posterior`. In `varbump.build_network` each layer takes the next entries; elsewhere, `after` returns
    the prior of the layer behind.

    Parameters
    ----------
    locs : sequence of array-like (n_l,)
        Means of the weights of each layer, kernel first.
    scales : sequence of array-like (n_l,) or (n_l, n_l)
        Standard deviations of the weights of each layer, or the lower Cholesky factor of their covariance.

    Raises
    ------
    ValueError
        If the numbers of means and of scales differ, one is not finite, or a layer has another number of weights.
    """

    def __init__(self, locs: Sequence[Any], scales: Sequence[Any]) -> None:
        super().__init__()
        self.locs = [np.asarray(loc, float) for loc in locs]
        self.scales_of_layers = [np.asarray(scale, float) for scale in scales]
        fits = [
            loc.ndim == 1 and scale.shape in (loc.shape, 2 * loc.shape)
            for loc, scale in zip(self.locs, self.scales_of_layers, strict=False)
        ]
        if not fits or not all(fits) or len(self.locs) != len(self.scales_of_layers):
            raise ValueError("locs and scales must have as many entries, of n numbers and of n or n x n for each layer")
        if not all(np.isfinite(part).all() for part in (*self.locs, *self.scales_of_layers)):
            raise ValueError("locs and scales must be finite")

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal prior."""
        return {
            "locs": [loc.tolist() for loc in self.locs],
            "scales": [scale.tolist() for scale in self.scales_of_layers],
        }

    def scales(self, factor: np.ndarray) -> np.ndarray:
        """Means of the first layer, and beside them the standard deviations or the Cholesky factor, (n, 1 + ...)."""
        if len(factor) != len(self.locs[0]):
            raise ValueError(
                f"the prior is of a layer of {len(self.locs[0]):,} weights, and this one has {len(factor):,}: the "
                f"network must have the layers of the one whose posterior it is"
            )
        return np.column_stack([self.locs[0], self.scales_of_layers[0]])

    def distribution(self, scale: tf.Tensor) -> tfd.Distribution:
        """Independent normals, or a normal with this factor."""
        loc, rest = scale[:, 0], scale[:, 1:]
        if rest.shape[1] == 1:
            return tfd.MultivariateNormalDiag(loc, rest[:, 0])
        return tfd.MultivariateNormalTriL(loc, rest)

    def after(self) -> ContinuedNormal:
        """Prior of the layer that follows."""
        if len(self.locs) == 1:
            raise ValueError("the prior is of fewer layers than the network has")
        return ContinuedNormal(self.locs[1:], self.scales_of_layers[1:])


def from_posterior(network: keras.Model) -> ContinuedNormal:
    r"""Make the posterior of a trained network the prior of the next fit.

    .. math:: p(w \mid D_1, D_2) \propto p(D_2 \mid w)\, p(w \mid D_1)

    With new rows alone, the next fit then ends where one with all rows would: exactly so where q is the posterior, as
    for linear models with a full covariance and known noise, and otherwise as well as q is. Learned scales of the noise
    are point estimates, and those of the rows that are fitted.

    Parameters
    ----------
    network : tf_keras.Model
        Of `varbump.build_network`, or with `DenseVariational` layers in the order of its `layers`, with families of
        `varbump.posteriors`.

    Returns
    -------
    ContinuedNormal
        For ``make_prior_fn`` of a network of the same layers. Later changes of `network` do not affect it.

    Raises
    ------
    ValueError
        If the network has no variational layers, or its posterior has covariances between layers, as `JointNormal`.
    TypeError
        If the posterior of a layer is not normal.

    Examples
    --------
    >>> import numpy as np
    >>> import varbump as vb
    >>> x = np.linspace(-1.0, 1.0, 60)[:, None]
    >>> y, noise = 2.0 * x + 0.1, vb.likelihoods.Normal(0.3)
    >>> network = vb.build_network(hidden_units=())
    >>> _ = vb.fit(network, noise, x[:30], y[:30], verbose=0)
    >>> network = vb.build_network(hidden_units=(), prior=vb.priors.from_posterior(network))
    >>> _ = vb.fit(network, noise, x[30:], y[30:], verbose=0)  # as if with all rows
    """
    layers = [layer for layer in getattr(network, "layers", []) if hasattr(layer, "make_posterior_fn")]
    if not layers:
        raise ValueError(f"network has no variational layers, so it has no posterior: {network!r:.80}")
    locs, scales = [], []
    for layer in layers:
        q = layer.posterior
        if not hasattr(q, "variances"):
            raise TypeError(
                f"the posterior of layer {layer.name!r} is no normal family of varbump.posteriors: {type(q).__name__}"
            )
        if q.preceding:
            raise ValueError(
                f"the posterior of layer {layer.name!r} has covariances with the layers before it, which a prior of "
                f"each layer cannot hold; use FullCovarianceNormal"
            )
        distribution = q(None)
        locs.append(np.asarray(distribution.mean(), float))
        if q.independent:
            scales.append(np.asarray(distribution.stddev(), float))
        else:
            scales.append(np.linalg.cholesky(np.asarray(distribution.covariance(), float)))
    return ContinuedNormal(locs, scales)
