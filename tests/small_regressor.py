"""Small regressors, alike in structure, so that they share compiled programs."""

import numpy as np

import varbump as vb

OPTIONS = {
    "hidden_layer_sizes": (3,),
    "likelihood": "normal",
    "embedding": None,
    "max_iter": 2,
    "n_members": 2,
    "n_draws": 4,
    "random_state": 0,
}


def positive_table(num_rows=40, seed=0):
    """Rows X (N, 2) and y = exp of a line with noise, (N,)."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(num_rows, 2)) * [1.0, 10.0] + [0.0, 50.0]
    return X, np.exp(0.4 * X[:, 0] + 0.02 * X[:, 1] + 0.3 * generator.normal(size=num_rows))


def small_regressor(**options):
    return vb.VariationalRegressor(**{**OPTIONS, **options})
