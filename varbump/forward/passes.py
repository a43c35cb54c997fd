"""Forward passes: layers take their noise from a pass and report their KL to it.

A small variational network spends most of its time on random numbers. Compiled programs draw them in
bulk and give each forward pass one vector, of which the layers take slices in the order in which they
are called. A layer that is called outside of a pass draws its own noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["ForwardPass"]


class ForwardPass:
    """Noise for the layers of one forward pass, and the KL that they report.

    Parameters
    ----------
    noise : Tensor (P,) or None
        Standard normal numbers. If None, the pass returns zeros and only counts how many are taken.
    seed : Tensor (2,), int32
        Seed for distributions whose draws are not a function of standard normal noise.
    draws : sequence of Tensor, optional
        Draws of an earlier pass, which the layers use instead of noise.
    exact_kl : bool, default=True
        If False, every layer reports the estimate of its KL from the draw.

    Attributes
    ----------
    taken : int
        Number of noise numbers taken so far.
    drawn : list of Tensor
        Weights that the layers drew, in the order in which they were called.
    layers : list of layer
        Layers that drew, in the same order.
    observed : list of (layer, Tensor)
        Inputs that layers recorded for diagnostics.
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
        """Noise of the preceding joint layers, then `size` new numbers, which later joint layers get too."""
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
        """Weights of the next layer and a function for log q(w), from `make`; for given weights, the latter is None.

        Other kinds of passes may draw them differently, from the layer and its inputs.
        """
        del inputs
        w, log_q = (self._given[len(self.drawn)], None) if self._given else make()
        self.note(layer, w)
        return w, log_q

    def note(self, layer: Any, w: tf.Tensor) -> None:
        """Record the draw of a layer."""
        self.drawn.append(w)
        self.layers.append(layer)

    def take_seed(self) -> tf.Tensor:
        """Return a stateless seed, shape (2,), int32, a different one for each call."""
        self._num_seeds += 1
        return tf.convert_to_tensor(self._seed, tf.int32) + tf.constant([0, self._num_seeds], tf.int32)

    def report_kl(self, layer: object, kl: tf.Tensor) -> None:
        """Record the KL of a layer. A layer that is called twice counts once."""
        self._kl[id(layer)] = kl

    @property
    def kl(self) -> tf.Tensor:
        """KL(q || p) in nats, summed over all layers that were called."""
        terms = list(self._kl.values())
        return tf.add_n([tf.cast(term, terms[0].dtype) for term in terms]) if terms else tf.zeros([])
