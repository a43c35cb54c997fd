import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from varbump.forward.elbo import exact_kl, monte_carlo_kl, negative_elbo

tfd = tfp.distributions


def test_loss_is_nll_plus_kl_over_n():
    assert negative_elbo(1.5, 200.0, 50) == pytest.approx(1.5 + 4.0)
    assert negative_elbo(1.5, 200.0, 50, 0.25) == pytest.approx(1.5 + 1.0)


def test_exact_kl_of_two_normals():
    q, p = tfd.Normal(0.5, 2.0), tfd.Normal(0.0, 3.0)
    assert float(exact_kl(q, p)) == pytest.approx(np.log(3 / 2) + (4 + 0.25) / 18 - 0.5, rel=1e-6)


def test_exact_kl_is_none_where_tfp_has_no_closed_form():
    assert exact_kl(tfd.Normal(0.0, 1.0), tfd.StudentT(3.0, 0.0, 1.0)) is None


def test_monte_carlo_kl_is_unbiased():
    q, p = tfd.MultivariateNormalDiag([0.5, 0.0], [2.0, 0.3]), tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0])
    draws = q.sample(20_000, seed=(0, 1))
    estimates = np.array(q.log_prob(draws) - p.log_prob(draws))
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - float(exact_kl(q, p))) < 5 * error  # false alarm in 1 of 1.7 million
    one = monte_carlo_kl(q.log_prob(draws[0]), p, tf.constant(draws[0]))
    assert float(one) == pytest.approx(estimates[0], rel=1e-5)
