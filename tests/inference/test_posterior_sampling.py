"""Draws of sample_posterior against closed forms and NUTS, and what is said of how far they can be trusted."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from exact_linear import LIKELIHOOD, NOISE, problem, truth

import varbump as vb
from varbump.core.keras import keras
from varbump.inference.mcmc.convergence import ess_of
from varbump.inference.posterior import annealed, sampling
from varbump.inference.posterior.groups import GroupedLikelihood, groups_of
from varbump.model.log_posterior import LogPosterior
from varbump.predict.sampler import DrawSource

X, Y = problem()
AT = np.array([[0.0, 0.0], [2.0, -1.0], [-3.0, 1.0]], "float32")


def linear(dtype=None, prior=vb.prior):
    return vb.build_network(2, hidden_units=(), seed=0, dtype=dtype, make_prior_fn=prior)


def small():
    return vb.build_network(2, hidden_units=(3,), seed=0, make_posterior_fn=vb.posteriors.MeanFieldNormal())


def sampled(network, likelihood=LIKELIHOOD, **options):
    return vb.sample_posterior(network, likelihood, X, Y, **({"seed": 0, "verbose": 0} | options))


@pytest.fixture(scope="module")
def short():
    """Chains that were cut short."""
    return sampled(small(), num_draws=20, num_warmup=10, num_chains=2)


@pytest.fixture
def _no_closed_form(monkeypatch):
    monkeypatch.setattr(sampling, "exact_draws", lambda *arguments: None)
    monkeypatch.setattr(annealed, "STOP_RHAT", 0.0)  # make all draws that were asked for


def assert_closed_form(draws):
    mean, covariance, _ = truth(X, Y)
    w = np.moveaxis(draws.weights[0], 0, 1)
    sd = np.sqrt(np.diag(covariance))
    # 4 standard errors of 3 means, 3 variances and 3 correlations: a false alarm in 1 of 1,700 seeds
    np.testing.assert_array_less(np.abs(w.mean((0, 1)) - mean), 4 * sd / np.sqrt(ess_of(w)))
    deviation = (w - mean) / sd
    np.testing.assert_array_less(np.abs((deviation**2).mean((0, 1)) - 1), 4 * np.sqrt(2 / ess_of(deviation**2)))
    pairs = deviation[..., [0, 0, 1]] * deviation[..., [1, 2, 2]]
    correlation = (covariance / np.outer(sd, sd))[[0, 0, 1], [1, 2, 2]]
    np.testing.assert_array_less(
        np.abs(pairs.mean((0, 1)) - correlation), 4 * np.sqrt((1 + correlation**2) / ess_of(pairs))
    )
    assert min(ess_of(w).min(), ess_of(deviation**2).min()) > 1000  # so that an sd that is 10 % off would be seen


def test_a_linear_model_has_independent_draws_of_the_closed_form():
    network = linear()
    before = network.get_weights()
    draws = sampled(network)
    assert draws.method == "closed form"
    assert draws.weights[0].shape == (4, 2000, 3)
    assert_closed_form(draws)
    assert draws.trusted_in_range
    assert draws.trusted_outside
    assert "independent draws from the exact posterior" in draws.judgement
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(draws.weights[0], sampled(network).weights[0])
    assert not np.array_equal(draws.weights[0], sampled(network, seed=1).weights[0])
    assert isinstance(draws, DrawSource)


@pytest.mark.slow
def test_bands_are_those_of_the_closed_form():
    draws = sampled(linear())
    assert "independent draws from the exact posterior" in " ".join(str(draws).split())
    assert draws.rhat.max() < 1.01
    mean, covariance, _ = truth(X, Y)
    phi = np.hstack([AT, np.ones((3, 1))])
    sd = np.sqrt(np.einsum("ij,jk,ik->i", phi, covariance, phi))
    bands = vb.predict_bands(draws, AT, num_draws=8000, chunk_size=2)
    np.testing.assert_allclose(bands.mean[:, 0], phi @ mean, atol=5 * sd.max() / np.sqrt(8000))
    np.testing.assert_allclose(bands.sd[:, 0], sd, rtol=5 / np.sqrt(2 * 8000))
    y = vb.predict_y(draws, LIKELIHOOD, AT, num_draws=8000, seed=0)
    np.testing.assert_allclose(y.std(0)[:, 0], np.hypot(sd, NOISE), rtol=5 / np.sqrt(2 * 8000))


@pytest.mark.slow
@pytest.mark.usefixtures("_no_closed_form")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chains_on_a_linear_model_have_the_closed_form(dtype):
    draws = sampled(linear(dtype))
    assert draws.method == "annealed HMC"
    assert draws.weights[0].dtype == dtype
    assert_closed_form(draws)
    assert draws.trusted_in_range
    assert "agree about f in the range of the data and outside" in " ".join(draws.judgement.split())


@pytest.mark.slow
@pytest.mark.usefixtures("_no_closed_form")
def test_chains_that_are_guided_by_groups_have_the_closed_form(monkeypatch):
    monkeypatch.setattr(annealed, "ANNEALING_ROWS", 15)
    monkeypatch.setattr(annealed, "MAX_DEVIATION", np.inf)  # groups of 4, however poor: the draws must be exact
    draws = sampled(linear("float64"), num_draws=4000)
    assert draws.num_rows == 15
    assert draws.accept.mean() < 0.9  # the approximation is felt
    assert_closed_form(draws)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_closed_form")
def test_ranks_of_the_truth_are_uniform():
    """Simulation-based calibration: Talts et al. (2018). The rank of the truth among draws is uniform on 0 ... 19."""
    num_models, num_kept, ranks = 40, 19, []
    network = linear()
    for number in range(num_models):
        generator = np.random.default_rng(number)
        truth = generator.standard_normal(3)
        x = generator.standard_normal((10, 2)).astype("float32")
        y = x @ truth[:2, None] + truth[2] + NOISE * generator.standard_normal((10, 1))
        draws = vb.sample_posterior(network, LIKELIHOOD, x, y, num_draws=100, num_chains=2, seed=number, verbose=0)
        w = draws.weights[0].reshape(-1, 3)
        w = w[np.linspace(0, len(w) - 1, num_kept).astype(int)]  # far apart, so nearly independent
        ranks.append((w < truth).sum(0))
    assert_uniform(ranks)


def assert_uniform(ranks):
    """Ranks (models, quantities) among 19 draws are uniform on 0 ... 19, by a test with a false alarm in 1 of 1,000."""
    for column in np.transpose(ranks):
        counts = np.bincount(column // 5, minlength=4)
        assert scipy.stats.chisquare(counts).pvalue > 1e-3 / np.shape(ranks)[1]


@pytest.mark.slow
def test_ranks_of_the_true_function_of_a_network_are_uniform():
    """The same for a network with a hidden layer: the values of f at the ends of the data, in a gap, and outside."""
    num_models, num_kept, ranks = 60, 19, []
    network = vb.build_network(1, hidden_units=(4,), activation="tanh", make_prior_fn=vb.prior, seed=0)
    x = np.array([-1.5, -1.2, -1.0, -0.8, 0.9, 1.0, 1.2, 1.6], "float32")[:, None]
    at = np.array([-1.5, 0.0, 1.6, 4.0], "float32")[:, None]
    truths = vb.sample_prior(network, num_draws=num_models, seed=5)
    f_x, f_at = (np.asarray(vb.predict_f(truths, rows, num_draws=num_models)) for rows in (x, at))
    for number in range(num_models):
        y = f_x[number] + 0.3 * np.random.default_rng(number).standard_normal(x.shape).astype("float32")
        draws = vb.sample_posterior(
            network, vb.likelihoods.Normal(0.3), x, y, num_draws=200, num_chains=2, seed=number, verbose=0
        )
        kept = np.asarray(vb.predict_f(draws, at, num_draws=num_kept))  # far apart, so nearly independent
        ranks.append((kept < f_at[number]).sum(0)[:, 0])
    assert_uniform(ranks)


@pytest.mark.slow
def test_chains_that_are_cut_short_are_not_trusted(short):
    assert short.method == "annealed HMC"
    assert [w.shape for w in short.weights] == [(2, 20, 9), (2, 20, 4)]
    assert not short.trusted_in_range
    assert not short.trusted_outside
    assert "Do not trust these draws yet" in short.judgement
    assert "num_draws=40" in short.judgement
    text = " ".join(str(short).split())
    for words in ("by annealed HMC", "median ESS", "trust", "2 chains of 20 draws", "leapfrog steps a draw on 60 rows"):
        assert words in text
    w0, w1 = (w[1, 0] for w in short.weights)  # second of all draws: chain 1, time 0
    hidden = np.maximum(AT @ w0[:6].reshape(2, 3) + w0[6:], 0)
    np.testing.assert_allclose(vb.predict_f(short, AT, num_draws=40)[1], hidden @ w1[:3, None] + w1[3:], atol=1e-5)


def test_trust_in_the_range_and_outside_are_separate():
    noise = np.random.default_rng(0).normal(size=(500, 4, 3, 1))
    many = vb.NearExactDraws(
        network=None,
        weights=(np.zeros((4, 500, 3), "float32"),),
        method="annealed HMC",
        x_test=AT,
        in_range=np.array([True, True, False]),
        accept=np.ones((4, 500)),
        leapfrogs=np.ones((4, 500), int),
        divergent=np.zeros((4, 500), bool),
        num_warmup=0,
        num_data=60,
        num_rows=60,
        num_held=0,
        seconds=0.0,
        compile_seconds=0.0,
    )

    def judged(f, **changes):
        made = replace(many, **changes)
        made.__dict__["_f_test"] = f
        return made.trusted_in_range, made.trusted_outside, made.judgement

    assert judged(noise)[:2] == (True, True)
    shifted = noise.copy()
    shifted[:, 0, 2] += 1.0
    *trusted, text = judged(shifted)
    assert trusted == [True, False]
    assert "can be trusted there. Do not trust bands outside" in text
    *trusted, text = judged(shifted[:, :, ::-1])  # at one of two points in range
    assert trusted == [False, False]
    assert "Do not trust these draws yet" in text
    assert judged(noise[:40])[:2] == (False, False)  # 160 draws are too few
    *trusted, text = judged(noise, divergent=np.ones((4, 500), bool))
    assert trusted == [False, False]
    one = replace(many, weights=tuple(w[:1] for w in many.weights))
    one.__dict__["_f_test"] = noise[:, :1]
    assert not one.trusted_in_range
    assert "single chain" in one.judgement


@pytest.mark.slow
def test_seed_reproduces_and_evaluation_takes_the_draws(short):
    again = sampled(small(), num_draws=20, num_warmup=10, num_chains=2)
    other = sampled(small(), num_draws=20, num_warmup=10, num_chains=2, seed=1)
    np.testing.assert_array_equal(short.weights[0], again.weights[0])
    assert not np.array_equal(short.weights[0], other.weights[0])
    assert not np.array_equal(short.weights[0][0], short.weights[0][1])
    scores = vb.evaluate(short, X, Y, likelihood=LIKELIHOOD, num_draws=40, seed=0)
    assert np.isfinite(scores.log_likelihood)


@pytest.mark.slow
def test_learned_values_are_learned_once_and_held():
    network, likelihood = small(), vb.likelihoods.LearnedNormal(3.0)
    draws = sampled(network, likelihood, num_draws=20, num_warmup=10, num_chains=2)
    learned = np.asarray(likelihood.scale).copy()
    assert learned < 1.0
    assert draws.num_held == 1
    assert "1 learned numbers" in str(draws)
    sampled(network, likelihood, num_draws=20, num_warmup=10, num_chains=2)
    np.testing.assert_array_equal(likelihood.scale, learned)


@pytest.mark.slow
def test_bands_of_the_cubic_are_those_of_nuts():
    x, y = vb.datasets.cubic(200, seed=0)
    likelihood = vb.likelihoods.Normal(0.3)
    network = vb.build_network(seed=0, make_posterior_fn=vb.posteriors.MeanFieldNormal())
    draws = vb.sample_posterior(network, likelihood, x, y, seed=0, verbose=0)
    assert draws.trusted_in_range
    vb.fit(network, likelihood, x, y, epochs=1000, kl_warmup=0.0, seed=0, verbose=0)
    nuts = vb.sample_nuts(network, likelihood, x, y, num_draws=1000, seed=0, max_minutes=1000, verbose=0)
    assert nuts.converged
    low, high = vb.datasets.CUBIC_RANGE
    for at, tolerance in ((np.linspace(low, high, 31), 0.10), (np.array([-2.0, 3.0]), 0.25)):
        ours, theirs = (vb.predict_bands(source, at, num_draws=2000) for source in (draws, nuts))
        # at least 500 effective draws of either: a mean to 0.06 sd, an sd to 5 %, heavier tails outside
        assert np.mean(np.abs(ours.mean - theirs.mean) / theirs.sd) < 0.15
        np.testing.assert_allclose(np.mean(ours.sd / theirs.sd), 1.0, atol=tolerance)


@pytest.mark.parametrize(("num_data", "size"), [(60, 4), (61, 4), (7, 3)])
def test_groups_are_of_equal_size_and_close_together(num_data, size):
    x = np.random.default_rng(0).uniform(size=(num_data, 1))
    groups = groups_of(x, size)
    assert groups.shape == (num_data // size, size)
    assert len(np.unique(groups)) == groups.size
    ends = np.sort(np.stack([x[groups].min(1)[:, 0], x[groups].max(1)[:, 0]], 1), 0)
    assert (ends[1:, 0] > ends[:-1, 1]).all()  # groups do not overlap
    in_two = np.random.default_rng(1).uniform(size=(400, 2))
    spread = in_two[groups_of(in_two, 4)].std(1).mean()
    assert spread < 0.05  # of four rows of a square with a hundred groups


def test_groups_of_equal_rows_are_exact():
    x, y = np.repeat(X[:20], 3, 0), Y[:60]
    order = np.random.default_rng(0).permutation(60)
    target = LogPosterior(linear("float64"), LIKELIHOOD, x[order], y[order])
    w = [tf.constant([0.3, -1.0, 0.5], tf.float64)]
    expected = target.log_likelihood(w).numpy()
    assert GroupedLikelihood(target, 3)(w).numpy() == pytest.approx(expected, rel=1e-6)
    assert GroupedLikelihood(target, 15)(w).numpy() != pytest.approx(expected, rel=1e-3)


ERRORS = {
    "not built": (lambda: sampled(keras.Sequential([keras.layers.Dense(1)])), "not built"),
    "not variational": (
        lambda: sampled(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])),
        "no variational layers",
    ),
    "x": (lambda: vb.sample_posterior(linear(), LIKELIHOOD, X[:, :1], Y), "x has 1 columns"),
    "x_test": (lambda: sampled(linear(), x_test=AT[:, :1]), "x_test has 1 columns"),
    "draws": (lambda: sampled(linear(), num_draws=3), "num_draws must be an integer of at least 4"),
    "warm-up": (lambda: sampled(linear(), num_warmup=1), "num_warmup must be an integer of at least 10"),
    "chains": (lambda: sampled(linear(), num_chains=0), "num_chains must be"),
    "minutes": (lambda: sampled(linear(), max_minutes=0), "max_minutes must be"),
    "large": (
        lambda: sampled(vb.build_network(2, hidden_units=(1000,), make_posterior_fn=vb.posteriors.MeanFieldNormal())),
        "The network has 4,001 weights; above 2,000",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_what_was_wrong(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_the_cost_is_told_before_the_chains_are_sampled():
    with pytest.raises(ValueError, match=r"HMC would take about .* more than max_minutes=1e-09. Pass max_minutes="):
        sampled(small(), max_minutes=1e-9)


@pytest.mark.slow
def test_an_error_leaves_network_and_likelihood_as_they_were():
    network, likelihood = small(), vb.likelihoods.LearnedNormal(3.0)
    before = [*network.get_weights(), np.array(likelihood.scale)]
    for _ in range(2):  # the second call trains again
        with pytest.raises(ValueError, match="max_minutes"):
            sampled(network, likelihood, max_minutes=1e-9)
        for old, new in zip(before, [*network.get_weights(), likelihood.scale], strict=True):
            np.testing.assert_array_equal(old, new)
