"""Which Keras: `tf_keras` (Keras 2), the one that TensorFlow Probability is built on.

Every other module takes Keras from here, so that the choice is named once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras as keras

__all__ = ["keras", "refuse_keras3", "register"]


def register(name: str) -> Callable[[type], type]:
    """Class decorator: the class can be saved in and loaded from tf_keras models, under ``varbump>name``."""
    return keras.saving.register_keras_serializable("varbump", name)


def refuse_keras3(value: Any, argument: str) -> None:
    """Raise a one-sentence error when `value` is an object of Keras 3.

    `tf.keras` is Keras 3 from TensorFlow 2.16 on, and its objects cannot be mixed with those
    of `tf_keras`.

    Parameters
    ----------
    value : object
        What the user passed.
    argument : str
        The name of the argument, for the message.

    Raises
    ------
    TypeError
        If the class of `value`, or one of its bases, comes from the package `keras`.
    """
    for base in type(value).__mro__:
        if base.__module__.split(".", 1)[0] == "keras":
            raise TypeError(
                f"{argument} is a Keras 3 object ({base.__module__}.{base.__qualname__}), but varbump "
                f"and TensorFlow Probability are built on Keras 2: `import tf_keras` and use its "
                f"tf_keras.{base.__qualname__} counterpart instead of keras or tf.keras."
            )
