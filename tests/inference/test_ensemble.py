import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import registry
import tensorflow as tf
from registry import first_fast, flatten, name

import varbump as vb
from varbump.core.keras import keras
from varbump.inference.vi.loss import Batch, NetworkLoss
from varbump.inference.vi.members import Members

X = np.linspace(-1, 1, 60, dtype="float32")[:, None]
Y = X**2 + 0.1 * np.random.default_rng(0).normal(size=X.shape).astype("float32")


@pytest.mark.parametrize("posterior", first_fast(flatten(registry.POSTERIORS), ("JointNormal",)), ids=name)
@pytest.mark.parametrize("activation", ["relu", pytest.param("bump", marks=pytest.mark.slow)])
def test_step_is_that_of_each_member_by_itself(posterior, activation):
    network = vb.build_network(1, hidden_units=(3,), make_posterior_fn=posterior, activation=activation, seed=0)
    loss = NetworkLoss(network, vb.likelihoods.Normal(0.3), (1,))
    generator = np.random.default_rng(0)
    starts = [
        [v.numpy() + 0.1 * generator.normal(size=v.shape).astype("float32") for v in loss.trainable] for _ in "ab"
    ]
    noise = generator.normal(size=loss.count_noise([60, 1])).astype("float32")
    batch, seed = Batch(tf.constant(X), tf.constant(Y), None), tf.constant([1, 2])
    fixed = [tf.convert_to_tensor(v) for v in loss.fixed]
    values = [tf.stack(of_members) for of_members in zip(*starts, strict=True)]

    @tf.function
    def gradient(values, noise):
        return Members(loss, len(values[0])).gradient(values, [], fixed, batch, noise, seed, 0.7 / 60.0)

    both = gradient(values, tf.constant(noise))
    expected_nll, expected_kl = [], []
    for member, start in enumerate(starts):
        one = np.roll(noise, -(member * len(noise) // 2))
        alone = [tf.constant(value[None]) for value in start]
        expected = gradient(alone, tf.constant(one))
        expected_nll.append(float(expected.nll))
        expected_kl.append(float(expected.kl))
        for g, e in zip(both.gradients, expected.gradients, strict=True):
            scale = np.abs(e).max() + 1e-6
            np.testing.assert_allclose(g[member] / scale, e[0] / scale, atol=1e-4)  # float32 sums in another order
    assert float(both.nll) == pytest.approx(np.mean(expected_nll), rel=1e-4)
    assert float(both.kl) == pytest.approx(np.mean(expected_kl), rel=1e-4)


def fitted(seed=0, num_members=3, **options):
    network = vb.build_network(1, hidden_units=(8,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)
    options = {"epochs": 200, "batch_size": 20, "learning_rate": 0.02, "verbose": 0, **options}
    return vb.fit_ensemble(network, vb.likelihoods.Normal(0.1), X, Y, num_members=num_members, seed=seed, **options)


@pytest.mark.slow
def test_members_differ_and_each_is_trained():
    ensemble = fitted()
    assert ensemble.num_members == 3
    means = []
    for index in range(3):
        means.append(vb.predict_f(ensemble.member(index), X, num_draws=50, seed=0).mean(0))
    # the start is as far from x^2 as its own sd, 0.3
    assert max(np.sqrt(np.mean((m - X**2) ** 2)) for m in means) < 0.15
    assert np.abs(means[0] - means[1]).max() > 1e-3
    assert ensemble.history.history["loss"][-1] < ensemble.history.history["loss"][0]


@pytest.mark.slow
def test_the_network_holds_the_first_member_also_after_a_look_at_another():
    ensemble = fitted(epochs=3)
    before = [v.numpy() for v in ensemble.network.trainable_variables]
    first, other = ensemble.member(0), ensemble.member(2)
    vb.predict_f(ensemble, X, num_draws=9, seed=0)
    for a, b, c in zip(before, first.trainable_variables, ensemble.network.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert not np.array_equal(before[0], other.trainable_variables[0])


@pytest.mark.slow
@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_copies_draw_as_the_ensemble_does(copied):
    ensemble = fitted(epochs=3)
    expected = vb.predict_f(ensemble, X, num_draws=7, seed=5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # of different members
    np.testing.assert_array_equal(vb.predict_f(copied(ensemble), X, num_draws=7, seed=5), expected)


@pytest.mark.slow
def test_threads_draw_as_one_does():
    ensemble = fitted(epochs=3)
    alone = [vb.predict_f(ensemble, X, num_draws=9, seed=seed) for seed in range(8)]
    held = ensemble.network.get_weights()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: vb.predict_f(ensemble, X, num_draws=9, seed=seed), range(8)))
    np.testing.assert_array_equal(together, alone)
    for before, after in zip(held, ensemble.network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_the_seed_decides():
    first, again, other = (fitted(seed, epochs=5)._values[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_pooled_draws_come_from_all_members_in_turn():
    ensemble = fitted()
    pooled = vb.predict_f(ensemble, X, num_draws=7, seed=5)
    assert pooled.shape == (7, 60, 1)
    for index, count in [(0, 3), (1, 2), (2, 2)]:
        part = pooled[index::3]
        assert len(part) == count
        own = vb.predict_f(ensemble.member(index), X, num_draws=200, seed=0)
        assert np.abs(part - own.mean(0)).max() < 8 * own.std(0).max()
    np.testing.assert_array_equal(pooled, vb.predict_f(ensemble, X, num_draws=7, seed=5))
    wide = vb.credible_bands(vb.predict_f(ensemble, X, num_draws=300, seed=0)).sd
    within = []
    for index in range(3):
        within.append(vb.predict_f(ensemble.member(index), X, num_draws=100, seed=0).var(0))
    assert (wide**2 > 0.8 * np.mean(within, 0)).all()  # law of total variance, with the noise of 100 draws
    assert vb.predict_y(ensemble, ensemble.likelihood, X, num_draws=4, seed=0).shape == (4, 60, 1)
    assert vb.predict_bands(ensemble, X, likelihood=ensemble.likelihood, num_draws=9, seed=0).mean.shape == (60, 1)


@pytest.mark.slow
def test_patience_and_optimizers_work():
    assert len(fitted(patience=3).history.epoch) <= 200
    assert np.isfinite(fitted(optimizer="sgd", learning_rate=None).history.history["loss"]).all()


def test_other_layers_are_refused_by_name():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, name="stranger")])
    with pytest.raises(ValueError, match=r"'stranger/kernel.*one by one"):
        vb.fit_ensemble(network, vb.likelihoods.Normal(), X, Y)


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="no option 'epoch'"):
        fitted(epoch=3)


def test_expectations_are_those_of_each_member():
    network = vb.build_network(1, hidden_units=(), seed=0)
    likelihood = vb.likelihoods.LogNormal(1.0)
    logs = np.log([0.1, 2.0])
    values = [np.repeat(v.numpy()[None], 2, 0) for v in network.trainable_variables]
    (variable,) = likelihood.trainable_variables
    before = variable.numpy()
    values.append((before + logs).astype("float32"))
    members = vb.Ensemble(network, likelihood, vb.History(), values)
    own = [member.scale for member in members.likelihoods]
    assert own[1] > 5 * own[0]
    f = vb.predict_f(members, X[:3], num_draws=4, seed=0)
    expected = np.exp(f + 0.5 * np.square(own)[[0, 1, 0, 1], None, None])
    np.testing.assert_allclose(vb.predict_f(members, X[:3], likelihood=likelihood, num_draws=4, seed=0), expected, 1e-5)


@pytest.mark.slow
def test_members_may_have_weights_of_their_own():
    """Of a batch with a column of weights for each member, each takes the gradient for its own column."""
    network = vb.build_network(1, hidden_units=(3,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)
    loss = NetworkLoss(network, vb.likelihoods.Normal(0.3), (1,))
    weights = np.random.default_rng(0).dirichlet(np.ones(60), size=2).T.astype("float32")
    values = [tf.repeat(tf.convert_to_tensor(v)[None], 2, 0) for v in loss.trainable]
    fixed, noise = [tf.convert_to_tensor(v) for v in loss.fixed], tf.ones([loss.count_noise([60, 1])])

    def gradient(row_weights):
        batch = Batch(tf.constant(X), tf.constant(Y), tf.constant(row_weights))
        return Members(loss, 2).gradient(values, [], fixed, batch, noise, tf.constant([1, 2]), 0.01).gradients

    both, *each = gradient(weights), gradient(weights[:, 0]), gradient(weights[:, 1])
    for index, of_column in enumerate(each):
        for found, expected in zip(both, of_column, strict=True):
            np.testing.assert_allclose(found[index], expected[index], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_row_of_weight_0_is_left_out_by_that_member_only():
    weights = np.ones((60, 3))
    weights[:20, 1] = 0.0
    changed = Y.copy()
    changed[:20] += 1.0
    first, second = (
        vb.fit_ensemble(
            vb.build_network(1, hidden_units=(8,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0),
            vb.likelihoods.Normal(0.1),
            X,
            y,
            num_members=3,
            sample_weight=weights,
            epochs=5,
            batch_size=20,
            seed=0,
            verbose=0,
        )
        for y in (Y, changed)
    )
    for before, after in zip(first.values, second.values, strict=True):
        np.testing.assert_array_equal(before[1], after[1])
        assert not np.array_equal(before[0], after[0])


@pytest.mark.parametrize("shape", [(60, 2), (60, 3, 1), (59, 3)])
def test_weights_must_be_one_a_row_or_one_a_member(shape):
    with pytest.raises(ValueError, match="sample_weight"):
        fitted(sample_weight=np.ones(shape))


def test_no_member_may_leave_out_all_rows():
    with pytest.raises(ValueError, match="nor all zero"):
        fitted(sample_weight=np.eye(60, 3)[:, [0, 1, 1]] * [[1.0, 1.0, 0.0]])
