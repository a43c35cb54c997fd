"""One fitted regressor for all tests of saving."""

import numpy as np
import pandas as pd
import pytest
from small_regressor import small_regressor

import varbump as vb

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 2))
Y = X @ [[1.0, 0.5], [-0.5, 2.0]] + 0.3 * GENERATOR.normal(size=(40, 2))


@pytest.fixture(scope="session")
def fitted():
    """Of a data frame, with a parameter of each kind."""
    model = small_regressor(prior=vb.priors.ARDNormal(), random_state=np.random.RandomState(0))
    return model.fit(pd.DataFrame(X, columns=["width", "height"]), Y[:, 0])
