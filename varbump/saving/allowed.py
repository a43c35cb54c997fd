"""Which classes an archive may name, each where it belongs, and what their configurations may hold.

A file gives keys of the tables below, never a module: what is imported, and so what is run, is decided here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from varbump import likelihoods, posteriors, priors
from varbump.core.keras import deserialize, keras
from varbump.layers import Bump, DenseVariational, GaussianBump

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "LIKELIHOODS",
    "Refused",
    "built",
    "checked_activation",
    "decoded",
    "encoded",
    "key_of",
    "table_for",
]

ACTIVATIONS = {
    "elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu", "sigmoid", "softmax",
    "softplus", "softsign", "swish", "tanh", "bump", "gaussian_bump",
}  # fmt: skip

BUMPS = {"varbump>Bump": Bump, "varbump>GaussianBump": GaussianBump}

LAYERS: dict[str, type] = {
    **BUMPS,
    "varbump>DenseVariational": DenseVariational,
    **{
        f"layers.{name}": getattr(keras.layers, name)
        for name in (
            "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "BatchNormalization",
            "Concatenate", "Dense", "Dropout", "ELU", "Flatten", "GaussianDropout", "GaussianNoise", "InputLayer",
            "LayerNormalization", "LeakyReLU", "Maximum", "Minimum", "Multiply", "Normalization", "PReLU", "ReLU",
            "Rescaling", "Reshape", "Softmax", "Subtract", "UnitNormalization",
        )
    },
}  # fmt: skip
"""Layers that compute nothing but numbers from numbers; no Lambda, and nothing that reads files."""

POSTERIORS: dict[str, type] = {
    "varbump>FullCovarianceNormal": posteriors.FullCovarianceNormal,
    "varbump>JointNormal": posteriors.JointNormal,
    "varbump>LowRankNormal": posteriors.LowRankNormal,
    "varbump>MeanFieldNormal": posteriors.MeanFieldNormal,
}

PRIORS: dict[str, type] = {
    "varbump>ARDNormal": priors.ARDNormal,
    "varbump>LaplacePrior": priors.Laplace,
    "varbump>NormalPrior": priors.Normal,
    "varbump>ScaleMixtureNormal": priors.ScaleMixtureNormal,
    "varbump>TrainableNormal": priors.TrainableNormal,
}

LIKELIHOODS: dict[str, type] = {
    "varbump>HeteroscedasticNormalLikelihood": likelihoods.HeteroscedasticNormal,
    "varbump>LearnedNormalLikelihood": likelihoods.LearnedNormal,
    "varbump>NormalLikelihood": likelihoods.Normal,
    "varbump>StudentTLikelihood": likelihoods.StudentT,
}

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
    "estimator": {"flipout", "local", "shared"},
    "mode": {"fan_avg", "fan_in", "fan_out"},
    "reduction": {"auto", "none", "sum", "sum_over_batch_size"},
    "support": {"smooth", "threshold"},
}
"""Keys of configurations whose values are words, beside names and activations."""

NAME = re.compile(r"[\w.\-/ ]{1,200}")

MAX_DEPTH = 6

IGNORED = {"build_config", "module", "registered_name"}


class Refused(ValueError):
    """Something that an archive must not hold; the text says what and where."""


def table_for(key: str) -> dict[str, type]:
    """Classes that may stand under a key of a configuration."""
    if key == "activation":
        return dict(BUMPS)
    tables = {"make_posterior_fn": POSTERIORS, "make_prior_fn": PRIORS, "likelihood": LIKELIHOODS}
    if key.endswith("_initializer"):
        return INITIALIZERS
    return REGULARIZERS if key.endswith("_regularizer") else tables.get(key, {})


def key_of(serialized: Mapping[str, Any]) -> str:
    """Key, in the tables above, of an object that tf_keras has serialised; of others a name for the message."""
    registered, module = serialized.get("registered_name"), str(serialized.get("module"))
    if registered:
        return str(registered)
    name = str(serialized["class_name"])
    return f"{module.removeprefix('keras.')}.{name}" if module.startswith("keras.") else name


def encoded(value: Any, where: str) -> Any:
    """What tf_keras has serialised, as an archive holds it: plain JSON, objects as {"class": key, "config": ...}.

    Raises
    ------
    Refused
        If there is a function or an object in it.
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
    """An object of an archive as tf_keras serialises it, once its class and its configuration have been checked.

    Raises
    ------
    Refused
        If the class is not in `table`, or the configuration holds anything but numbers, known words and objects that
        belong there.
    """
    if not isinstance(value, dict) or not isinstance(value.get("class"), str):
        raise Refused(f"{where} must be an object, one of {_names(table)}, got {_short(value)}")
    if where.count(", ") > MAX_DEPTH:
        raise Refused(f"{_short(where)} is nested too deeply")
    key = value["class"]
    if key not in table:
        what = "a function" if key in ("function", "__lambda__") else _short(key.split(">")[-1].split(".")[-1])
        raise Refused(f"{where} is {what}, which cannot be saved or loaded; it must be one of {_names(table)}")
    config, cls = value.get("config"), table[key]
    if not isinstance(config, dict):
        raise Refused(f"{where} has no configuration")
    checked = {name: _checked(entry, name, f"{where}, {name}") for name, entry in config.items()}
    if key.startswith("varbump>"):
        names = {"module": cls.__module__, "registered_name": key}
    else:
        names = {"module": f"keras.{key.split('.')[0]}", "registered_name": None}
    return {"class_name": cls.__name__, "config": checked, **names}


def built(value: Any, table: Mapping[str, type], where: str) -> Any:
    """The object itself.

    Raises
    ------
    Refused
        As `decoded`; also if the class does not take the configuration.
    """
    config = decoded(value, table, where)
    try:
        return deserialize(config)
    except Exception as error:  # whatever a class makes of numbers that do not fit
        raise Refused(f"{where} cannot be made of its configuration ({_short(str(error), 200)})") from error


def checked_activation(value: Any, where: str) -> Any:
    """The name of an activation, None, or a serialised bump."""
    if value is None or (isinstance(value, str) and value in ACTIVATIONS):
        return value
    if isinstance(value, dict) and value.get("class") in BUMPS:
        return decoded(value, BUMPS, where)
    what = "is a function without a name"
    if isinstance(value, str):
        what = f"is {_short(value)}"
    elif isinstance(value, dict) and value.get("class") not in (None, "__lambda__"):
        what = f"is {_short(value['config'] if value['class'] == 'function' else value['class'])}"
    raise Refused(
        f"{where} {what}, which cannot be saved or loaded; it must be the name of one of {sorted(ACTIVATIONS)}, or a "
        f"bump of varbump.layers"
    )


def _checked(value: Any, key: str, where: str) -> Any:
    if key == "activation":
        return checked_activation(value, where)
    if isinstance(value, str):
        if key == "name" and NAME.fullmatch(value):
            return value
        if value in WORDS.get(key, ()):
            return value
        raise Refused(f"{where} must not be {_short(value)}")
    if isinstance(value, dict):
        return decoded(value, table_for(key), where)
    return _numbers(value, where)


def _numbers(value: Any, where: str) -> Any:
    """Finite numbers, in lists or not."""
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
