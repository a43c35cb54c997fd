"""One fitted regressor for all tests of saving."""

import numpy as np
import pandas as pd
import pytest

import varbump as vb

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 2))
Y = X @ [[1.0, 0.5], [-0.5, 2.0]] + 0.3 * GENERATOR.normal(size=(40, 2))


@pytest.fixture(scope="session")
def fitted():
    """Of a data frame, with a parameter of each kind."""
    options = {
        "hidden_layer_sizes": (3,),
        "likelihood": "normal",
        "embedding": None,
        "max_iter": 2,
        "n_members": 2,
        "n_draws": 4,
    }
    model = vb.VariationalRegressor(**options, prior=vb.priors.ARDNormal(), random_state=np.random.RandomState(0))
    return model.fit(pd.DataFrame(X, columns=["width", "height"]), Y[:, 0])
