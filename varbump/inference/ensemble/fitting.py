"""Several networks trained at once, from different starts: their draws together are wider than those of one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from varbump.core.checks import check_count
from varbump.core.keras import keras
from varbump.core.random import host_seed
from varbump.inference.ensemble.step import EnsembleStep
from varbump.inference.vi.checkpoint import stored_seed
from varbump.inference.vi.fitting import fit, run_fit
from varbump.inference.vi.history import History
from varbump.inference.vi.step import Step
from varbump.layers import Bump, DenseVariational, GaussianBump
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_network
from varbump.predict.sampler import Sampler

__all__ = ["Ensemble", "fit_ensemble"]


class Ensemble:
    """Result of `varbump.fit_ensemble`; `varbump.predict_f` and its like take it in place of a network.

    Attributes
    ----------
    network, likelihood
        Hold the first member.
    history : History
        Terms averaged over the members.
    num_members : int
        K.
    """

    def __init__(
        self, network: keras.Model, likelihood: Any, history: History, variables: list[Any], values: list[np.ndarray]
    ) -> None:
        self.network, self.likelihood, self.history = network, likelihood, history
        self._variables, self._values = variables, values

    @property
    def num_members(self) -> int:
        """K."""
        return len(self._values[0])

    @property
    def temperature(self) -> float:
        """Of the training."""
        return self.history.temperature

    def sampler(
        self, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None = None
    ) -> EnsembleSampler:
        """Draws functions from the members in turn: draw s is of member s mod K."""
        return EnsembleSampler(self, row_shape, num_draws, seed, chunk_size)

    def observe(self, likelihood: Any, f: np.ndarray, seed: Any) -> np.ndarray:
        """Draws of y for draws f (S, ...) of the members in turn, each with the noise that it has learned."""
        y = np.empty(0)
        for index in range(min(self.num_members, len(f))):
            with self.member(index):
                part = likelihood.sample(f[index :: self.num_members], seed + np.array([0, index], np.int32)).numpy()
            y = np.empty((len(f), *part.shape[1:]), part.dtype) if not y.size else y
            y[index :: self.num_members] = part
        return y

    @contextmanager
    def member(self, index: int) -> Iterator[keras.Model]:
        """Inside the block, network and likelihood hold the member with this index."""
        before = [variable.numpy() for variable in self._variables]
        self._assign([value[index] for value in self._values])
        try:
            yield self.network
        finally:
            self._assign(before)

    def _assign(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)


class EnsembleSampler(Sampler):
    """The sampler of each member, one after the other, with its weights in the network."""

    def __init__(
        self, ensemble: Ensemble, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None
    ) -> None:
        super().__init__(ensemble.network, row_shape, num_draws, seed, chunk_size)
        self._ensemble = ensemble
        counts = [len(range(index, num_draws, ensemble.num_members)) for index in range(ensemble.num_members)]
        self._samplers = [
            Sampler(ensemble.network, row_shape, count, seed + index, chunk_size)
            for index, count in enumerate(counts)
            if count
        ]

    def draws(self, x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Pieces of the result; which draws, in steps of K."""
        step = self._ensemble.num_members
        for index, sampler in enumerate(self._samplers):
            with self._ensemble.member(index):
                for which, rows, values in sampler.draws(x):
                    yield slice(index + step * which.start, index + step * which.stop, step), rows, values

    def weights(self) -> tuple[np.ndarray, ...]:
        """Weights (S, n) of each variational layer; draw s is of member s mod K."""
        of_members = []
        for index, sampler in enumerate(self._samplers):
            with self._ensemble.member(index):
                of_members.append(sampler.weights())
        result = tuple(np.empty((self._num_draws, w.shape[1]), w.dtype) for w in of_members[0])
        for index, weights in enumerate(of_members):
            for all_draws, own in zip(result, weights, strict=True):
                all_draws[index :: self._ensemble.num_members] = own
        return result

    def chunks(self, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """All draws of some rows together."""
        size = self._chunk_size or self._default_chunk(self._num_draws)
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            parts = [(which, values) for which, _, values in self.draws(x[rows])]
            f = np.empty((self._num_draws, *parts[0][1].shape[1:]), parts[0][1].dtype)
            for which, values in parts:
                f[which] = values
            yield rows, f


def fit_ensemble(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    num_members: int = 8,
    seed: int | None = None,
    **options: Any,
) -> Ensemble:
    r"""Train K networks of one architecture at once, as one vectorised XLA program.

    Each member minimises its own :math:`-\mathrm{ELBO} / N` from means of its own. Batches are the same for all, and so
    are the random numbers of a step, but no weight gets the same one in two members. The first starts from what the
    network holds. The mixture :math:`\tfrac1K \sum_k q_k(w)` covers modes that one normal cannot, and is wider where
    the data say little.

    Parameters
    ----------
    network : tf_keras.Model
        Its trainable weights are those of layers of varbump.
    likelihood, x, y
        As in `varbump.fit`. Weights that the likelihood learns are learned for each member.
    num_members : int, default=8
        K.
    seed : int, optional
    **options
        Those of `varbump.fit`. `patience` watches the mean over the members.

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError, TypeError, NonFiniteLossError
        As `varbump.fit`; also where a weight of the network belongs to a layer of another library.

    References
    ----------
    Lakshminarayanan, Pritzel and Blundell (2017), "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles"; Wilson and Izmailov (2020), section 3.2, for ensembles of variational posteriors.
    """
    check_network(network)
    check_likelihood(likelihood)
    num_members = check_count(num_members, "num_members")
    seed = host_seed(stored_seed(options.get("checkpoint")) if seed is None else seed)
    unknown = sorted(set(options) - set(inspect.signature(fit).parameters))
    if unknown:
        raise TypeError(f"fit_ensemble has no option {unknown[0]!r}; beside num_members it takes those of varbump.fit")
    if not network.built:
        network(np.zeros((1, *np.shape(x)[1:]), "float32") if np.ndim(x) > 1 else np.zeros((1, 1), "float32"))
    _check_layers(network)
    made: list[EnsembleStep] = []

    def make_step(*args: Any) -> EnsembleStep:
        step = Step(*args)
        made.append(EnsembleStep(step, [_start(step, seed, member) for member in range(num_members)]))
        return made[0]

    history = run_fit(make_step, network, likelihood, x, y, seed=seed, **options)
    variables = [*network.trainable_variables, *getattr(likelihood, "trainable_variables", [])]
    ensemble = Ensemble(network, likelihood, history, variables, [v.numpy() for v in made[0].variables])
    ensemble._assign([value[0] for value in ensemble._values])
    return ensemble


def _start(step: Step, seed: int, member: int) -> list[np.ndarray]:
    """Values of the variables of one member: the network's own for the first, new posteriors for the others."""
    values = {variable.ref(): variable.numpy() for variable in step.variables}
    for index, layer in enumerate(_variational(step.network) if member else []):
        # layers of a joint posterior differ by their place, others by their seed
        fresh = layer.new_posterior((seed + 7_919 * member + 104_729 * index) % 2**31)
        held: Any = layer.posterior
        for variable, start in zip(held.trainable_variables, fresh.trainable_variables, strict=True):
            values[variable.ref()] = start.numpy()
    return [values[variable.ref()] for variable in step.variables]


def _variational(network: keras.Model) -> list[DenseVariational]:
    return [layer for layer in network._flatten_layers() if isinstance(layer, DenseVariational)]


def _check_layers(network: keras.Model) -> None:
    """Every variable must be one that a pass can give another value."""
    known = set()
    for layer in network._flatten_layers():
        if isinstance(layer, (Bump, GaussianBump)):
            known |= {variable.ref() for variable in layer.variables}
        if isinstance(layer, DenseVariational) and layer.can_be_one_of_many:
            held: Any = layer.posterior
            known |= {variable.ref() for variable in held.variables}
    foreign = [variable.name for variable in network.variables if variable.ref() not in known]
    if foreign:
        raise ValueError(
            f"fit_ensemble trains networks whose weights all belong to varbump's layers and posteriors, but this one "
            f"has {foreign[0]!r}; train such networks one by one with varbump.fit"
        )
