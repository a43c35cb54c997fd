"""Networks: layers in their order, their connections, and their weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from varbump.core.checks import check_number
from varbump.core.keras import Functional, is_built, keras, network_config, network_from_config, variables_of
from varbump.core.temperature import note_temperature, temperature_of
from varbump.model.checks import check_network
from varbump.saving.allowed import NAME, Refused, decoded, encoded, layers as known_layers
from varbump.saving.shapes import Shape, check_row, layer_shapes

__all__ = ["MAX_LAYERS", "assign", "make_network", "network_configuration", "network_shapes", "network_weights"]

KINDS: dict[str, Any] = {"Functional": Functional, "Sequential": keras.Sequential}

MAX_LAYERS = 1000
"""Most layers of a network, and most calls of its layers."""

PREFIX = "weights"

ENDS = ("name", "build_input_shape", "input_layers", "output_layers")
"""Keys of the configuration of a network besides its layers."""


def network_configuration(network: keras.Model) -> dict[str, Any]:
    """Configuration of a network in an archive.

    Raises
    ------
    Refused
        If a layer, an activation or a factory is not known by name, or if the network has not been built.
    """
    try:
        check_network(network)
    except TypeError as error:  # half precision
        raise Refused(str(error)) from None
    kind = type(network).__name__
    if KINDS.get(kind) is not type(network):
        raise Refused(f"it is a {kind}; only networks of build_network, Sequential and functional models can be saved")
    if not is_built(network):
        raise Refused("it has not been built yet: call it once on some rows")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf_keras, on functions; they are refused below
        try:
            config = network_config(network)
        except Exception as error:  # of any layer or factory, also one that a user wrote
            raise Refused(f"a layer of it has no configuration ({error})") from error
    known = {key: encoded(config[key], "the network") for key in (*ENDS, "layers") if config.get(key) is not None}
    configuration = {"class": kind, "temperature": temperature_of(network), **known}
    shapes, weights = network_shapes(configuration), network_weights(network)
    if {name: np.shape(value) for name, value in weights.items()} != shapes:
        raise Refused("its weights are not those that its layers imply; is one shared, or changed after it was built?")
    return configuration


def network_weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Arrays in an archive: the weights of each layer in their order."""
    return {name: weight.numpy() for name, weight in _named(network)}


def _named(network: keras.Model) -> Iterator[tuple[str, Any]]:
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    for number, layer in enumerate(layers):
        for index, weight in enumerate(variables_of(layer)):
            yield f"{PREFIX}/{number}/{index}", weight


def network_shapes(configuration: dict[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays for a configuration, which is checked at the same time.

    Raises
    ------
    Refused
        If it is not the configuration of a network, or must not be loaded.
    """
    layers = configuration.get("layers")
    if configuration.get("class") not in KINDS or not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise Refused(f"the network must be one of {sorted(KINDS)}, of at most {MAX_LAYERS} layers")
    names = [_name(layer) for layer in layers]
    if len(set(names)) != len(names):
        raise Refused("two layers of the network have one name")
    for layer, name in zip(layers, names, strict=True):
        decoded({key: layer.get(key) for key in ("class", "config")}, known_layers(), f"layer {name!r}")
    flow = _sequential if configuration["class"] == "Sequential" else _functional
    of = flow(configuration, layers, names)
    inner = [name for layer, name in zip(layers, names, strict=True) if layer["class"] != "layers.InputLayer"]
    return {
        f"{PREFIX}/{number}/{index}": shape for number, name in enumerate(inner) for index, shape in enumerate(of[name])
    }


def make_network(configuration: dict[str, Any]) -> keras.Model:
    """Make the network of a configuration that `network_shapes` has checked; its weights are not assigned yet."""
    layers = [
        {
            **decoded({key: layer[key] for key in ("class", "config")}, known_layers(), "layer"),
            **{key: layer[key] for key in ("name", "inbound_nodes") if key in layer},
        }
        for layer in configuration["layers"]
    ]
    config = {key: configuration[key] for key in ENDS if key in configuration}
    if "build_input_shape" in config:
        config["build_input_shape"] = [None, *config["build_input_shape"][1:]]
    network = network_from_config(KINDS[configuration["class"]], {**config, "layers": layers})
    note_temperature(network, check_number(configuration.get("temperature"), "temperature", strict=True))
    return network


def assign(network: keras.Model, array: Callable[[str], np.ndarray]) -> None:
    """Assign to a network the weights that `array` returns by name.

    Raises
    ------
    Refused
        If the dtype of an array is not that of the layer.
    """
    for name, weight in _named(network):
        value = array(name)
        if value.dtype.name != weight.dtype.name:
            raise Refused(f"{name} is {value.dtype.name}, but its layer works in {weight.dtype.name}")
        weight.assign(value)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _name(layer: Any) -> str:
    config = layer.get("config") if isinstance(layer, dict) else None
    name = config.get("name") if isinstance(config, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Refused("a layer of the network has no name")
    return name


def _row_shape(batch_shape: Any, where: str) -> Shape:
    """Shape of a row, from the shape of a batch."""
    if not isinstance(batch_shape, list) or len(batch_shape) < 2:
        raise Refused(f"{where} must say which shape a row of x has, got {str(batch_shape):.40}")
    if not all(type(size) is int and 0 < size < 2**31 for size in batch_shape[1:]):
        raise Refused(f"{where} must have positive sizes, got {str(batch_shape):.40}")
    return check_row(tuple(batch_shape[1:]), where)


def _sequential(
    configuration: dict[str, Any], layers: list[dict[str, Any]], names: list[str]
) -> dict[str, list[Shape]]:
    of: dict[str, list[Shape]] = {}
    if layers and layers[0]["class"] == "layers.InputLayer":
        shape = _row_shape(layers[0]["config"].get("batch_input_shape"), f"layer {names[0]!r}")
        layers, names = layers[1:], names[1:]
    else:
        shape = _row_shape(configuration.get("build_input_shape"), "the network")
    for layer, name in zip(layers, names, strict=True):
        if layer["class"] == "layers.InputLayer":
            raise Refused(f"layer {name!r} is an input in the middle of the network")
        shape, of[name] = layer_shapes(layer["class"], layer["config"], [shape], f"layer {name!r}")
    return of


def _functional(
    configuration: dict[str, Any], layers: list[dict[str, Any]], names: list[str]
) -> dict[str, list[Shape]]:
    """Follow the tensors from the input, calling each layer once all of its inputs are known."""
    for key in ("input_layers", "output_layers"):
        if len(_tensors(configuration.get(key), f"the network, {key}")) != 1:
            raise Refused(f"the network must have one tensor in {key}")
    of: dict[str, list[Shape]] = {}
    shapes: dict[tuple[str, int], Shape] = {}
    waiting = []
    for layer, name in zip(layers, names, strict=True):
        nodes = layer.get("inbound_nodes")
        if layer.get("name") != name or not isinstance(nodes, list):
            raise Refused(f"layer {name!r} does not say where its inputs come from")
        if layer["class"] == "layers.InputLayer":
            shapes[name, 0] = _row_shape(layer["config"].get("batch_input_shape"), f"layer {name!r}")
            of[name] = []
        waiting += [(layer, name, number, _tensors(node, f"layer {name!r}")) for number, node in enumerate(nodes)]
    if len(waiting) > MAX_LAYERS:
        raise Refused(f"the layers of the network must be called at most {MAX_LAYERS} times, got {len(waiting):,}")
    while waiting:
        ready = [node for node in waiting if all(source in shapes for source in node[3])]
        if not ready:
            raise Refused(f"layer {waiting[0][1]!r} takes what no layer of the network gives")
        for layer, name, number, sources in ready:
            inputs = [shapes[source] for source in sources]
            shapes[name, number], weights = layer_shapes(layer["class"], layer["config"], inputs, f"layer {name!r}")
            of.setdefault(name, weights)
        waiting = [node for node in waiting if (node[1], node[2]) not in shapes]
    missing = [name for name in names if name not in of]
    if missing:
        raise Refused(f"layer {missing[0]!r} has no inputs")
    return of


def _tensors(node: Any, where: str) -> list[tuple[str, int]]:
    """Outputs, by layer and index of the call, to which a list of tensors refers."""
    sources = []
    entries: list[Any] = node if isinstance(node, list) else [None]
    for entry in entries:
        plain = isinstance(entry, list) and len(entry) in (3, 4) and (len(entry) == 3 or entry[3] == {})
        if not plain or not isinstance(entry[0], str) or type(entry[1]) is not int or entry[2] != 0:
            raise Refused(f"{where} must name layers as its inputs, got {str(entry):.60}")
        sources.append((entry[0], entry[1]))
    return sources
