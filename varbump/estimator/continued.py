"""Learning goes on: a trained ensemble and new rows, in exact form for linear models, and with q as the prior."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from varbump.core.keras import trainable_variables_of
from varbump.estimator.arguments import training_options
from varbump.estimator.state import TrainedEnsemble
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.inference.vi.exact import exact_model, maximise, only_layer
from varbump.inference.vi.fitting import fit
from varbump.inference.vi.history import History
from varbump.inference.vi.linear import LinearModel
from varbump.inference.vi.loss import NetworkLoss
from varbump.inference.vi.options import Options
from varbump.model.assembly import build_network
from varbump.priors import from_posterior

__all__ = ["continued", "said_of"]

NUM_STEPS = 5_000
"""Steps of each member on new rows if `max_iter` is None: it begins where it was."""


def said_of(trained: TrainedEnsemble, x: np.ndarray, z: np.ndarray, weights: np.ndarray) -> LinearModel | None:
    """What rows say to an ensemble of linear models with normal noise; None for any other.

    Parameters
    ----------
    trained : TrainedEnsemble
        Trained in closed form.
    x, z, weights : ndarray (N, D), (N, Q), (N,)
        Standardised rows.
    """
    if not trained.ensemble.history.exact:
        return None
    loss = NetworkLoss(trained.ensemble.network, trained.ensemble.likelihood, x.shape[1:])
    x, z = (part.astype(loss.dtype.as_numpy_dtype) for part in (x, z))
    layer = only_layer(loss, x.shape[1:], z.shape[1])
    return exact_model(loss, layer, x, z, Options(sample_weight=weights))


def continued(
    trained: TrainedEnsemble,
    said: LinearModel | None,
    x: np.ndarray,
    z: np.ndarray,
    weights: np.ndarray,
    parameters: Mapping[str, Any],
    seed: int,
) -> TrainedEnsemble:
    r"""Return the ensemble after new rows, as a new object.

    With `said`, of all rows so far and the new ones, the posterior is that of all rows, with the scales of noise and
    prior that they have. Otherwise, each member takes its posterior for its prior,

    .. math:: p(w \mid D_1, D_2) \propto p(D_2 \mid w)\, q(w)

    and a noise scale that is the same everywhere becomes the root mean square over all rows.

    Parameters
    ----------
    trained : TrainedEnsemble
    said : LinearModel or None
        From `said_of`, merged.
    x, z, weights : ndarray (N, D), (N, Q), (N,)
        New rows, standardised.
    parameters : mapping
        Those of the regressor.
    seed : int
    """
    ensemble, num_rows = trained.ensemble, trained.ensemble.history.num_data + len(x)
    if said is not None:
        made = _copy(trained, ensemble.history, ensemble.values)
        loss = NetworkLoss(made.ensemble.network, made.ensemble.likelihood, x.shape[1:])
        history = maximise(loss, only_layer(loss, x.shape[1:], z.shape[1]), said, num_rows)
        if history is not None:
            values = [np.repeat(v.numpy()[None], ensemble.num_members, 0) for v in loss.trainable]
            return TrainedEnsemble(made.arguments, Ensemble(loss.network, loss.likelihood, history, values))
    members = [
        _continued_member(trained, member, (x, z, weights), parameters, seed + member)
        for member in range(ensemble.num_members)
    ]
    history = members[0][0]
    history.num_data = num_rows
    return _copy(
        trained, history, [np.stack(values) for values in zip(*(values for _, values in members), strict=True)]
    )


def _copy(trained: TrainedEnsemble, history: History, values: Sequence[np.ndarray]) -> TrainedEnsemble:
    """An ensemble of the same architecture, which shares no variable with this one."""
    arguments = {**trained.arguments, "likelihood": copy.deepcopy(trained.arguments["likelihood"])}
    return TrainedEnsemble.of_values(arguments, history, values)


def _continued_member(
    trained: TrainedEnsemble,
    member: int,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    parameters: Mapping[str, Any],
    seed: int,
) -> tuple[Any, list[np.ndarray]]:
    """History and values of the trainable variables of one member after new rows."""
    x, z, weights = rows
    old, before = trained.ensemble.member(member), trained.ensemble.history.num_data
    network = build_network(**{**trained.arguments, "make_prior_fn": from_posterior(old)})
    network.set_weights(old.get_weights())
    likelihood = copy.deepcopy(trained.likelihoods[member])
    has_scale = likelihood.best_scale(np.ones(z.shape[1])) is not None
    earlier = likelihood.scale if has_scale else None
    history = fit(
        network,
        likelihood,
        x,
        z,
        sample_weight=None if (weights == 1.0).all() else weights,
        **{**training_options(parameters, len(x), NUM_STEPS), "kl_warmup": 0.0},
        seed=seed,
        verbose=int(parameters["verbose"]),
    )
    if earlier is not None:
        share = weights.sum() / (before + weights.sum())
        likelihood.assign_scale(np.sqrt((1.0 - share) * np.square(earlier) + share * np.square(likelihood.scale)))
    variables = [*trainable_variables_of(network), *getattr(likelihood, "trainable_variables", [])]
    return history, [v.numpy() for v in variables]
