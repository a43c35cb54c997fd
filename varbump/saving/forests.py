"""Forests in an archive: the nodes of all trees as arrays, checked so that no evaluation can leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from varbump.estimator.forest import ForestEmbedding
from varbump.saving.allowed import Refused
from varbump.saving.shapes import Shape

__all__ = ["forest_arrays", "forest_shapes", "make_forest"]

LEAF = -1
"""Child of a leaf, as in scikit-learn."""

NODES = {"left": "int32", "right": "int32", "feature": "int32", "threshold": "float64"}
"""Arrays with a number for each node, and their dtypes."""


def forest_arrays(forest: ForestEmbedding) -> dict[str, np.ndarray]:
    """Arrays of a forest, in which the nodes of a tree follow those of the one before."""
    trees = forest.trees
    parts = {
        "left": [tree.children_left for tree in trees],
        "right": [tree.children_right for tree in trees],
        "feature": [tree.feature for tree in trees],
        "threshold": [tree.threshold for tree in trees],
    }
    return {
        "forest/counts": np.array([tree.node_count for tree in trees], np.int64),
        **{f"forest/{name}": np.concatenate(parts[name]).astype(dtype) for name, dtype in NODES.items()},
        "forest/value": np.concatenate([tree.value[:, :, 0] for tree in trees]),
        "forest/shift": forest.shift,
        "forest/unit": forest.unit,
    }


def forest_shapes(num_targets: int, declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays, whose number of nodes the file decides."""
    sizes = [declared[name].shape for name in ("forest/counts", "forest/left") if name in declared]
    if len(sizes) != 2 or any(len(size) != 1 or size[0] < 1 for size in sizes):
        raise Refused("it has no forest")
    (num_trees,), (num_nodes,) = sizes
    return {
        "forest/counts": (num_trees,),
        **{f"forest/{name}": (num_nodes,) for name in NODES},
        "forest/value": (num_nodes, num_targets),
        "forest/shift": (2 * num_targets,),
        "forest/unit": (2 * num_targets,),
    }


def make_forest(num_features: int, array: Callable[[str], np.ndarray]) -> ForestEmbedding:
    """Make the forest of an archive whose shapes have been checked."""
    counts, value = array("forest/counts"), array("forest/value")
    nodes = {name: array(f"forest/{name}") for name in NODES}
    if any(nodes[name].dtype.kind != np.dtype(dtype).kind for name, dtype in NODES.items()) or counts.dtype.kind != "i":
        raise Refused("its forest has nodes of another type")
    if (counts < 1).any() or (counts > len(value)).any() or counts.sum() != len(value):
        raise Refused("its trees do not have as many nodes as its forest")
    _check_nodes(nodes, counts, num_features)
    unit = array("forest/unit").astype(float)
    if (unit <= 0.0).any():
        raise Refused("forest/unit must be positive")
    trees = []
    for end, count in zip(np.cumsum(counts), counts, strict=True):
        own = slice(end - count, end)
        trees.append(_tree({name: column[own] for name, column in nodes.items()}, value[own], num_features))
    return ForestEmbedding(trees, array("forest/shift").astype(float), unit)


def _check_nodes(nodes: Mapping[str, np.ndarray], counts: np.ndarray, num_features: int) -> None:
    """Refuse nodes whose children are not further on in the same tree, or that ask for a feature that is not there."""
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    own, count = np.arange(len(starts)) - starts, np.repeat(counts, counts)
    left, right, feature = (nodes[name].astype(np.int64) for name in ("left", "right", "feature"))
    leaf = left == LEAF
    inner = (left > own) & (right > own) & (left < count) & (right < count) & (feature >= 0) & (feature < num_features)
    if not np.where(leaf, right == LEAF, inner).all():
        raise Refused("its forest has a node that leads nowhere")


def _tree(nodes: Mapping[str, np.ndarray], value: np.ndarray, num_features: int) -> Tree:
    num_nodes, num_targets = value.shape
    tree = Tree(num_features, np.ones(num_targets, np.intp), num_targets)
    packed = np.zeros(num_nodes, tree.__getstate__()["nodes"].dtype)  # what prediction does not need stays 0
    packed["left_child"], packed["right_child"] = nodes["left"], nodes["right"]
    packed["feature"], packed["threshold"] = nodes["feature"], nodes["threshold"]
    values = np.ascontiguousarray(value[:, :, None], np.float64)
    tree.__setstate__({"max_depth": num_nodes, "node_count": num_nodes, "nodes": packed, "values": values})
    return tree
