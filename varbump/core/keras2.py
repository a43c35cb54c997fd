"""The face for Keras 2, `tf_keras`, on which TensorFlow Probability is built."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tf_keras.src.backend import RandomGenerator
from tf_keras.src.engine.base_layer_utils import call_context
from tf_keras.src.engine.functional import Functional

from varbump.core.random import ALGORITHM

__all__ = [
    "Functional",
    "Layer",
    "Loss",
    "NAME",
    "build_held",
    "conditional",
    "float_dtype",
    "full_name",
    "is_built",
    "is_compiled_by_xla",
    "is_graph_network",
    "keep_seeds",
    "keep_weights",
    "keras",
    "layer_being_called",
    "leave_xla",
    "name_activation",
    "named_layers",
    "network_config",
    "network_from_config",
    "optimizer_state",
    "return_to_xla",
    "seed_by_pass",
    "seeds_of",
    "serialize",
    "steps_of",
    "trainable_variables_of",
    "unwrapped",
    "updates_through",
    "variables_of",
    "wiring",
    "wrapped",
]

NAME = "tf_keras"
"""Name of the package, for messages and for the modules of its classes."""

Layer = keras.layers.Layer
"""Base of our layers."""

Loss = keras.losses.Loss
"""Base of our losses."""


def variables_of(owner: Any) -> list[tf.Variable]:
    """Variables of a network, a layer or an optimiser, in their order."""
    return list(owner.variables)


def trainable_variables_of(owner: Any) -> list[tf.Variable]:
    """Those of the variables that are trained; none for an owner without any."""
    return list(getattr(owner, "trainable_variables", []))


def full_name(variable: tf.Variable) -> str:
    """Name of a variable with that of its layer."""
    return variable.name


@contextmanager
def named_layers(model: Any) -> Iterator[None]:
    """Trace the operations of each layer under its name, as Keras 2 does by itself."""
    del model
    yield


def unwrapped(variable: Any) -> Any:
    """Unwrap a variable from the wrapper in which Keras casts it."""
    return getattr(variable, "_variable", variable)


def wrapped(variables: Iterable[tf.Variable]) -> list[Any]:
    """The variables as optimisers take them."""
    return list(variables)


def keep_weights(layer: Any, variables: Sequence[tf.Variable]) -> None:
    """Have a layer train and save variables that were made elsewhere."""
    layer._kept_by_factories = variables  # as an attribute, Keras tracks and trains them


def serialize(value: Any) -> Any:
    """Return the configuration of a registered object, layer or function, in the format of tf_keras."""
    return keras.saving.serialize_keras_object(value)


def network_config(network: keras.Model) -> dict[str, Any]:
    """Return the configuration of a network, in the format of tf_keras."""
    return network.get_config()


def network_from_config(cls: Any, config: dict[str, Any]) -> keras.Model:
    """Make a network of a class from its configuration in the format of tf_keras."""
    return cls.from_config(config)


def is_graph_network(network: keras.Model) -> bool:
    """Whether the layers of a network and their connections are known: Sequential and functional ones."""
    return bool(getattr(network, "_is_graph_network", False))


def wiring(network: keras.Model) -> list[list[Any]]:
    """For each call of a layer, the number of the layer and of those whose outputs it takes."""
    numbers = {id(layer): index for index, layer in enumerate(network._self_tracked_trackables)}
    nodes = [node for depth in network._nodes_by_depth.values() for node in depth]
    return [[numbers.get(id(n.layer)), *(numbers.get(id(e[0])) for e in n.iterate_inbound())] for n in nodes]


def float_dtype(network: keras.Model) -> str:
    """Return the floating type that a network computes in, which is that of its outputs.

    `network.compute_dtype` follows the global policy, whatever the dtype of the layers.
    """
    if not network.built:
        return network.compute_dtype
    outputs = getattr(network, "outputs", None) or network.trainable_variables
    return outputs[-1].dtype.name if outputs else network.compute_dtype


def is_built(network: keras.Model) -> bool:
    """Whether all weights of a network exist."""
    return network.built


def build_held(layer: Any, shape: Sequence[int | None]) -> None:
    """Do nothing: a layer within a layer of ours is built when Keras connects that with others, by a call."""


def layer_being_called() -> keras.layers.Layer | None:
    """Return the innermost layer whose `call` is running."""
    return call_context().layer


def name_activation(name: str, activation: Any) -> None:
    """Let Keras find an activation by its name."""
    keras.saving.get_custom_objects()[name] = activation


def conditional() -> tuple[Any, str]:
    """Module and name of the conditional that optimisers use."""
    return sys.modules[keras.optimizers.Optimizer.__module__].tf, "cond"


def optimizer_state(optimizer: Any, variables: Sequence[Any]) -> list[tf.Variable]:
    """Build an optimiser for these variables, and list its own ones.

    Raises
    ------
    ValueError
        If it has been used for others.
    """
    built_for = getattr(optimizer, "_index_dict", None)
    if built_for and any(optimizer._var_key(v) not in built_for for v in variables):
        raise ValueError("optimizer has been used for other weights, whose moments it holds; make a new one")
    optimizer.build(variables)
    found = [*optimizer.variables, *vars(optimizer).values()]
    return list({unwrapped(v).ref(): v for v in found if isinstance(v, tf.Variable)}.values())


def seed_by_pass(layer: Any, active_pass: Callable[[], Any]) -> None:
    """Have a random layer, such as Dropout, take its seeds from the active pass, if there is one."""
    generator = getattr(layer, "_random_generator", None)
    if type(generator) is RandomGenerator:
        generator.__class__ = _seeded_by(active_pass)


@contextmanager
def keep_seeds(model: Any) -> Iterator[None]:
    """Restore the seeds of random layers after the block, since they count their traces in Python."""
    generators: list[Any] = [getattr(layer, "_random_generator", None) for layer in model._flatten_layers()]
    before = [(g, g._seed) for g in generators if hasattr(g, "_seed")]
    try:
        yield
    finally:
        for generator, seed in before:
            generator._seed = seed


def seeds_of(model: Any) -> list[tf.Variable]:
    """Variables from which random layers take their seeds; here none."""
    del model
    return []


def steps_of(model: Any) -> tf.Variable:
    """Counter of the steps of training."""
    return model._train_counter


def is_compiled_by_xla(model: Any) -> bool:
    """Whether the steps of training are XLA programs."""
    return bool(getattr(model, "_jit_compile", False))


def leave_xla(model: Any) -> bool:
    """Do nothing and return False: a model is compiled by XLA only if its user says so."""
    del model
    return False


def return_to_xla(model: Any) -> None:
    """Undo `leave_xla`."""


@contextmanager
def updates_through(optimizer: Any, check: Callable[[list[Any], Callable[[], Any]], None]) -> Iterator[None]:
    """Have ``check(gradients, update)`` called in place of each update of an optimiser, inside the block."""
    apply = optimizer.apply_gradients

    def checked(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)
        if hasattr(optimizer, "build"):
            with tf.init_scope():
                optimizer.build([variable for _, variable in pairs])
        check([g for g, _ in pairs if g is not None], lambda: apply(pairs, *args, **kwargs))
        return getattr(optimizer, "iterations", None)

    object.__setattr__(optimizer, "apply_gradients", checked)
    try:
        yield
    finally:
        object.__delattr__(optimizer, "apply_gradients")


@cache
def _seeded_by(active_pass: Callable[[], Any]) -> type:
    class _SeededByPass(RandomGenerator):
        """Generator of a random layer, such as Dropout; inside a pass its numbers depend on the seed of the pass."""

        @property
        def _rng_type(self) -> str:
            return self.RNG_STATELESS if active_pass() is not None else self.__dict__["_rng_type"]

        @_rng_type.setter
        def _rng_type(self, value: str) -> None:
            self.__dict__["_rng_type"] = value

        def _maybe_init(self) -> None:
            if active_pass() is None:
                super()._maybe_init()

        def make_seed_for_stateless_op(self) -> Any:
            """A seed (2,)."""
            forward = active_pass()
            return super().make_seed_for_stateless_op() if forward is None else forward.take_seed()

        def dropout(self, inputs: Any, rate: Any, noise_shape: Any = None) -> Any:
            """Apply dropout as Keras does; in a pass, with a generator that gives the same eagerly and compiled."""
            forward = active_pass()
            if forward is None:
                return super().dropout(inputs, rate, noise_shape)
            return tf.nn.experimental.stateless_dropout(
                inputs, rate=rate, noise_shape=noise_shape, seed=forward.take_seed(), rng_alg=ALGORITHM
            )

    return _SeededByPass
