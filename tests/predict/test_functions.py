import numpy as np
import pytest

import varbump as vb
from varbump.core.keras import keras
from varbump.predict import sampler

MEAN_FIELD = vb.posteriors.MeanFieldNormal()


@pytest.fixture(params=[pytest.param("full", marks=pytest.mark.slow), "mean_field"])
def network(request):
    posterior = vb.posterior if request.param == "full" else MEAN_FIELD
    return vb.build_network(2, hidden_units=(5,), num_outputs=3, seed=0, make_posterior_fn=posterior)


X = np.random.default_rng(0).normal(size=(50, 2)).astype("float32")


def test_shapes(network):
    f = vb.predict_f(network, X, num_draws=7, seed=0)
    assert f.shape == (7, 50, 3)
    assert vb.predict_y(network, vb.likelihoods.Normal(), X, num_draws=7, seed=0).shape == (7, 50, 3)


def test_each_draw_is_one_function_whatever_the_pieces(network, monkeypatch):
    f = vb.predict_f(network, X, num_draws=70, seed=0)
    np.testing.assert_allclose(vb.predict_f(network, X, num_draws=70, seed=0, chunk_size=7), f, atol=1e-6)
    np.testing.assert_allclose(vb.predict_f(network, X[13:29], num_draws=70, seed=0), f[:, 13:29], atol=1e-6)
    np.testing.assert_allclose(vb.predict_f(network, X, num_draws=9, seed=0), f[:9], atol=1e-6)
    monkeypatch.setattr(sampler, "MAX_BYTES", 1)  # the smallest pieces of rows
    np.testing.assert_allclose(vb.predict_f(network, X, num_draws=70, seed=0), f, atol=1e-6)


@pytest.mark.slow
def test_draws_that_are_made_in_several_goes_are_one_set_too(network, monkeypatch):
    monkeypatch.setattr(sampler, "NOISE_BYTES", 20_000)
    f = vb.predict_f(network, X, num_draws=300, seed=0)
    assert len(np.unique(f[:, 0, 0])) == 300
    np.testing.assert_allclose(vb.predict_f(network, X[5:9], num_draws=299, seed=0), f[:299, 5:9], atol=1e-6)
    bands = vb.predict_bands(network, X, num_draws=300, seed=0, chunk_size=20)
    np.testing.assert_allclose(bands.mean, f.mean(0), atol=1e-5)


def test_draws_of_a_linear_layer_are_exactly_linear_over_1000_points():
    network = vb.build_network(1, hidden_units=(), seed=0, dtype="float64")
    x = np.linspace(-5, 5, 1001)
    for line in vb.predict_f(network, x, num_draws=20, seed=0, chunk_size=37)[..., 0]:
        # float64: the second difference of a line of order ten is rounding only
        assert np.abs(np.diff(line, 2)).max() < 1e-13


def test_draws_have_the_moments_of_q():
    network = vb.build_network(2, hidden_units=(), seed=0, dtype="float64")
    posterior = network.layers[-1].posterior
    generator = np.random.default_rng(0)
    for variable in posterior.trainable_variables:
        variable.assign_add(generator.normal(scale=0.5, size=variable.shape))
    basis = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    f = vb.predict_f(network, basis, num_draws=20_000, seed=0)[..., 0]
    w = np.stack([f[:, 1] - f[:, 0], f[:, 2] - f[:, 0], f[:, 0]], -1)
    q = posterior(None)
    sd = np.asarray(q.stddev())
    # 20,000 draws: 5 standard errors, a false alarm in 1 of 200,000 over nine numbers
    np.testing.assert_allclose((w.mean(0) - q.mean()) / sd, 0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(w.T) / np.outer(sd, sd), q.covariance() / np.outer(sd, sd), atol=5 * 1.5 / 141)


def test_seed_reproduces_and_its_absence_follows_the_global_seed(network):
    first = vb.predict_f(network, X, num_draws=3, seed=1)
    np.testing.assert_array_equal(first, vb.predict_f(network, X, num_draws=3, seed=1))
    assert not np.allclose(first, vb.predict_f(network, X, num_draws=3, seed=2))
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(4)
        draws.append(vb.predict_f(network, X, num_draws=3))
    np.testing.assert_array_equal(*draws)
    assert not np.array_equal(draws[0], vb.predict_f(network, X, num_draws=3))


def test_draws_differ_from_each_other(network):
    f = vb.predict_f(network, X, num_draws=100, seed=0)
    assert len(np.unique(f[:, 0, 0])) == 100


def test_predictive_draws_are_the_functions_plus_noise(network):
    f = vb.predict_f(network, X, num_draws=200, seed=0)
    noise = vb.predict_y(network, vb.likelihoods.Normal(0.7), X, num_draws=200, seed=0) - f
    # 30,000 numbers: 5 standard errors
    assert noise.std() == pytest.approx(0.7, rel=5 / np.sqrt(60_000))
    assert abs(noise.mean()) < 5 * 0.7 / np.sqrt(30_000)


def test_bands_are_the_moments_and_quantiles_of_the_draws():
    draws = np.random.default_rng(0).normal(size=(500, 4, 2))
    bands = vb.credible_bands(draws, levels=(0.5, 0.95))
    np.testing.assert_allclose(bands.mean, draws.mean(0))
    np.testing.assert_allclose(bands.sd, draws.std(0, ddof=1))
    for level in (0.5, 0.95):
        np.testing.assert_allclose(bands.lower[level], np.quantile(draws, (1 - level) / 2, axis=0))
        np.testing.assert_allclose(bands.upper[level], np.quantile(draws, (1 + level) / 2, axis=0))
    assert bands.levels == (0.5, 0.95)


def test_predict_bands_reduces_piece_by_piece(network):
    f = vb.predict_f(network, X, num_draws=40, seed=0)
    expected = vb.credible_bands(f)
    bands = vb.predict_bands(network, X, num_draws=40, seed=0, chunk_size=9)
    np.testing.assert_allclose(bands.sd, expected.sd, atol=1e-6)
    np.testing.assert_allclose(bands.upper[0.95], expected.upper[0.95], atol=1e-6)
    wide = vb.predict_bands(network, X, likelihood=vb.likelihoods.Normal(5.0), num_draws=40, seed=0, chunk_size=9)
    assert (wide.sd > bands.sd).all()


@pytest.mark.parametrize(
    "likelihood",
    [vb.likelihoods.Normal(0.7), pytest.param(vb.likelihoods.StudentT(), marks=pytest.mark.slow)],
    ids=["Normal", "StudentT"],
)
def test_observations_do_not_depend_on_the_pieces(likelihood):
    network = vb.build_network(1, hidden_units=(), seed=0, make_posterior_fn=MEAN_FIELD)
    x = np.linspace(-1, 1, 600)[:, None]
    options = {"num_draws": 7, "seed": 0}
    y = vb.predict_y(network, likelihood, x, **options)
    expected = vb.credible_bands(y)
    # the noise is the same bits; f differs by the rounding of matrix products of other shapes
    np.testing.assert_allclose(vb.predict_y(network, likelihood, x, chunk_size=150, **options), y, atol=1e-5)
    for chunk_size in (None, 150, 300):  # less than the rows whose noise is drawn at once, and no multiple of them
        bands = vb.predict_bands(network, x, likelihood=likelihood, chunk_size=chunk_size, **options)
        np.testing.assert_allclose(bands.mean, expected.mean, atol=1e-5)
        np.testing.assert_allclose(bands.upper[0.95], expected.upper[0.95], atol=1e-5)
    noise = y - vb.predict_f(network, x, **options)
    assert len(np.unique(noise)) > 0.99 * noise.size  # no row repeats the noise of another


def test_a_network_without_variational_layers_has_one_function():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    f = vb.predict_f(network, X, num_draws=4, seed=0)
    np.testing.assert_allclose(f, np.tile(network(X), (4, 1, 1)), atol=1e-6)


def test_a_changed_network_is_not_evaluated_as_before():
    network = vb.build_network(1, hidden_units=(), seed=0)
    x = np.ones((2, 1), "float32")
    before = vb.predict_f(network, x, num_draws=3, seed=0)
    network.layers[-1].posterior.loc.assign_add([1.0, 0.0])
    np.testing.assert_allclose(vb.predict_f(network, x, num_draws=3, seed=0), before + 1, rtol=1e-5)
    network.layers[0].activation = keras.activations.exponential
    np.testing.assert_allclose(vb.predict_f(network, x, num_draws=3, seed=0), np.exp(before + 1), rtol=1e-5)
    network.layers[0].activation = keras.activations.linear
    network.add(keras.layers.Lambda(lambda t: 2 * t))
    np.testing.assert_allclose(vb.predict_f(network, x, num_draws=3, seed=0), 2 * (before + 1), rtol=1e-5)


BAD = {
    "nan": (lambda n: vb.predict_f(n, X * np.nan), "x must be finite"),
    "width": (lambda n: vb.predict_f(n, X[:, :1]), "x has 1 columns, but the network has 2 inputs"),
    "no rows": (lambda n: vb.predict_f(n, X[:0]), "x has no rows"),
    "no draws": (lambda n: vb.predict_f(n, X, num_draws=0), "num_draws must be"),
    "chunk": (lambda n: vb.predict_f(n, X, chunk_size=0), "chunk_size must be"),
    "level": (lambda n: vb.credible_bands(np.zeros((3, 2, 1)), levels=(95,)), "levels must be numbers between 0 and 1"),
    "word": (lambda n: vb.credible_bands(np.zeros((3, 2, 1)), levels="all"), "levels must be .* got 'all'"),
    "words": (lambda n: vb.credible_bands([["a"], ["b"]]), "draws must hold numbers, got dtype"),
    "one draw": (lambda n: vb.credible_bands(np.zeros((1, 2, 1))), "at least 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case, network):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call(network)


def test_a_network_that_was_not_built_is_built_on_x():
    network = keras.Sequential([keras.layers.Dense(1)])
    assert vb.predict_f(network, X, num_draws=2, seed=0).shape == (2, 50, 1)


def test_a_sequential_that_was_built_by_other_rows_is_drawn_from():
    layers = [vb.layers.DenseVariational(units, vb.posterior, vb.prior) for units in (3, 1)]
    network = keras.Sequential(layers)
    network(X)
    assert vb.predict_f(network, X, num_draws=4, seed=0).shape == (4, 50, 1)
