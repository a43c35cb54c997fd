"""A dense layer with a distribution over its weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump._keras import deserialize, keras, refuse_keras3, register, serialize
from varbump.checks import check_count, check_number
from varbump.elbo import exact_kl, monte_carlo_kl
from varbump.forward import active_pass, host_seed, standard_normal
from varbump.layers.by_name import resolve_activation
from varbump.posteriors import Posterior, PosteriorFactory

__all__ = ["DenseVariational"]


@register("DenseVariational")
class DenseVariational(keras.layers.Layer):
    r"""Dense layer whose kernel and bias are drawn from q(w) once a call.

    .. math:: \mathrm{outputs} = \mathrm{activation}(\mathrm{inputs} \cdot \mathrm{kernel} + \mathrm{bias}),
              \quad (\mathrm{kernel}, \mathrm{bias}) = w \sim q

    All rows of a call share the draw, so that one call is one function.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    make_posterior_fn, make_prior_fn : callable
        Factories, called with ``(kernel_size, bias_size, dtype)``. Each returns a callable that takes the
        inputs and returns a `tfd.Distribution` over the ``kernel_size + bias_size`` weights.
    kl_weight : float, optional
        Factor of KL(q || p) among the losses of the model in Keras `fit`: 1 / number of training rows with a
        loss that is a mean over the batch. `varbump.fit` scales the KL itself and ignores this.
    kl_use_exact : bool, optional
        True asks for the closed form of the KL, False for the Monte Carlo estimate. By default the closed
        form is used wherever `tfd.kl_divergence` knows the pair.
    activation : str, callable or tf_keras layer, optional
        Applied to the outputs.
    use_bias : bool, default=True
        Whether there is a bias.
    activity_regularizer : optional
        As in Keras.
    num_detached : int, default=0
        The last so many outputs pass no gradient to the inputs: their own weights learn, the layers below do not
        learn from them. Stirn et al. (2023), "Faithful Heteroscedastic Regression with Neural Networks", section 3.
    seed : int, optional
        Makes the start and the sequence of draws reproducible: eagerly, under `tf.function` and under XLA.
    **kwargs
        Those of `tf_keras.layers.Layer`, `dtype` ("float32" or "float64") among them.

    Raises
    ------
    ValueError
        If `units` is not a positive integer, if the last axis of the inputs is unknown, or if `kl_use_exact` is
        True and the pair has no closed form.
    TypeError
        If a Keras 3 object is passed.

    Notes
    -----
    Input shape (..., D), output shape (..., units).
    """

    def __init__(
        self,
        units: int,
        make_posterior_fn: Callable[..., Any],
        make_prior_fn: Callable[..., Any],
        kl_weight: float | None = None,
        kl_use_exact: bool | None = None,
        activation: Any = None,
        use_bias: bool = True,
        activity_regularizer: Any = None,
        *,
        num_detached: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_keras3(activation, "activation")
        refuse_keras3(activity_regularizer, "activity_regularizer")
        if int(units) != units or units < 1:
            raise ValueError(f"units must be a positive integer, got {units!r}")
        if check_count(num_detached, "num_detached", minimum=0) > units:
            raise ValueError(f"num_detached must be at most units, {units}, got {num_detached}")
        for name, factory in [("make_posterior_fn", make_posterior_fn), ("make_prior_fn", make_prior_fn)]:
            if not callable(factory) or isinstance(factory, type):
                raise ValueError(
                    f"{name} must be a factory, a callable of (kernel_size, bias_size, dtype) such as an instance of a "
                    f"class of varbump.priors or varbump.posteriors, got {factory!r}"
                )
        super().__init__(activity_regularizer=keras.regularizers.get(activity_regularizer), **kwargs)
        self.units = int(units)
        self.make_posterior_fn = make_posterior_fn
        self.make_prior_fn = make_prior_fn
        self.kl_weight = None if kl_weight is None else check_number(kl_weight, "kl_weight")
        self.kl_use_exact = kl_use_exact
        self.activation = resolve_activation(activation)
        self.use_bias = bool(use_bias)
        self.num_detached = num_detached
        self.seed = seed
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.add_loss(self._keras_loss)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; a Keras 3 tensor is refused with a sentence."""
        refuse_keras3(inputs, "inputs")
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the posterior and the prior over the weights of the layer."""
        num_inputs = tf.TensorShape(input_shape)[-1]
        if num_inputs is None:
            raise ValueError(f"The last axis of the inputs of {self.name!r} must be known, got shape {input_shape}")
        dtype = tf.as_dtype(self.dtype or keras.backend.floatx())
        if dtype not in (tf.float32, tf.float64):
            raise TypeError(f"dtype of {self.name!r} must be float32 or float64, got {dtype.name}")
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: num_inputs})
        self._kernel_shape = (num_inputs, self.units)
        self._kernel_size = num_inputs * self.units
        seed = host_seed(self.seed)
        self._generator = tf.random.Generator.from_seed(seed, alg="philox")
        sizes = (self._kernel_size, self.units if self.use_bias else 0, dtype)
        options = {"seed": seed} if isinstance(self.make_posterior_fn, PosteriorFactory) else {}
        self._posterior = self.make_posterior_fn(*sizes, **options)
        self._prior = self.make_prior_fn(*sizes)
        with tf.init_scope():
            inputs = tf.zeros([1, num_inputs], dtype)
            self._check_sizes(inputs)
            self._has_exact_kl = self._exact_kl(inputs) is not None
        if self.kl_use_exact and not self._has_exact_kl:
            raise ValueError(
                f"kl_use_exact=True, but tfd.kl_divergence has no closed form for the posterior and the prior of "
                f"{self.name!r}; leave kl_use_exact unset for the Monte Carlo estimate."
            )
        super().build(input_shape)

    def _check_sizes(self, inputs: tf.Tensor) -> None:
        """Both factories must have made distributions over as many numbers as the layer has weights."""
        expected = self._kernel_size + (self.units if self.use_bias else 0)
        for name, made in [("make_posterior_fn", self._posterior), ("make_prior_fn", self._prior)]:
            distribution = made(inputs) if callable(made) else None
            if not isinstance(distribution, tfd.Distribution):
                raise ValueError(f"{name} must return a callable that returns a tfd.Distribution, got {made!r}")
            size = (distribution.batch_shape + distribution.event_shape).num_elements()
            if size != expected:
                raise ValueError(
                    f"{name} made a distribution over {size} numbers for the {expected} weights of {self.name!r}"
                )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Outputs (..., units) for one draw of the weights."""
        inputs = tf.cast(inputs, self.dtype)
        w = self._draw(inputs)
        kernel = tf.reshape(w[: self._kernel_size], self._kernel_shape)
        bias = w[self._kernel_size :] if self.use_bias else None
        affine = _affine_rows_last if _rows_last(inputs) else _affine
        outputs = affine(inputs, kernel, bias)
        if self.num_detached:  # twice the same numbers, which XLA computes once
            detached = affine(tf.stop_gradient(inputs), kernel, bias)[..., -self.num_detached :]
            outputs = tf.concat([outputs[..., : -self.num_detached], detached], -1)
        return self.activation(outputs)

    @property
    def posterior(self) -> Callable[..., tfd.Distribution]:
        """q(w) once the layer is built: a callable of the inputs that returns the distribution."""
        return self._posterior

    @property
    def prior(self) -> Callable[..., tfd.Distribution]:
        """p(w) once the layer is built: a callable of the inputs that returns the distribution."""
        return self._prior

    @property
    def uses_exact_kl(self) -> bool:
        """Whether the KL of the built layer is in closed form."""
        return self._has_exact_kl and self.kl_use_exact is not False

    def _draw(self, inputs: tf.Tensor) -> tf.Tensor:
        """One draw of w (kernel, then bias), its KL reported to whoever adds it up."""
        forward = active_pass()
        if forward is None:
            return self._own_draw(inputs)
        w = forward.draw(lambda: self._sample(inputs, forward.take, forward.take_seed))
        forward.report_kl(self, self._exact_kl(inputs) if self.uses_exact_kl else self._monte_carlo_kl(inputs, w))
        return w

    def _own_draw(self, inputs: tf.Tensor) -> tf.Tensor:
        """A draw with the layer's own generator."""
        return self._sample(
            inputs, lambda size, dtype: standard_normal([size], self._next_seed(), dtype), self._next_seed
        )

    def _sample(self, inputs: tf.Tensor, noise: Callable[..., tf.Tensor], seed: Callable[[], tf.Tensor]) -> tf.Tensor:
        if isinstance(self._posterior, Posterior):
            return self._posterior.transform(noise(self._posterior.num_weights, inputs.dtype))
        return self._posterior(inputs).sample(seed=seed())

    def _next_seed(self) -> tf.Tensor:
        return tf.cast(self._generator.make_seeds(1)[:, 0], tf.int32)  # what TFP takes

    def _exact_kl(self, inputs: Any) -> tf.Tensor | None:
        p = self._prior(inputs)
        if isinstance(self._posterior, Posterior) and isinstance(p, tfd.MultivariateNormalDiag):
            return self._posterior.kl_to_normal(p)  # the same number, without the dense covariance
        return exact_kl(self._posterior(inputs), p)

    def _monte_carlo_kl(self, inputs: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        return monte_carlo_kl(self._posterior(inputs), self._prior(inputs), w)

    def _weighted(self, kl: tf.Tensor) -> tf.Tensor:
        return kl if self.kl_weight is None else self.kl_weight * kl

    def _keras_loss(self) -> tf.Tensor | None:
        """What Keras adds to the data loss; evaluated whenever the losses of the model are collected."""
        if active_pass() or not self.built:
            return None  # the compiled loop takes the unscaled KL instead
        if self.kl_weight is None:
            warnings.warn(
                "kl_weight is not set, so the KL of DenseVariational enters the Keras loss with weight 1. Set "
                "kl_weight=1/num_data (number of training rows), or train with varbump.fit, which scales it right.",
                UserWarning,
                stacklevel=2,
            )
        inputs = tf.zeros([1, self._kernel_shape[0]], self.dtype)
        if self.uses_exact_kl:
            return self._weighted(self._exact_kl(inputs))
        return self._weighted(self._monte_carlo_kl(inputs, self._own_draw(inputs)))

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Shape (..., units)."""
        return tf.TensorShape(input_shape)[:-1].concatenate(self.units)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        is_layer = isinstance(self.activation, keras.layers.Layer)
        return {
            **super().get_config(),
            "units": self.units,
            "make_posterior_fn": serialize(self.make_posterior_fn),
            "make_prior_fn": serialize(self.make_prior_fn),
            "kl_weight": self.kl_weight,
            "kl_use_exact": self.kl_use_exact,
            "activation": serialize(self.activation) if is_layer else keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "num_detached": self.num_detached,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DenseVariational:
        """Make an object from what `get_config` returned."""
        restored = dict(config)
        for name in ("make_posterior_fn", "make_prior_fn", "activation"):
            if isinstance(restored[name], dict):  # an activation may be a name
                restored[name] = deserialize(restored[name])
        return cls(**restored)


def _affine(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    outputs = tf.tensordot(inputs, kernel, axes=1)
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)


def _affine_rows_last(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    outputs = tf.matmul(kernel, inputs, transpose_a=True, transpose_b=True)
    return tf.transpose(outputs if bias is None else outputs + bias[:, None])


def _rows_last(inputs: tf.Tensor) -> bool:
    """Whether to compute with the rows along the last axis: XLA then vectorises over many rows, not few units.

    It folds the transpositions of consecutive layers into each other; outside of compiled loops they would be made.
    """
    return active_pass() is not None and inputs.shape.rank == 2 and inputs.shape[0] > 256
