"""Going on learning: `partial_fit` of the regressor."""

from __future__ import annotations

from typing import Any

from sklearn.utils import check_consistent_length

from varbump.core.interrupts import uninterrupted
from varbump.core.random import LARGEST_SEED, generator
from varbump.estimator.continued import continued, said_of
from varbump.estimator.rows import check_range, check_targets, check_weights, merged
from varbump.estimator.training import embedded
from varbump.estimator.validation import validated

__all__ = ["LearnsOn"]


class LearnsOn:
    """Mixin of `VariationalRegressor`."""

    def partial_fit(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        r"""Go on learning from new rows; the first call is `fit`.

        The posterior so far is the prior of what follows, :math:`p(w | D_1, D_2) \propto p(D_2 | w) p(w | D_1)`. Linear
        models with normal noise (``hidden_layer_sizes=()``, ``likelihood="normal"``, ``embedding=None``) end at the
        exact posterior of all rows, with the scales of noise and prior of all rows. Others end about there: as well as
        q describes the posterior. Each network takes 5,000 further steps, or `max_iter` epochs.

        What the first rows decided stays: columns, levels of categories, what replaces missing cells, units of X and y,
        the embedding, and the weights of candidates; so these should be some hundred, and like those that follow. What
        they did not need, an "ard" prior has pruned, and it does not grow again: if later rows lie elsewhere, use
        ``prior="normal"``, or fit all rows. An estimator that was loaded from a file has the posterior but not the sums
        of a linear model, and goes on like the others.

        Parameters
        ----------
        X : array-like or data frame (N, D)
            With the columns of the first rows.
        y : array-like (N,) or (N, Q)
        sample_weight : array-like (N,), optional

        Returns
        -------
        VariationalRegressor
            The estimator; if anything fails, it is as before.

        Raises
        ------
        ValueError
            As `fit`; or if the columns or the number of targets are others, or `posterior` has covariances between
            layers, which a prior of each layer cannot hold.
        NonFiniteLossError
            If the loss becomes nan or infinite.
        """
        if not hasattr(self, "network_"):
            return self.fit(X, y, sample_weight)
        self._validate_params()
        codes, *_ = validated(self, X, columns=list(self.encoder_.source))
        targets = check_targets(y)
        check_consistent_length(codes, targets)
        if targets.shape[1] != len(self.y_scaler_.scale_):
            raise ValueError(f"y has {targets.shape[1]} targets, but the first rows had {len(self.y_scaler_.scale_)}")
        check_range(targets, "y")
        self.likelihood_.check_observations(targets)
        codes, targets, weights = merged(codes, targets, check_weights(sample_weight, len(codes)))
        x = embedded(self.x_scaler_.transform(self.encoder_.transform(codes)), self.embedding_)
        z = self.y_scaler_.transform(targets)
        parameters, parts = self.get_params(deep=False), self._num_parts
        seed = int(generator(self._draw_seed, parts).integers(LARGEST_SEED))
        pool, said = self._pool, self._said
        if said is not None:
            said = said.merged(said_of(self._trained, x, z, weights))
        if pool is None:
            trained = continued(self._trained, said, x, z, weights, parameters, seed)
        else:
            every = [
                continued(one, None, x * seen, z, weights, parameters, seed)
                for one, seen in zip(pool.trained, pool.inputs, strict=True)
            ]
            pool, trained = pool._replace(trained=tuple(every)), every[0]
        with uninterrupted():
            self._pool, self._said, self._num_parts = pool, said, parts + 1
            num_data = trained.ensemble.history.num_data
            self._learn(trained, self.encoder_, self.x_scaler_, self.y_scaler_, num_data, x, weights)
        return self
