"""Classes that an archive may name, where they may appear, and what their configurations may contain.

A file contains keys, never modules: nothing that it names is imported. The keys are those of `varbump.core.registry`
and of the tables below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from varbump.core.keras import deserialize, keras
from varbump.core.registry import NAME as CLASS_NAME, by_short_name, registered
from varbump.layers import TrainableActivation, VariationalLayer
from varbump.likelihoods import Likelihood
from varbump.posteriors import PosteriorFactory
from varbump.priors import Prior

__all__ = [
    "Refused",
    "activations",
    "built",
    "checked_activation",
    "decoded",
    "encoded",
    "key_of",
    "layers",
    "parameters",
    "table_for",
]

KERAS_ACTIVATIONS = {
    "elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu", "sigmoid", "softmax",
    "softplus", "softsign", "swish", "tanh",
}  # fmt: skip

KERAS_LAYERS: dict[str, type] = {
    f"layers.{name}": getattr(keras.layers, name)
    for name in (
        "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "AveragePooling1D",
        "BatchNormalization", "Concatenate", "Cropping1D", "Dense", "Dropout", "ELU", "Flatten", "GaussianDropout",
        "GaussianNoise", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "InputLayer", "LayerNormalization",
        "LeakyReLU", "MaxPooling1D", "Maximum", "Minimum", "Multiply", "Normalization", "PReLU", "ReLU", "Rescaling",
        "Reshape", "Softmax", "Subtract", "UnitNormalization",
    )
}  # fmt: skip
"""Layers that only compute numbers from numbers; no Lambda, and nothing that reads files."""

INITIALIZERS: dict[str, type] = {
    f"initializers.{name}": getattr(keras.initializers, name)
    for name in (
        "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal",
        "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
        "Zeros",
    )
}  # fmt: skip

REGULARIZERS: dict[str, type] = {
    f"regularizers.{name}": getattr(keras.regularizers, name) for name in ("L1", "L1L2", "L2")
}

WORDS = {
    "data_format": {"channels_first", "channels_last"},
    "distribution": {"normal", "truncated_normal", "uniform", "untruncated_normal"},
    "dtype": {"float32", "float64"},
    "mode": {"fan_avg", "fan_in", "fan_out"},
    "padding": {"same", "valid"},
    "reduction": {"auto", "none", "sum", "sum_over_batch_size"},
}
"""Keys of configurations whose values are words, besides names, activations and the `words` of our classes."""

PLAIN_WORD = re.compile(r"[A-Za-z]\w{0,39}", re.ASCII)
"""Words that the configuration of a user's class may contain; they are only passed to its `__init__`."""

USER = "custom>"
"""Prefix of the keys of users' classes."""

MAX_NUMBERS = 1_000_000
"""Largest count of numbers learned by a likelihood, which creates them at once, whatever the file contains."""

NAME = re.compile(r"[\w.\-/ ]{1,200}")

MAX_DEPTH = 6

IGNORED = {"build_config", "module", "registered_name"}


class Refused(ValueError):
    """Raised for something that an archive must not contain; the text says what and where."""


def layers() -> dict[str, type]:
    """Classes of layers: those of tf_keras above, ours, and those that the user has registered."""
    return KERAS_LAYERS | registered(VariationalLayer) | registered(TrainableActivation)


def activations() -> set[str]:
    """Names of activations that an archive may contain."""
    return KERAS_ACTIVATIONS | set(by_short_name(TrainableActivation))


def parameters() -> dict[str, type]:
    """Classes of objects that may be arguments of a regressor or of a user's class."""
    return {
        key: cls
        for base in (TrainableActivation, Likelihood, PosteriorFactory, Prior)
        for key, cls in registered(base).items()
    }


def table_for(key: str) -> dict[str, type]:
    """Classes that may appear under a key of a configuration."""
    if key.endswith("_initializer"):
        return INITIALIZERS
    if key.endswith("_regularizer"):
        return REGULARIZERS
    bases: dict[str, type] = {
        "activation": TrainableActivation,
        "make_posterior_fn": PosteriorFactory,
        "make_prior_fn": Prior,
        "likelihood": Likelihood,
    }
    return registered(bases[key]) if key in bases else {}


def key_of(serialized: Mapping[str, Any]) -> str:
    """Key of an object that tf_keras has serialised, or a name for the message if it has none."""
    registered, module = serialized.get("registered_name"), str(serialized.get("module"))
    if registered:
        return str(registered)
    name = str(serialized["class_name"])
    return f"{module.removeprefix('keras.')}.{name}" if module.startswith("keras.") else name


def encoded(value: Any, where: str) -> Any:
    """Encode what tf_keras has serialised as plain JSON, with objects as {"class": key, "config": ...}.

    Raises
    ------
    Refused
        If it contains a function or an unknown object.
    """
    if isinstance(value, Mapping):
        if "class_name" in value:
            rest = {k: encoded(v, where) for k, v in value.items() if k not in {"class_name", "config", *IGNORED}}
            return {"class": key_of(value), "config": encoded(value.get("config"), where), **rest}
        return {str(key): encoded(entry, f"{where}, {key}") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(entry, where) for entry in value]
    if isinstance(value, (np.generic, np.ndarray)) and value.dtype.kind in "fiub":
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Refused(f"{where} is {type(value).__name__} {value!r:.60}, which has no name that could be saved")


def decoded(value: Any, table: Mapping[str, type], where: str) -> dict[str, Any]:
    """Decode an object of an archive to what tf_keras serialises, after checking its class and configuration.

    Raises
    ------
    Refused
        If the class is not in `table`, or the configuration contains anything but numbers, known words and objects
        that belong there.
    """
    if not isinstance(value, dict) or not isinstance(value.get("class"), str):
        raise Refused(f"{where} must be an object, one of {_names(table)}, got {_short(value)}")
    if where.count(", ") > MAX_DEPTH:
        raise Refused(f"{_short(where)} is nested too deeply")
    key = value["class"]
    if key not in table:
        _refuse_unregistered(key, where)
        what = "a function" if key in ("function", "__lambda__") else _short(key.split(">")[-1].split(".")[-1])
        raise Refused(
            f"{where} is {what}, which cannot be saved or loaded; it must be one of {_names(table)}, or a class that "
            f"varbump.register has given a name"
        )
    config, cls = value.get("config"), table[key]
    if not isinstance(config, dict):
        raise Refused(f"{where} has no configuration")
    users = key.startswith(USER)
    words = WORDS | getattr(cls, "words", {})
    checked = {
        name: _checked(entry, name, words.get(name, ()), users, f"{where}, {name}") for name, entry in config.items()
    }
    if issubclass(cls, Likelihood):
        _check_numbers(cls, checked, where)
    if ">" in key:
        names = {"module": cls.__module__, "registered_name": key}
    else:
        names = {"module": f"keras.{key.split('.')[0]}", "registered_name": None}
    return {"class_name": cls.__name__, "config": checked, **names}


def _refuse_unregistered(key: str, where: str) -> None:
    """Say what is wrong with a class of a user's own: its name is not registered here, or its base does not belong."""
    name = key.removeprefix(USER)
    known = registered(keras.layers.Layer).get(key)
    if key.startswith(USER) and known is not None and not issubclass(known, (TrainableActivation, VariationalLayer)):
        raise Refused(
            f"{where} is {name}, which is registered but of no kind that can be saved: derive it from "
            f"varbump.layers.TrainableActivation, or from a variational layer of varbump.layers"
        )
    if key.startswith(USER) and CLASS_NAME.fullmatch(name) and key not in registered(object):
        raise Refused(
            f"{where} is of a class that was registered as {name!r}, which is not known here: register it before you "
            f"load, with @varbump.register({name!r}) above the class"
        )


def _check_numbers(cls: Any, config: dict[str, Any], where: str) -> None:
    """Refuse a likelihood with an unreasonable number of learned values."""
    try:
        numbers = sum(math.prod(shape) for shape in cls.variable_shapes(config))
    except ValueError as error:
        raise Refused(f"{where}, {error}") from error
    if numbers > MAX_NUMBERS:
        raise Refused(f"{where} learns {numbers:,} numbers, more than {MAX_NUMBERS:,}: it has too many targets")


def built(value: Any, table: Mapping[str, type], where: str) -> Any:
    """Make the object of an archive.

    Raises
    ------
    Refused
        As for `decoded`; also if the class does not accept the configuration.
    """
    config = decoded(value, table, where)
    try:
        return deserialize(config)
    except Exception as error:  # any error of a class for unsuitable numbers
        raise Refused(f"{where} cannot be made of its configuration ({_short(str(error), 200)})") from error


def checked_activation(value: Any, where: str) -> Any:
    """The name of an activation, None, or a serialised bump."""
    if value is None or (isinstance(value, str) and value in activations()):
        return value
    table = table_for("activation")
    if isinstance(value, dict) and value.get("class") in table.keys():
        return decoded(value, table, where)
    if isinstance(value, dict) and isinstance(value.get("class"), str):
        _refuse_unregistered(value["class"], where)
    what = "is a function without a name"
    if isinstance(value, str):
        what = f"is {_short(value)}"
    elif isinstance(value, dict) and value.get("class") not in (None, "__lambda__"):
        what = f"is {_short(value['config'] if value['class'] == 'function' else value['class'])}"
    raise Refused(
        f"{where} {what}, which cannot be saved or loaded; it must be the name of one of {sorted(activations())}, or a "
        f"bump of varbump.layers"
    )


def _checked(value: Any, key: str, words: Collection[str], users: bool, where: str) -> Any:
    """Check a value of a configuration against `words`; a user's class may have any plain words."""
    if key == "activation":
        return checked_activation(value, where)
    if isinstance(value, str):
        plain = users and PLAIN_WORD.fullmatch(value)
        if plain or value in words or (key == "name" and NAME.fullmatch(value)):
            return value
        raise Refused(f"{where} must not be {_short(value)}")
    if isinstance(value, dict):
        return decoded(value, table_for(key) or (parameters() if users else {}), where)
    return _numbers(value, where)


def _numbers(value: Any, where: str) -> Any:
    """Check that a value is a finite number, or nested lists of them."""
    if isinstance(value, list):
        return [_numbers(entry, where) for entry in value]
    if value is None or type(value) is bool or (type(value) is int and abs(value) < 2**63):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise Refused(f"{where} must hold finite numbers, got {_short(value)}")


def _names(table: Mapping[str, type]) -> str:
    names = sorted(f"varbump's {cls.__name__}" if ">" in key else cls.__name__ for key, cls in table.items())
    return ", ".join(names) if names else "nothing"


def _short(value: Any, size: int = 60) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= size else f"{text[:size]}..."
