"""Base of all variational layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tensorflow_probability import distributions as tfd

from varbump.core.keras import Layer, keras
from varbump.posteriors import Posterior, PosteriorFactory

__all__ = ["VariationalLayer", "layers_with_estimated_kl"]


class VariationalLayer(Layer):
    """Base of layers with a distribution q(w) over their weights and a prior p(w), made in `build` by two factories.

    The package recognises variational layers by this base. A subclass stores q and p as `_posterior` and `_prior`, as
    the layers of TFP do, defines `new_posterior` and `weight_shapes`, and reports its KL to the active pass.

    Attributes
    ----------
    make_posterior_fn, make_prior_fn : callable
        The factories.
    words : mapping of str to collection of str
        Class attribute: words that each argument accepts, by its name; saved files may contain no others.
    """

    words: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    kl_weight: float | None = None
    make_posterior_fn: Any
    make_prior_fn: Any
    _posterior: Any
    _prior: Any

    @property
    def posterior(self) -> Callable[..., tfd.Distribution]:
        """q(w) once the layer is built: a callable of the inputs that returns the distribution."""
        return self._posterior

    @property
    def prior(self) -> Callable[..., tfd.Distribution]:
        """p(w) once the layer is built: a callable of the inputs that returns the distribution."""
        return self._prior

    def new_posterior(self, seed: int) -> Posterior:
        """Make another posterior of this layer's family, with other initial values."""
        raise NotImplementedError

    @property
    def can_be_one_of_many(self) -> bool:
        """Whether all variables belong to the posterior, and another one can be made: ensembles need both."""
        ours = isinstance(self._posterior, Posterior) and isinstance(self.make_posterior_fn, PosteriorFactory)
        return ours and not getattr(self._prior, "variables", None)

    @property
    def uses_exact_kl(self) -> bool:
        """Whether the KL that the built layer reports is exact; layers that may report an estimate override it."""
        return True

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights that `build` would create for inputs (None, ..., D), in their order.

        Files are checked against them, layer after layer by Keras' `compute_output_shape`, before any weight is made.
        """
        raise NotImplementedError

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names a method missing from the subclass."""
        for name in ("new_posterior", "weight_shapes"):
            if getattr(cls, name) is getattr(VariationalLayer, name):
                raise TypeError(f"{cls.__name__} lacks the method {name}")


def layers_with_estimated_kl(network: keras.Model) -> tuple[str, ...]:
    """Names of the layers of a built network whose KL in training is a Monte Carlo estimate."""
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, VariationalLayer)]
    return tuple(layer.name for layer in layers if not layer.uses_exact_kl)
