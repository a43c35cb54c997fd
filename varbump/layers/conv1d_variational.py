"""A convolution over sequences with a distribution over its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from varbump.core.checks import check_count
from varbump.core.keras import build_held, keras
from varbump.core.registry import register_builtin
from varbump.layers.affine import affine
from varbump.layers.drawn import SHARED, DrawnLayer, check_shared
from varbump.layers.factories import posterior_factory, prior_factory
from varbump.layers.windows import PADDINGS, count_windows, windows

__all__ = ["Conv1DVariational"]


@register_builtin("Conv1DVariational")
class Conv1DVariational(DrawnLayer):
    r"""Convolution over the steps of sequences, whose kernel and bias are drawn from q(w) once per call.

    .. math:: \mathrm{outputs}_{tj} = \mathrm{activation}\Big(\sum_{i=0}^{k-1} \sum_{c=1}^{C}
              \mathrm{inputs}_{ts + id,\, c} \, \mathrm{kernel}_{icj} + \mathrm{bias}_j\Big),
              \quad (\mathrm{kernel}, \mathrm{bias}) = w \sim q

    with kernel size k, stride s and dilation rate d, for inputs that are padded first. As in Keras, this is a
    cross-correlation: the kernel is not reversed. All rows and steps of a call share the draw, so one call evaluates
    one function.

    Parameters
    ----------
    filters : int
        F, size of the last axis of the output.
    kernel_size : int
        k, number of steps in a window.
    make_posterior_fn, make_prior_fn : callable or str, optional
        Factories of q and p over the :math:`k C F` weights of the kernel and the F of the bias, or their names, as in
        `varbump.build_network`; by default `varbump.posterior`, a normal with full covariance, and `varbump.prior`.
    kl_weight, kl_use_exact, activation, use_bias, activity_regularizer : optional
        As in `varbump.layers.DenseVariational`.
    strides : int, default=1
        s, steps from one window to the next.
    padding : {"valid", "same", "causal"}, default="valid"
        "valid": windows are within the sequence. "same": zeros on both sides, so that strides of 1 keep the number of
        steps. "causal": all zeros before the sequence, so that no output depends on later inputs.
    dilation_rate : int, default=1
        d, distance between the steps of a window.
    posterior, prior : callable or str, optional
        The same arguments as `make_posterior_fn` and `make_prior_fn`; give one or the other.
    estimator : {"shared"}, default="shared"
        One draw of the weights for all rows; other estimators of `DenseVariational` draw noise for each row, and here
        each row is many windows.
    seed : int, optional
        Makes the initial values and the sequence of draws reproducible: eagerly, in a `tf.function` and under XLA.
    **kwargs
        Arguments of `tf_keras.layers.Layer`, including `dtype` ("float32" or "float64").

    Raises
    ------
    ValueError
        If a size is not a positive integer, if `padding` or `estimator` is unknown, if both `strides` and
        `dilation_rate` are above 1, if the number of channels is unknown, if "valid" windows are longer than the
        sequence, or as for `varbump.layers.DenseVariational`.
    TypeError
        If an object of the Keras that is not in use is passed.

    Notes
    -----
    Input shape (..., T, C), output shape (..., T', F): T' is the integer part of (T - d (k - 1) - 1) / s + 1 for
    "valid", and T / s rounded up otherwise. w has the kernel first, in the order (k, C, F). Its fan-in is k C, which
    priors with `fan_in` divide by, and `varbump.priors.ARDNormal` learns a scale for each step and channel of a window.

    Examples
    --------
    >>> import numpy as np
    >>> import tf_keras
    >>> import varbump as vb
    >>> network = tf_keras.Sequential(
    ...     [
    ...         tf_keras.Input((20, 1)),
    ...         vb.layers.Conv1DVariational(4, 5, prior=vb.priors.Normal(fan_in=True), activation="relu", seed=0),
    ...         tf_keras.layers.Flatten(),
    ...         vb.layers.DenseVariational(1, vb.posterior, vb.priors.Normal(fan_in=True), seed=1),
    ...     ]
    ... )
    >>> vb.predict_f(network, np.zeros((3, 20, 1)), num_draws=2, seed=0).shape
    (2, 3, 1)
    """

    words: ClassVar[dict[str, tuple[str, ...]]] = {"estimator": SHARED, "padding": PADDINGS}

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        make_posterior_fn: Callable[..., Any] | str | None = None,
        make_prior_fn: Callable[..., Any] | str | None = None,
        kl_weight: float | None = None,
        kl_use_exact: bool | None = None,
        activation: Any = None,
        use_bias: bool = True,
        activity_regularizer: Any = None,
        *,
        strides: int = 1,
        padding: str = "valid",
        dilation_rate: int = 1,
        posterior: Callable[..., Any] | str | None = None,
        prior: Callable[..., Any] | str | None = None,
        estimator: str = "shared",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        filters = check_count(filters, "filters")
        kernel_size = check_count(_only(kernel_size), "kernel_size")
        strides, dilation_rate = (
            check_count(_only(strides), "strides"),
            check_count(_only(dilation_rate), "dilation_rate"),
        )
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {PADDINGS}, got {padding!r}")
        if strides > 1 and dilation_rate > 1:  # as in Keras
            raise ValueError(f"strides and dilation_rate cannot both be above 1, got {strides} and {dilation_rate}")
        check_shared(estimator, "each row is many windows, which would need noise of their own")
        super().__init__(
            make_posterior_fn=posterior_factory(posterior, make_posterior_fn),
            make_prior_fn=prior_factory(prior, make_prior_fn),
            kl_weight=kl_weight,
            kl_use_exact=kl_use_exact,
            activation=activation,
            use_bias=use_bias,
            activity_regularizer=activity_regularizer,
            seed=seed,
            **kwargs,
        )
        self.filters, self.kernel_size = filters, kernel_size
        self.strides, self.padding, self.dilation_rate = strides, padding, dilation_rate
        self.estimator = estimator
        self.input_spec = keras.layers.InputSpec(min_ndim=3)

    def build(self, input_shape: Any) -> None:
        """Create the posterior and the prior over the weights of the layer."""
        output_shape = self.compute_output_shape(input_shape)
        channels = tf.TensorShape(input_shape)[-1]
        if channels is None:
            raise ValueError(
                f"The last axis of the inputs of {self.name!r}, the channels, must be known, got shape {input_shape}"
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=3, axes={-1: channels})
        kernel_shape = (self.kernel_size * channels, self.filters)
        self.make_distributions(kernel_shape, kernel_shape[0], [1, self._reach + 1, channels])
        build_held(self.activation, list(output_shape))
        self.check_distributions()
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Outputs (..., T', F) for one draw of the weights."""
        inputs = tf.cast(inputs, self.dtype)
        kernel, bias = self.kernel_and_bias(self.draw(inputs))
        rows = windows(inputs, self.kernel_size, self.strides, self.dilation_rate, self.padding)
        return self.activation(affine(rows, kernel, bias))

    @property
    def _reach(self) -> int:
        """Steps from the first to the last of a window."""
        return (self.kernel_size - 1) * self.dilation_rate

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Shape (..., T', F)."""
        shape = tf.TensorShape(input_shape)
        if shape.rank is not None and shape.rank < 3:
            raise ValueError(
                f"{self.name!r} takes inputs with an axis of steps and one of channels, (N, T, C), got shape {shape}; "
                f"a layer Reshape((T, 1)) before it makes sequences of one channel"
            )
        steps = shape[-2]
        if steps is not None and self.padding == "valid" and steps <= self._reach:
            raise ValueError(
                f"windows of {self.name!r} span {self._reach + 1} steps, but its inputs have {steps}: use "
                f"padding='same' or a smaller kernel_size"
            )
        if steps is not None:
            steps = count_windows(steps, self.kernel_size, self.strides, self.dilation_rate, self.padding)
        return shape[:-2].concatenate([steps, self.filters])

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights: those of the activation, then those of the posterior."""
        inner = self.activation_shapes((None, self.filters))
        size = self.filters * (self.kernel_size * input_shape[-1] + self.use_bias)
        return [*inner, *self.make_posterior_fn.variable_shapes(size)]

    def get_config(self) -> dict[str, Any]:
        """Arguments from which an equal layer can be made."""
        return {
            **super().get_config(),
            **self.activation_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "estimator": self.estimator,
        }


def _only(value: Any) -> Any:
    """The entry of a sequence of one, in which form Keras has sizes too; anything else as it is."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
