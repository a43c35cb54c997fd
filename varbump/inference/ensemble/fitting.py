"""Train an ensemble: several networks at once, from different starting points."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from varbump.core.checks import check_count
from varbump.core.interrupts import uninterrupted
from varbump.core.keras import full_name, is_built, keras, trainable_variables_of, variables_of
from varbump.core.temperature import note_temperature
from varbump.data.sources import Source
from varbump.forward.stateless import key
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.inference.stream.training import check_source, sole_source, train_on_source
from varbump.inference.vi.convergence import warn_unless_converged
from varbump.inference.vi.exact import fit_exactly
from varbump.inference.vi.fitting import fit
from varbump.inference.vi.loss import NetworkLoss
from varbump.inference.vi.misfit import warn_of_misfit
from varbump.inference.vi.options import OF_WORKERS, Options, takes_options_of
from varbump.inference.vi.training import Run, checked_data, run_seed, train
from varbump.layers import VariationalLayer
from varbump.layers.activation import TrainableActivation
from varbump.model.checks import check_network

__all__ = ["fit_ensemble"]


@takes_options_of(fit, but=OF_WORKERS)
@uninterrupted()
def fit_ensemble(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any = None,
    *,
    num_members: int = 8,
    sample_weight: Any = None,
    **options: Any,
) -> Ensemble:
    r"""Train K networks of one architecture at once, as one vectorised XLA program.

    Each member minimises its own :math:`-\mathrm{ELBO} / N`, starting from its own means; the first starts from the
    current values of the network. All members see the same batches. They share the random numbers of a step, too, but
    no weight gets the same number in two members. The mixture :math:`\tfrac1K \sum_k q_k(w)` covers modes that a
    single normal cannot, and is wider where the data are uninformative.

    Parameters
    ----------
    network : tf_keras.Model
        All of its weights must belong to layers of varbump.
    likelihood, x, y
        As in `varbump.fit`. Every member learns its own weights of the likelihood.
    num_members : int, default=8
        K, the number of networks.
    sample_weight : array-like (N,) or (N, K), optional
        Weights of the rows, see `varbump.fit`. With a column for each member, each has weights of its own, such as 0
        for rows that it leaves out; N in the ELBO is then the mean of their sums.
    {options}

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError, TypeError, NonFiniteLossError, KeyboardInterrupt
        As for `varbump.fit`; also a ValueError if a weight of the network belongs to a layer of another library.

    Warns
    -----
    UserWarning
        As `varbump.fit`, for the mean over the members.

    Notes
    -----
    `patience` monitors the mean over the members; a checkpoint holds all of them.

    References
    ----------
    Lakshminarayanan, Pritzel and Blundell (2017), "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles"; Wilson and Izmailov (2020), section 3.2, for ensembles of variational posteriors.
    """
    num_members = check_count(num_members, "num_members")
    unknown = sorted(set(options) - {field.name for field in dataclasses.fields(Options)})
    if unknown:
        raise TypeError(f"fit_ensemble has no option {unknown[0]!r}; beside num_members it takes those of varbump.fit")
    if OF_WORKERS & set(options):
        raise TypeError(
            "fit_ensemble takes no strategy; train members on several machines by calls of varbump.fit, each with a "
            "strategy, or spread whole fits by joblib"
        )
    chosen = Options(sample_weight=sample_weight, **options)
    check_network(network)
    if is_built(network):
        _check_layers(network)
    is_source = isinstance(x, Source)
    if is_source:
        check_source(network, likelihood, sole_source(x, y, chosen))
    else:
        x, y = checked_data(network, likelihood, x, y)
    _check_layers(network)
    seed = run_seed(chosen)
    loss = NetworkLoss(network, likelihood, x.x_shape if is_source else x.shape[1:], chosen.num_samples)
    if is_source:
        run = train_on_source(loss, x, chosen, seed, _starts(loss, seed, num_members))
        rows: Any = run.sample()
    else:
        rows = x, y, sample_weight
        exact = fit_exactly(loss, x, y, chosen)
        if exact is not None:  # there is one optimum, for every member
            values = [np.stack([variable.numpy()] * num_members) for variable in loss.trainable]
            note_temperature(network, chosen.temperature)
            warn_of_misfit(exact, likelihood, *rows, network=network)
            return Ensemble(network, likelihood, exact, values)
        run = train(loss, x, y, chosen, seed, _starts(loss, seed, num_members))
    ensemble = _made(loss, run, chosen.temperature)
    warn_unless_converged(run.history, run.settling)
    warn_of_misfit(run.history, likelihood, *rows, network=network)
    return ensemble


def _made(loss: NetworkLoss, run: Run, temperature: float) -> Ensemble:
    """Ensemble of a run, whose network gets the values of the first member."""
    with uninterrupted():
        trained = dict((key(variable), value) for variable, value in run.values())
        for variable in [*loss.trainable, *loss.moving]:
            variable.assign(trained[key(variable)][0])
        note_temperature(loss.network, temperature)
        run.finish()
    values = [trained[key(variable)] for variable in loss.trainable]
    return Ensemble(loss.network, loss.likelihood, run.history, values)


def _starts(loss: NetworkLoss, seed: int, num_members: int) -> list[Any]:
    """Initial values of each variable in all members."""
    starts = [_start(loss, seed, member) for member in range(num_members)]
    return list(zip(*starts, strict=True))


def _start(loss: NetworkLoss, seed: int, member: int) -> list[np.ndarray]:
    """Initial values of one member: those of the network for the first, of new posteriors for the others."""
    values = {variable.ref(): variable.numpy() for variable in loss.trainable}
    for index, layer in enumerate(_variational(loss.network) if member else []):
        # layers of a joint posterior share a seed and differ by their place; others differ by their seed
        fresh = layer.new_posterior((seed + 7_919 * member + 104_729 * index) % 2**31)
        held: Any = layer.posterior
        for variable, start in zip(trainable_variables_of(held), trainable_variables_of(fresh), strict=True):
            values[variable.ref()] = start.numpy()
    return [values[variable.ref()] for variable in loss.trainable]


def _variational(network: keras.Model) -> list[VariationalLayer]:
    return [layer for layer in network._flatten_layers() if isinstance(layer, VariationalLayer)]


def _check_layers(network: keras.Model) -> None:
    """Raise a ValueError unless every variable belongs to a layer of varbump, which can take other values."""
    known = set()
    for layer in network._flatten_layers():
        if isinstance(layer, TrainableActivation):
            known |= {variable.ref() for variable in variables_of(layer)}
        if isinstance(layer, VariationalLayer) and layer.can_be_one_of_many:
            held: Any = layer.posterior
            known |= {variable.ref() for variable in variables_of(held)}
    foreign = [full_name(variable) for variable in variables_of(network) if variable.ref() not in known]
    if foreign:
        raise ValueError(
            f"fit_ensemble trains networks whose weights all belong to varbump's layers and posteriors, but this one "
            f"has {foreign[0]!r}; train such networks one by one with varbump.fit"
        )
