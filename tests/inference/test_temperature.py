"""A posterior trained at another temperature says so wherever it is shown, and the history speaks of the ELBO."""

import numpy as np
import pytest

import varbump as vb

X = np.linspace(-1, 1, 80, dtype="float32")[:, None]
Y = X + 0.3 * np.random.default_rng(0).normal(size=X.shape).astype("float32")


def fitted(**options):
    network = vb.build_network(1, hidden_units=(), seed=0, estimator="flipout")
    options = {"epochs": 1500, "batch_size": 80, "num_samples": 4, **options}
    return network, vb.fit(network, vb.likelihoods.Normal(0.3), X, Y, seed=0, verbose=0, **options)


@pytest.mark.slow
def test_the_posterior_is_that_of_the_tempered_objective():
    """The minimum of nll + T KL / N is the posterior of a likelihood to the power 1/T."""
    network, history = fitted(temperature=0.25)
    phi = np.hstack([X, np.ones_like(X)]).astype(float)
    covariance = np.linalg.inv(phi.T @ phi / 0.3**2 / 0.25 + np.eye(2))
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(network.layers[-1].posterior(None).stddev(), sd, rtol=0.06)
    assert history.history["kl_weight"][-1] == 0.25
    assert history.temperature == 0.25


@pytest.mark.slow
def test_the_history_speaks_of_the_elbo_at_weight_one():
    _, history = fitted(temperature=0.25, epochs=10)
    columns = history.history
    np.testing.assert_allclose(columns["loss"], np.array(columns["nll"]) + np.array(columns["kl"]) / 80, rtol=1e-5)


@pytest.mark.slow
def test_pictures_and_reports_say_so():
    network, history = fitted(temperature=0.25, epochs=3)
    x = np.linspace(-1, 1, 5)
    display = vb.BandsDisplay(x, vb.predict_bands(network, x, num_draws=10, seed=0)).plot()
    assert "(temperature 0.25)" in display.ax_.get_legend().get_texts()[0].get_text()
    assert "(temperature 0.25)" in vb.TrainingDisplay(history).plot().ax_.get_ylabel()
    assert "temperature 0.25: this is not the Bayesian posterior" in " ".join(
        str(vb.parameter_report(network, num_data=80)).split()
    )
    draws = vb.predict_f(network, x, num_draws=10, seed=0)
    assert vb.credible_bands(draws, temperature=0.25).temperature == 0.25


@pytest.mark.slow
def test_nothing_is_said_of_the_bayesian_posterior():
    network, history = fitted(epochs=3)
    x = np.linspace(-1, 1, 5)
    display = vb.BandsDisplay(x, vb.predict_bands(network, x, num_draws=10, seed=0)).plot()
    assert all("temperature" not in text.get_text() for text in display.ax_.get_legend().get_texts())
    assert "temperature" not in str(vb.parameter_report(network))
    assert "temperature" not in vb.TrainingDisplay(history).plot().ax_.get_ylabel()


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        fitted(temperature=temperature, epochs=1)
