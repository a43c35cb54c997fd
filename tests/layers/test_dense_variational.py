import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from other_keras import REFUSED, SAVED_MODELS, only_keras2, other

import varbump as vb
from varbump.core.keras import keras
from varbump.forward._context import entered
from varbump.forward.passes import ForwardPass

tfd = tfp.distributions
MEAN_FIELD = vb.posteriors.MeanFieldNormal()
SLOW = pytest.mark.slow


def layer(units=3, posterior=vb.posterior, prior=vb.prior, **options):
    return vb.layers.DenseVariational(units, posterior, prior, **options)


def student_prior(kernel_size, bias_size=0, dtype=None):
    size = kernel_size + bias_size
    return lambda _: tfd.Independent(tfd.StudentT(tf.fill([size], tf.cast(4.0, dtype)), 0.0, 1.0), 1)


def distribution_lambda_posterior(kernel_size, bias_size=0, dtype=None):
    size = kernel_size + bias_size
    return tf_keras.Sequential(
        [
            tfp.layers.VariableLayer(2 * size, dtype=dtype),
            tfp.layers.DistributionLambda(
                lambda t: tfd.Independent(tfd.Normal(t[..., :size], 1e-3 + tf.nn.softplus(t[..., size:])), 1)
            ),
        ]
    )


def test_output_is_the_affine_map_of_the_draw():
    dense = layer(2, activation="tanh")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    dense.build((None, 4))
    noise = np.random.default_rng(1).normal(size=10).astype("float32")
    w = dense.posterior.transform(tf.constant(noise)).numpy()
    with entered(ForwardPass(tf.constant(noise))):
        outputs = dense(x)
    np.testing.assert_allclose(outputs, np.tanh(x @ w[:8].reshape(4, 2) + w[8:]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_rank_and_both_dtypes(shape, dtype):
    outputs = layer(3, dtype=dtype)(np.zeros(shape, dtype))
    assert outputs.shape == (*shape[:-1], 3)
    assert outputs.dtype == dtype


def test_all_rows_of_a_call_share_the_draw_and_calls_do_not():
    dense = layer()
    x = np.ones((4, 2), "float32")
    first, second = dense(x).numpy(), dense(x).numpy()
    np.testing.assert_allclose(first, np.tile(first[:1], (4, 1)), rtol=1e-6)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)])
def test_seed_reproduces_draws_of_a_posterior_of_tfp(wrap):
    x, sequences = np.ones((2, 2), "float32"), []
    for _ in range(2):
        dense = layer(seed=7, posterior=distribution_lambda_posterior)
        dense.build((None, 2))
        call = wrap(dense)
        sequences.append([call(x).numpy() for _ in range(3)])
    np.testing.assert_array_equal(*sequences)
    assert not np.allclose(sequences[0][0], sequences[0][1])


@pytest.mark.parametrize("posterior", [vb.posterior, MEAN_FIELD])
def test_seed_reproduces_draws_eagerly_in_graphs_and_under_xla(posterior):
    x = np.ones((2, 2), "float32")

    def sequence(wrap):
        dense = layer(seed=7, posterior=posterior)
        dense.build((None, 2))
        call = wrap(dense)
        return np.array([call(x).numpy() for _ in range(3)])

    eager = sequence(lambda f: f)
    np.testing.assert_array_equal(eager, sequence(lambda f: f))
    # other kernels of the same functions: last bits may differ
    np.testing.assert_allclose(eager, sequence(tf.function), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(eager, sequence(lambda f: tf.function(f, jit_compile=True)), rtol=1e-5, atol=1e-6)
    assert not np.allclose(eager[0], eager[1])


def test_unseeded_layers_follow_the_global_seed():
    x, outputs = np.ones((1, 2), "float32"), []
    for seed in (5, 5, 6):
        keras.utils.set_random_seed(seed)
        outputs.append(layer()(x).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def kl_of(dense, inputs=2):
    x = np.zeros((1, inputs), "float32")
    size = 100  # more than any of these layers takes
    with entered(ForwardPass(tf.random.stateless_normal([size], (1, 2)))) as forward:
        dense(x)
    return float(forward.kl)


@pytest.mark.parametrize("posterior", [vb.posterior, MEAN_FIELD])
def test_kl_is_exact_where_tfp_knows_the_pair(posterior):
    dense = layer(posterior=posterior)
    value = kl_of(dense)
    assert dense.uses_exact_kl
    assert value == pytest.approx(float(tfd.kl_divergence(dense.posterior(None), dense.prior(None))), rel=1e-5)


def test_kl_is_monte_carlo_where_it_does_not():
    dense = layer(prior=student_prior)
    value = kl_of(dense)
    assert not dense.uses_exact_kl
    assert np.isfinite(value)
    noise = tf.random.stateless_normal([100], (1, 2))[:9]
    w = dense.posterior.transform(noise)
    expected = dense.posterior(None).log_prob(w) - dense.prior(None).log_prob(w)
    assert value == pytest.approx(float(expected), rel=1e-4)


def test_asking_for_an_exact_kl_where_there_is_none_is_an_error():
    with pytest.raises(ValueError, match="kl_use_exact=True.*no closed form"):
        layer(prior=student_prior, kl_use_exact=True).build((None, 2))


def test_monte_carlo_kl_on_request():
    dense = layer(kl_use_exact=False)
    assert kl_of(dense) != pytest.approx(float(tfd.kl_divergence(dense.posterior(None), dense.prior(None))), rel=1e-6)


@pytest.mark.parametrize("exact", [None, False])
def test_keras_adds_the_weighted_kl_once(exact):
    dense = layer(kl_weight=0.01, kl_use_exact=exact)
    model = keras.Sequential([keras.Input((2,)), dense])
    model(np.zeros((4, 2), "float32"))
    losses = model.losses
    assert len(losses) == 1
    expected = float(tfd.kl_divergence(dense.posterior(None), dense.prior(None)))
    assert float(losses[0]) == pytest.approx(0.01 * expected, rel=1e-5 if exact is None else 0.8)


def test_a_shared_layer_counts_its_kl_once():
    dense = layer(2, kl_weight=1.0)
    x = keras.Input((2,))
    model = keras.Model(x, dense(dense(x)))
    expected = float(tfd.kl_divergence(dense.posterior(None), dense.prior(None)))
    assert float(tf.add_n(model.losses)) == pytest.approx(expected, rel=1e-5)
    with entered(ForwardPass(tf.zeros([12]))) as forward:
        model(np.zeros((1, 2), "float32"))
    assert forward.taken == 12
    assert float(forward.kl) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_keras_fit_trains_and_its_loss_is_the_negative_elbo():
    x = np.linspace(-1, 1, 200, dtype="float32")[:, None]
    model = vb.build_network(1, hidden_units=(), kl_weight=1 / 200, seed=0, make_posterior_fn=MEAN_FIELD)
    likelihood = vb.likelihoods.Normal(0.5)
    model.compile(keras.optimizers.Adam(0.05), likelihood)
    losses = model.fit(x, 2 * x, epochs=20, batch_size=50, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    report = vb.parameter_report(model)
    nll = np.mean(likelihood.nll(2 * x, vb.predict_f(model, x, num_draws=400, seed=0)))
    evaluated = np.mean([model.evaluate(x, 2 * x, verbose=0) for _ in range(50)])
    assert evaluated == pytest.approx(nll + report.kl / 200, rel=0.05)  # 50 draws of a loss with sd of 3 %: 10 errors


@pytest.mark.slow
def test_an_unset_kl_weight_is_heard_of_in_keras_fit_and_only_there():
    x = np.zeros((8, 2), "float32")
    model = vb.build_network(2, hidden_units=(), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(x)
        vb.fit(model, vb.likelihoods.Normal(), x, x[:, :1], epochs=1, verbose=0)
    model.compile("adam", vb.likelihoods.Normal())
    with pytest.warns(UserWarning, match="kl_weight=1/num_data"):
        model.fit(x, x[:, :1], epochs=1, verbose=0)


@pytest.mark.parametrize("posterior", [vb.posterior, MEAN_FIELD])
def test_config_round_trips_with_its_factories(posterior):
    dense = layer(
        5, posterior, vb.priors.Normal(0.3), kl_weight=0.1, kl_use_exact=True, activation="relu", use_bias=False, seed=3
    )
    config = dense.get_config()
    again = vb.layers.DenseVariational.from_config(config)
    assert again.get_config() == config
    assert type(again.make_posterior_fn) is type(posterior)
    assert again.make_prior_fn.scale == 0.3


@pytest.mark.parametrize(
    "suffix", [".keras", pytest.param(".h5", marks=SLOW), pytest.param("", marks=[SLOW, only_keras2(SAVED_MODELS)])]
)
def test_models_save_and_load(tmp_path, suffix):
    model = vb.build_network(2, hidden_units=(4,), seed=0, kl_weight=1.0)
    model.compile("adam", vb.likelihoods.Normal(0.3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf_keras on its own older formats
        model.save(tmp_path / f"model{suffix}")
        loaded = keras.models.load_model(tmp_path / f"model{suffix}")
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    x = np.zeros((3, 2), "float32")
    np.testing.assert_array_equal(vb.predict_f(model, x, seed=0), vb.predict_f(loaded, x, seed=0))


def test_trainable_weights_all_have_gradients():
    model = vb.build_network(2, hidden_units=(4,), seed=0, kl_weight=1.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(np.ones((3, 2), "float32"))) + tf.add_n(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == 6
    assert all(g is not None and np.any(np.asarray(g) != 0) for g in gradients)


def test_objects_of_the_other_keras_are_refused_with_what_to_import():
    for option in ({"activation": other.layers.ReLU()}, {"activity_regularizer": other.regularizers.L2(0.1)}):
        with pytest.raises(TypeError, match=REFUSED):
            layer(**option)
    with pytest.raises(TypeError, match=f"inputs {REFUSED}"):
        layer()(other.Input((2,)))


@pytest.mark.parametrize("units", [0, -1, 2.5])
def test_units_must_be_a_positive_integer(units):
    with pytest.raises(ValueError, match="units must be a positive integer"):
        layer(units)


def test_factories_may_be_named():
    dense = layer(posterior="mean_field", prior="laplace")
    assert isinstance(dense.make_posterior_fn, vb.posteriors.MeanFieldNormal)
    assert isinstance(dense.make_prior_fn, vb.priors.Laplace)
    with pytest.raises(ValueError, match="posterior must be one of .*mean_field.*got 'gaussian'"):
        layer(posterior="gaussian")


def test_factories_must_be_callable():
    with pytest.raises(ValueError, match="make_posterior_fn must be a factory"):
        vb.layers.DenseVariational(1, None, vb.prior)


def test_unknown_last_axis_is_refused():
    with pytest.raises(ValueError, match="last axis"):
        layer().build((None, None))


def batch_of_normals(kernel_size, bias_size=0, dtype=None):
    return lambda _: tfd.Normal(tf.zeros(kernel_size + bias_size, dtype), 1.0)


@pytest.mark.slow
def test_a_batch_of_scalar_normals_is_a_prior_too():
    dense = layer(prior=batch_of_normals, kl_use_exact=False, kl_weight=1.0)
    dense(np.zeros((1, 2), "float32"))
    draws = [float(dense.losses[0]) for _ in range(300)]
    exact = float(dense.posterior.kl_to_normal(vb.prior(6, 3)(None)))
    # 5 standard errors of 300 draws
    assert np.mean(draws) == pytest.approx(exact, abs=5 * np.std(draws) / np.sqrt(300))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posterior": vb.posteriors.MeanFieldNormal}, "make_posterior_fn must be a factory"),
        ({"prior": vb.priors.Normal}, "make_prior_fn must be a factory"),
        ({"prior": lambda *a: None}, "make_prior_fn must return"),
        ({"prior": lambda k, b, d: vb.prior(k + 1, b, d)}, "distribution over 10 numbers for the 9 weights"),
        ({"kl_weight": -1.0}, "kl_weight must be"),
    ],
)
def test_factories_that_do_not_fit_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        layer(**change).build((None, 2))


def test_half_precision_and_classes_as_activation_are_refused():
    with pytest.raises(TypeError, match="float32 or float64"):
        layer(dtype="float16").build((None, 2))
    with pytest.raises(TypeError, match=r"write Bump\(\)"):
        layer(activation=vb.layers.Bump)
