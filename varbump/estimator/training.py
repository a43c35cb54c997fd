"""Training of a regressor from the standardised rows: of one model, or of several that are pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs

from varbump.core.progress import together
from varbump.estimator.arguments import architecture, training_options
from varbump.estimator.candidates import Candidate
from varbump.estimator.choice import choose, folds, weights_by_member
from varbump.estimator.forest import ForestEmbedding
from varbump.estimator.report import StackingReport
from varbump.estimator.state import TrainedEnsemble
from varbump.inference.ensemble.fitting import fit_ensemble
from varbump.model.assembly import build_network
from varbump.predict.pool import Part, Pool

__all__ = ["Rows", "TrainedPool", "embedded", "train", "train_pool"]


class Rows(NamedTuple):
    """Standardised rows to train with.

    Attributes
    ----------
    x, z, weights : ndarray (N, D), (N, Q), (N,)
    validation : (x, z) or None
        Rows for early stopping.
    groups : sequence of int
        Sizes of consecutive groups of columns of x whose weights share one scale of the prior.
    """

    x: np.ndarray
    z: np.ndarray
    weights: np.ndarray
    validation: tuple[np.ndarray, np.ndarray] | None
    groups: Sequence[int]


class TrainedPool(NamedTuple):
    """Candidates of some weight, the heaviest first, which can be pickled.

    Attributes
    ----------
    trained : tuple of TrainedEnsemble
    weights : tuple of float
    inputs : tuple of ndarray (D,)
        As in `varbump.predict.pool.Part`.
    noise_factor, noise_tail : float
        As in `varbump.predict.pool.Pool`.
    """

    trained: tuple[TrainedEnsemble, ...]
    weights: tuple[float, ...]
    inputs: tuple[np.ndarray, ...]
    noise_factor: float = 1.0
    noise_tail: float = 0.0

    def pool(self) -> Pool:
        """The source of draws."""
        ensembles = [trained.ensemble for trained in self.trained]
        parts = [Part(*part) for part in zip(ensembles, self.weights, self.inputs, strict=True)]
        return Pool(parts, self.noise_factor, self.noise_tail)


def embedded(x: np.ndarray, embedding: ForestEmbedding | None) -> np.ndarray:
    """Features with the columns of the embedding beside them."""
    return x if embedding is None else np.concatenate([x, embedding.transform(x)], axis=1)


def train(
    candidate: Candidate,
    rows: Rows,
    all_targets: np.ndarray,
    parameters: Mapping[str, Any],
    seed: int,
    left_out: Sequence[np.ndarray] = (),
) -> TrainedEnsemble:
    """Train one candidate.

    Parameters
    ----------
    candidate : Candidate
    rows : Rows
    all_targets : ndarray (M, Q)
        Also those of rows for early stopping, to which the likelihood is adapted.
    parameters : mapping
        Those of the regressor.
    seed : int
    left_out : sequence of ndarray
        For each member, rows of weight 0; by default there are none.
    """
    x, z, weights, validation, groups = rows
    arguments = architecture(candidate, x.shape[1], groups, all_targets, parameters, seed)
    likelihood = arguments["likelihood"]
    sample_weight: np.ndarray | None = weights_by_member(weights, left_out) if left_out else weights
    if (weights == 1.0).all() and not any(map(len, left_out)):
        sample_weight = None
    is_line = not arguments["hidden_units"] and likelihood.best_scale(np.ones(z.shape[1])) is not None
    how: dict[str, Any] = {}  # without options of optimisation, there is a closed form
    if not is_line or left_out or parameters["max_iter"] is not None or validation is not None:
        how = {
            **training_options(parameters, len(x), candidate.steps(len(x))),
            "validation_data": validation,
            "patience": int(parameters["n_iter_no_change"]) if parameters["early_stopping"] else None,
        }
    ensemble = fit_ensemble(
        build_network(**arguments),
        likelihood,
        x,
        z,
        num_members=int(parameters["n_members"]),
        sample_weight=sample_weight,
        **how,
        seed=seed,
        verbose=int(parameters["verbose"]),
    )
    return TrainedEnsemble(arguments, ensemble)


def train_pool(
    candidates: Sequence[Candidate],
    num_features: int,
    rows: Rows,
    all_targets: np.ndarray,
    parameters: Mapping[str, Any],
    log_unit: float,
    hint: str,
    seed: int,
) -> tuple[TrainedPool, StackingReport]:
    """Train several candidates and weigh them.

    Parameters
    ----------
    candidates : sequence of Candidate (C,)
    num_features : int
        Columns of x before those of the embedding, which not all candidates see.
    rows, all_targets, parameters, seed
        As in `train`.
    log_unit, hint
        As in `choose`.
    """
    n_jobs = parameters["n_jobs"]
    if effective_n_jobs(n_jobs) > 1:
        parameters = {**parameters, "verbose": 0}  # bars of several processes would mix
    left_out = folds(len(rows.x), int(parameters["n_members"]), seed)
    sees = [np.arange(rows.x.shape[1]) < (np.inf if candidate.embedding else num_features) for candidate in candidates]
    inputs = [mask.astype(float) for mask in sees]

    def train_one(index: int) -> TrainedEnsemble:
        own = rows._replace(x=rows.x * inputs[index])
        if rows.validation is not None:
            own = own._replace(validation=(rows.validation[0] * inputs[index], rows.validation[1]))
        return train(candidates[index], own, all_targets, parameters, seed, left_out)

    with together(int(parameters["verbose"])):
        trained, report = choose(candidates, train_one, inputs, rows[:3], left_out, log_unit, hint, seed, n_jobs)
    parts = [
        (one, float(weight), inputs[index])
        for (index, one), weight in zip(trained, report.weights, strict=True)
        if weight > 0.0
    ]
    parts.sort(key=lambda part: -part[1])
    every, weights, seen = zip(*parts, strict=True)
    return TrainedPool(every, weights, seen, report.noise_factor, report.noise_tail), report
