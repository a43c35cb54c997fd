"""Ensembles: one network, and the values of its variables in each member."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import is_built, keras, trainable_variables_of, variables_of
from varbump.core.standardised import note_standardised, takes_standardised
from varbump.forward.stateless import key
from varbump.inference.vi.history import History
from varbump.predict.sampler import Leaf, Sampler

__all__ = ["Ensemble"]


class Ensemble:
    """Trained ensemble, returned by `varbump.fit_ensemble`; prediction accepts it in place of a network.

    A member is a set of values. The ensemble never assigns to its network, so threads may share it.

    Parameters
    ----------
    network, likelihood
        They define the architecture; the values of their trainable variables do not matter.
    history : History
    values : sequence of ndarray (K, ...)
        Values of the trainable variables of the network, then of the likelihood, in their order.

    Attributes
    ----------
    network, likelihood
        `fit_ensemble` leaves them with the values of the first member.
    history : History
        History of the training, averaged over the members.
    num_members : int
        K, the number of members.
    """

    def __init__(self, network: keras.Model, likelihood: Any, history: History, values: Sequence[np.ndarray]) -> None:
        self.network, self.likelihood, self.history = network, likelihood, history
        self._values = [np.asarray(value) for value in values]

    @property
    def num_members(self) -> int:
        """Number of members, K."""
        return len(self._values[0])

    @property
    def temperature(self) -> float:
        """Temperature of the training."""
        return self.history.temperature

    @property
    def values(self) -> list[np.ndarray]:
        """Values (K, ...) of each trainable variable of the network, then of the likelihood."""
        return list(self._values)

    @cached_property
    def likelihoods(self) -> list[Any]:
        """Likelihood of each member, with its learned values."""
        first = len(trainable_variables_of(self.network))
        made = []
        for index in range(self.num_members):
            made.append(copy.deepcopy(self.likelihood))
            variables = getattr(made[-1], "trainable_variables", [])
            for variable, value in zip(variables, self._values[first:], strict=True):
                variable.assign(value[index])
        return made

    def network_values(self, index: int) -> list[tf.Tensor]:
        """Values of all variables of the network in one member, in their order."""
        own = {
            key(v): value[index] for v, value in zip(trainable_variables_of(self.network), self._values, strict=False)
        }
        return [tf.convert_to_tensor(own.get(key(v), v)) for v in variables_of(self.network)]

    def alone(self, index: int) -> Ensemble:
        """Ensemble of one member, which shares the network with this one."""
        own = [value[index : index + 1] for value in self._values]
        return Ensemble(self.network, self.likelihood, self.history, own)

    def member(self, index: int) -> keras.Model:
        """Make a separate network with the learned weights of one member."""
        network = type(self.network).from_config(self.network.get_config())
        if not is_built(network):
            network.build(self.network.input_shape)
        network.set_weights([value.numpy() for value in self.network_values(index)])
        if takes_standardised(self.network):
            note_standardised(network)
        return network

    def sampler(
        self, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None = None
    ) -> EnsembleSampler:
        """Return a sampler that draws from the members in turn: draw s belongs to member s mod K."""
        return EnsembleSampler(self, row_shape, num_draws, seed, chunk_size)

    def observe(self, likelihood: Any, f: np.ndarray, seed: Any) -> np.ndarray:
        """Draw y for draws f (S, ...) of the members in turn, each with the noise learned by its member."""
        seeds = [seed + np.array([0, index], np.int32) for index in range(self.num_members)]
        return self._by_member(likelihood, f, lambda own, part, index: own.sample(part, seeds[index]))

    def expect(self, likelihood: Any, f: np.ndarray) -> np.ndarray:
        """E[y | f] for draws f (S, ...) of the members in turn, each with what its member has learned."""
        return self._by_member(likelihood, f, lambda own, part, index: own.mean(part))

    def _by_member(self, likelihood: Any, f: np.ndarray, of: Callable[[Any, np.ndarray, int], Any]) -> np.ndarray:
        count = self.num_members
        of_member = self.likelihoods if likelihood is self.likelihood else [likelihood] * count
        result = np.empty(0)
        for index, own in enumerate(of_member[: len(f)]):
            part = np.asarray(of(own, f[index::count], index))
            result = np.empty((len(f), *part.shape[1:]), part.dtype) if not result.size else result
            result[index::count] = part
        return result

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("likelihoods", None)
        return state


class EnsembleSampler(Sampler):
    """Sampler of an ensemble: runs the samplers of its members one after the other."""

    def __init__(
        self, ensemble: Ensemble, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None
    ) -> None:
        super().__init__(ensemble.network, row_shape, num_draws, seed, chunk_size)
        self._num_members = ensemble.num_members
        counts = [len(range(index, num_draws, self._num_members)) for index in range(self._num_members)]
        self._samplers = [
            Sampler(ensemble.network, row_shape, count, seed + index, chunk_size, ensemble.network_values(index))
            for index, count in enumerate(counts)
            if count
        ]

    def draws(self, x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield pieces of the result: draws (a slice with step K), rows and values."""
        step = self._num_members
        for index, sampler in enumerate(self._samplers):
            for which, rows, values in sampler.draws(x):
                yield slice(index + step * which.start, index + step * which.stop, step), rows, values

    def leaves(self, likelihoods: Sequence[Any]) -> list[Leaf]:
        """The samplers of the members, with their likelihoods."""
        return [Leaf(sampler, likelihood) for sampler, likelihood in zip(self._samplers, likelihoods, strict=False)]

    def weights(self) -> tuple[np.ndarray, ...]:
        """Weights (S, n) of each variational layer; draw s belongs to member s mod K."""
        of_members = [sampler.weights() for sampler in self._samplers]
        result = tuple(np.empty((self._num_draws, w.shape[1]), w.dtype) for w in of_members[0])
        for index, weights in enumerate(of_members):
            for all_draws, own in zip(result, weights, strict=True):
                all_draws[index :: self._num_members] = own
        return result
