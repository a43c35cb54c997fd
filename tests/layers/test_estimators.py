"""Noise by row: whatever the estimator, each row's outputs have the moments that q implies for them."""

import numpy as np
import pytest
import registry
import tensorflow as tf

import varbump as vb
from varbump.forward._context import entered
from varbump.forward.passes import ForwardPass

ROWS = 40_000
CASES = [
    (vb.posteriors.MeanFieldNormal(), "local"),
    (vb.posteriors.LowRankNormal(rank=2), "local"),
    (vb.posteriors.MeanFieldNormal(), "flipout"),
    (vb.posteriors.LowRankNormal(rank=2), "flipout"),
    (vb.posteriors.FullCovarianceNormal(), "flipout"),
    (vb.posteriors.JointNormal(), "flipout"),
]
NAMES = [f"{type(posterior).__name__}-{estimator}" for posterior, estimator in CASES]
each = pytest.mark.parametrize(("posterior", "estimator"), CASES, ids=NAMES)
some = pytest.mark.parametrize(
    ("posterior", "estimator"),
    [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:5]), CASES[5]],
    ids=NAMES,
)


def layer(posterior, estimator, use_bias=True, units=2):
    dense = vb.layers.DenseVariational(
        units, posterior, vb.prior, estimator=estimator, use_bias=use_bias, dtype="float64", seed=0
    )
    dense.build((None, 3))
    registry.perturbed(dense.posterior)
    return dense


def outputs(dense, x, seed, training=True):
    noise = tf.random.stateless_normal([len(x) * 8 + 100], (seed, 0), dtype=tf.float64)
    with entered(ForwardPass(noise, (seed, 1))):
        return dense(x, training=training).numpy()


def many_calls(dense, x, count=20_000):
    def one(noise):
        with entered(ForwardPass(noise)):
            return dense(tf.constant(x), training=True)[0]

    noise = np.random.default_rng(0).normal(size=(count, 50))
    return tf.function(lambda: tf.map_fn(one, tf.constant(noise)))().numpy()


def implied(dense, x):
    """Mean and covariance of the outputs for one row, from the dense covariance of the weights."""
    jacobian = np.kron(x[None, :], np.eye(2))  # kernel entries lie row by row
    if dense.use_bias:
        jacobian = np.hstack([jacobian, np.eye(2)])
    q = dense.posterior(None)
    return jacobian @ np.array(q.mean()), jacobian @ np.array(q.covariance()) @ jacobian.T


@some
@pytest.mark.parametrize("use_bias", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_each_row_has_the_moments_of_q(posterior, estimator, use_bias):
    dense = layer(posterior, estimator, use_bias)
    x = np.array([1.0, -2.0, 0.5])
    if estimator == "local":  # rows are independent
        draws = outputs(dense, np.tile(x, (ROWS, 1)), 0)
    else:  # rows share a draw up to signs: many calls of one row
        draws = many_calls(dense, x[None])
    mean, covariance = implied(dense, x)
    standardised = np.linalg.solve(np.linalg.cholesky(covariance), (draws - mean).T)
    count = draws.shape[0]
    # z of each moment below 5: false alarm in 1 of 1.7 million
    assert np.abs(standardised.mean(1)).max() < 5 / np.sqrt(count)
    assert np.abs(standardised @ standardised.T / count - np.eye(2)).max() < 5 * np.sqrt(2 / count)


@each
def test_rows_differ_in_training_and_are_one_function_otherwise(posterior, estimator):
    dense = layer(posterior, estimator)
    x = np.tile([1.0, -2.0, 0.5], (64, 1))
    assert len(np.unique(outputs(dense, x, 0)[:, 0])) > 1
    assert len(np.unique(outputs(dense, x, 0, training=False)[:, 0])) == 1
    assert len(np.unique(dense(x, training=True)[:, 0])) > 1  # outside of the compiled loops too
    assert len(np.unique(dense(x)[:, 0])) == 1


@pytest.mark.slow
@some
def test_trains_and_finds_a_line(posterior, estimator):
    x = np.linspace(-1, 1, 100, dtype="float32")[:, None]
    network = vb.build_network(1, hidden_units=(), make_posterior_fn=posterior, estimator=estimator, seed=0)
    vb.fit(
        network,
        vb.likelihoods.Normal(0.1),
        x,
        2 * x + 1,
        epochs=150,
        batch_size=50,
        learning_rate=0.05,
        seed=0,
        verbose=0,
    )
    mean = vb.predict_f(network, np.array([-1.0, 0.0, 1.0]), num_draws=200, seed=0).mean(0)[:, 0]
    np.testing.assert_allclose(mean, [-1, 1, 3], atol=0.1)


def test_a_row_of_zeros_has_a_finite_gradient():
    dense = layer(vb.posteriors.MeanFieldNormal(), "local", use_bias=False)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(dense(np.zeros((4, 3)), training=True))
    assert all(np.isfinite(g).all() for g in tape.gradient(total, dense.trainable_variables))


def test_more_axes_than_two():
    dense = layer(vb.posteriors.MeanFieldNormal(), "local")
    assert dense(np.ones((4, 5, 3)), training=True).shape == (4, 5, 2)


def test_a_family_that_cannot_is_refused():
    with pytest.raises(ValueError, match="those of FullCovarianceNormal cannot: use estimator='flipout'"):
        vb.build_network(estimator="local")
    with pytest.raises(ValueError, match="estimator must be one of"):
        vb.build_network(estimator="antithetic")


@pytest.mark.slow
def test_the_layers_of_a_joint_posterior_draw_together():
    """The mean of f depends on the covariance between the weights of two layers: of draws, and of bare calls."""
    network = vb.build_network(
        1,
        hidden_units=(1,),
        make_posterior_fn=vb.posteriors.JointNormal(scale=0.8),
        activation=None,
        dtype="float64",
        seed=0,
    )
    qs = [registry.perturbed(layer.posterior, seed) for seed, layer in enumerate(network.layers)]
    qs[1]._block.assign(2.0 * np.ones((2, 2)))

    def draw(noise):
        return np.concatenate([q.transform(tf.constant(noise[:end])) for q, end in zip(qs, (2, 4), strict=True)])

    factor = np.stack([draw(e) - draw(np.zeros(4)) for e in np.eye(4)], 1)
    mean, covariance = draw(np.zeros(4)), factor @ factor.T
    # f(1) = w_2 (w_0 + w_1) + w_3
    apart = mean[2] * (mean[0] + mean[1]) + mean[3]
    exact = apart + covariance[2, 0] + covariance[2, 1]
    values = vb.predict_f(network, np.array([1.0]), num_draws=40_000, seed=0)[:, 0, 0]
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - exact) < 5 * error
    assert abs(apart - exact) > 10 * error  # the sample can tell
    one = np.ones((1, 1))
    called = tf.function(lambda: tf.stack([network(one)[0, 0] for _ in range(10)]))
    values = np.concatenate([called().numpy() for _ in range(500)])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - exact) < 5 * error
    assert abs(apart - exact) > 10 * error


def test_the_kl_of_a_joint_posterior_is_that_of_the_whole():
    network = vb.build_network(
        2, hidden_units=(3,), make_posterior_fn=vb.posteriors.JointNormal(), dtype="float64", seed=0
    )
    qs = [registry.perturbed(layer.posterior, seed) for seed, layer in enumerate(network.layers)]
    size = sum(q.num_weights for q in qs)
    ends = [9, size]

    def draw(noise):
        return np.concatenate([q.transform(tf.constant(noise[:end])) for q, end in zip(qs, ends, strict=True)])

    factor = np.stack([draw(e) - draw(np.zeros(size)) for e in np.eye(size)], 1)
    mean = np.concatenate([q.loc.numpy() for q in qs])
    covariance = factor @ factor.T
    expected = 0.5 * (np.trace(covariance) + mean @ mean - size - np.linalg.slogdet(covariance)[1])
    assert vb.parameter_report(network).kl == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(qs[1](None).covariance(), covariance[9:, 9:], rtol=1e-8)


def test_a_joint_layer_by_itself_is_told_from_one_in_its_network():
    network = vb.build_network(1, hidden_units=(4,), make_posterior_fn=vb.posteriors.JointNormal(), seed=0)
    with (
        pytest.raises(ValueError, match=r"comes after layers of \[8\] weights"),
        entered(ForwardPass(tf.zeros([100]))),
    ):
        network.layers[-1](np.zeros((1, 4), "float32"))


@pytest.mark.slow
def test_joint_networks_are_saved_and_cloned(tmp_path):
    from varbump.core.keras import keras

    network = vb.build_network(1, hidden_units=(4,), make_posterior_fn=vb.posteriors.JointNormal(), seed=3)
    x = np.linspace(-1, 1, 20, dtype="float32")[:, None]
    vb.fit(network, vb.likelihoods.Normal(0.1), x, x, epochs=3, seed=0, verbose=0)
    network.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        vb.predict_f(network, x, num_draws=3, seed=1), vb.predict_f(again, x, num_draws=3, seed=1)
    )
