"""One forward pass: noise goes in to the layers, their KL comes out.

Random numbers are what a small variational network spends its time on. The compiled loops draw them
in bulk and supply each forward pass with one vector, which the layers take slices of in the order in
which they are called. A layer that is called outside of such a loop draws its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["ForwardPass"]


class ForwardPass:
    """The noise that the layers of one forward pass take, and the KL that they report.

    Parameters
    ----------
    noise : Tensor (P,) or None
        Standard normal. None hands out zeros and only counts what is asked for.
    seed : Tensor (2,), int32
        For distributions whose draws are not a function of standard normal noise.
    draws : sequence of Tensor, optional
        What another pass has drawn: the layers take these instead, and no noise.
    exact_kl : bool, default=True
        False has every layer report the estimate of its KL from the draw.

    Attributes
    ----------
    taken : int
        How many numbers have been handed out.
    drawn : list of Tensor
        The weights that the layers drew, in the order in which they were called.
    layers : list of layer
        Which layer drew, in the same order.
    observed : list of (layer, Tensor)
        Inputs of the layers that diagnostics want to see.
    """

    def __init__(
        self,
        noise: tf.Tensor | None,
        seed: Any = (0, 0),
        draws: Sequence[tf.Tensor] = (),
        exact_kl: bool = True,
    ) -> None:
        self._noise = noise
        self._given = list(draws)
        self.exact_kl = exact_kl
        self._joint: list[tf.Tensor] = []
        self._signs: tf.Tensor | None = None
        self.drawn: list[tf.Tensor] = []
        self._seed = seed
        self._num_seeds = 0
        self._kl: dict[int, tf.Tensor] = {}
        self.observed: list[tuple[Any, tf.Tensor]] = []
        self.layers: list[Any] = []
        self.taken = 0

    def take(self, size: int, dtype: tf.DType) -> tf.Tensor:
        """The next `size` numbers, shape (size,)."""
        start, self.taken = self.taken, self.taken + size
        if self._noise is None:
            return tf.zeros([size], dtype)
        return tf.cast(self._noise[start : self.taken], dtype)

    def take_after(self, preceding: tuple[int, ...], size: int, dtype: tf.DType) -> tf.Tensor:
        """The noise of the joint layers before, then `size` numbers that the ones after will see too."""
        before = self._joint[: len(preceding)]
        if tuple(noise.shape[0] for noise in before) != preceding:
            raise ValueError(
                f"A layer of a JointNormal comes after layers of {list(preceding)} weights, but was called after "
                f"layers of {[noise.shape[0] for noise in before]}: use it in the network that build_network made"
            )
        if len(self._joint) == len(preceding):
            self._joint.append(self.take(size, dtype))
        return tf.concat(self._joint[: len(preceding) + 1], 0)

    def take_signs(self, num_rows: int, dtype: tf.DType) -> tf.Tensor:
        """A random sign for each row (num_rows,), the same for all joint layers of the pass."""
        if self._signs is None:
            self._signs = tf.sign(self.take(num_rows, dtype))
        return self._signs

    def draw(
        self, make: Callable[[], tuple[tf.Tensor, Any]], layer: Any = None, inputs: Any = None
    ) -> tuple[tf.Tensor, Any]:
        """The weights of the next layer, and what gives their log q(w): what `make` returns; given ones have None.

        Other passes may draw them otherwise, knowing the layer and its inputs.
        """
        del inputs
        w, log_q = (self._given[len(self.drawn)], None) if self._given else make()
        self.note(layer, w)
        return w, log_q

    def note(self, layer: Any, w: tf.Tensor) -> None:
        """Keep what a layer drew."""
        self.drawn.append(w)
        self.layers.append(layer)

    def take_seed(self) -> tf.Tensor:
        """A stateless seed of its own for each call, shape (2,), int32."""
        self._num_seeds += 1
        return tf.convert_to_tensor(self._seed, tf.int32) + tf.constant([0, self._num_seeds], tf.int32)

    def report_kl(self, layer: object, kl: tf.Tensor) -> None:
        """Note the KL of a layer; a layer that is called twice has one set of weights and counts once."""
        self._kl[id(layer)] = kl

    @property
    def kl(self) -> tf.Tensor:
        """KL(q || p) in nats, summed over all layers that were called."""
        terms = list(self._kl.values())
        return tf.add_n([tf.cast(term, terms[0].dtype) for term in terms]) if terms else tf.zeros([])
