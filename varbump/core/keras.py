"""The Keras in use, chosen once for each process by the environment variable VARBUMP_KERAS.

All other modules import Keras from here. Without the variable, or with 2, it is `tf_keras` (Keras 2), on which
TensorFlow Probability is built; with 3 it is `keras` (Keras 3) with the TensorFlow backend. What differs between the
two is in `varbump.core.keras2` and `varbump.core.keras3`, which define the same names.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__all__ = ["FACE", "check_precision", "deserialize", "is_of_keras", "refuse_other_keras"]

VARIABLE = "VARBUMP_KERAS"


def _chosen() -> int:
    value = os.environ.get(VARIABLE, "") or "2"
    if value not in ("2", "3"):
        raise ImportError(f"{VARIABLE} must be 2 (tf_keras, the default) or 3 (keras), got {value!r:.40}")
    return int(value)


FACE = _chosen()
"""2 or 3: the major version of the Keras in use."""


def _check_backend() -> None:
    """Raise an ImportError if Keras 3 does not compute with TensorFlow."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":  # otherwise Keras would import that backend, which may not be installed
        backend = importlib.import_module("keras").backend.backend()  # it may have a configuration file
    if backend != "tensorflow":
        raise ImportError(
            f"varbump computes with TensorFlow, but the backend of Keras is {backend}: set KERAS_BACKEND=tensorflow in "
            f"the environment before Keras is imported"
        )


if FACE == 3 and not TYPE_CHECKING:
    _check_backend()
    from varbump.core import keras3 as face
    from varbump.core.keras3 import *  # noqa: F403
else:
    from varbump.core import keras2 as face
    from varbump.core.keras2 import *  # noqa: F403
    from varbump.core.keras2 import NAME, keras  # those that are used below, by name

__all__ += face.__all__
__all__.sort()


def deserialize(config: Any) -> Any:
    """Rebuild an object from its configuration, in any of the formats of the Keras in use.

    In the older formats (.h5 and SavedModel) tf_keras looks up nested classes by their bare names and does not find
    those registered under a package.
    """
    if isinstance(config, dict) and "class_name" in config:
        registered = keras.saving.get_registered_object(config.get("registered_name") or config["class_name"])
        if registered is not None and hasattr(registered, "from_config"):
            return registered.from_config(config["config"])
    return keras.saving.deserialize_keras_object(config)


def is_of_keras(value: Any) -> bool:
    """Whether the class of an object is one of the Keras in use."""
    return type(value).__module__.startswith(f"{NAME}.")


def check_precision(layer: keras.layers.Layer) -> None:
    """Raise a TypeError unless a layer computes in float32 or float64.

    Half precision, also as part of a mixed policy, rounds x to three digits, and overflows where a KL begins.
    """
    if layer.compute_dtype not in ("float32", "float64", None):
        raise TypeError(
            f"dtype of {layer.name!r} must be float32 or float64, but it computes in {layer.compute_dtype}: build it "
            f"with dtype='float32', or call {NAME}.mixed_precision.set_global_policy('float32') before"
        )


def refuse_other_keras(value: Any, argument: str) -> None:
    """Raise a one-sentence error if `value` is an object of the Keras that is not in use.

    From TensorFlow 2.16 on `tf.keras` is Keras 3, whose objects do not mix with those of `tf_keras`, nor with the
    layers of TensorFlow Probability.

    Parameters
    ----------
    value : object
        Argument that the user passed.
    argument : str
        Name of the argument, for the message.

    Raises
    ------
    TypeError
        If the class of `value`, or one of its bases, comes from the other package.
    """
    other = "keras" if FACE == 2 else "tf_keras"
    for base in type(value).__mro__:
        if base.__module__.split(".", 1)[0] == other:
            raise TypeError(_other(argument, base, type(value)))


def _other(argument: str, base: type, cls: type) -> str:
    """What is wrong with an object of the other Keras, and the two ways out."""
    if FACE == 2:
        return (
            f"{argument} is a Keras 3 object ({base.__module__}.{base.__qualname__}), but varbump "
            f"and TensorFlow Probability are built on Keras 2: `import tf_keras` and use its "
            f"tf_keras.{base.__qualname__} counterpart instead of keras or tf.keras, or set {VARIABLE}=3 in the "
            f"environment before varbump is imported, to work with Keras 3 throughout."
        )
    if cls.__module__.startswith("tensorflow_probability."):
        return (
            f"{argument} is a tfp.layers.{cls.__qualname__}, which exists for Keras 2 only, and {VARIABLE} chose "
            f"Keras 3: use varbump.layers.DenseVariational and a likelihood of varbump.likelihoods, or unset "
            f"{VARIABLE}, for Keras 2."
        )
    return (
        f"{argument} is a Keras 2 object ({base.__module__}.{base.__qualname__}), but {VARIABLE} chose Keras 3: use "
        f"its keras.{base.__qualname__} counterpart instead of tf_keras, or unset {VARIABLE}, for Keras 2."
    )
