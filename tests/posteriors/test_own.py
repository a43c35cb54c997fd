"""Families of one's own: two methods are enough, and what is missing is said by name."""

import numpy as np
import own_parts
import pytest
import registry
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb

tfd = tfp.distributions


@pytest.fixture
def q():
    return registry.perturbed(own_parts.Logistic(scale=0.3)(3, 1, "float64", seed=0))


def test_the_defaults_follow_from_the_distribution(q):
    scale = np.exp(q.log_scale)
    exact = scipy.stats.logistic(q.loc, scale)
    noise = np.random.default_rng(0).normal(size=4)
    w = exact.ppf(scipy.stats.norm.cdf(noise))
    np.testing.assert_allclose(q.transform(tf.constant(noise)), w, rtol=1e-9)
    np.testing.assert_allclose(q.log_prob(tf.constant(noise)), exact.logpdf(w).sum(), rtol=1e-9)
    np.testing.assert_allclose(q.variances(), exact.var())
    np.testing.assert_allclose(q.entropy(), exact.entropy().sum())
    np.testing.assert_allclose(q.mean, exact.mean())


def test_kl_to_a_normal_is_that_of_quadrature(q):
    p = vb.priors.Normal(0.7, loc=0.2)(3, 1, "float64")(None)
    expected = 0.0
    for loc, scale in zip(q.loc.numpy(), np.exp(q.log_scale), strict=True):
        one, other = scipy.stats.logistic(loc, scale), scipy.stats.norm(0.2, 0.7)
        integrand = lambda w, one=one, other=other: one.pdf(w) * (one.logpdf(w) - other.logpdf(w))  # noqa: E731
        expected += scipy.integrate.quad(integrand, loc - 40 * scale, loc + 40 * scale, epsabs=1e-12)[0]
    np.testing.assert_allclose(q.kl(p), expected, rtol=1e-8)


def test_kl_without_a_closed_form_is_none(q):
    assert q.kl(own_parts.HeavyTails()(3, 1, "float64")(None)) is None


def test_scales_of_a_learned_prior_follow_it(q):
    prior = vb.priors.TrainableNormal()(3, 1, "float64", posterior=q)
    np.testing.assert_allclose(prior.scales, np.sqrt(np.mean(q.variances() + q.mean**2)), rtol=1e-6)


def test_what_is_missing_is_named():
    class NoMake(vb.posteriors.PosteriorFactory):
        pass

    class NoShapes(vb.posteriors.PosteriorFactory):
        def make(self, loc, dtype):
            return vb.posteriors.Posterior(loc, dtype)

    class NoTransform(vb.posteriors.Posterior):
        pass

    class NoDistribution(vb.posteriors.Posterior):
        def transform(self, noise):
            return noise

    with pytest.raises(TypeError, match=r"NoMake lacks the method make\(self, loc, dtype\)"):
        vb.register("NoMake")(NoMake)
    with pytest.raises(TypeError, match=r"NoShapes lacks the method variable_shapes\(self, num_weights\)"):
        vb.register("NoShapes")(NoShapes)
    for made, lacks in [(NoTransform, "transform"), (NoDistribution, "distribution")]:

        class Factory(NoShapes):
            def make(self, loc, dtype, made=made):
                return made(loc, dtype)

        with pytest.raises(TypeError, match=rf"{made.__name__} lacks the method {lacks}\(self"):
            Factory()(3)


def test_what_is_no_posterior_is_refused():
    class Wrong(vb.posteriors.PosteriorFactory):
        def make(self, loc, dtype):
            return loc

    with pytest.raises(TypeError, match=r"Wrong.make must return a varbump.posteriors.Posterior"):
        Wrong()(3)


def test_the_estimator_that_it_lacks_is_refused():
    with pytest.raises(ValueError, match="those of Logistic cannot: use estimator='flipout'"):
        vb.build_network(1, make_posterior_fn=own_parts.Logistic(), estimator="local")


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [pytest.param("shared", marks=pytest.mark.slow), "flipout"])
def test_fit(estimator):
    x = np.linspace(-1.0, 1.0, 60)[:, None].astype("float32")
    family, prior = own_parts.Logistic(), own_parts.HeavyTails(fan_in=True)
    network = vb.build_network(
        1, hidden_units=(4,), make_posterior_fn=family, make_prior_fn=prior, estimator=estimator, seed=0
    )
    history = vb.fit(network, vb.likelihoods.LearnedNormal(), x, 2.0 * x, epochs=60, learning_rate=0.05, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] - 0.5
    f = vb.predict_f(network, x, num_draws=20, seed=0)
    assert np.sqrt(np.mean((f.mean(0) - 2.0 * x) ** 2)) < 0.5
    report = vb.parameter_report(network, num_data=60)
    assert report.num_weights == 4 * 2 + 5
