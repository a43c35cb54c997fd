r"""A trained model as a SavedModel of TensorFlow, which servers load without varbump.

The draws of the weights are constants of the graph, so each call averages over the same functions. Quantiles of the
mixture are found by bisection in the bracket of Cantelli's inequality,

.. math:: \mu - \sigma \sqrt{(1 - p) / p} \le F^{-1}(p) \le \mu + \sigma \sqrt{p / (1 - p)}.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_shares
from varbump.core.files import new_folder
from varbump.core.keras import float_dtype, is_built, keras
from varbump.core.random import host_seed
from varbump.likelihoods.checks import is_discrete
from varbump.likelihoods.noise import CELLS, noise_with_tail
from varbump.predict.predictive import predictive_of
from varbump.predict.sampler import Leaf
from varbump.predict.units import with_likelihood
from varbump.saving.served_forest import ServedForest

__all__ = ["export"]

STEPS = 60
"""Bisections: the bracket of 2.5 % is 12 sd wide, of which this leaves less than rounding does."""


def export(
    model: Any,
    path: Any,
    *,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    likelihood: Any = None,
    num_draws: int = 400,
    seed: int | None = 0,
) -> Path:
    """Write the predictive distribution of a model as a SavedModel, which TensorFlow serves without varbump.

    Parameters
    ----------
    model : VariationalRegressor, tf_keras.Model, Ensemble or other source of draws
        A regressor must have been fitted to numbers without missing cells; its forest is exported too.
    path : str or Path
        Folder; an existing SavedModel is replaced, anything else refused.
    quantiles : sequence of float (L,), default=(0.025, 0.5, 0.975)
        Levels in (0, 1) of the quantiles that are served.
    likelihood : likelihood, optional
        That of a network.
    num_draws : int, default=400
        S, of the weights; a regressor uses its own.
    seed : int, optional
        Of the draws; a regressor uses its own, and the export answers as its `predict` and `predict_quantiles` do.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If a level is not between 0 and 1, or a column of the regressor's table is not plain numbers.
    TypeError
        If the model cannot be exported, or `likelihood` is missing.
    OSError
        If the folder cannot be written; what was there before stays.

    Notes
    -----
    The signature "serving_default" takes ``x`` (N, D), float64 for a regressor and of the network's type otherwise, in
    the units of `predict`, and returns ``mean``, ``sd`` and ``epistemic_sd`` (N, Q) and ``quantiles`` (N, L, Q), in
    units of y; for counts, quantiles are the smallest y whose probability suffices. Q is 1 for a single target. ::

        served = tf.saved_model.load("folder").signatures["serving_default"]
        served(x=tf.constant(X))["mean"]

    Examples
    --------
    >>> import tempfile, numpy as np, tensorflow as tf, varbump as vb
    >>> network, likelihood = vb.build_network(2, seed=0), vb.likelihoods.Normal(0.3)
    >>> folder = vb.export(network, tempfile.mkdtemp() + "/served", likelihood=likelihood, num_draws=20)
    >>> served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    >>> sorted((name, tuple(value.shape)) for name, value in served(x=tf.zeros([5, 2])).items())
    [('epistemic_sd', (5, 1)), ('mean', (5, 1)), ('quantiles', (5, 3, 1)), ('sd', (5, 1))]
    """
    levels = check_shares(quantiles, "quantiles").tolist()
    if hasattr(model, "_predictive_of"):
        if likelihood is not None:
            raise TypeError("likelihood must be left out for an estimator, which has learned its own")
        served = _of_regressor(model, levels)
    else:
        source, likelihood = with_likelihood(model, likelihood, None)
        predictive = predictive_of(source, likelihood, num_draws, host_seed(seed))
        network = source if isinstance(source, keras.Model) else source.network
        if not is_built(network):
            raise ValueError("network has no input shape yet; fit it, or call it on some rows, before it is exported")
        shape = tuple(network.input_shape[1:])
        leaves = predictive.leaves(shape)
        spec = tf.TensorSpec([None, *shape], tf.as_dtype(float_dtype(network)), name="x")
        served = _Served(leaves, levels, spec, lambda x: x)
    with new_folder(path) as folder, _without_info():
        tf.saved_model.save(served, str(folder), signatures={"serving_default": served.predict})
    return Path(path)


@contextmanager
def _without_info() -> Iterator[None]:
    """Keep TensorFlow from telling, at its level of information, where the temporary folder is."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def _of_regressor(model: Any, levels: Sequence[float]) -> _Served:
    predictive = model._predictive()  # raises unless it has been fitted
    for column in model.encoder_.source:
        if column.kind != "number" or column.has_missing:
            what = "missing cells" if column.kind == "number" else f"cells of the kind {column.kind}"
            raise ValueError(f"{column.name} of X had {what} in the fit; export takes plain numbers only")
    num_features, scaler, forest = model.n_features_in_, model.x_scaler_, model.embedding_
    served_forest = None if forest is None else ServedForest(forest)

    def inputs(x: tf.Tensor) -> tf.Tensor:
        z = (x - scaler.mean_) / scaler.scale_
        return z if served_forest is None else tf.concat([z, served_forest(z)], axis=-1)

    leaves = predictive.leaves((num_features if forest is None else num_features + forest.num_columns,))
    spec = tf.TensorSpec([None, num_features], tf.float64, name="x")
    served = _Served(leaves, levels, spec, inputs, model.y_scaler_.mean_, model.y_scaler_.scale_)
    served.forest = served_forest  # its variables are saved with the module
    return served


class _Served(tf.Module):
    """Mixture over the draws of all leaves.

    Parameters
    ----------
    leaves : sequence of Leaf
    levels : sequence of float (L,)
    spec : TensorSpec
        Of x.
    inputs : callable
        From x to the inputs of the networks.
    shift, unit : float or ndarray (Q,)
        From the units of the networks to those of y.
    """

    def __init__(
        self,
        leaves: Sequence[Leaf],
        levels: Sequence[float],
        spec: tf.TensorSpec,
        inputs: Callable[[tf.Tensor], tf.Tensor],
        shift: Any = 0.0,
        unit: Any = 1.0,
    ) -> None:
        super().__init__()
        self._functions = [leaf.sampler.in_graph() for leaf in leaves]
        self._leaves, self._levels, self._inputs = tuple(leaves), levels, inputs
        self._shift, self._unit = tf.constant(shift, tf.float64), tf.constant(unit, tf.float64)
        self._counts = any(is_discrete(leaf.likelihood) for leaf in leaves)
        likelihoods = [leaf.likelihood for leaf in leaves]
        self.read = [[*getattr(like, "variables", []), *getattr(like, "constants", [])] for like in likelihoods]
        self.forest: Any = None
        self.predict = tf.function(self._predict, input_signature=[spec], autograph=False)

    def _predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = self._inputs(x)
        distributions, locs, noises = [], [], []
        for leaf, function in zip(self._leaves, self._functions, strict=True):
            own = inputs if leaf.inputs is None else inputs * tf.constant(leaf.inputs, inputs.dtype)
            f = tf.cast(function(tf.cast(own, float_dtype(leaf.sampler.network))), tf.float64)
            loc, noise = (tf.cast(part, tf.float64) for part in (leaf.likelihood.mean(f), leaf.likelihood.stddev(f)))
            factor, _ = leaf.pool_noise or (1.0, 0.0)
            noise = tf.broadcast_to(noise, tf.shape(loc)) * factor
            distributions.append(_distribution(leaf, f, loc, noise))
            locs.append(loc)
            noises.append(noise)
        loc, noise = tf.concat(locs, 0), tf.concat(noises, 0)
        mean, epistemic = tf.reduce_mean(loc, 0), tf.math.reduce_variance(loc, 0)
        sd = tf.sqrt(epistemic + tf.reduce_mean(noise**2, 0))
        support = getattr(self._leaves[0].likelihood, "support", (-np.inf, np.inf))

        def below(y: tf.Tensor) -> tf.Tensor:
            parts = [tf.reduce_sum(tf.cast(part.cdf(y), tf.float64), 0) for part in distributions]
            # some distributions lose what is known of the shape
            return tf.ensure_shape(tf.add_n(parts) / tf.cast(tf.shape(loc)[0], tf.float64), y.shape)

        found = [self._quantile(level, mean, sd, support, below) for level in self._levels]
        return {
            "mean": self._shift + self._unit * mean,
            "sd": self._unit * sd,
            "epistemic_sd": self._unit * tf.sqrt(epistemic),
            "quantiles": self._shift + self._unit * tf.stack(found, axis=1),
        }

    def _quantile(
        self, level: float, mean: tf.Tensor, sd: tf.Tensor, support: Any, below: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        """Quantile (N, Q) of the mixture with these moments, by bisection; of counts among whole numbers."""
        low, high = mean - sd * np.sqrt((1 - level) / level), mean + sd * np.sqrt(level / (1 - level))
        low, high = tf.maximum(low, support[0]), tf.minimum(high, support[1])  # densities may be nan beyond
        if self._counts:
            low, high = tf.floor(low) - 1.0, tf.math.ceil(high)

        def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            middle = 0.5 * (low + high)
            middle = tf.floor(middle) if self._counts else middle
            is_below = below(middle) < level
            return tf.where(is_below, middle, low), tf.where(is_below, high, middle)

        _, high = tf.while_loop(lambda *_: True, halve, (low, high), maximum_iterations=STEPS)
        return high


def _distribution(leaf: Leaf, f: tf.Tensor, loc: tf.Tensor, sd: tf.Tensor) -> Any:
    """Distribution of y for each draw; in a pool its noise has the pool's shape."""
    if leaf.pool_noise is None:
        return leaf.likelihood.distribution(f)
    noise = noise_with_tail(max(leaf.likelihood.noise().tail, leaf.pool_noise[1]))
    return _StudentT(noise, loc, sd) if noise.tail else tfd.Normal(loc, sd)


class _StudentT:
    """Distribution function of Student's t, of which that of TensorFlow takes four times as long; error 1e-11."""

    def __init__(self, noise: Any, loc: tf.Tensor, sd: tf.Tensor) -> None:
        coefficients, width = noise.table
        self._coefficients, self._width = tf.constant(coefficients.T, tf.float64), width
        self._loc, self._scale = loc, sd * noise.unit

    def cdf(self, y: tf.Tensor) -> tf.Tensor:
        """As `StudentTNoise.fast_cdf`."""
        at = tf.asinh((y - self._loc) / self._scale) / self._width + 0.5 * CELLS
        at = tf.clip_by_value(at, 0.0, CELLS - 1e-9)
        cell = tf.floor(at)
        a, b, c, d = tf.unstack(tf.gather(self._coefficients, tf.cast(cell, tf.int32)), axis=-1)
        share = at - cell
        return ((a * share + b) * share + c) * share + d
