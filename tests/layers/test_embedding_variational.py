import layer_laws as laws
import numpy as np
import pytest
import tensorflow as tf
from other_keras import REFUSED, other
from tensorflow_probability import distributions as tfd

import varbump as vb
from varbump.core.keras import keras
from varbump.forward.apply import apply
from varbump.forward.structure import network_structure
from varbump.inference.mcmc.convergence import default_test_points
from varbump.layers.embedding_variational import embed
from varbump.model.codes import columns_of_codes

CODES = np.array([[0, 3], [1, 1], [4, 0], [2, 4], [3, 2]], "float32")
NO_CODES = [-1.0, 5.0, 2.5, -0.5, np.nan, np.inf, -np.inf, 1e20, 2**31, -(2.0**31)]


def embedding(input_dim=5, output_dim=3, posterior=laws.MEAN_FIELD, prior=vb.prior, **options):
    options = {"kl_weight": 0.1, "seed": 0, **options}
    return vb.layers.EmbeddingVariational(input_dim, output_dim, posterior, prior, **options)


def network(**options):
    return laws.network_of((2,), embedding(**options))


def mixed(**options):
    """A network of a category and a number: column 0 of x is a code, column 1 is not."""
    layers = keras.layers
    inputs = keras.Input((2,))
    columns = layers.Reshape((2, 1))(inputs)
    code, number = (layers.Flatten()(layers.Cropping1D(ends)(columns)) for ends in ((0, 1), (1, 0)))
    vector = layers.Flatten()(embedding(**options)(code))
    hidden = layers.Concatenate()([vector, number])
    return keras.Model(inputs, vb.layers.DenseVariational(1, laws.MEAN_FIELD, vb.prior, kl_weight=0.1, seed=1)(hidden))


def categories(num_data=200, seed=0):
    """Rows x (N, 2) of a code and a number, and y with a level of its own for each code."""
    generator = np.random.default_rng(seed)
    codes, number = generator.integers(0, 5, num_data), generator.normal(size=num_data)
    levels = np.array([1.0, -1.0, 0.5, 0.0, -0.3])
    y = levels[codes] + 0.5 * number + 0.1 * generator.normal(size=num_data)
    return np.stack([codes, number], 1).astype("float32"), y[:, None].astype("float32")


def drawn(size=15, seed=1):
    return np.random.default_rng(seed).normal(size=size).astype("float32")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("shape", [(10,), (5, 2), (5, 1, 2)])
def test_values_at_drawn_weights_are_those_of_a_loop(dtype, shape):
    codes, table = CODES.astype(dtype).reshape(shape), drawn().reshape(5, 3)
    expected = np.zeros((*shape, 3), "float32")
    for at in np.ndindex(shape):
        expected[at] = table[int(codes[at])]
    np.testing.assert_array_equal(embed(tf.constant(codes), tf.constant(table)), expected)


def test_the_layer_looks_its_draw_up():
    model = keras.Sequential([keras.Input((2,)), embedding()])
    f = apply(model, tf.constant(CODES), draws=[tf.constant(drawn())]).f
    np.testing.assert_array_equal(f, drawn().reshape(5, 3)[CODES.astype(int)])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_numbers_that_are_no_codes_have_vector_0_and_finite_gradients(jit_compile):
    codes = tf.constant([2.0, *NO_CODES], tf.float32)
    table = tf.constant(drawn().reshape(5, 3))

    @tf.function(jit_compile=jit_compile)
    def compute(codes, table):
        with tf.GradientTape() as tape:
            tape.watch(table)
            rows = embed(codes, table)
        return rows, tape.gradient(rows, table)

    rows, gradient = compute(codes, table)
    np.testing.assert_array_equal(rows[0], table[2])
    np.testing.assert_array_equal(rows[1:], np.zeros((len(NO_CODES), 3)))
    np.testing.assert_array_equal(tf.convert_to_tensor(gradient), np.eye(5)[2][:, None] * np.ones(3))


@pytest.mark.parametrize("code", [-1, 5, 300])
def test_integers_that_are_no_codes_have_vector_0(code):
    dtype = tf.int32 if code < 0 else tf.uint16
    np.testing.assert_array_equal(
        embed(tf.constant([code], dtype), tf.constant(drawn().reshape(5, 3))), np.zeros((1, 3))
    )


@pytest.mark.parametrize("code", NO_CODES)
def test_an_eager_call_refuses_what_is_no_code(code):
    layer = embedding()
    with pytest.raises(ValueError, match="inputs must give codes, whole numbers from 0 to 4.* in row 1"):
        layer(np.array([[1.0], [code]], "float32"))


def test_arrays_are_checked_before_anything_is_trained_or_drawn():
    x, y = categories(20)
    model = mixed()
    bad = x.copy()
    bad[7, 0] = 2.5
    message = r"x must give codes.*layer 'embedding_variational.*1 of 20 are not, the first in row 7: 2\.5"
    likelihood = vb.likelihoods.Normal()
    for call in (
        lambda: vb.fit(model, likelihood, bad, y, epochs=1, seed=0, verbose=0),
        lambda: vb.fit(model, likelihood, x, y, validation_data=(bad, y), epochs=1, seed=0, verbose=0),
        lambda: vb.predict_f(model, bad, num_draws=2, seed=0),
        lambda: vb.predict_bands(model, bad, num_draws=2, seed=0),
        lambda: vb.evaluate(model, bad, y, likelihood=likelihood, num_draws=2, seed=0),
        lambda: vb.sample_posterior(model, likelihood, bad, y, seed=0, verbose=0),
        lambda: vb.check_gradients(model, bad, y, loss="mse"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_rows_of_later_blocks_are_counted_from_the_first(monkeypatch):
    monkeypatch.setattr("varbump.model.codes.BLOCK", 8)
    bad = categories(20)[0]
    bad[17, 0] = 9.0
    with pytest.raises(ValueError, match="in row 17: 9"):
        vb.predict_f(mixed(), bad, num_draws=2, seed=0)


def test_columns_of_codes_are_found_behind_other_layers():
    x, _ = categories(20)
    np.testing.assert_array_equal(columns_of_codes(mixed(), x), [True, False])
    np.testing.assert_array_equal(columns_of_codes(network(), CODES), [True, True])
    assert not columns_of_codes(vb.build_network(2, hidden_units=(), seed=0), x).any()
    two_outputs = keras.Model((model := mixed()).input, [model.output, model.output])
    np.testing.assert_array_equal(columns_of_codes(two_outputs, x), [True, False])


def test_test_points_are_codes_that_occur():
    x, _ = categories(300)
    points = default_test_points(x, np.array([True, False]))
    assert set(points[:, 0]) <= set(x[:, 0])
    assert points[:, 1].max() > x[:, 1].max()  # numbers are still moved beyond their range
    one = default_test_points(x[:, :1], np.array([True]))
    np.testing.assert_array_equal(one[:, 0], np.arange(5))


@pytest.mark.parametrize("posterior", ["mean_field", "full_covariance"])
def test_kl_is_exact_and_counted_once(posterior):
    laws.assert_exact_kl(embedding(posterior=posterior), CODES)


def test_the_fan_in_is_1():
    layer = embedding(prior=vb.priors.Normal(0.5, fan_in=True))
    layer(CODES)
    np.testing.assert_allclose(layer.prior(None).stddev(), np.full(15, 0.5), rtol=1e-6)


def test_a_draw_is_one_function():
    laws.assert_one_function(network(), CODES)
    laws.assert_one_function(mixed(), categories(6)[0])


def test_trainable_weights_all_have_gradients():
    laws.assert_gradients(network(), CODES)


def test_seeds_reproduce_draws():
    first, second = (embedding(seed=5)(CODES).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_config_round_trips():
    laws.assert_config_round_trips(embedding(prior=vb.priors.Normal(0.3), kl_use_exact=True))


@pytest.mark.parametrize("shape", [(5, 1), (5, 2, 2)])
def test_weight_shapes_are_those_of_the_weights(shape):
    laws.assert_weight_shapes(embedding(posterior="low_rank"), shape)


@pytest.mark.parametrize("make", [network, mixed])
def test_files_keep_every_bit(tmp_path, make):
    laws.assert_saved(make(posterior=vb.posterior), CODES if make is network else categories(6)[0], tmp_path)


def test_structure_is_that_of_the_computation():
    first, second, other_size = network(), network(seed=3), network(input_dim=6)
    assert network_structure(first) == network_structure(second) != network_structure(other_size)


def test_names_of_factories_are_those_of_build_network():
    layer = vb.layers.EmbeddingVariational(5, 3, posterior="low_rank", prior="laplace")
    assert isinstance(layer.make_posterior_fn, vb.posteriors.LowRankNormal)
    assert isinstance(layer.make_prior_fn, vb.priors.Laplace)
    layer = vb.layers.EmbeddingVariational(5, 3)
    assert (layer.make_posterior_fn, layer.make_prior_fn) == (vb.posterior, vb.prior)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_dim": 0}, "input_dim must be"),
        ({"input_dim": 2**24 + 1}, "input_dim must be at most 16,777,216: float32 cannot"),
        ({"output_dim": 1.5}, "output_dim must be"),
        ({"estimator": "flipout"}, "estimator must be 'shared'.*got 'flipout'"),
        ({"posterior": "full_covariance", "input_dim": 10_000}, "A full covariance over .* has .* parameters"),
        ({"prior": "gaussian"}, "prior must be one of"),
        ({"prior": None, "kl_weight": -1.0}, "kl_weight must be"),
    ],
    ids=str,
)
def test_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        embedding(**options).build((None, 1))


def test_objects_of_the_other_keras_are_refused():
    with pytest.raises(TypeError, match=f"inputs {REFUSED}"):
        embedding()(other.Input((1,)))


def test_importance_sampling_says_that_it_takes_dense_layers_only():
    x, y = categories(20)
    with pytest.raises(ValueError, match="'embedding_variational.* is a EmbeddingVariational; use sample_posterior"):
        vb.sample_importance(mixed(), vb.likelihoods.Normal(), x, y, num_steps=1, verbose=0)


@pytest.mark.slow
def test_levels_get_their_exact_posterior():
    """A category alone, one number for each code: posterior means are shrunk level means, independent of each other."""
    generator, noise, counts = np.random.default_rng(0), 0.5, [1, 2, 5, 40, 0]
    codes = np.repeat(np.arange(5), counts)
    y = np.array([1.0, -1.0, 0.5, 0.3, 0.0])[codes] + noise * generator.normal(size=len(codes))
    variances = np.array([1.0 / (n / noise**2 + 1.0 / 0.8**2) for n in counts])
    means = np.array([v * y[codes == code].sum() / noise**2 for code, v in enumerate(variances)])
    layer = embedding(5, 1, vb.posterior, vb.priors.Normal(0.8), dtype="float64")
    model = keras.Sequential([keras.Input((1,), dtype="float64"), layer, keras.layers.Flatten(dtype="float64")])
    history = vb.fit(model, vb.likelihoods.Normal(noise), codes, y, seed=0, verbose=0)
    assert history.exact
    q = layer.posterior(None)
    np.testing.assert_allclose(q.mean(), means, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(q.covariance(), np.diag(variances), rtol=1e-6, atol=1e-8)
    expected = float(tfd.kl_divergence(q, layer.prior(None)))
    assert history.history["kl"][-1] == pytest.approx(expected, rel=1e-6)
    assert history.history["loss"][-1] == pytest.approx(
        history.history["nll"][-1] + history.history["kl"][-1] / len(y), rel=1e-9
    )
    f = vb.predict_f(model, np.arange(5), num_draws=4000, seed=0)[..., 0]
    # 5 standard errors of the mean of 4,000 draws
    np.testing.assert_allclose(f.mean(0), means, atol=5 * np.sqrt(variances.max() / 4000))


@pytest.mark.slow
def test_fit_learns_levels_beside_a_number():
    x, y = categories()
    model = mixed(prior=vb.priors.Normal())
    vb.fit(model, vb.likelihoods.Normal(0.1), x, y, epochs=150, learning_rate=0.02, seed=0, verbose=0)
    f = vb.predict_f(model, x, num_draws=50, seed=0).mean(0)
    assert np.mean((y - f) ** 2) < 0.1 * np.var(y)


@pytest.mark.slow
def test_what_takes_a_network_takes_it():
    x, y = categories(40)
    health = laws.assert_goes_everywhere(mixed(output_dim=2), vb.likelihoods.Normal(0.3), x, y)
    assert "of x" not in str(health)


@pytest.mark.slow
def test_nobody_is_told_to_standardise_codes():
    codes = np.random.default_rng(0).integers(0, 60, size=(300, 1))
    y = np.random.default_rng(1).normal(size=(300, 1))
    model = laws.network_of((1,), embedding(60, 1))
    vb.fit(model, vb.likelihoods.Normal(0.05), codes, y, epochs=1, seed=0, verbose=0)  # warnings are errors
    assert "Standardise" not in str(vb.health_report(model, vb.likelihoods.Normal(), codes, y, num_draws=10, seed=0))


@pytest.mark.slow
def test_keras_fit_trains_it_and_gives_unknown_codes_the_vector_0():
    x, y = categories(100)
    model = mixed(kl_weight=1 / 100)
    model.compile(keras.optimizers.Adam(0.02), vb.likelihoods.Normal(0.3))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert np.isfinite(model.predict(np.array([[7.5, 0.0]]), verbose=0)).all()
