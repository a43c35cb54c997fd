"""What TensorFlow would keep of every traced function for the rest of the process, and how it is let go.

Compiled programs are dropped when there are too many, but TensorFlow keeps parts of them: of training and prediction of
one structure 97 MB without what is here, and 29 MB with it, of which `varbump.core.executables` frees half.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

__all__ = ["forget_custom_gradients", "forget_scratch_graphs", "vectorized", "without_tracebacks"]


class _Lean(threading.local):
    depth = 0


_lean = _Lean()


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Context manager in which this thread traces without recording for each operation where it was made.

    XLA copies these records and never frees the copies. Errors are raised with Python's own traceback all the same.
    """
    _install()
    _lean.depth += 1
    try:
        yield
    finally:
        _lean.depth -= 1


def _install() -> None:
    """Put a wrapper around the function of TensorFlow that makes operations, once."""
    original = getattr(ops, "_create_c_op", None)
    if original is None or hasattr(original, "records_optionally"):
        return
    if "extract_traceback" not in inspect.signature(original).parameters:
        return  # another version of TensorFlow: then the memory stays in use

    def create(*args: Any, **options: Any) -> Any:
        if _lean.depth:
            options["extract_traceback"] = False
        return original(*args, **options)

    create.records_optionally = True  # type: ignore[attr-defined]
    ops._create_c_op = create


def vectorized(function: Callable[[Any], Any], elements: Any, *, fallback_to_while_loop: bool = True) -> Any:
    """Map a function over the first axis of tensors, as `tf.vectorized_map` does, but without AutoGraph.

    That would rewrite the source of every function in the call tree: half a second for each structure of networks.
    """
    plain = tf.autograph.experimental.do_not_convert(function)
    return tf.vectorized_map(plain, elements, fallback_to_while_loop=fallback_to_while_loop)


def forget_custom_gradients(graph: Any) -> None:
    """Let go of a traced graph, and of all graphs within it; its gradients must have been taken.

    When a function under `tf.custom_gradient` is traced, TensorFlow registers its gradient under a new name for the
    rest of the process. The gradient refers to tensors of the graph, so that no graph would ever be freed. Gradients
    of other graphs, which another thread may be tracing, stay.

    Parameters
    ----------
    graph : FuncGraph
    """
    _forget(lambda inner: _is_within(inner, graph))


def forget_scratch_graphs() -> None:
    """Let go of all graphs in which tf_keras has inferred the shapes of outputs; nothing takes gradients in them.

    There is one for each layer of a functional model, of which `forget_custom_gradients` says what keeps it: nearly a
    megabyte for a layer whose weights have a full covariance.
    """
    _forget(lambda inner: inner.name.endswith("_scratch_graph"))


def _forget(concerns: Callable[[Any], bool]) -> None:
    registered = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    for name in [name for name in list(registered) if name.startswith("CustomGradient-")]:
        with suppress(AttributeError, KeyError, IndexError, ValueError):  # another version of TensorFlow
            if concerns(_graph_of(registered[name]["type"])):
                registered.pop(name, None)


def _graph_of(gradient: Any) -> Any:
    """Graph in which a registered gradient was made, that of the results of its function."""
    results = tf.nest.flatten(_closure(_closure(gradient)["tape_grad_fn"])["result"])
    return results[0].graph


def _closure(function: Any) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def _is_within(inner: Any, graph: Any) -> bool:
    while inner is not None and inner is not graph:
        inner = getattr(inner, "outer_graph", None)
    return inner is graph
