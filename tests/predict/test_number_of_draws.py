"""A number of draws that no memory could hold is refused by every function that takes one, before it begins."""

import numpy as np
import pytest

import varbump as vb
from varbump.core.checks import MAX_DRAWS, check_draws

X = np.linspace(-1.0, 1.0, 20)[:, None]
NOISE = vb.likelihoods.Normal(0.3)

CALLS = {
    "predict_f": lambda network, count: vb.predict_f(network, X, num_draws=count),
    "predict_y": lambda network, count: vb.predict_y(network, NOISE, X, num_draws=count),
    "predict_bands": lambda network, count: vb.predict_bands(network, X, num_draws=count),
    "evaluate": lambda network, count: vb.evaluate(network, X, X, likelihood=NOISE, num_draws=count),
    "bump_report": lambda network, count: vb.bump_report(network, X, num_draws=count),
    "health_report": lambda network, count: vb.health_report(network, NOISE, X, X, num_draws=count),
    "psis_khat": lambda network, count: vb.psis_khat(network, NOISE, X, X, num_draws=count),
    "estimate_elbo": lambda network, count: vb.estimate_elbo(network, NOISE, X, X, num_draws=count),
    "sample_nuts": lambda network, count: vb.sample_nuts(network, NOISE, X, X, num_draws=count),
    "sample_posterior": lambda network, count: vb.sample_posterior(network, NOISE, X, X, num_draws=count),
    "sample_importance": lambda network, count: vb.sample_importance(network, NOISE, X, X, num_draws=count),
}


@pytest.fixture(scope="module")
def network():
    family = vb.posteriors.MeanFieldNormal()
    return vb.build_network(1, hidden_units=(2,), activation="bump", make_posterior_fn=family, seed=0)


@pytest.mark.parametrize("name", CALLS)
def test_functions(network, name):
    with pytest.raises(ValueError, match="num_draws must be at most 1,000,000, got 1,000,000,000,000,000,000;"):
        CALLS[name](network, 10**18)


def test_the_regressor():
    with pytest.raises(ValueError, match="'n_draws' parameter of VariationalRegressor must be .*1000000"):
        vb.VariationalRegressor(n_draws=10**18).fit(X, X[:, 0])


@pytest.mark.parametrize("value", [MAX_DRAWS + 1, 0, -1, 2.0, True, "3", None])
def test_counts(value):
    with pytest.raises(ValueError, match="num_draws must be"):
        check_draws(value)
    assert check_draws(MAX_DRAWS) == MAX_DRAWS
