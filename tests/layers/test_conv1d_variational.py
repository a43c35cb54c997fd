import layer_laws as laws
import numpy as np
import pytest
import tensorflow as tf
from other_keras import REFUSED, other

import varbump as vb
from varbump.core.keras import keras
from varbump.forward.apply import apply
from varbump.forward.structure import network_structure

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 9, 2)).astype("float32")
SHAPES = [
    {},
    {"strides": 2},
    {"dilation_rate": 2},
    {"padding": "same"},
    {"padding": "same", "strides": 2},
    {"padding": "same", "strides": 5},
    {"padding": "same", "dilation_rate": 3},
    {"padding": "causal"},
    {"padding": "causal", "strides": 3},
    {"padding": "causal", "dilation_rate": 2},
]


def conv(filters=3, kernel_size=4, posterior=laws.MEAN_FIELD, prior=vb.prior, **options):
    return vb.layers.Conv1DVariational(
        filters, kernel_size, posterior, prior, **{"kl_weight": 0.1, "seed": 0, **options}
    )


def network(**options):
    return laws.network_of((9, 2), conv(activation="tanh", **options))


def outputs_at(layer, w, x):
    """Outputs of a layer whose draw is w."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    return apply(model, tf.constant(x), draws=[tf.constant(w)]).f.numpy()


def drawn(size, seed=1):
    return np.random.default_rng(seed).normal(size=size).astype("float32")


def by_loops(x, kernel, bias, strides=1, dilation_rate=1, padding="valid"):
    """The sum that defines a convolution, term by term, on a sequence that reads as 0 beyond its ends."""
    (num_rows, steps, channels), (size, _, filters) = x.shape, kernel.shape
    span = (size - 1) * dilation_rate + 1
    if padding == "valid":
        first, count = 0, (steps - span) // strides + 1
    else:
        count = -(-steps // strides)
        first = 1 - span if padding == "causal" else -(max((count - 1) * strides + span - steps, 0) // 2)
    outputs = np.zeros((num_rows, count, filters))
    for n in range(num_rows):
        for t in range(count):
            for j in range(filters):
                total = bias[j]
                for i in range(size):
                    at = first + t * strides + i * dilation_rate
                    if 0 <= at < steps:
                        for c in range(channels):
                            total += x[n, at, c] * kernel[i, c, j]
                outputs[n, t, j] = total
    return outputs


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_values_at_drawn_weights_are_those_of_a_loop(options):
    w = drawn(4 * 2 * 3 + 3)
    expected = by_loops(X.astype(float), w[:24].reshape(4, 2, 3), w[24:], **options)
    np.testing.assert_allclose(outputs_at(conv(**options), w, X), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_at_equal_weights_the_layer_of_keras_gives_the_same(options):
    w, stock = drawn(4 * 2 * 3), keras.layers.Conv1D(3, 4, use_bias=False, activation="tanh", **options)
    expected = stock(X)
    stock.set_weights([w.reshape(4, 2, 3)])
    layer = conv(use_bias=False, activation="tanh", **options)
    np.testing.assert_allclose(outputs_at(layer, w, X), stock(X), rtol=1e-5, atol=1e-5)
    assert layer.compute_output_shape(X.shape) == expected.shape


@pytest.mark.parametrize("shape", [(5, 6, 2), (2, 5, 6, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_rank_and_both_dtypes(shape, dtype):
    outputs = conv(dtype=dtype)(np.zeros(shape, dtype))
    assert outputs.shape == (*shape[:-2], 3, 3)
    assert outputs.dtype == dtype


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_sequences_of_any_length(padding):
    layer = conv(padding=padding, strides=2)
    model = keras.Sequential([keras.Input((None, 2)), layer])
    w = drawn(27)
    for steps in (5, 8, 9):
        expected = by_loops(X[:, :steps].astype(float), w[:24].reshape(4, 2, 3), w[24:], 2, 1, padding)
        f = tf.function(
            lambda x: apply(model, x, draws=[tf.constant(w)]).f, input_signature=[tf.TensorSpec([6, None, 2])]
        )
        np.testing.assert_allclose(f(X[:, :steps]), expected, rtol=1e-5, atol=1e-5)


def test_causal_outputs_depend_on_no_later_input():
    later = X.copy()
    later[:, 5:] += 1.0
    w = drawn(27)
    before, after = (outputs_at(conv(padding="causal"), w, x) for x in (X, later))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).all()


@pytest.mark.parametrize("posterior", ["mean_field", "full_covariance"])
def test_kl_is_exact_and_counted_once(posterior):
    laws.assert_exact_kl(conv(posterior=posterior), X)


def test_fan_in_is_that_of_a_window():
    layer = conv(prior=vb.priors.Normal(0.5, fan_in=True))
    layer(X)
    sd = layer.prior(None).stddev().numpy()
    np.testing.assert_allclose(sd, [0.5 / np.sqrt(8)] * 24 + [0.5] * 3, rtol=1e-6)


def test_relevance_is_learned_for_each_step_and_channel():
    model = network(prior="ard")
    assert vb.parameter_report(model).relevance.shape == (8,)


def test_a_draw_is_one_function():
    laws.assert_one_function(network(), X)


def test_trainable_weights_all_have_gradients():
    laws.assert_gradients(network(), X)


def test_seeds_reproduce_draws():
    first, second = (conv(seed=5)(X).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_config_round_trips():
    laws.assert_config_round_trips(
        conv(
            prior=vb.priors.Normal(0.3),
            kl_use_exact=True,
            activation="relu",
            use_bias=False,
            padding="causal",
            dilation_rate=2,
        )
    )


@pytest.mark.parametrize("options", [{}, {"padding": "causal", "use_bias": False, "posterior": "low_rank"}], ids=str)
def test_weight_shapes_are_those_of_the_weights(options):
    laws.assert_weight_shapes(conv(activation="bump", **options), (5, 9, 2))


@pytest.mark.slow
def test_files_keep_every_bit(tmp_path):
    laws.assert_saved(network(padding="same", posterior=vb.posterior), X, tmp_path)


@pytest.mark.slow
def test_pooling_behind_it_is_saved_and_shared(tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((9, 2)),
            layers.Cropping1D((1, 0)),
            conv(padding="same"),
            layers.MaxPooling1D(2),
            layers.AveragePooling1D(2, strides=1, padding="same"),
            conv(2, 2),
            layers.GlobalAveragePooling1D(),
        ]
    )
    laws.assert_saved(model, X, tmp_path)


def test_structure_is_that_of_the_computation():
    first, second = network(), network(seed=3)
    assert network_structure(first) == network_structure(second)
    others = [network_structure(network(**options)) for options in ({"padding": "same"}, {"padding": "causal"})]
    assert len({network_structure(first), *others}) == 3


def test_names_of_factories_are_those_of_build_network():
    layer = vb.layers.Conv1DVariational(3, 4, posterior="low_rank", prior="laplace")
    assert isinstance(layer.make_posterior_fn, vb.posteriors.LowRankNormal)
    assert isinstance(layer.make_prior_fn, vb.priors.Laplace)
    layer = vb.layers.Conv1DVariational(3, [4])
    assert (layer.make_posterior_fn, layer.make_prior_fn, layer.kernel_size) == (vb.posterior, vb.prior, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "filters must be"),
        ({"kernel_size": 2.5}, "kernel_size must be"),
        ({"strides": -1}, "strides must be"),
        ({"dilation_rate": (2, 2)}, "dilation_rate must be"),
        ({"padding": "full"}, r"padding must be one of .*'causal'.*got 'full'"),
        ({"strides": 2, "dilation_rate": 2}, "strides and dilation_rate cannot both be above 1"),
        ({"estimator": "local"}, "estimator must be 'shared'.*got 'local'"),
        ({"posterior": "gaussian"}, "posterior must be one of"),
        ({"prior": vb.priors.Normal}, "make_prior_fn must be a factory"),
        ({"kl_weight": -1.0}, "kl_weight must be"),
    ],
    ids=str,
)
def test_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        conv(**options)


def test_two_names_of_one_argument():
    with pytest.raises(ValueError, match="prior and make_prior_fn are two names"):
        vb.layers.Conv1DVariational(3, 4, prior="normal", make_prior_fn="normal")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((None, 9, None), "channels, must be known"),
        ((None, 3, 2), "span 4 steps.*have 3"),
        ((None, 9), "axis of steps"),
    ],
)
def test_shapes_that_do_not_fit(shape, message):
    with pytest.raises(ValueError, match=message):
        conv().build(shape)


def test_objects_of_the_other_keras_are_refused():
    with pytest.raises(TypeError, match=REFUSED):
        conv(activation=other.layers.ReLU())
    with pytest.raises(TypeError, match=f"inputs {REFUSED}"):
        conv()(other.Input((9, 2)))


def test_importance_sampling_says_that_it_takes_dense_layers_only():
    inputs = keras.Input((9,))
    sequence = keras.layers.Reshape((9, 1))(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(conv(1, 9)(sequence)))
    with pytest.raises(ValueError, match="DenseVariational layers, and 'conv1d_variational.*sample_posterior"):
        vb.sample_importance(model, vb.likelihoods.Normal(), X[:, :, 0], X[:, 0, :1], num_steps=1, verbose=0)


def sequences(num_data=300, seed=0):
    """Rows (N, 12, 1), and for each the largest match with a pattern, with noise."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, 12, 1)).astype("float32")
    match = sum(np.tanh(x[:, t] - x[:, t + 1] + x[:, t + 2]) for t in range(10)) / 3
    return x, (match + 0.1 * generator.normal(size=match.shape)).astype("float32")


@pytest.mark.slow
def test_fit_learns_and_scales_the_kl_by_the_number_of_rows():
    x, y = sequences()
    model = keras.Sequential(
        [
            keras.Input((12, 1)),
            conv(2, 3, prior=vb.priors.Normal(), activation="tanh"),
            keras.layers.GlobalAveragePooling1D(),
            vb.layers.DenseVariational(1, laws.MEAN_FIELD, vb.priors.Normal(3.0), seed=1),
        ]
    )
    history = vb.fit(model, vb.likelihoods.Normal(0.2), x, y, epochs=200, learning_rate=0.02, seed=0, verbose=0)
    f = vb.predict_f(model, x, num_draws=50, seed=0).mean(0)
    assert np.mean((y - f) ** 2) < 0.1 * np.var(y)
    last = {name: values[-1] for name, values in history.history.items()}
    assert history.kl_is_exact
    assert last["loss"] == pytest.approx(last["nll"] + last["kl"] / len(x), rel=1e-5)
    assert last["kl"] == pytest.approx(vb.parameter_report(model).kl, rel=0.05)  # of the last epoch, of its end


@pytest.mark.slow
def test_a_linear_model_gets_its_exact_posterior():
    generator, noise = np.random.default_rng(0), 0.3
    x = generator.normal(size=(40, 7, 2))
    true = generator.normal(size=7)
    design = np.stack([np.append(x[n, t : t + 3].reshape(-1), 1.0) for n in range(40) for t in range(5)])
    y = (design @ true + noise * generator.normal(size=200)).reshape(40, 5)
    covariance = np.linalg.inv(design.T @ design / noise**2 + np.eye(7))
    mean = covariance @ design.T @ y.ravel() / noise**2
    layer = conv(1, 3, posterior=vb.posterior, dtype="float64")
    model = keras.Sequential([keras.Input((7, 2), dtype="float64"), layer, keras.layers.Flatten(dtype="float64")])
    history = vb.fit(model, vb.likelihoods.Normal(noise), x, y, seed=0, verbose=0)
    assert history.exact
    q = layer.posterior(None)
    np.testing.assert_allclose(q.mean(), mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(q.covariance(), covariance, rtol=1e-6, atol=1e-10)
    draws = vb.sample_posterior(model, vb.likelihoods.Normal(noise), x, y, num_draws=1000, seed=0, verbose=0)
    assert draws.method == "closed form"
    w = draws.weights[0].reshape(-1, 7)
    # 5 standard errors of the mean of 4,000 independent draws: a false alarm in 250,000 runs
    np.testing.assert_allclose(w.mean(0), mean, atol=5 * np.sqrt(covariance.diagonal().max() / len(w)))
    np.testing.assert_allclose(np.cov(w.T), covariance, atol=0.15 * covariance.diagonal().max())


@pytest.mark.slow
def test_what_takes_a_network_takes_it():
    x, y = sequences(40)
    model = laws.network_of((12, 1), conv(2, 3, activation="tanh"))
    laws.assert_goes_everywhere(model, vb.likelihoods.Normal(0.3), x, y)


@pytest.mark.slow
def test_keras_fit_trains_it():
    x, y = sequences(100)
    model = laws.network_of((12, 1), conv(2, 3, activation="tanh", kl_weight=1 / 100))
    model.compile(keras.optimizers.Adam(0.02), vb.likelihoods.Normal(0.3))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_networks_of_one_structure_share_programs():
    x, y = sequences(20)
    vb.clear_programs()
    counts = []
    for seed in (0, 1):
        model = laws.network_of((12, 1), conv(2, 3, seed=seed))
        vb.fit(model, vb.likelihoods.Normal(), x, y, epochs=1, seed=seed, verbose=0)
        vb.predict_f(model, x, num_draws=2, seed=seed)
        counts.append(len(vb.programs()))
    assert counts[0] == counts[1] > 0
