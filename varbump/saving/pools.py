"""Pools of a regressor in an archive: candidates besides the heaviest, weights, and the report on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from varbump.estimator.report import StackingReport
from varbump.estimator.stacking import FACTORS, TAILS
from varbump.estimator.state import TrainedEnsemble
from varbump.estimator.training import TrainedPool
from varbump.saving.allowed import Refused
from varbump.saving.shapes import Shape, whole_number
from varbump.saving.trained import make_trained, trained_arrays, trained_configuration, trained_shapes

__all__ = ["make_pool", "make_report", "pool_arrays", "pool_configuration", "pool_shapes"]

MOST_CANDIDATES = 100

SUM_TOLERANCE = 1e-6


def pool_configuration(pool: TrainedPool, report: StackingReport) -> dict[str, Any]:
    """Configuration of a pool; that of its heaviest candidate is that of the regressor."""
    return {
        "others": [trained_configuration(trained) for trained in pool.trained[1:]],
        "names": list(report.names),
        "num_rows": len(report.pooled),
        "hint": report.hint,
        "noise_factor": pool.noise_factor,
        "noise_tail": pool.noise_tail,
    }


def pool_arrays(pool: TrainedPool, report: StackingReport) -> dict[str, np.ndarray]:
    """Arrays of a pool: those of all other candidates, weights, inputs, and held-out densities."""
    arrays = {
        "pool/weights": np.array(pool.weights),
        "pool/inputs": np.stack(pool.inputs),
        "report/weights": report.weights,
        "report/log_density": report.log_density,
        "report/pooled": report.pooled,
        "report/row_weights": report.row_weights,
    }
    for index, trained in enumerate(pool.trained[1:]):
        arrays |= {f"others/{index}/{name}": value for name, value in trained_arrays(trained).items()}
    return arrays


def pool_shapes(value: Any, arguments: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays for a configuration, which is checked at the same time."""
    others, names = (value.get(key) if isinstance(value, dict) else None for key in ("others", "names"))
    if not isinstance(others, list) or not all(isinstance(other, dict) for other in others):
        raise Refused("it does not say what its pool holds")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused("its candidates must have names")
    if len(names) > MOST_CANDIDATES or len(others) >= max(len(names), 1):
        raise Refused(f"it cannot have {len(others) + 1:,} of {len(names):,} candidates")
    if not isinstance(value.get("hint"), str):
        raise Refused("its hint must be text")
    _noise(value)
    num_rows = whole_number(value, "num_rows", "the pool", 0)
    num_inputs = whole_number(arguments, "num_features", "the argument num_features")
    shapes: dict[str, Shape] = {
        "pool/weights": (len(others) + 1,),
        "pool/inputs": (len(others) + 1, num_inputs),
        "report/weights": (len(names),),
        "report/log_density": (len(names), num_rows),
        "report/pooled": (num_rows,),
        "report/row_weights": (num_rows,),
    }
    for index, other in enumerate(others):
        prefix = f"others/{index}/"
        own = trained_shapes(other, _below(declared, prefix))
        if any(other["arguments"].get(key) != arguments.get(key) for key in ("num_features", "num_outputs")):
            raise Refused("the candidates of its pool have other inputs or targets than the first")
        shapes |= {f"{prefix}{name}": shape for name, shape in own.items()}
    return shapes


def make_pool(
    value: dict[str, Any], first: TrainedEnsemble, array: Callable[[str], np.ndarray], declared: Mapping[str, Any]
) -> TrainedPool:
    """Make the pool of a configuration whose shapes have been checked."""
    weights, inputs = array("pool/weights"), array("pool/inputs").astype(float)
    if (weights < 0.0).any() or abs(float(weights.sum()) - 1.0) > SUM_TOLERANCE or not np.isin(inputs, (0, 1)).all():
        raise Refused("the weights of its pool must add up to 1, and its inputs be 0 or 1")
    trained = [first]
    for index, other in enumerate(value["others"]):
        prefix = f"others/{index}/"
        trained.append(
            make_trained(other, lambda name, prefix=prefix: array(prefix + name), _below(declared, prefix))  # type: ignore[misc]
        )
    return TrainedPool(tuple(trained), tuple(map(float, weights)), tuple(inputs), *_noise(value))


def make_report(value: dict[str, Any], array: Callable[[str], np.ndarray]) -> StackingReport:
    """Make the report of a configuration whose shapes have been checked."""
    arrays = {name: array(f"report/{name}") for name in ("weights", "log_density", "pooled", "row_weights")}
    names, (factor, tail) = tuple(value["names"]), _noise(value)
    return StackingReport(names=names, hint=value["hint"], noise_factor=factor, noise_tail=tail, **arrays)


def _noise(value: dict[str, Any]) -> tuple[float, float]:
    """Factor of the noise of a pool and its tail, which older archives do not have."""
    factor, tail = value.get("noise_factor", 1.0), value.get("noise_tail", 0.0)
    if type(factor) not in (int, float) or not FACTORS[0] <= factor <= FACTORS[1]:
        raise Refused(f"the factor of its noise must be from {FACTORS[0]} to {FACTORS[1]}")
    if type(tail) not in (int, float) or not 0.0 <= tail <= TAILS[-1]:
        raise Refused(f"the tail of its noise must be from 0 to {TAILS[-1]}")
    return factor, tail


def _below(declared: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): entry for name, entry in declared.items() if name.startswith(prefix)}
