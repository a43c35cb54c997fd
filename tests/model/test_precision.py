"""Half precision is refused, wherever it comes from."""

import numpy as np
import pytest

import varbump as vb
from varbump.core.keras import keras

X = np.linspace(-1, 1, 20)[:, None]
NORMAL = vb.likelihoods.Normal(0.1)
REFUSED = "must be float32 or float64, but it computes in (b?float16): build it with dtype='float32'"


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16", "float16"])
def _policy(request):
    keras.mixed_precision.set_global_policy(request.param)
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("_policy")
def test_half_precision_is_refused_by_one_sentence():
    plain = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    for call in (
        lambda: vb.build_network(1),
        lambda: vb.VariationalRegressor((50,), likelihood="normal", embedding=None, max_iter=1).fit(X, X[:, 0]),
        lambda: vb.fit(plain, NORMAL, X, X, epochs=1, verbose=0),
        lambda: vb.predict_f(plain, X, num_draws=2),
        lambda: vb.predict_bands(plain, X, num_draws=2),
        lambda: vb.evaluate(plain, X, X, likelihood=NORMAL),
    ):
        with pytest.raises(TypeError, match=REFUSED):
            call()


@pytest.mark.slow
def test_the_way_out_gives_the_same_numbers():
    made = {"hidden_units": (3,), "make_posterior_fn": vb.posteriors.MeanFieldNormal(), "seed": 0}
    expected = vb.predict_f(vb.build_network(1, **made), X, num_draws=3, seed=0)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = vb.build_network(1, dtype="float32", **made)
        np.testing.assert_array_equal(vb.predict_f(network, X, num_draws=3, seed=0), expected)
    finally:
        keras.mixed_precision.set_global_policy("float32")
