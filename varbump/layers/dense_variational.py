"""A dense layer with a distribution over its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from varbump.core.checks import check_count
from varbump.core.keras import build_held, keras
from varbump.core.registry import register_builtin
from varbump.forward.apply import active_pass
from varbump.forward.passes import ForwardPass
from varbump.layers.affine import affine, affine_rows_last, rows_last
from varbump.layers.drawn import DrawnLayer
from varbump.layers.noise import OwnNoise, noise_of
from varbump.posteriors import Posterior

__all__ = ["DenseVariational"]

ESTIMATORS = ("shared", "local", "flipout")


@register_builtin("DenseVariational")
class DenseVariational(DrawnLayer):
    r"""Dense layer whose kernel and bias are drawn from q(w) once per call.

    .. math:: \mathrm{outputs} = \mathrm{activation}(\mathrm{inputs} \cdot \mathrm{kernel} + \mathrm{bias}),
              \quad (\mathrm{kernel}, \mathrm{bias}) = w \sim q

    All rows of a call share the draw, so one call evaluates one function.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    make_posterior_fn, make_prior_fn : callable or str
        Factories, or their names, as in `varbump.build_network`. They are called with
        ``(kernel_size, bias_size, dtype)``. Each returns a callable that takes the inputs and returns a
        `tfd.Distribution` over the ``kernel_size + bias_size`` weights. The layer tracks all trainable variables that
        these read, wherever they are kept.
    kl_weight : float, optional
        Factor of KL(q || p) in the loss of Keras `fit`: use 1 / number of training rows if the loss is a mean over
        the batch. `varbump.fit` scales the KL itself and ignores this.
    kl_use_exact : bool, optional
        Whether to use the closed form of the KL (True) or a Monte Carlo estimate (False). By default the closed
        form is used if there is one for the pair.
    activation : str, callable or tf_keras layer, optional
        Activation applied to the outputs.
    use_bias : bool, default=True
        Whether the layer has a bias.
    activity_regularizer : optional
        As in Keras.
    estimator : {"shared", "local", "flipout"}, default="shared"
        How noise enters a training call. "shared": one draw of the weights for all rows. "local": the outputs are
        drawn row by row from the normal that q implies for them (local reparameterisation; `MeanFieldNormal` and
        `LowRankNormal` support it). "flipout": one draw, whose deviation from the mean gets random signs for each
        row: separate ones by input and output if the weights are independent, otherwise one for the whole draw, since
        other signs would change the covariance. All estimate the same ELBO, the latter two with less variance. Calls
        outside of training always use "shared".
    num_detached : int, default=0
        Number of outputs, counted from the last, that pass no gradient to the inputs: their own weights learn, but
        the layers below do not learn from them. See Stirn et al. (2023), "Faithful Heteroscedastic Regression with
        Neural Networks", section 3.
    seed : int, optional
        Makes the initial values and the sequence of draws reproducible: eagerly, in a `tf.function` and under XLA.
    **kwargs
        Arguments of `tf_keras.layers.Layer`, including `dtype` ("float32" or "float64").

    Raises
    ------
    ValueError
        If `units` is not a positive integer, if the last axis of the inputs is unknown, if `kl_use_exact` is True but
        the KL has no closed form, or if the posterior does not support the `estimator`.
    TypeError
        If a Keras 3 object is passed.

    Notes
    -----
    Input shape (..., D), output shape (..., units).

    References
    ----------
    Kingma, Salimans and Welling (2015), "Variational Dropout and the Local Reparameterization Trick".
    Wen, Vicol, Ba, Tran and Grosse (2018), "Flipout", eq. 3 and 4.
    """

    words: ClassVar[dict[str, tuple[str, ...]]] = {"estimator": ESTIMATORS}

    def __init__(
        self,
        units: int,
        make_posterior_fn: Callable[..., Any] | str,
        make_prior_fn: Callable[..., Any] | str,
        kl_weight: float | None = None,
        kl_use_exact: bool | None = None,
        activation: Any = None,
        use_bias: bool = True,
        activity_regularizer: Any = None,
        *,
        estimator: str = "shared",
        num_detached: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(units, bool) or int(units) != units or units < 1:
            raise ValueError(f"units must be a positive integer, got {units!r}")
        if check_count(num_detached, "num_detached", minimum=0) > units:
            raise ValueError(f"num_detached must be at most units, {units}, got {num_detached}")
        super().__init__(
            make_posterior_fn=make_posterior_fn,
            make_prior_fn=make_prior_fn,
            kl_weight=kl_weight,
            kl_use_exact=kl_use_exact,
            activation=activation,
            use_bias=use_bias,
            activity_regularizer=activity_regularizer,
            seed=seed,
            **kwargs,
        )
        self.units = int(units)
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {ESTIMATORS}, got {estimator!r}")
        self.estimator = estimator
        self.num_detached = num_detached
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: Any) -> None:
        """Create the posterior and the prior over the weights of the layer."""
        num_inputs = tf.TensorShape(input_shape)[-1]
        if num_inputs is None:
            raise ValueError(f"The last axis of the inputs of {self.name!r} must be known, got shape {input_shape}")
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: num_inputs})
        self.make_distributions((num_inputs, self.units), num_inputs, [1, num_inputs])
        self._check_estimator()
        build_held(self.activation, [*input_shape[:-1], self.units])
        self.check_distributions()
        super().build(input_shape)

    def _check_estimator(self) -> None:
        """Raise a ValueError unless the posterior supports the estimator."""
        q, made_by = self._posterior, type(self.make_posterior_fn).__name__
        if self.estimator != "shared" and self.num_detached:
            raise ValueError(f"estimator={self.estimator!r} cannot detach outputs (num_detached); use 'shared'")
        if self.estimator != "shared" and not isinstance(q, Posterior):
            raise ValueError(f"estimator={self.estimator!r} needs a family of varbump.posteriors, got {made_by}")
        if self.estimator == "local" and not q.has_affine:
            raise ValueError(
                f"estimator='local' needs a posterior whose outputs can be drawn row by row, MeanFieldNormal or "
                f"LowRankNormal; those of {made_by} cannot: use estimator='flipout'"
            )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Outputs (..., units) for one draw of the weights; in training, noise enters as `estimator` says."""
        inputs = tf.cast(inputs, self.dtype)
        if training and self.estimator != "shared":
            return self.activation(self._row_by_row(inputs))
        kernel, bias = self.kernel_and_bias(self.draw(inputs))
        mapped = affine_rows_last if rows_last(inputs) else affine
        outputs = mapped(inputs, kernel, bias)
        if self.num_detached:  # the same numbers again, which XLA computes once
            detached = mapped(tf.stop_gradient(inputs), kernel, bias)[..., -self.num_detached :]
            outputs = tf.concat([outputs[..., : -self.num_detached], detached], -1)
        return self.activation(outputs)

    def _row_by_row(self, inputs: tf.Tensor) -> tf.Tensor:
        """Outputs before the activation, with separate noise for each row."""
        rows = tf.reshape(inputs, [-1, self._kernel_shape[0]])
        if inputs.shape.rank == 2:
            rows = inputs  # with its static shape
        source = active_pass() or OwnNoise(self._next_seed())
        if self.estimator == "local":
            outputs = self._posterior.affine(rows, self.units, source.take)
        else:
            outputs = self._flipout(rows, source)
        if isinstance(source, ForwardPass):
            exact = self.uses_exact_kl
            source.report_kl(self, self._exact_kl(inputs) if exact else self._monte_carlo_kl(inputs, source))
        return (
            outputs if inputs.shape.rank == 2 else tf.reshape(outputs, [*tf.unstack(tf.shape(inputs))[:-1], self.units])
        )

    def _flipout(self, rows: tf.Tensor, source: Any) -> tf.Tensor:
        q, num_rows = self._posterior, rows.shape[0] or tf.shape(rows)[0]
        mean = q.mean
        kernel, bias = self.kernel_and_bias(mean)
        d_kernel, d_bias = self.kernel_and_bias(q.transform(noise_of(q, source)) - mean)
        if q.independent:
            signs_in = tf.reshape(tf.sign(source.take(num_rows * self._kernel_shape[0], rows.dtype)), [num_rows, -1])
            signs = tf.reshape(tf.sign(source.take(num_rows * self.units, rows.dtype)), [num_rows, self.units])
            return affine(rows, kernel, bias) + signs * affine(signs_in * rows, d_kernel, d_bias)
        joint = q.preceding is not None  # the covariance spans layers, so they must share the sign
        signs = source.take_signs(num_rows, rows.dtype) if joint else tf.sign(source.take(num_rows, rows.dtype))
        return affine(rows, kernel, bias) + signs[:, None] * affine(rows, d_kernel, d_bias)

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Shape (..., units)."""
        return tf.TensorShape(input_shape)[:-1].concatenate(self.units)

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights: those of the activation, then those of the posterior."""
        inner = self.activation_shapes((*input_shape[:-1], self.units))
        return [*inner, *self.make_posterior_fn.variable_shapes(self.units * (input_shape[-1] + self.use_bias))]

    def get_config(self) -> dict[str, Any]:
        """Arguments from which an equal layer can be made."""
        return {
            **super().get_config(),
            **self.activation_config(),
            "units": self.units,
            "estimator": self.estimator,
            "num_detached": self.num_detached,
        }
