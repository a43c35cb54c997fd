"""The loss of any tf_keras model on given rows, traced once without changing the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_array, check_rows_match
from varbump.core.keras import (
    NAME,
    float_dtype,
    is_built,
    keep_seeds,
    keras,
    named_layers,
    refuse_other_keras,
    trainable_variables_of,
)
from varbump.core.random import standard_normal
from varbump.debug.record import Record, Recorder
from varbump.forward.apply import apply
from varbump.forward.elbo import negative_elbo
from varbump.forward.passes import ForwardPass
from varbump.layers import VariationalLayer
from varbump.model.checks import check_data, check_inputs, check_model
from varbump.model.structure import layer_names, owners, weight_label

__all__ = ["Objective", "check_rows", "find_loss"]


class Objective:
    """Data loss plus what the layers add, as in Keras, or as in `varbump.fit` for our layers.

    Parameters
    ----------
    model : tf_keras.Model
    loss : str, callable, tf_keras loss or None
    x, y : ndarray
    """

    def __init__(self, model: keras.Model, loss: Any, x: np.ndarray, y: np.ndarray) -> None:
        if not is_built(model):
            model(x[:1])
        self.model, self.loss, self.x, self.y = model, loss, tf.constant(x), tf.constant(y)
        own = owners(model)
        self.variables = [*trainable_variables_of(model), *getattr(loss, "trainable_variables", [])]
        self.keys = _unique(
            [weight_label(v) for v in self.variables], [own.get(v.ref(), "loss") for v in self.variables]
        )
        self.owner = {
            key: own.get(variable.ref(), "the likelihood")
            for key, variable in zip(self.keys, self.variables, strict=True)
        }
        self._ours = any(isinstance(layer, VariationalLayer) for layer in model._flatten_layers())

    def trace(self, seed: int, *, deep: bool) -> tuple[float, list[np.ndarray | None], Record]:
        """Compute loss, gradients and the record, with values and gradients of all tensors if `deep`."""
        held: dict[str, Any] = {}

        def run() -> Any:
            tf.compat.v1.set_random_seed(seed)  # for stateful operations, in this graph alone
            x, y = tf.identity(self.x), tf.identity(self.y)
            with tf.GradientTape() as tape:
                total = self._total(x, y, seed)
            gradients = tape.gradient(total, self.variables)
            graph = tf.compat.v1.get_default_graph()
            handles = {graph.capture(v.handle).name: key for v, key in zip(self.variables, self.keys, strict=True)}
            recorder = Recorder(total, layer_names(self.model), handles, [x, y])
            held.update(recorder=recorder, known=[g is not None for g in gradients])
            fetched = recorder.fetch(total) if deep else ([], [])
            return total, [tf.convert_to_tensor(g) for g in gradients if g is not None], *fetched

        with keep_seeds(self.model), named_layers(self.model):
            traced = tf.function(run, autograph=False).get_concrete_function()
            with _keep_captured(traced):
                total, known, values, inner = traced()
        found = iter(known)
        gradients = [next(found).numpy() if is_known else None for is_known in held["known"]]
        return float(total), gradients, held["recorder"].record(values, inner)

    def _total(self, x: Any, y: Any, seed: int) -> Any:
        if not self._ours:
            nll = _data_loss(self.loss, y, self.model(x, training=True))
            return tf.add_n([nll, *(tf.cast(tf.reduce_sum(extra), nll.dtype) for extra in self.model.losses)])
        noise = _Noise(seed, tf.as_dtype(float_dtype(self.model)))
        applied = apply(self.model, x, training=True, through=noise)
        nll = _data_loss(self.loss, y, applied.f)
        nll += tf.cast(applied.penalty, nll.dtype)
        return negative_elbo(nll, tf.cast(noise.kl, nll.dtype), float(len(self.x)))


class _Noise(ForwardPass):
    """A pass that makes its noise on demand."""

    def __init__(self, seed: int, dtype: tf.DType) -> None:
        super().__init__(None, (seed, 0))
        self._noise_seed = seed

    def take(self, size: int, dtype: tf.DType) -> tf.Tensor:
        start, self.taken = self.taken, self.taken + 1
        return standard_normal([size], (self._noise_seed, 1 + start), dtype)


def _unique(labels: Sequence[str], layers: Sequence[str]) -> list[str]:
    """Make labels unique, by the name of the layer and, where that is not enough, a number."""
    keys: list[str] = []
    for label, layer in zip(labels, layers, strict=True):
        key, number = f"{layer}/{label}", 1
        while key in keys:
            number += 1
            key = f"{layer}/{label} ({number})"
        keys.append(key)
    return keys


def _data_loss(loss: Any, y: Any, outputs: Any) -> Any:
    value = loss(y, outputs)
    return tf.reduce_mean(value)


def find_loss(model: keras.Model, loss: Any, x: np.ndarray, y: np.ndarray) -> Callable[..., Any]:
    """Return `loss`, or the one the model was compiled with if it is None; a likelihood must fit the data."""
    refuse_other_keras(loss, "loss")
    if loss is None:
        loss = getattr(model, "loss", None)
    if loss is None:
        raise ValueError(
            f"loss is None and the model is not compiled: pass loss=, a {NAME} loss or its name, a function of "
            "(y, outputs), or one of varbump.likelihoods"
        )
    if isinstance(loss, (dict, list, tuple)):
        raise ValueError(f"loss must be one loss for one output, got a {type(loss).__name__}")
    found = keras.losses.get(loss)
    if not callable(found):
        raise TypeError(f"loss must be a {NAME} loss, its name or a function of (y, outputs), got {loss!r}")
    if hasattr(found, "nll"):  # other losses take outputs of any shape
        check_data(model, found, x, y)
    return found


def check_rows(model: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y as arrays that fit a tf_keras model with one input."""
    check_model(model, "model")
    if len(getattr(model, "inputs", None) or [None]) > 1:
        raise ValueError(f"model has {len(model.inputs)} inputs; it must have one")
    trained = trainable_variables_of(model) if is_built(model) else []
    dtype = trained[-1].dtype.name if trained else "float32"
    x, y = check_array(x, "x", dtype), check_array(y, "y", dtype)
    check_rows_match(x, y)
    return check_inputs(model, x), y


@contextmanager
def _keep_captured(function: Any) -> Iterator[None]:
    """Restore every variable that a traced function touches, such as the moments of batch normalisation."""
    captured = [variable for variable in function.graph.variables if variable.dtype != tf.resource]
    before = [(variable, tf.identity(variable)) for variable in captured]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
