"""Draws of NUTS against closed forms, and what is said when they cannot be made or trusted."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from exact_linear import LIKELIHOOD, NOISE, problem, truth

import varbump as vb
from varbump.core.keras import keras
from varbump.inference.mcmc import cost
from varbump.inference.mcmc.convergence import default_test_points, ess_of, rhat_of
from varbump.inference.mcmc.warmup import adapted_scale
from varbump.predict.sampler import DrawSource

X, Y = problem()
AT = np.array([[0.0, 0.0], [2.0, -1.0], [-3.0, 1.0]], "float32")


def linear(dtype=None, family=vb.posterior):
    return vb.build_network(2, hidden_units=(), seed=0, dtype=dtype, make_posterior_fn=family)


def sampled(network, **options):
    options = {"num_draws": 50, "num_warmup": 50, "num_chains": 2, "max_tree_depth": 4, "seed": 0} | options
    return vb.sample_nuts(network, LIKELIHOOD, X, Y, verbose=0, **options)


@pytest.fixture(scope="module")
def draws():
    return sampled(linear(), num_draws=60, num_chains=3)


@pytest.fixture(scope="module", params=[pytest.param("float32", marks=pytest.mark.slow), "float64"])
def exact(request):
    """Enough draws to be held against the closed form; the network was not even fitted: q is only where they start."""
    family = vb.posterior if request.param == "float32" else vb.posteriors.MeanFieldNormal()
    return sampled(linear(request.param, family), num_draws=1000, num_warmup=200, num_chains=4)


def test_a_linear_network_has_the_closed_form(exact):
    mean, covariance, _ = truth(X, Y)
    w = np.moveaxis(exact.weights[0], 0, 1)
    assert w.dtype == exact.network.outputs[0].dtype
    assert w.shape == (1000, 4, 3)
    sd = np.sqrt(np.diag(covariance))
    # 5 standard errors of a mean, and of a variance: a false alarm in 1 of 200,000 over 18 numbers
    np.testing.assert_array_less(np.abs(w.mean((0, 1)) - mean), 5 * sd / np.sqrt(ess_of(w)))
    deviation = (w - mean) / sd
    np.testing.assert_array_less(np.abs((deviation**2).mean((0, 1)) - 1), 5 * np.sqrt(2 / ess_of(deviation**2)))
    pairs = deviation[..., [0, 0, 1]] * deviation[..., [1, 2, 2]]
    correlation = (covariance / np.outer(sd, sd))[[0, 0, 1], [1, 2, 2]]
    np.testing.assert_array_less(
        np.abs(pairs.mean((0, 1)) - correlation), 5 * np.sqrt((1 + correlation**2) / ess_of(pairs))
    )
    assert min(ess_of(w).min(), ess_of(deviation**2).min()) > 1000  # so that an sd that is 12 % off would be seen
    assert exact.converged
    assert "agree" in exact.judgement


def test_bands_are_those_of_the_closed_form(exact):
    mean, covariance, _ = truth(X, Y)
    phi = np.hstack([AT, np.ones((3, 1))])
    sd = np.sqrt(np.einsum("ij,jk,ik->i", phi, covariance, phi))
    bands = vb.predict_bands(exact, AT, num_draws=4000)
    observed = vb.predict_bands(exact, AT, num_draws=4000, likelihood=LIKELIHOOD, seed=0)
    # more than 1,000 effective draws (above): 5 standard errors
    np.testing.assert_allclose(bands.mean[:, 0], phi @ mean, atol=5 * sd.max() / np.sqrt(1000))
    np.testing.assert_allclose(bands.sd[:, 0], sd, rtol=5 / np.sqrt(2000))
    np.testing.assert_allclose(observed.sd[:, 0], np.hypot(sd, NOISE), rtol=5 / np.sqrt(2000))


@pytest.mark.slow
def test_seed_reproduces_and_the_network_is_left_as_it_was():
    network = linear()
    before = network.get_weights()
    first = sampled(network)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    again, other = sampled(network), sampled(network, seed=1)
    np.testing.assert_array_equal(first.weights[0], again.weights[0])
    assert not np.array_equal(first.weights[0], other.weights[0])
    assert not np.array_equal(first.weights[0][0], first.weights[0][1])  # chains differ
    np.testing.assert_array_equal(vb.predict_f(first, AT, num_draws=10), vb.predict_f(again, AT, num_draws=10))


@pytest.mark.slow
def test_prediction_takes_the_draws_in_place_of_the_network(draws):
    assert isinstance(draws, DrawSource)
    assert not isinstance(draws.network, DrawSource)
    f = vb.predict_f(draws, AT, num_draws=180)
    w = np.moveaxis(draws.weights[0], 0, 1).reshape(180, 3)  # chains in turn
    expected = AT @ w[:, :2, None] + w[:, 2:, None]
    np.testing.assert_allclose(f, expected, atol=1e-5)
    y = vb.predict_y(draws, vb.likelihoods.Normal(1e-4), AT, num_draws=180, seed=0)
    np.testing.assert_allclose(y, f, atol=1e-3)
    bands = vb.predict_bands(draws, AT, num_draws=180, chunk_size=2)
    np.testing.assert_allclose(bands.sd, f.std(0, ddof=1), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("num_draws", [1, 2, 60, 90, 100, 179])
def test_fewer_draws_are_spread_over_chains_and_time(draws, num_draws):
    numbered = replace(draws, weights=(np.arange(180.0, dtype="float32").reshape(3, 60, 1).repeat(3, -1),))
    f = vb.predict_f(numbered, np.zeros((1, 2), "float32"), num_draws=num_draws)[:, 0, 0]  # the bias: a number a draw
    assert len(np.unique(f)) == num_draws
    chains, times = np.divmod(f, 60)
    counts = np.bincount(chains.astype(int), minlength=3)
    assert counts.max() - counts.min() <= 1
    for chain in range(3):
        own = times[chains == chain]
        steps = np.diff([-0.5, *own, 59.5]) if len(own) else np.zeros(1)
        assert steps.max() <= 60 / max(len(own), 1) + 1


def test_more_draws_than_there_are_is_an_error(draws):
    for call in (vb.predict_f, vb.predict_bands):
        with pytest.raises(ValueError, match="num_draws=181, but there are only 180 draws"):
            call(draws, AT, num_draws=181)


def test_chains_that_were_shifted_apart_are_flagged(draws):
    w = draws.weights[0].copy()
    w[0, :, 2] += 5 * w[..., 2].std()
    apart = replace(draws, weights=(w,))
    assert apart.rhat.max() > 1.2
    assert not apart.converged
    assert "Not converged" in apart.judgement
    assert "inside the data too" in apart.judgement
    assert "num_draws=120" in apart.judgement


def test_rhat_and_ess_know_independent_draws_from_sticky_ones():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(1000, 4, 2))
    assert rhat_of(noise).max() < 1.02
    assert ess_of(noise) == pytest.approx(4000, rel=0.2)
    sticky = np.empty_like(noise)
    sticky[0] = noise[0]
    for t in range(1, 1000):
        sticky[t] = 0.9 * sticky[t - 1] + np.sqrt(1 - 0.81) * noise[t]
    # autoregressive of 0.9: (1 + 0.9) / (1 - 0.9) = 19 draws count as one
    assert ess_of(sticky) == pytest.approx(4000 / 19, rel=0.35)
    assert ess_of(noise[:, :1]).shape == (2,)
    constant = np.zeros((10, 2, 1))
    assert rhat_of(constant) == 1.0
    assert ess_of(constant) == 20


def test_test_points_reach_half_a_width_beyond_the_data():
    line = default_test_points(np.linspace(-1, 2, 200)[:, None])
    assert (line.min(), line.max(), len(line)) == (-2.5, 3.5, 64)
    x = np.random.default_rng(0).uniform(0, 1, size=(1000, 3))
    points = default_test_points(x)
    assert points.shape == (64, 3)
    assert points.min() >= -0.5
    assert points.max() <= 1.5
    assert (points < 0).any()


def test_adapted_scales_are_the_sds_of_independent_normals():
    sd = np.array([0.01, 1.0, 30.0])
    u = np.random.default_rng(0).normal(size=(20_000, 3)) * sd
    np.testing.assert_allclose(adapted_scale(u, -u / sd**2, sd), sd, rtol=0.05)
    old = np.array([2.0, 2.0])
    stuck = adapted_scale(np.ones((5, 2)), np.array([[0.0, 1.0]] * 5), old)  # neither moves, one has no gradient
    np.testing.assert_allclose(stuck, old)


@pytest.mark.slow
def test_every_layer_gets_its_own_weights():
    network = vb.build_network(2, hidden_units=(3,), seed=0)
    draws = sampled(network, num_draws=5, num_warmup=10)
    assert [w.shape for w in draws.weights] == [(2, 5, 9), (2, 5, 4)]
    assert draws.num_weights == 13
    w0, w1 = (w[1, 0] for w in draws.weights)  # second of all draws: chain 1, time 0
    hidden = np.maximum(AT @ w0[:6].reshape(2, 3) + w0[6:], 0)
    np.testing.assert_allclose(vb.predict_f(draws, AT, num_draws=10)[1], hidden @ w1[:3, None] + w1[3:], atol=1e-5)


@pytest.mark.slow
def test_other_trainable_weights_are_held_and_that_is_said():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), *linear_layers(4)])
    before = network.layers[0].get_weights()
    draws = sampled(network, num_draws=5, num_warmup=10)
    np.testing.assert_array_equal(before[0], network.layers[0].get_weights()[0])
    assert draws.num_held == 12
    assert "12 learned numbers" in str(draws)


def linear_layers(num_features):
    return vb.build_network(num_features, hidden_units=(), seed=0).layers


def test_printed_as_a_table_with_what_was_spent(draws):
    text = str(draws)
    for words in (
        "worst R-hat",
        "f outside of it",
        "3 chains of 60 draws after 50 of warm-up",
        "divergent",
        "leapfrog",
    ):
        assert words in " ".join(text.split())


class NoDensity(keras.layers.Layer):
    """A prior that can be drawn from and no more."""

    def __call__(self, inputs=None):
        return NoDensityDistribution(3)


class NoDensityDistribution(vb.priors.prior(2, 1)(None).__class__):
    def __init__(self, size):
        super().__init__(loc=tf.zeros([size]), scale_diag=tf.ones([size]))

    def _log_prob(self, value):
        raise NotImplementedError("log_prob is not implemented")


def without_density():
    network = linear()
    object.__setattr__(network.layers[-1], "_prior", NoDensity())  # Keras 3 lets nobody change what is built
    return network


def called_twice():
    layer = vb.layers.DenseVariational(2, vb.posterior, vb.prior)
    inputs = keras.Input((2,))
    return keras.Model(inputs, vb.layers.DenseVariational(1, vb.posterior, vb.prior)(layer(layer(inputs))))


ERRORS = {
    "not built": (lambda: sampled(keras.Sequential([keras.layers.Dense(1)])), "not built"),
    "not variational": (
        lambda: sampled(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])),
        "no variational layers",
    ),
    "called twice": (lambda: sampled(called_twice()), "called more than once"),
    "no density": (lambda: sampled(without_density()), "prior of layer 'output' has no log_prob"),
    "x": (lambda: vb.sample_nuts(linear(), LIKELIHOOD, X[:, :1], Y), "x has 1 columns"),
    "y": (lambda: vb.sample_nuts(linear(), LIKELIHOOD, X, Y[:5]), "must be equal"),
    "x_test": (lambda: sampled(linear(), x_test=AT[:, :1]), "x_test has 1 columns"),
    "draws": (lambda: sampled(linear(), num_draws=3), "num_draws must be an integer of at least 4"),
    "chains": (lambda: sampled(linear(), num_chains=0), "num_chains must be"),
    "accept": (lambda: sampled(linear(), target_accept=1.0), "target_accept must lie between 0 and 1"),
    "depth": (lambda: sampled(linear(), max_tree_depth=0), "max_tree_depth must be"),
    "minutes": (lambda: sampled(linear(), max_minutes=-1), "max_minutes must be"),
    "too long": (lambda: sampled(linear(), max_minutes=1e-9), r"more than max_minutes=1e-09. Pass max_minutes=1 to"),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c == "too long" else c for c in ERRORS])
def test_errors_name_what_was_wrong(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_start_that_is_not_finite_is_refused():
    network = linear()
    network.layers[-1].posterior.loc.assign([np.inf, 0.0, 0.0])
    with pytest.raises(ValueError, match="needs a start that is finite"):
        sampled(network)


def test_the_cost_of_large_networks_is_told_first(monkeypatch):
    with pytest.raises(ValueError, match=r"10 gradients of 2,000 microseconds each over 2 threads, about 0 seconds"):
        cost.refuse_if_dear(5000, 2e-3, 10, 2, None)
    cost.refuse_if_dear(5000, 2e-3, 10, 2, 1.0)  # someone who said how long may wait that long
    with pytest.raises(ValueError, match=r"about 33 minutes, more than max_minutes=10. Pass max_minutes=50"):
        cost.refuse_if_dear(500, 2e-3, 2_000_000, 2, None)
    monkeypatch.setattr(cost, "MAX_WEIGHTS", 2)
    with pytest.raises(ValueError, match="The network has 3 weights; above 2"):
        sampled(linear())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_bands_of_the_cubic_do_not_depend_on_the_run(seed):
    """Two runs, of which one is three times as long: sds of f within 10 % in the data and 25 % outside."""
    x, y = vb.datasets.cubic(200, seed=0)
    likelihood = vb.likelihoods.Normal(0.3)
    network = vb.build_network(seed=0, make_posterior_fn=vb.posteriors.MeanFieldNormal())
    vb.fit(network, likelihood, x, y, epochs=1000, kl_warmup=0.0, seed=0, verbose=0)
    low, high = vb.datasets.CUBIC_RANGE
    runs = [vb.sample_nuts(network, likelihood, x, y, num_draws=num, seed=seed + num, verbose=0) for num in (500, 1500)]
    for at, tolerance in ((np.linspace(low, high, 31), 0.10), (np.array([-2.0, 3.0]), 0.25)):
        # about 600 effective draws of either: an sd to 3 % or so, heavier tails outside
        short, long = (vb.predict_bands(run, at, num_draws=run.num_chains * run.num_draws).sd for run in runs)
        np.testing.assert_allclose(short, long, rtol=tolerance)
    assert runs[1].converged


def test_a_source_of_draws_needs_no_class():
    source = SimpleNamespace(network=linear())
    source.sampler = lambda row_shape, num_draws, seed, chunk_size: SimpleNamespace(
        draws=lambda x: [(slice(num_draws), slice(len(x)), np.full((num_draws, len(x), 1), 7.0))]
    )
    assert (vb.predict_f(source, AT, num_draws=4) == 7.0).all()
