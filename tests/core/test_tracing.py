"""Tests of what remains of a traced function."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import tensorflow as tf
from other_keras import only_keras2
from tensorflow.python.framework import ops
from tensorflow.python.framework.func_graph import FuncGraph

import varbump as vb
from varbump.core.keras import keras
from varbump.core.tracing import forget_custom_gradients, without_tracebacks


@tf.custom_gradient
def doubled(x):
    return 2.0 * x, lambda upstream: upstream * 2.0


def loop_of(x):
    return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, doubled(x)), (0, x))[1]


def registered() -> set[str]:
    return {name for name in ops.gradient_registry.list() if name.startswith("CustomGradient-")}


def test_the_gradients_of_a_graph_and_of_graphs_within_it_are_forgotten_and_no_others():
    before = registered()
    kept = tf.function(loop_of, autograph=False).get_concrete_function(tf.TensorSpec([2]))
    others = registered()
    assert others > before
    graph = tf.function(loop_of, autograph=False).get_concrete_function(tf.TensorSpec([2])).graph
    assert registered() > others
    forget_custom_gradients(graph)
    assert registered() == others
    with tf.GradientTape() as tape:  # of the one that was kept
        x = tf.ones([2])
        tape.watch(x)
        y = kept(x)
    assert tape.gradient(y, x).numpy().tolist() == [8.0, 8.0]


def test_without_tracebacks_holds_for_this_thread_only():
    def traced() -> list[bool]:
        graph = tf.function(tf.sin, autograph=False).get_concrete_function(tf.TensorSpec([2])).graph
        return [bool(op.traceback) for op in graph.get_operations()]

    with without_tracebacks():
        assert not any(traced())
        found = []
        thread = threading.Thread(target=lambda: found.extend(traced()))
        thread.start()
        thread.join()
        assert found
        assert all(found)
    assert all(traced())


@pytest.mark.slow
def test_no_graph_of_a_program_survives_it():
    x, y = vb.datasets.cubic(num_data=40, seed=0)
    network = vb.build_network(hidden_units=(3, 2), activation=vb.layers.Bump(), seed=0)
    gc.collect()
    before = {id(o) for o in gc.get_objects() if isinstance(o, FuncGraph)}
    vb.fit(network, vb.likelihoods.StudentT(), x, y, epochs=1, seed=0, verbose=0)
    vb.predict_f(network, x, num_draws=3, seed=0)
    vb.clear_programs()
    gc.collect()
    left = [o.name for o in gc.get_objects() if isinstance(o, FuncGraph) and id(o) not in before]
    assert not [name for name in left if "scratch_graph" not in name and name != "keras_graph"]  # those are of Keras


@only_keras2("Keras 3 infers shapes without a graph that is kept")
def test_models_that_were_built_leave_no_graphs_behind():
    """Of our layers and activations, whose gradients are custom; each model left 1.8 MB behind."""

    def num_kept():
        gc.collect()
        return sum(1 for kept in gc.get_objects() if type(kept).__name__ == "FuncGraph" and "scratch" in kept.name)

    before = num_kept()
    for _ in range(2):
        inputs = keras.Input([2])
        hidden = vb.layers.Bump()(vb.build_network(2, hidden_units=(3,), activation="bump", seed=0)(inputs))
        assert keras.Model(inputs, hidden)(np.zeros((1, 2))).shape == (1, 1)
        del inputs, hidden
    keras.backend.clear_session()
    assert num_kept() == before
