"""What is sampled together with the weights where learned scales are not held: those of the noise and of the priors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras
from varbump.model.log_posterior import LogPosterior

__all__ = ["HyperPosterior", "check_hyperparameters", "log_posterior"]


def check_hyperparameters(hyperparameters: Any) -> bool:
    """Whether the scales are to be sampled; a ValueError if the argument is neither "hold" nor "sample"."""
    if hyperparameters not in ("hold", "sample"):
        raise ValueError(f"hyperparameters must be 'hold' or 'sample', got {hyperparameters!r:.60}")
    return hyperparameters == "sample"


def log_posterior(
    network: keras.Model, likelihood: Any, x: np.ndarray, y: np.ndarray, *, sampled: bool, at_present: bool
) -> LogPosterior:
    """Make what is sampled: the weights, and their scales and those of the noise if `sampled`."""
    if not sampled:
        return LogPosterior(network, likelihood, x, y)
    return HyperPosterior(network, likelihood, x, y, at_present=at_present)


class HyperPosterior(LogPosterior):
    r"""Log density of the weights, of the scales t of their priors, and of the scale s of the noise.

    .. math:: \log p(w, t, s | x, y) = \sum_n \log p(y_n | f(x_n; w), s) + \sum_l \log p(w_l | t_l) p(t_l)
              + \log p(s) + \mathrm{const}

    Scales have half-Cauchy distributions. The last part of what is sampled are :math:`h = (\log t / r, \ldots)`, one
    number for each scale of a prior, relative to a reference r, and the raw values of the scales of the noise relative
    to theirs. The others are :math:`v = w r / t` for the weights of layers whose priors learn scales: v does not depend
    on t a priori, while w is within t, however small t is, which no step size of a sampler would suit.

    Parameters
    ----------
    network, likelihood, x, y
        As in `LogPosterior`.
    at_present : bool
        Whether r are the present values of the scales, instead of the medians of their distributions.

    Raises
    ------
    ValueError
        As `LogPosterior`; also if there are no learned scales.

    References
    ----------
    Papaspiliopoulos, Roberts and Skoeld (2007), "A General Framework for the Parametrization of Hierarchical Models".
    """

    def __init__(
        self, network: keras.Model, likelihood: Any, x: np.ndarray, y: np.ndarray, *, at_present: bool
    ) -> None:
        super().__init__(network, likelihood, x, y)
        priors = [layer.prior for layer in self.layers]
        self._priors = [prior if getattr(prior, "has_scales", False) else None for prior in priors]
        learns_noise = hasattr(likelihood, "log_hyperprior")
        if not any(self._priors) and not learns_noise:
            raise ValueError(
                "hyperparameters='sample', but there are none: neither does a prior learn its scales, such as "
                "varbump.priors.ARDNormal, nor the likelihood its noise, such as varbump.likelihoods.LearnedNormal"
            )
        self._references: list[Any] = [
            p and np.asarray(p.scales if at_present else p.medians, np.float64) for p in self._priors
        ]
        self._medians = likelihood.medians_of_scales(y) if learns_noise else np.empty(0)
        self._raw = np.empty(0)
        if learns_noise:
            self._raw = np.asarray(likelihood.raw_scales() if at_present else likelihood.raw_scales(self._medians))
        counts = [0 if p is None else p.groups.count for p in self._priors]
        self._counts = [*counts, self._raw.size]
        self.num_held -= sum(self._counts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the parts: numbers of weights of each layer, and that of all scales."""
        return *self.num_weights, sum(self._counts)

    def weights(self, parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Weights (n,) of each layer."""
        return [
            v if prior is None else v * tf.exp(prior.groups.spread(h))
            for v, prior, h in zip(parts, self._priors, self._split(parts[-1]), strict=False)
        ]

    def likelihood_at(self, parts: Sequence[tf.Tensor]) -> Any:
        """The likelihood with the sampled scales."""
        if not self._raw.size:
            return self.likelihood
        raw = tf.reshape(self._split(parts[-1])[-1], self._raw.shape)
        return self.likelihood.at_raw_scales(raw + tf.constant(self._raw, raw.dtype))

    def log_prior(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """The part of the priors and of the distributions of the scales, a scalar in nats."""
        terms = []
        layers = zip(self.layers, parts, self._priors, self._references, self._split(parts[-1]), strict=False)
        for layer, v, prior, reference, h in layers:
            if prior is None:
                terms.append(tf.reduce_sum(layer.prior(None).log_prob(v)))
            else:
                reference = tf.constant(reference, self.dtype)
                terms.append(prior.groups.normal(reference).log_prob(v))
                terms.append(prior.groups.log_half_cauchy(h + tf.math.log(reference)))
        if self._raw.size:
            terms.append(self.likelihood_at(parts).log_hyperprior(self._medians))
        return tf.add_n([tf.cast(term, self.dtype) for term in terms])

    def started(self, weights: Sequence[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
        """Parts (S, n) where chains may start, from draws of the weights from the prior with the present scales."""
        parts = []
        for w, prior, reference in zip(weights, self._priors, self._references, strict=True):
            if prior is not None:
                w = w * prior.groups.spread(reference / np.asarray(prior.scales, np.float64)).numpy()
            parts.append(w.astype(self.dtype.as_numpy_dtype))
        # within a factor of e of the references: a half-Cauchy distribution would draw absurd ones too
        h = generator.uniform(-1.0, 1.0, (len(parts[0]), self.sizes[-1]))
        return [*parts, h.astype(self.dtype.as_numpy_dtype)]

    def drawn(self, parts: Sequence[np.ndarray]) -> dict[str, Any]:
        """Weights, scales of the priors, and scales of the noise, of parts (..., n) that were sampled."""
        *all_v, last = parts
        *of_priors, of_noise = np.split(last, np.cumsum(self._counts)[:-1], axis=-1)
        weights, scales = [], []
        for v, prior, reference, h in zip(all_v, self._priors, self._references, of_priors, strict=True):
            weights.append(v if prior is None else v * np.exp(h[..., prior.groups.of_weights]))
            scales.append(None if prior is None else reference * np.exp(h.astype(np.float64)))
        noise = self.likelihood.scales_of(of_noise + self._raw.reshape(-1)) if self._raw.size else None
        return {"weights": tuple(weights), "prior_scales": tuple(scales), "noise_scales": noise}

    def _split(self, h: tf.Tensor) -> list[tf.Tensor]:
        """Numbers of each layer, and those of the noise."""
        return tf.split(h, self._counts)
