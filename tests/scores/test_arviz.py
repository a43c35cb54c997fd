"""Draws in ArviZ's container are those of the model."""

import sys

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, NOISE, linear
from scipy import stats

import varbump as vb
from varbump.predict.predictive import BLOCK

pytest.importorskip("arviz_base")


def affine(tree, name, x):
    """f of each draw from the weights in the container, (chain, draw, N, Q)."""
    kernel, bias = (tree.posterior[f"{name}_{part}"].values for part in ("kernel", "bias"))
    return np.einsum("nd,csdq->csnq", x, kernel) + bias[:, :, None]


def test_a_network_is_one_chain():
    network, x, y, _, mean, covariance = linear(num_data=BLOCK + 10)
    tree = vb.to_arviz(network, x, y, likelihood=LIKELIHOOD, num_draws=500, seed=1)
    name = network.layers[-1].name
    assert set(tree.children) == {
        "posterior",
        "posterior_predictive",
        "log_likelihood",
        "observed_data",
        "constant_data",
    }
    assert dict(tree.posterior.sizes)["chain"] == 1
    f = affine(tree, name, x)
    np.testing.assert_allclose(f[0], vb.predict_f(network, x, num_draws=500, seed=1), rtol=1e-9)
    log_likelihood = stats.norm(f[0, ..., 0], NOISE).logpdf(y[:, 0])
    np.testing.assert_allclose(tree.log_likelihood["y"].values[0], log_likelihood, rtol=1e-6)
    noise = tree.posterior_predictive["y"].values - f
    assert stats.kstest(noise[0, 0, :, 0] / NOISE, "norm").pvalue > 1e-6
    np.testing.assert_array_equal(tree.observed_data["y"].values, y)
    np.testing.assert_array_equal(tree.constant_data["x"].values, x)
    # 500 independent draws know a mean to 0.045 sd: 5 of them
    sd = np.sqrt(np.diag(covariance))
    kernel = tree.posterior[f"{name}_kernel"].values[0, :, :, 0]
    np.testing.assert_allclose((kernel.mean(0) - mean[:2]) / sd[:2], 0, atol=0.23)


@pytest.mark.slow
def test_members_are_chains():
    x = np.linspace(-1, 1, 12, dtype="float32")[:, None]
    network = vb.build_network(1, hidden_units=(2,), seed=0)
    ensemble = vb.fit_ensemble(network, LIKELIHOOD, x, x, num_members=2, epochs=1, seed=0, verbose=0)
    tree = vb.to_arviz(ensemble, x, x, num_draws=5)
    first, last = (layer.name for layer in network.layers[-2:])
    assert tree.posterior[f"{first}_kernel"].shape == (2, 3, 1, 2)
    hidden = np.maximum(affine(tree, first, x), 0.0)
    kernel, bias = (tree.posterior[f"{last}_{part}"].values for part in ("kernel", "bias"))
    f = np.einsum("csnh,cshq->csnq", hidden, kernel) + bias[:, :, None]
    draws = vb.predict_f(ensemble, x, num_draws=6, seed=0)
    np.testing.assert_allclose(f, np.moveaxis(draws.reshape(3, 2, 12, 1), 1, 0), rtol=1e-4, atol=1e-5)  # float32


def test_stored_draws_keep_their_chains():
    network, x, y, *_ = linear(num_data=12)
    weights = np.random.default_rng(0).normal(size=(2, 5, 3))
    nothing = np.zeros((2, 5))
    stored = vb.PosteriorDraws(
        network=network,
        weights=(weights,),
        x_test=x[:1],
        in_range=np.ones(1, bool),
        accept=nothing,
        divergent=nothing.astype(bool),
        saturated=nothing.astype(bool),
        leapfrogs=nothing,
        step_size=np.ones(2),
        num_warmup=0,
        num_held=0,
        seconds=0.0,
        compile_seconds=0.0,
    )
    tree = vb.to_arviz(stored, x, y, likelihood=LIKELIHOOD)
    name = network.layers[-1].name
    np.testing.assert_array_equal(tree.posterior[f"{name}_kernel"].values[..., 0], weights[..., :2])
    np.testing.assert_array_equal(tree.posterior[f"{name}_bias"].values, weights[..., 2:])
    f = affine(tree, name, x)
    scores = vb.evaluate(stored, x, y, likelihood=LIKELIHOOD)
    assert scores.num_draws == 10
    density = stats.norm(f.reshape(10, 12), NOISE).pdf(y[:, 0]).mean(0)
    assert scores.log_likelihood == pytest.approx(np.log(density).mean())


def test_importance_draws_are_one_chain():
    network, x, y, *_ = linear(num_data=12)
    weights = np.random.default_rng(0).normal(size=(7, 3))
    history = vb.History(history={"loss": [0.0]}, num_data=12)
    drawn = vb.ImportanceDraws(network, (weights,), np.zeros((7, 2)), history, 0.0)
    tree = vb.to_arviz(drawn, x, y, likelihood=LIKELIHOOD)  # 400 draws are asked for by default
    name = network.layers[-1].name
    np.testing.assert_array_equal(tree.posterior[f"{name}_bias"].values, weights[None, :, 2:])
    f = affine(tree, name, x)[0, ..., 0]
    np.testing.assert_allclose(tree.log_likelihood["y"].values[0], stats.norm(f, NOISE).logpdf(y[:, 0]), rtol=1e-6)


def test_without_the_extra_the_error_names_it(monkeypatch):
    network, x, y, *_ = linear(num_data=12)
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(ImportError, match=r'varbump.to_arviz needs arviz-base: pip install "varbump\[arviz\]"'):
        vb.to_arviz(network, x, y, likelihood=LIKELIHOOD)
