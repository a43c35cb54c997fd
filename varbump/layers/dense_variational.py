"""A dense layer with a distribution over its weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_count, check_number
from varbump.core.keras import (
    build_held,
    check_precision,
    deserialize,
    keep_weights,
    keras,
    refuse_other_keras,
    serialize,
    trainable_variables_of,
    variables_of,
)
from varbump.core.random import host_seed
from varbump.core.registry import register_builtin
from varbump.core.tracing import forget_custom_gradients
from varbump.forward.apply import active_pass
from varbump.forward.elbo import exact_kl, monte_carlo_kl
from varbump.forward.passes import ForwardPass
from varbump.layers.activation import TrainableActivation
from varbump.layers.by_name import resolve_activation
from varbump.layers.noise import OwnNoise, noise_of
from varbump.layers.variational import VariationalLayer
from varbump.posteriors import Posterior, PosteriorFactory
from varbump.priors import Prior

__all__ = ["DenseVariational"]

ESTIMATORS = ("shared", "local", "flipout")


@register_builtin("DenseVariational")
class DenseVariational(VariationalLayer):
    r"""Dense layer whose kernel and bias are drawn from q(w) once per call.

    .. math:: \mathrm{outputs} = \mathrm{activation}(\mathrm{inputs} \cdot \mathrm{kernel} + \mathrm{bias}),
              \quad (\mathrm{kernel}, \mathrm{bias}) = w \sim q

    All rows of a call share the draw, so one call evaluates one function.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    make_posterior_fn, make_prior_fn : callable
        Factories, called with ``(kernel_size, bias_size, dtype)``. Each returns a callable that takes the
        inputs and returns a `tfd.Distribution` over the ``kernel_size + bias_size`` weights. The layer tracks all
        trainable variables that these read, wherever they are kept.
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
        make_posterior_fn: Callable[..., Any],
        make_prior_fn: Callable[..., Any],
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
        refuse_other_keras(activation, "activation")
        refuse_other_keras(activity_regularizer, "activity_regularizer")
        if isinstance(units, bool) or int(units) != units or units < 1:
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
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {ESTIMATORS}, got {estimator!r}")
        self.estimator = estimator
        self.num_detached = num_detached
        self.seed = seed
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.add_loss(self._keras_loss)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; raise a TypeError for a Keras 3 tensor."""
        refuse_other_keras(inputs, "inputs")
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Create the posterior and the prior over the weights of the layer."""
        num_inputs = tf.TensorShape(input_shape)[-1]
        if num_inputs is None:
            raise ValueError(f"The last axis of the inputs of {self.name!r} must be known, got shape {input_shape}")
        check_precision(self)
        dtype = tf.as_dtype(self.dtype or keras.backend.floatx())
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: num_inputs})
        self._kernel_shape = (num_inputs, self.units)
        self._kernel_size = num_inputs * self.units
        seed = host_seed(self.seed)
        self._generator = tf.random.Generator.from_seed(seed, alg="philox")
        sizes = (self._kernel_size, self.units if self.use_bias else 0, dtype)
        options = {"num_inputs": num_inputs}
        ours = isinstance(self.make_posterior_fn, PosteriorFactory)
        self._posterior = self.new_posterior(seed) if ours else self.make_posterior_fn(*sizes)
        if isinstance(self._posterior, Posterior):
            options["posterior"] = self._posterior
        self._prior = self.make_prior_fn(*sizes, **(options if isinstance(self.make_prior_fn, Prior) else {}))
        self._check_estimator()
        build_held(self.activation, [*input_shape[:-1], self.units])
        with tf.init_scope():
            inputs = tf.zeros([1, num_inputs], dtype)
            self._check_sizes(inputs)
            self._has_exact_kl = self._exact_kl(inputs) is not None
            keep_weights(self, self._untracked(inputs))
        if self.kl_use_exact and not self._has_exact_kl:
            raise ValueError(
                f"kl_use_exact=True, but tfd.kl_divergence has no closed form for the posterior and the prior of "
                f"{self.name!r}; leave kl_use_exact unset for the Monte Carlo estimate."
            )
        super().build(input_shape)

    def new_posterior(self, seed: int) -> Posterior:
        """Make another posterior of this layer's family, with other initial values."""
        bias_size, (num_inputs, _) = self.units if self.use_bias else 0, self._kernel_shape
        dtype = tf.as_dtype(self.dtype)
        return self.make_posterior_fn(self._kernel_size, bias_size, dtype, num_inputs=num_inputs, seed=seed)

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

    def _check_sizes(self, inputs: tf.Tensor) -> None:
        """Raise a ValueError unless both factories made distributions over all weights of the layer."""
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

    def _untracked(self, inputs: tf.Tensor) -> list[tf.Variable]:
        """List the trainable variables of q and p that Keras does not find, such as those in a closure."""
        found: dict[Any, tf.Variable] = {}
        for of_inputs in (self._posterior, self._prior):
            if isinstance(of_inputs, Posterior):
                continue

            def read(of_inputs: Any = of_inputs) -> None:
                found.update((v.ref(), v) for v in trainable_variables_of(of_inputs(inputs)))

            graph = tf.function(read, autograph=False).get_concrete_function().graph
            found.update((v.ref(), v) for v in graph.trainable_variables)
            forget_custom_gradients(graph)
        known = {v.ref() for v in variables_of(self)}
        return [v for reference, v in found.items() if reference not in known]

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Outputs (..., units) for one draw of the weights; in training, noise enters as `estimator` says."""
        inputs = tf.cast(inputs, self.dtype)
        if training and self.estimator != "shared":
            return self.activation(self._row_by_row(inputs))
        kernel, bias = self._kernel_and_bias(self._draw(inputs))
        affine = _affine_rows_last if _rows_last(inputs) else _affine
        outputs = affine(inputs, kernel, bias)
        if self.num_detached:  # the same numbers again, which XLA computes once
            detached = affine(tf.stop_gradient(inputs), kernel, bias)[..., -self.num_detached :]
            outputs = tf.concat([outputs[..., : -self.num_detached], detached], -1)
        return self.activation(outputs)

    def _kernel_and_bias(self, w: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        kernel = tf.reshape(w[: self._kernel_size], self._kernel_shape)
        return kernel, w[self._kernel_size :] if self.use_bias else None

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
        kernel, bias = self._kernel_and_bias(mean)
        d_kernel, d_bias = self._kernel_and_bias(q.transform(noise_of(q, source)) - mean)
        if q.independent:
            signs_in = tf.reshape(tf.sign(source.take(num_rows * self._kernel_shape[0], rows.dtype)), [num_rows, -1])
            signs = tf.reshape(tf.sign(source.take(num_rows * self.units, rows.dtype)), [num_rows, self.units])
            return _affine(rows, kernel, bias) + signs * _affine(signs_in * rows, d_kernel, d_bias)
        joint = q.preceding is not None  # the covariance spans layers, so they must share the sign
        signs = source.take_signs(num_rows, rows.dtype) if joint else tf.sign(source.take(num_rows, rows.dtype))
        return _affine(rows, kernel, bias) + signs[:, None] * _affine(rows, d_kernel, d_bias)

    @property
    def uses_exact_kl(self) -> bool:
        """Whether the built layer uses the closed form of the KL."""
        return self._has_exact_kl and self.kl_use_exact is not False

    def _draw(self, inputs: tf.Tensor) -> tf.Tensor:
        """Draw w (kernel, then bias), and report its KL to the active pass."""
        forward = active_pass()
        if forward is None:
            return self._sample(inputs, OwnNoise(self._next_seed()))[0]
        w, log_q = forward.draw(lambda: self._sample(inputs, forward), self, inputs)
        if log_q is not None:  # a pass with given weights needs no KL
            exact = self.uses_exact_kl and forward.exact_kl
            forward.report_kl(
                self, self._exact_kl(inputs) if exact else monte_carlo_kl(log_q(), self._prior(inputs), w)
            )
        return w

    def _sample(self, inputs: tf.Tensor, source: Any) -> tuple[tf.Tensor, Callable[[], tf.Tensor]]:
        """Draw w ~ q; return it with a function that computes log q(w)."""
        if isinstance(self._posterior, Posterior):
            noise = noise_of(self._posterior, source)
            return self._posterior.transform(noise), lambda: self._posterior.log_prob(noise)
        q = self._posterior(inputs)
        w = q.sample(seed=source.take_seed())
        return w, lambda: tf.reduce_sum(q.log_prob(w))  # it may be a batch of scalars

    def _next_seed(self) -> tf.Tensor:
        return tf.cast(self._generator.make_seeds(1)[:, 0], tf.int32)  # what TFP takes

    def _exact_kl(self, inputs: Any) -> tf.Tensor | None:
        p = self._prior(inputs)
        if isinstance(self._posterior, Posterior):
            return self._posterior.kl(p)  # without the dense covariance
        return exact_kl(self._posterior(inputs), p)

    def _monte_carlo_kl(self, inputs: tf.Tensor, source: Any) -> tf.Tensor:
        """Estimate this layer's share of the KL, from a separate draw."""
        w, log_q = self._sample(inputs, source)
        return monte_carlo_kl(log_q(), self._prior(inputs), w)

    def _weighted(self, kl: tf.Tensor) -> tf.Tensor:
        return kl if self.kl_weight is None else self.kl_weight * kl

    def _keras_loss(self) -> tf.Tensor | None:
        """KL that Keras adds to the data loss, evaluated whenever the losses of the model are collected."""
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
        return self._weighted(self._monte_carlo_kl(inputs, OwnNoise(self._next_seed())))

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Shape (..., units)."""
        return tf.TensorShape(input_shape)[:-1].concatenate(self.units)

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights: those of the activation, then those of the posterior."""
        factory, activation = self.make_posterior_fn, self.activation
        trained = isinstance(activation, TrainableActivation)
        inner = activation.weight_shapes((*input_shape[:-1], self.units)) if trained else []
        return [*inner, *factory.variable_shapes(self.units * (input_shape[-1] + self.use_bias))]

    def get_config(self) -> dict[str, Any]:
        """Arguments from which an equal layer can be made."""
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
            "estimator": self.estimator,
            "num_detached": self.num_detached,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DenseVariational:
        """Make a layer from what `get_config` returned."""
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

    XLA cancels the transpositions of consecutive layers; outside of compiled programs they would be carried out.
    """
    return active_pass() is not None and inputs.shape.rank == 2 and (inputs.shape[0] or 0) > 256
