"""The face for Keras 3, with the TensorFlow backend: the functions of `varbump.core.keras2` for it.

Keras 3 wraps each `tf.Variable` in a variable of its own. The package works with the inner ones throughout: those of a
network are unwrapped here, and our layers are handed them by `add_weight`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import keras
import tensorflow as tf
from keras.src import activations, backend
from keras.src.backend.common import global_state
from keras.src.backend.tensorflow import core
from keras.src.models.functional import Functional

from varbump.core.keras3_configs import in_keras2_format, in_keras3_format
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

NAME = "keras"
"""Name of the package, for messages and for the modules of its classes."""


class Layer(keras.layers.Layer):
    """Base of our layers: weights are variables of TensorFlow, and a loss may be a function, as in Keras 2."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._callable_losses: list[Callable[[], Any]] = []

    def add_weight(self, *args: Any, **kwargs: Any) -> tf.Variable:
        """Add a weight that Keras trains and saves; return the variable of TensorFlow in it."""
        with _real_variables():
            return unwrapped(super().add_weight(*args, **kwargs))

    def add_loss(self, loss: Any) -> None:
        """Add a loss, or a function that is called whenever the losses are collected and may return None."""
        if callable(loss):
            self._callable_losses.append(loss)
        else:
            super().add_loss(loss)

    def _post_build(self) -> None:
        super()._post_build()
        if not self.trainable:  # nor is what `build` has made; Keras sees to that only when the attribute is set later
            for part in [*self._trainable_variables, *self._layers]:
                part.trainable = False

    def _get_own_losses(self) -> list[Any]:
        found = [loss() for loss in self._callable_losses]
        return [*super()._get_own_losses(), *(loss for loss in found if loss is not None)]


@contextmanager
def _real_variables() -> Iterator[None]:
    """Make variables at once inside the block; Keras puts this off while it finds the shapes of a subclassed model."""
    scope = global_state.get_global_attribute("stateless_scope")
    global_state.set_global_attribute("stateless_scope", None)
    try:
        with tf.init_scope():
            yield
    finally:
        global_state.set_global_attribute("stateless_scope", scope)


class Loss(keras.losses.Loss):
    """Base of our losses: the reduction "auto" is the mean over the batch, and the dtype may be set."""

    def __init__(self, *, reduction: str = "auto", name: str | None = None) -> None:
        super().__init__(name=name, reduction="sum_over_batch_size" if reduction == "auto" else reduction)

    @property
    def dtype(self) -> Any:
        """Type in which Keras computes the loss."""
        return self._dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self._dtype = backend.standardize_dtype(value)


class _Wrapping(backend.Variable):
    """Variable of Keras around one of TensorFlow that was made elsewhere."""

    def __init__(self, variable: tf.Variable) -> None:
        self._made = variable
        name = variable.name.split(":")[0].replace("/", "_")
        shape, dtype = tuple(variable.shape), variable.dtype.name
        super().__init__(lambda *_, **__: None, shape, dtype, trainable=variable.trainable, autocast=False, name=name)

    def _initialize(self, value: Any) -> None:
        del value
        self._value = self._made


def unwrapped(variable: Any) -> Any:
    """Return the variable of TensorFlow in one of Keras; any other as it is."""
    if not isinstance(variable, backend.Variable):
        return variable
    inner = variable._value
    if inner is not None:
        inner._varbump_wrapper = variable
    return inner


def full_name(variable: tf.Variable) -> str:
    """Name of a variable with that of its layer."""
    path = getattr(getattr(variable, "_varbump_wrapper", None), "path", variable.name)
    return "/".join(path.split("/")[-2:])


@contextmanager
def named_layers(model: keras.Model) -> Iterator[None]:
    """Trace the operations of each layer under its name, inside the block; Keras 3 puts numbers after it."""
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    before = [(layer, vars(layer).get("call")) for layer in layers]
    for layer in layers:
        object.__setattr__(layer, "call", _named(layer.call, layer.name))
    try:
        yield
    finally:
        for layer, call in before:
            if call is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", call)


def _named(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(call)
    def named(*args: Any, **kwargs: Any) -> Any:
        with tf.name_scope(f"{name}/"):  # the slash keeps TensorFlow from making the name unique
            return call(*args, **kwargs)

    return named


def wrapped(variables: Iterable[tf.Variable]) -> list[Any]:
    """The variables as optimisers take them: of Keras, always the same for the same variable of TensorFlow."""
    found = []
    for variable in variables:
        wrapper = getattr(variable, "_varbump_wrapper", None)
        if wrapper is None and not isinstance(variable, backend.Variable):
            wrapper = variable._varbump_wrapper = _Wrapping(variable)
        found.append(variable if wrapper is None else wrapper)
    return found


def variables_of(owner: Any) -> list[tf.Variable]:
    """Variables of a network, a layer or an optimiser, in their order, without the states of random seeds."""
    found = owner.weights if isinstance(owner, keras.layers.Layer) else owner.variables
    return [unwrapped(variable) for variable in found]


def trainable_variables_of(owner: Any) -> list[tf.Variable]:
    """Those of the variables that are trained; none for an owner without any."""
    return [unwrapped(variable) for variable in getattr(owner, "trainable_variables", [])]


def keep_weights(layer: Any, variables: Sequence[tf.Variable]) -> None:
    """Have a layer train and save variables that were made elsewhere."""
    for variable in wrapped(variables):
        layer._track_variable(variable)


def serialize(value: Any) -> Any:
    """Return the configuration of a registered object, layer or function, in the format of Keras 2."""
    return in_keras2_format(keras.saving.serialize_keras_object(value))


def network_config(network: keras.Model) -> dict[str, Any]:
    """Return the configuration of a network, in the format of Keras 2."""
    return in_keras2_format(network.get_config())


def network_from_config(cls: Any, config: dict[str, Any]) -> keras.Model:
    """Make a network of a class from its configuration in the format of Keras 2."""
    return cls.from_config(in_keras3_format(config))


def is_graph_network(network: keras.Model) -> bool:
    """Whether the layers of a network and their connections are known: Sequential and functional ones."""
    return isinstance(_graph(network), Functional)


def _graph(network: keras.Model) -> Any:
    """The functional network inside of a Sequential that has been built; any other as it is."""
    return network._functional if isinstance(network, keras.Sequential) else network


def wiring(network: keras.Model) -> list[list[Any]]:
    """For each call of a layer, the number of the layer and of those whose outputs it takes."""
    graph = _graph(network)
    numbers = {id(operation): index for index, operation in enumerate(graph.operations)}
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    return [
        [numbers.get(id(n.operation)), *(numbers.get(id(t._keras_history.operation)) for t in n.input_tensors)]
        for n in nodes
    ]


def float_dtype(network: keras.Model) -> str:
    """Return the floating type that a network computes in, which is that of its outputs."""
    if not network.built:
        return network.compute_dtype
    outputs = getattr(network, "outputs", None) or network.trainable_variables
    return backend.standardize_dtype(outputs[-1].dtype) if outputs else network.compute_dtype


def is_built(network: keras.Model) -> bool:
    """Whether all weights of a network exist; those of a layer that is the activation of another come with a call."""
    return network.built and all(layer.built for layer in network._flatten_layers())


def build_held(layer: Any, shape: Sequence[int | None]) -> None:
    """Build a layer within a layer of ours, which is not called when Keras connects that with others."""
    if isinstance(layer, keras.layers.Layer) and not layer.built:
        layer.build(tuple(shape))


def layer_being_called() -> None:
    """Nothing: an activation by name is a layer of its own as soon as Keras looks it up."""


class _Activations(dict[str, Any]):
    """The activations that Keras knows by name; one with weights is made anew for each layer."""

    def get(self, name: str, default: Any = None) -> Any:
        """The activation of a name."""
        found = super().get(name, default)
        return found.make() if hasattr(found, "make") else found


def name_activation(name: str, activation: Any) -> None:
    """Let Keras find an activation by its name; its method `make` makes the layer."""
    keras.saving.get_custom_objects()[name] = activation
    if not isinstance(activations.ALL_OBJECTS_DICT, _Activations):
        activations.ALL_OBJECTS_DICT = _Activations(activations.ALL_OBJECTS_DICT)
    activations.ALL_OBJECTS_DICT[name] = activation  # `keras.activations.get` asks nothing else


def conditional() -> tuple[Any, str]:
    """Module and name of the conditional that optimisers use."""
    return core, "cond"


def optimizer_state(optimizer: Any, variables: Sequence[Any]) -> list[tf.Variable]:
    """Build an optimiser for these variables, and list its own ones.

    Raises
    ------
    ValueError
        If it has been used for others.
    """
    known = optimizer._trainable_variables_indices
    if known and any(optimizer._var_key(v) not in known for v in variables):
        raise ValueError("optimizer has been used for other weights, whose moments it holds; make a new one")
    if not optimizer.built:
        optimizer.build(list(variables))
    return [unwrapped(variable) for variable in optimizer.variables]


def seed_by_pass(layer: Any, active_pass: Callable[[], Any]) -> None:
    """Have a random layer, such as Dropout, take its seeds from the active pass, if there is one."""
    for generator in getattr(layer, "_seed_generators", ()):
        if type(generator) is keras.random.SeedGenerator:
            generator.__class__ = _seeded_by(active_pass)
    if type(layer) is keras.layers.Dropout and "call" not in vars(layer):
        object.__setattr__(layer, "call", _dropout(layer, active_pass))


def seeds_of(model: Any) -> list[tf.Variable]:
    """Variables from which random layers take their seeds."""
    layers = model._flatten_layers()
    return [unwrapped(generator.state) for layer in layers for generator in layer._seed_generators]


@contextmanager
def keep_seeds(model: Any) -> Iterator[None]:
    """Restore the seeds of random layers after the block."""
    before = [(seed, tf.identity(seed)) for seed in seeds_of(model)]
    try:
        yield
    finally:
        for seed, value in before:
            seed.assign(value)


def steps_of(model: Any) -> tf.Variable:
    """Counter of the steps of training, of which a step that fails is none."""
    return unwrapped(model.optimizer._iterations)


def is_compiled_by_xla(model: Any) -> bool:
    """Whether the steps of training are XLA programs."""
    return bool(model.jit_compile)


def leave_xla(model: Any) -> bool:
    """Have a model train without XLA, which Keras 3 chooses by itself; return whether it did not before."""
    was, model.jit_compile = bool(model.jit_compile), False
    return was


def return_to_xla(model: Any) -> None:
    """Undo `leave_xla`."""
    model.jit_compile = True


@contextmanager
def updates_through(optimizer: Any, check: Callable[[list[Any], Callable[[], Any]], None]) -> Iterator[None]:
    """Have ``check(gradients, update)`` called in place of each update of an optimiser, inside the block."""
    apply = optimizer.apply

    def checked(grads: Any, trainable_variables: Any = None) -> None:
        gradients = list(grads)
        if not optimizer.built and trainable_variables is not None:
            with tf.init_scope():
                optimizer.build(list(trainable_variables))
        check([g for g in gradients if g is not None], lambda: apply(gradients, trainable_variables))

    object.__setattr__(optimizer, "apply", checked)
    try:
        yield
    finally:
        object.__delattr__(optimizer, "apply")


@cache
def _seeded_by(active_pass: Callable[[], Any]) -> type:
    class SeedGenerator(keras.random.SeedGenerator):
        """Generator of a random layer; inside a pass its seeds are those of the pass."""

        def next(self, ordered: bool = True) -> Any:
            """A seed (2,)."""
            forward = active_pass()
            return super().next(ordered) if forward is None else forward.take_seed()

    return SeedGenerator


def _dropout(layer: Any, active_pass: Callable[[], Any]) -> Callable[..., Any]:
    """`call` of Dropout; in a pass, with a generator that gives the same eagerly and compiled."""
    outside = layer.call

    def call(inputs: Any, training: bool = False) -> Any:
        forward = active_pass()
        if forward is None or not training or not 0.0 < layer.rate < 1.0:
            return outside(inputs, training=training)
        return tf.nn.experimental.stateless_dropout(
            inputs, rate=layer.rate, noise_shape=layer.noise_shape, seed=forward.take_seed(), rng_alg=ALGORITHM
        )

    return call
