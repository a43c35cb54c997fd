"""Laws of every posterior and prior factory."""

import itertools

import numpy as np
import pytest
import registry
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import TFP_LAYERS, only_keras2
from registry import first_fast, flatten, name

import varbump as vb
from varbump.core.keras import keras

tfd = tfp.distributions
FACTORIES = flatten(registry.POSTERIORS)
NORMAL_PRIORS = flatten({n: registry.PRIORS[n] for n in ("Normal", "TrainableNormal", "ARDNormal")})
ALL = FACTORIES + flatten(registry.PRIORS)

each = pytest.mark.parametrize("factory", FACTORIES, ids=name)
one_of_each = pytest.mark.parametrize("factory", first_fast(FACTORIES), ids=name)
each_of_all = pytest.mark.parametrize("factory", ALL, ids=name)


@each_of_all
@pytest.mark.parametrize("dtype", [None, "float32", "float64", tf.float64])
def test_dtype_is_honoured(factory, dtype):
    distribution = factory(4, 2, dtype)(None)
    expected = tf.as_dtype(dtype or "float32")
    assert distribution.dtype == expected
    assert distribution.sample(seed=(1, 2)).dtype == expected


@each_of_all
def test_the_event_is_kernel_and_bias_flattened(factory):
    assert factory(6, 3)(None).event_shape == [9]
    assert factory(6)(None).event_shape == [6]
    assert factory(1, 0)(None).event_shape == [1]


@each_of_all
def test_config_round_trips(factory):
    again = type(factory).from_config(factory.get_config())
    assert again.get_config() == factory.get_config()
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(factory))
    assert type(restored) is type(factory)
    assert restored.get_config() == factory.get_config()


@each
def test_transform_is_the_reparameterisation_of_the_distribution(factory):
    q = registry.perturbed(factory(6, 2, "float64", seed=0))
    zero = tf.zeros(q.num_noise, tf.float64)
    columns = np.stack([q.transform(tf.constant(e)) - q.transform(zero) for e in np.eye(q.num_noise)], 1)
    # L L^T of the map that draws is the covariance of the distribution that the KL speaks of
    np.testing.assert_allclose(columns @ columns.T, q(None).covariance(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(q.transform(zero), q(None).mean())
    np.testing.assert_allclose(q.variances(), q(None).variance())


@each
def test_entropy_and_log_prob_are_those_of_the_distribution(factory):
    q = registry.perturbed(factory(6, 2, "float64", seed=0))
    dense = tfd.MultivariateNormalTriL(q(None).mean(), tf.linalg.cholesky(q(None).covariance()))
    np.testing.assert_allclose(q.entropy(), dense.entropy(), rtol=1e-10)
    noise = tf.constant(np.random.default_rng(0).normal(size=q.num_noise))
    np.testing.assert_allclose(q.log_prob(noise), dense.log_prob(q.transform(noise)), rtol=1e-9)


def expected_log_prob(p, loc, sd):
    """E[log p(w)] under independent normals, by quadrature on both sides of the kink."""
    total = 0.0
    for m, s, one in zip(loc, sd, p, strict=True):
        edges = sorted({m - 12 * s, m + 12 * s, min(max(one[1], m - 12 * s), m + 12 * s)})
        for a, b in itertools.pairwise(edges):
            total += scipy.integrate.quad(
                lambda w, m=m, s=s, one=one: scipy.stats.norm.pdf(w, m, s) * one[0].logpdf(w), a, b, epsabs=1e-12
            )[0]
    return total


@each
def test_kl_to_a_laplace_prior_is_that_of_quadrature(factory):
    q, factory_p = registry.perturbed(factory(3, 1, "float64", seed=0)), vb.priors.Laplace(0.4, loc=0.1)
    p = factory_p(3, 1, "float64")(None)
    each_weight = [(scipy.stats.laplace(0.1, 0.4), 0.1)] * 4
    expected = -float(q.entropy()) - expected_log_prob(
        each_weight, np.array(q(None).mean()), np.array(q(None).stddev())
    )
    np.testing.assert_allclose(q.kl(p), expected, rtol=1e-8)  # quadrature to 1e-10 a weight


@one_of_each
@pytest.mark.parametrize("prior", NORMAL_PRIORS, ids=name)
def test_kl_is_that_of_tfp_on_dense_matrices(factory, prior):
    q, p = registry.perturbed(factory(6, 3, "float64", seed=0)), prior(6, 3, "float64")(None)
    dense = tfd.MultivariateNormalTriL(q(None).mean(), tf.linalg.cholesky(q(None).covariance()))
    np.testing.assert_allclose(q.kl_to_normal(p), tfd.kl_divergence(dense, p), rtol=1e-10)


@one_of_each
@pytest.mark.parametrize("prior", flatten({n: registry.PRIORS[n] for n in ("TrainableNormal", "ARDNormal")}), ids=name)
def test_learned_scales_are_those_of_the_smallest_kl(factory, prior):
    q = registry.perturbed(factory(6, 2, "float64", seed=0))  # three inputs, two units, a bias
    best = prior(6, 2, "float64", num_inputs=3, posterior=q)
    groups = [range(8)] if type(prior) is vb.priors.TrainableNormal else [(0, 1), (2, 3), (4, 5), (6, 7)]
    factor = np.where(np.arange(8) < 6, 1 / np.sqrt(3) if prior.fan_in else 1.0, 1.0)
    moments = (np.array(q(None).variance()) + np.array(q(None).mean()) ** 2) / factor**2
    np.testing.assert_allclose(best.scales, [np.sqrt(np.mean(moments[list(g)])) for g in groups], rtol=1e-6)
    variable = prior(6, 2, "float64", num_inputs=3)  # for layers that know no q
    assert len(variable.trainable_variables) == 1
    assert not getattr(best, "trainable_variables", [])
    variable.trainable_variables[0].assign(np.log(best.scales))
    np.testing.assert_allclose(q.kl(best(None)), q.kl(variable(None)))
    for group in range(len(groups)):
        for move in (-0.01, 0.01):
            moved = np.log(best.scales)
            moved[group] += move
            variable.trainable_variables[0].assign(moved)
            assert q.kl(variable(None)) > q.kl(best(None))


@each
def test_gradient_of_the_kl_to_a_learned_prior_is_that_of_finite_differences(factory):
    q = registry.perturbed(factory(3, 1, "float64", seed=0))
    p = vb.priors.ARDNormal()(3, 1, "float64", num_inputs=3, posterior=q)
    with tf.GradientTape() as tape:
        kl = q.kl(p(None))
    variable = q.trainable_variables[0]
    gradient, start = tape.gradient(kl, variable).numpy(), variable.numpy()
    for i in range(4):
        values = []
        for step in (1e-5, -1e-5):
            variable.assign(start + step * np.eye(4)[i])
            values.append(float(q.kl(p(None))))
        # the floor of the scales, 1e-8 in squares of about 1e-2, moves the optimum by 1e-6
        assert gradient[i] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-6)


@each
def test_kl_gradient_is_that_of_finite_differences(factory):
    q, p = registry.perturbed(factory(3, 1, "float64", seed=0)), vb.prior(3, 1, "float64")(None)
    with tf.GradientTape() as tape:
        kl = q.kl_to_normal(p)
    for variable, gradient in zip(q.trainable_variables, tape.gradient(kl, q.trainable_variables), strict=True):
        start, flat = variable.numpy(), np.zeros(variable.shape)
        for index in np.ndindex(*variable.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = start.copy()
                moved[index] += step
                variable.assign(moved)
                values.append(float(q.kl_to_normal(p)))
            flat[index] = (values[0] - values[1]) / 2e-5
        variable.assign(start)
        np.testing.assert_allclose(gradient, flat, atol=1e-7)  # central differences: error of order 1e-10 / 1e-5


@one_of_each
def test_start_is_small_and_scaled_by_fan_in(factory):
    q = factory(100 * 20, 20, seed=3)(None)
    np.testing.assert_allclose(q.stddev(), factory.scale, rtol=1e-5)
    # 2,020 draws: their sd is known to 1.6 %, so 8 % is five standard errors
    assert np.std(q.mean()) == pytest.approx(factory.loc_scale / 10, rel=0.08)


@each
def test_seed_decides_the_start(factory):
    first, again, other = (factory(6, 2, seed=s)(None).mean().numpy() for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@each
def test_unseeded_start_follows_the_global_seed(factory):
    means = []
    for seed in (1, 1, 2):
        tf.random.set_seed(seed)
        means.append(factory(6, 2)(None).mean().numpy())
    np.testing.assert_array_equal(means[0], means[1])
    assert not np.array_equal(means[0], means[2])


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_parameter_counts(n):
    def count(factory):
        return sum(int(np.prod(v.shape)) for v in factory(n)(None) and factory(n).trainable_variables)

    assert count(vb.posterior) == n + n * (n + 1) // 2
    assert count(vb.posteriors.JointNormal()) == n + n * (n + 1) // 2
    assert count(vb.posteriors.MeanFieldNormal()) == 2 * n
    assert count(vb.posteriors.LowRankNormal(rank=3)) == n * (2 + min(n, 3))


@only_keras2(TFP_LAYERS)
@one_of_each
@pytest.mark.parametrize("exact", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_stock_tfp_layer_trains_with_the_factories(factory, exact):
    prior = vb.prior
    x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    model = keras.Sequential(
        [tfp.layers.DenseVariational(1, factory, prior, kl_weight=1 / 64, kl_use_exact=exact, input_shape=(1,))]
    )
    model.compile(keras.optimizers.Adam(0.05), vb.likelihoods.Normal(0.5))
    history = model.fit(x, 2 * x, epochs=30, verbose=0).history["loss"]
    assert len(model.trainable_variables) == len(factory(1, 1).trainable_variables)
    assert np.isfinite(history).all()
    assert np.mean(history[-5:]) < np.mean(history[:5])


def test_conversion_to_tensor_is_one_draw():
    q = vb.posterior(3, 1)(None)
    first = tf.convert_to_tensor(q)
    np.testing.assert_array_equal(first, tf.convert_to_tensor(q))
    assert not np.array_equal(first, tf.convert_to_tensor(vb.posterior(3, 1)(None)))


def test_a_full_covariance_that_does_not_fit_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match=r"1,000,000 weights.*max_parameters.*MeanFieldNormal"):
        vb.posterior(999_000, 1_000)
    with pytest.raises(ValueError, match="max_parameters=10"):
        vb.posteriors.FullCovarianceNormal(max_parameters=10)(4, 2)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("make", [vb.priors.Normal, vb.posteriors.MeanFieldNormal, vb.posteriors.FullCovarianceNormal])
def test_scales_out_of_range_are_refused(make, scale):
    with pytest.raises(ValueError, match="scale, a standard deviation, must be a finite number above 0"):
        make(scale=scale)


def test_negative_loc_scale_is_refused():
    with pytest.raises(ValueError, match="loc_scale"):
        vb.posteriors.MeanFieldNormal(loc_scale=-1.0)
