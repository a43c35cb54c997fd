"""Likelihoods of one's own: a class with a distribution, and nothing else."""

import copy
import doctest
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_regressor import small_regressor

import varbump as vb
from varbump.core import registry
from varbump.likelihoods import Likelihood, base
from varbump.likelihoods.checks import is_discrete, standardises

tfd = tfp.distributions


class OwnPoisson(Likelihood):
    def distribution(self, f):
        return tfd.Poisson(log_rate=f)


class OwnLaplace(Likelihood):
    def __init__(self, scale=0.3):
        super().__init__()
        self.scale = scale

    def distribution(self, f):
        return tfd.Laplace(f, self.scale)


class OwnPair(Likelihood):
    def distribution(self, f):
        loc, raw = tf.split(f, 2, axis=-1)
        return tfd.Logistic(loc, 0.1 + tf.math.softplus(raw))

    def num_outputs(self, num_targets):
        return 2 * num_targets


OWN = [OwnPoisson(), OwnLaplace(0.2), OwnPair()]


def table(likelihood, num_data=80, num_targets=1):
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(num_data, 2))
    noise = generator.poisson(np.exp(1.0 + x[:, :1])) if is_discrete(likelihood) else generator.normal(size=(80, 1))
    return x, np.repeat(noise.astype(float), num_targets, 1)


@pytest.mark.slow
def test_the_example_of_the_class_runs():
    before = dict(registry._classes)
    try:
        found = doctest.DocTestFinder(recurse=False).find(Likelihood, "Likelihood", module=base)
        assert sum(len(test.examples) for test in found) > 5
        for test in found:
            assert doctest.DocTestRunner().run(test).failed == 0
    finally:
        registry._classes.clear()
        registry._classes.update(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "likelihood",
    [OWN[0], *(pytest.param(item, marks=pytest.mark.slow) for item in OWN[1:])],
    ids=lambda item: type(item).__name__,
)
def test_a_distribution_is_all_that_fitting_predicting_and_scoring_need(likelihood):
    x, y = table(likelihood, num_targets=2)
    network = vb.build_network(2, hidden_units=(3,), num_outputs=2, likelihood=likelihood, seed=0)
    history = vb.fit(network, likelihood, x, y, epochs=3, seed=0, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    drawn = vb.predict_y(network, likelihood, x, num_draws=5, seed=0)
    assert drawn.shape == (5, 80, 2)
    assert (drawn == np.floor(drawn)).all() == is_discrete(likelihood)
    np.testing.assert_array_equal(drawn, vb.predict_y(network, likelihood, x, num_draws=5, seed=0))
    f = vb.predict_f(network, x, num_draws=5, seed=0)
    scores = vb.evaluate(network, x, y, likelihood=likelihood, num_draws=5, seed=0, levels=(0.5, 0.9))
    made = likelihood.distribution(tf.constant(f))
    joint = np.exp(np.sum(made.log_prob(y.astype("float32")), -1, dtype=float)).mean(0)
    assert scores.log_likelihood == pytest.approx(np.log(joint).mean(), rel=1e-4)
    assert scores.rmse == pytest.approx(np.mean(np.sqrt(np.mean((made.mean().numpy().mean(0) - y) ** 2, 0))), rel=1e-4)
    bands = vb.predict_bands(network, x, likelihood=likelihood, num_draws=5)
    assert bands.mean.shape == (80, 2)
    corrected = vb.recalibrate(network, x, y, likelihood=likelihood, num_draws=5)
    assert corrected.predict_interval(x[:4]).shape == (4, 2, 2)


@pytest.mark.parametrize("likelihood", OWN, ids=lambda item: type(item).__name__)
def test_copies(likelihood):
    for made in (copy.deepcopy(likelihood), pickle.loads(pickle.dumps(likelihood))):
        assert type(made) is type(likelihood)
        assert made.get_config() == likelihood.get_config()
        y, f = np.ones((3, 1)), np.ones((3, likelihood.num_outputs(1)))
        np.testing.assert_array_equal(made.nll(y, f), likelihood.nll(y, f))
    assert OwnLaplace(0.7).structure() == {"scale": 0.7}


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", OWN, ids=lambda item: type(item).__name__)
def test_the_regressor_takes_it(likelihood):
    x, y = table(likelihood)
    model = small_regressor(likelihood=likelihood, n_draws=6)
    model.fit(x, y[:, 0])
    assert (model.y_scaler_.scale_ == 1.0).all() == is_discrete(likelihood)
    assert model.predict_interval(x).shape == (80, 2)
    assert model.sample_y(x, 3).shape == (80, 3)
    assert np.isfinite(model.log_predictive_density(x, y[:, 0])).all()
    assert np.isfinite(vb.evaluate(model, x, y[:, 0]).crps)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_samples_of_tfp_are_functions_of_the_seed():
    f = tf.zeros([40, 2])
    for likelihood in (OwnPoisson(), OwnLaplace()):
        drawn = likelihood.sample(f, (1, 2))
        np.testing.assert_array_equal(drawn, likelihood.sample(f, np.array([1, 2], np.int32)))
        np.testing.assert_array_equal(drawn, tf.function(lambda like=likelihood: like.sample(f, (1, 2)))())
        assert (drawn != likelihood.sample(f, (1, 3))).numpy().any()


def test_counts_are_known_by_their_distribution():
    assert is_discrete(OwnPoisson())
    assert not is_discrete(OwnLaplace())
    assert not standardises(OwnPoisson())
    assert standardises(OwnLaplace())

    class Counts(Likelihood):
        discrete = True

    assert (Counts.standardises_y, Counts.scale_varies, Counts.support) == (False, True, (0.0, np.inf))


def test_what_is_missing_is_said_at_registration_and_at_use():
    class Empty(Likelihood):
        pass

    class Half(Likelihood):
        def nll(self, y, f):
            return tf.reduce_sum(tf.square(y - f), -1)

        mean = stddev = nll

    with pytest.raises(TypeError, match=r"Empty lacks distribution\(self, f\)"):
        vb.register("Empty")(Empty)
    with pytest.raises(TypeError, match=r"Half lacks distribution\(self, f\), .* or also sample"):
        vb.register("Half")(Half)
    assert "custom>Empty" not in registry._classes
    for call in (
        lambda it: it.nll([[0.0]], [[0.0]]),
        lambda it: it.mean([[0.0]]),
        lambda it: it.sample([[0.0]], (0, 1)),
    ):
        with pytest.raises(TypeError, match=r"Empty lacks distribution\(self, f\)"):
            call(Empty())
    x, y = table(OwnLaplace())
    with pytest.raises(TypeError, match=r"Empty lacks distribution\(self, f\)"):
        vb.fit(vb.build_network(2, seed=0), Empty(), x, y, epochs=1, verbose=0)


def test_an_argument_that_is_not_kept_is_named():
    class Forgets(OwnLaplace):
        def __init__(self, width=1.0):
            super().__init__(scale=width)

    with pytest.raises(TypeError, match=r"Forgets has no attribute 'width': .* self.width"):
        Forgets().get_config()


def test_distributions_of_a_wrong_shape_are_refused():
    class Vector(Likelihood):
        def distribution(self, f):
            return tfd.MultivariateNormalDiag(f, tf.ones_like(f))

    class Number(Likelihood):
        def distribution(self, f):
            return f

    with pytest.raises(ValueError, match=r"must have batch shape \(..., Q\) and scalar events"):
        Vector().nll(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(TypeError, match="must return a tfp.distributions.Distribution"):
        Number().nll(np.zeros((3, 2)), np.zeros((3, 2)))

    class NoOutputs(OwnPair):
        def num_outputs(self, num_targets):
            return num_targets

    with pytest.raises(ValueError, match="y has 2 columns, but the distribution of NoOutputs has 1"):
        NoOutputs().nll(np.zeros((3, 2)), np.zeros((3, 2)))
