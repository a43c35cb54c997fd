"""What our variational layers share: kernel and bias are one vector, drawn from q(w) once per pass."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_number
from varbump.core.keras import (
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
from varbump.core.tracing import forget_custom_gradients
from varbump.forward.apply import active_pass
from varbump.forward.elbo import exact_kl, monte_carlo_kl
from varbump.layers.activation import TrainableActivation
from varbump.layers.by_name import resolve_activation
from varbump.layers.factories import factory_of
from varbump.layers.noise import OwnNoise, noise_of
from varbump.layers.variational import VariationalLayer
from varbump.posteriors import Posterior, PosteriorFactory
from varbump.priors import Prior

__all__ = ["DrawnLayer", "SHARED", "check_shared"]

SHARED = ("shared",)
"""Estimators of layers that have one draw for all rows only."""


def check_shared(estimator: Any, why: str) -> None:
    """Raise a ValueError that says why a layer has no other estimator than "shared"."""
    if estimator not in SHARED:
        raise ValueError(
            f"estimator must be 'shared', one draw of all weights for a pass: {why}; got {estimator!r:.60}"
        )


class DrawnLayer(VariationalLayer):
    """Base of layers whose kernel and bias are drawn from q(w), made with p(w) by two factories.

    `build` of a subclass calls `make_distributions` and, once all else is made, `check_distributions`; its `call` gets
    the weights from `draw`, which reports the KL, and from `kernel_and_bias`.

    Parameters
    ----------
    make_posterior_fn, make_prior_fn : callable or str
        Factories, or their names.
    kl_weight, kl_use_exact, activation, use_bias, activity_regularizer, seed
        As in `varbump.layers.DenseVariational`.
    **kwargs
        Arguments of `tf_keras.layers.Layer`.
    """

    def __init__(
        self,
        *,
        make_posterior_fn: Any,
        make_prior_fn: Any,
        kl_weight: float | None,
        kl_use_exact: bool | None,
        activation: Any = None,
        use_bias: bool = False,
        activity_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_other_keras(activation, "activation")
        refuse_other_keras(activity_regularizer, "activity_regularizer")
        make_posterior_fn = factory_of("posterior", None, make_posterior_fn, PosteriorFactory)
        make_prior_fn = factory_of("prior", None, make_prior_fn, Prior)
        for name, factory in [("make_posterior_fn", make_posterior_fn), ("make_prior_fn", make_prior_fn)]:
            if not callable(factory) or isinstance(factory, type):
                raise ValueError(
                    f"{name} must be a factory, a callable of (kernel_size, bias_size, dtype) such as an instance of a "
                    f"class of varbump.priors or varbump.posteriors, got {factory!r}"
                )
        super().__init__(activity_regularizer=keras.regularizers.get(activity_regularizer), **kwargs)
        self.make_posterior_fn = make_posterior_fn
        self.make_prior_fn = make_prior_fn
        self.kl_weight = None if kl_weight is None else check_number(kl_weight, "kl_weight")
        self.kl_use_exact = kl_use_exact
        self.activation = resolve_activation(activation)
        self.use_bias = bool(use_bias)
        self.seed = seed
        self.add_loss(self._keras_loss)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; raise a TypeError for a tensor of the Keras that is not in use."""
        refuse_other_keras(inputs, "inputs")
        return super().__call__(inputs, *args, **kwargs)

    def make_distributions(self, kernel_shape: tuple[int, ...], num_inputs: int, example_shape: Sequence[int]) -> None:
        """Make q and p over a kernel of this shape, whose last axis has a bias each.

        Parameters
        ----------
        kernel_shape : tuple of int
        num_inputs : int
            Fan-in: how many numbers each output is a sum of.
        example_shape : sequence of int
            Shape of inputs that the layer takes, for factories whose distributions depend on the inputs.
        """
        check_precision(self)
        dtype = tf.as_dtype(self.dtype or keras.backend.floatx())
        self._kernel_shape, self._kernel_size = kernel_shape, math.prod(kernel_shape)
        self._num_inputs, self._example_shape = num_inputs, list(example_shape)
        seed = host_seed(self.seed)
        self._generator = tf.random.Generator.from_seed(seed, alg="philox")
        sizes = (self._kernel_size, self._num_biases, dtype)
        options: dict[str, Any] = {"num_inputs": num_inputs}
        ours = isinstance(self.make_posterior_fn, PosteriorFactory)
        self._posterior = self.new_posterior(seed) if ours else self.make_posterior_fn(*sizes)
        if isinstance(self._posterior, Posterior):
            options["posterior"] = self._posterior
        self._prior = self.make_prior_fn(*sizes, **(options if isinstance(self.make_prior_fn, Prior) else {}))

    def check_distributions(self) -> None:
        """Find all variables of q and p, and whether their KL has a closed form; raise a ValueError if they misfit."""
        with tf.init_scope():
            inputs = self._example()
            self._check_sizes(inputs)
            self._has_exact_kl = self._exact_kl(inputs) is not None
            keep_weights(self, self._untracked(inputs))
        if self.kl_use_exact and not self._has_exact_kl:
            raise ValueError(
                f"kl_use_exact=True, but tfd.kl_divergence has no closed form for the posterior and the prior of "
                f"{self.name!r}; leave kl_use_exact unset for the Monte Carlo estimate."
            )

    def new_posterior(self, seed: int) -> Posterior:
        """Make another posterior of this layer's family, with other initial values."""
        dtype = tf.as_dtype(self.dtype)
        return self.make_posterior_fn(
            self._kernel_size, self._num_biases, dtype, num_inputs=self._num_inputs, seed=seed
        )

    @property
    def _num_biases(self) -> int:
        return self._kernel_shape[-1] if self.use_bias else 0

    def _example(self) -> tf.Tensor:
        return tf.zeros(self._example_shape, self.dtype or keras.backend.floatx())

    def _check_sizes(self, inputs: tf.Tensor) -> None:
        """Raise a ValueError unless both factories made distributions over all weights of the layer."""
        expected = self._kernel_size + self._num_biases
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

    def kernel_and_bias(self, w: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The kernel, in its shape, and the bias of weights w (n,)."""
        kernel = tf.reshape(w[: self._kernel_size], self._kernel_shape)
        return kernel, w[self._kernel_size :] if self.use_bias else None

    @property
    def uses_exact_kl(self) -> bool:
        """Whether the built layer uses the closed form of the KL."""
        return self._has_exact_kl and self.kl_use_exact is not False

    def draw(self, inputs: tf.Tensor) -> tf.Tensor:
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
                f"kl_weight is not set, so the KL of {type(self).__name__} enters the Keras loss with weight 1. Set "
                f"kl_weight=1/num_data (number of training rows), or train with varbump.fit, which scales it right.",
                UserWarning,
                stacklevel=2,
            )
        inputs = self._example()
        if self.uses_exact_kl:
            return self._weighted(self._exact_kl(inputs))
        return self._weighted(self._monte_carlo_kl(inputs, OwnNoise(self._next_seed())))

    def get_config(self) -> dict[str, Any]:
        """Arguments that all layers of this base have; `activation` and `use_bias` are left to subclasses."""
        return {
            **super().get_config(),
            "make_posterior_fn": serialize(self.make_posterior_fn),
            "make_prior_fn": serialize(self.make_prior_fn),
            "kl_weight": self.kl_weight,
            "kl_use_exact": self.kl_use_exact,
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "seed": self.seed,
        }

    def activation_config(self) -> dict[str, Any]:
        """The arguments `activation` and `use_bias`, for layers that have them."""
        is_layer = isinstance(self.activation, keras.layers.Layer)
        return {
            "activation": serialize(self.activation) if is_layer else keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }

    def activation_shapes(self, output_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights of the activation, for outputs of this shape."""
        trained = isinstance(self.activation, TrainableActivation)
        return self.activation.weight_shapes(output_shape) if trained else []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DrawnLayer:
        """Make a layer from what `get_config` returned."""
        restored = dict(config)
        for name in ("make_posterior_fn", "make_prior_fn", "activation"):
            if isinstance(restored.get(name), dict):  # an activation may be a name
                restored[name] = deserialize(restored[name])
        return cls(**restored)
