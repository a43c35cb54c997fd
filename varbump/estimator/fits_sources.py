"""Training on sources: `fit_with_checkpoint` of the regressor, and its `fit` where X is a source."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from varbump.core.interrupts import uninterrupted
from varbump.core.random import LARGEST_SEED
from varbump.data.sources import Source
from varbump.estimator.forest import ForestEmbedding
from varbump.estimator.report import StackingReport
from varbump.estimator.rows import check_targets, check_weights, merged
from varbump.estimator.settings import likelihood_of
from varbump.estimator.streamed import EncodedSource, candidate_for_source, sampled, scalers, train_on_source
from varbump.estimator.table import fit_encoder
from varbump.estimator.validation import validated
from varbump.likelihoods.checks import check_likelihood, standardises

__all__ = ["FitsSources"]


class FitsSources:
    """Mixin of `VariationalRegressor`."""

    embedding_: ForestEmbedding | None
    stacking_: StackingReport | None

    def fit_with_checkpoint(self: Any, source: Source, checkpoint: Any) -> Any:
        """Train on a source like `fit`, with a folder for the state of the run.

        Parameters
        ----------
        source : Source
        checkpoint : str or path
            As in `varbump.fit`. The seed must be fixed by an integer as `random_state`.

        Returns
        -------
        VariationalRegressor
            The fitted estimator; bit-identical to that of an uninterrupted fit.

        Raises
        ------
        ValueError
            As `fit`; or if `random_state` is not an integer, or the checkpoint is that of another run.
        """
        self._validate_params()
        if not isinstance(self.random_state, Integral):
            raise ValueError(f"random_state must be an integer with a checkpoint, got {self.random_state!r}")
        return self._fit_to_source(source, None, None, checkpoint)

    def _fit_to_source(self: Any, source: Source, y: Any, sample_weight: Any, checkpoint: Any = None) -> Any:
        if y is not None or sample_weight is not None:
            raise ValueError("y and sample_weight must be left out where X is a source, which has its own")
        parameters = self.get_params(deep=False)
        candidate = candidate_for_source(parameters)
        likelihood = likelihood_of(candidate.likelihood)
        check_likelihood(likelihood)
        random_state = check_random_state(self.random_state)
        seed, draw_seed, sample_seed = (int(random_state.randint(LARGEST_SEED)) for _ in range(3))
        given = sampled(source, sample_seed)
        X, targets, columns, names = validated(
            self, given.x, given.y, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        likelihood.check_observations(targets)
        X, targets, weights = merged(X, check_targets(targets), check_weights(given.sample_weight, len(X)))
        encoder, x = fit_encoder(columns, names, X, targets, weights, indicates_all=likelihood.scale_varies)

        def encode(part: Any) -> np.ndarray:
            codes = part if encoder.is_plain else validated(self, part, columns=list(encoder.source))[0]
            return encoder.transform(np.asarray(codes, np.float64))

        scaled = scalers(source, encode, encoder, standardises(likelihood))
        x, z = scaled.x.transform(x), scaled.y.transform(targets)
        encoded = EncodedSource(source, encode, encoder.is_plain, scaled, x.shape[1])
        trained = train_on_source(candidate, encoded, z, encoder.tied, parameters, seed, checkpoint)
        with uninterrupted():
            self._pool, self.embedding_, self.stacking_ = None, None, None
            self._said, self._num_parts = None, 1
            self._draw_seed, self._single_target = draw_seed, targets.shape[1] == 1
            self._learn(trained, encoder, scaled.x, scaled.y, source.num_data, x, weights)
        return self
