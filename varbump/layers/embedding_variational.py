"""An embedding of categories with a distribution over its vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_count
from varbump.core.keras import check_precision
from varbump.core.registry import register_builtin
from varbump.forward.apply import active_pass
from varbump.layers.drawn import SHARED, DrawnLayer, check_shared
from varbump.layers.factories import posterior_factory, prior_factory

__all__ = ["EmbeddingVariational", "check_codes", "embed"]


@register_builtin("EmbeddingVariational")
class EmbeddingVariational(DrawnLayer):
    r"""Vector for each code of a category, drawn from q(w) once per call.

    .. math:: \mathrm{outputs}_{n} = \mathrm{kernel}_{x_n}, \quad \mathrm{kernel} = w \sim q

    All rows of a call share the draw, so one call evaluates one function. With a prior N(0, s^2) and ``output_dim=1``
    it is a random intercept for each code, as in a hierarchical regression: codes with few rows stay near 0.

    Parameters
    ----------
    input_dim : int
        V, number of codes: 0 to V - 1.
    output_dim : int
        E, size of a vector.
    make_posterior_fn, make_prior_fn : callable or str, optional
        Factories of q and p over the V E numbers, or their names, as in `varbump.build_network`; by default
        `varbump.posterior`, a normal with full covariance, and `varbump.prior`. A full covariance has about
        :math:`(V E)^2 / 2` parameters, 2 million for 500 codes and E = 4: use "mean_field" or "low_rank" for many.
    kl_weight, kl_use_exact, activity_regularizer : optional
        As in `varbump.layers.DenseVariational`.
    posterior, prior : callable or str, optional
        The same arguments as `make_posterior_fn` and `make_prior_fn`; give one or the other.
    estimator : {"shared"}, default="shared"
        One draw of all vectors for all rows.
    seed : int, optional
        Makes the initial values and the sequence of draws reproducible: eagerly, in a `tf.function` and under XLA.
    **kwargs
        Arguments of `tf_keras.layers.Layer`, including `dtype` ("float32" or "float64").

    Raises
    ------
    ValueError
        If a size is not a positive integer, if `input_dim` is more than the dtype tells apart, if `estimator` is
        unknown, if an input is not a whole number from 0 to V - 1, or as for `varbump.layers.DenseVariational`.
    TypeError
        If an object of the Keras that is not in use is passed.

    Notes
    -----
    Input shape (...), integers or floats, such as columns of x; output shape (..., E). The fan-in is 1: every output is
    one weight, so `fan_in` of a prior changes nothing, and `varbump.priors.ARDNormal` learns one scale for all codes.

    Numbers that are not codes raise an error where they can be seen: when the layer is called eagerly, and by
    `varbump.fit`, predictions, `varbump.evaluate` and the like for arrays. Elsewhere, such as in Keras `fit`, for rows
    of a source and in an exported model, their vector is 0, the mean of the default prior: never that of another code.

    Examples
    --------
    >>> import numpy as np
    >>> import tf_keras
    >>> import varbump as vb
    >>> network = tf_keras.Sequential(
    ...     [
    ...         tf_keras.Input((1,)),
    ...         vb.layers.EmbeddingVariational(3, 2, prior=vb.priors.Normal(0.5), seed=0),
    ...         tf_keras.layers.Flatten(),
    ...         vb.layers.DenseVariational(1, vb.posterior, vb.prior, seed=1),
    ...     ]
    ... )
    >>> vb.predict_f(network, np.array([[0], [1], [2], [1]]), num_draws=2, seed=0).shape
    (2, 4, 1)
    """

    words: ClassVar[dict[str, tuple[str, ...]]] = {"estimator": SHARED}

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        make_posterior_fn: Callable[..., Any] | str | None = None,
        make_prior_fn: Callable[..., Any] | str | None = None,
        kl_weight: float | None = None,
        kl_use_exact: bool | None = None,
        activity_regularizer: Any = None,
        *,
        posterior: Callable[..., Any] | str | None = None,
        prior: Callable[..., Any] | str | None = None,
        estimator: str = "shared",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        input_dim, output_dim = check_count(input_dim, "input_dim"), check_count(output_dim, "output_dim")
        check_shared(estimator, "rows of one code share its vector in every function")
        super().__init__(
            make_posterior_fn=posterior_factory(posterior, make_posterior_fn),
            make_prior_fn=prior_factory(prior, make_prior_fn),
            kl_weight=kl_weight,
            kl_use_exact=kl_use_exact,
            activity_regularizer=activity_regularizer,
            seed=seed,
            **kwargs,
        )
        self.input_dim, self.output_dim, self.estimator = input_dim, output_dim, estimator

    def build(self, input_shape: Any) -> None:
        """Create the posterior and the prior over the vectors."""
        check_precision(self)
        most = 2 ** (np.finfo(self.compute_dtype).nmant + 1)
        if self.input_dim > most:
            raise ValueError(f"input_dim must be at most {most:,}: {self.compute_dtype} cannot tell larger codes apart")
        self.make_distributions((self.input_dim, self.output_dim), 1, [1, 1])
        self.check_distributions()
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Outputs (..., E) for one draw of the weights."""
        forward = active_pass()
        if forward is not None:
            forward.observed.append((self, inputs))  # for the check of x
        elif tf.executing_eagerly():
            check_codes(self, np.asarray(inputs), "inputs")
        kernel, _ = self.kernel_and_bias(self.draw(inputs))
        return embed(inputs, kernel)

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Shape (..., E)."""
        return tf.TensorShape(input_shape).concatenate(self.output_dim)

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights, those of the posterior."""
        del input_shape
        return self.make_posterior_fn.variable_shapes(self.input_dim * self.output_dim)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which an equal layer can be made."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "estimator": self.estimator,
        }


def embed(codes: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Rows (..., E) of a kernel (V, E) for codes (...) of any dtype; 0 for numbers that are no code."""
    num_codes = kernel.shape[0]
    within = (codes >= 0) & (codes < num_codes)  # False for nan
    whole = tf.cast(tf.where(within, codes, tf.zeros_like(codes)), tf.int32)
    known = within & (tf.cast(whole, codes.dtype) == codes)
    rows = tf.gather(kernel, tf.where(known, whole, 0))
    return tf.where(known[..., None], rows, tf.zeros_like(rows))


def check_codes(layer: EmbeddingVariational, codes: np.ndarray, argument: str, first_row: int = 0) -> None:
    """Raise a ValueError that names the argument if any of the numbers (N, ...) that a layer takes is no code."""
    bad = ~((codes >= 0) & (codes < layer.input_dim) & (codes == np.floor(codes)))
    if bad.any():
        first = tuple(int(index) for index in np.argwhere(bad)[0])
        row = f" in row {first_row + first[0]:,}" if first else ""
        raise ValueError(
            f"{argument} must give codes, whole numbers from 0 to {layer.input_dim - 1}, to layer {layer.name!r}, but "
            f"{bad.sum():,} of {bad.size:,} are not, the first{row}: {float(codes[first]):g}; raise input_dim for more "
            f"categories"
        )
