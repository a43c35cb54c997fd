"""What any variational layer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tensorflow_probability import distributions as tfd

from varbump.core.keras import keras
from varbump.posteriors import Posterior, PosteriorFactory

__all__ = ["VariationalLayer"]


class VariationalLayer(keras.layers.Layer):
    """A layer with a distribution q(w) over its weights and a prior p(w), made in `build` by two factories.

    Others recognise variational layers by this base. A subclass keeps q and p as `_posterior` and `_prior`, as the
    layers of TFP do, has `new_posterior` and `weight_shapes`, and reports its KL to the pass that is under way.

    Attributes
    ----------
    make_posterior_fn, make_prior_fn : callable
        The factories.
    words : mapping of str to collection of str
        Of the class: which words its arguments take, by argument; files may hold these and no others.
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
        """Another start of the family of this layer."""
        raise NotImplementedError

    @property
    def can_be_one_of_many(self) -> bool:
        """Whether all variables of the layer are its posterior's, and that can be started anew."""
        ours = isinstance(self._posterior, Posterior) and isinstance(self.make_posterior_fn, PosteriorFactory)
        return ours and not getattr(self._prior, "variables", None)

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights, in their order, that `build` would make for inputs of this shape (None, ..., D).

        Files are checked against them, layer after layer by Keras' `compute_output_shape`, before any weight is made.
        """
        raise NotImplementedError

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names the method that a subclass lacks."""
        for name in ("new_posterior", "weight_shapes"):
            if getattr(cls, name) is getattr(VariationalLayer, name):
                raise TypeError(f"{cls.__name__} lacks the method {name}")
