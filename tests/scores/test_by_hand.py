"""Scores, quantiles and intervals of three models, recomputed from draws of the function with NumPy and SciPy alone."""

from typing import NamedTuple

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, NOISE, fresh, linear
from scipy import optimize, stats
from small_regressor import positive_table

import varbump as vb

LEVELS = (0.5, 0.9, 0.95)

NUM_DRAWS = 20


class Case(NamedTuple):
    """A model with held-out rows, and the components of its mixtures, (S, N)."""

    model: object
    x: np.ndarray
    y: np.ndarray
    options: dict
    parts: object  # frozen distribution of SciPy
    precision: float  # relative, of the draws: float32 has 1e-7, which a network multiplies


def normal_network():
    """A network in float64 with a fixed scale."""
    network, *_, weights, _, _ = linear(shrink=3.0)
    x, y = fresh(weights, 30)
    options = {"likelihood": LIKELIHOOD, "num_draws": NUM_DRAWS, "seed": 5}
    f = vb.predict_f(network, x, num_draws=NUM_DRAWS, seed=5)[..., 0]
    return Case(network, x, y, options, stats.norm(f, NOISE), 1e-9)


def heteroscedastic_regressor():
    """A regressor in units of a table, standardised here by hand."""
    train, target = positive_table(40)
    model = vb.VariationalRegressor(
        (4,), likelihood="heteroscedastic", embedding=None, n_members=2, n_draws=NUM_DRAWS, max_iter=30, random_state=0
    ).fit(train, target)
    x, y = positive_table(30, seed=4)
    rows = (x - train.mean(axis=0)) / train.std(axis=0)
    f = vb.predict_f(model.ensemble_, rows, num_draws=NUM_DRAWS, seed=model._draw_seed)
    floor = model.likelihood_.get_config()["min_scale"]
    scale = target.std() * (floor + np.log1p(np.exp(f[..., 1].astype(float))))
    return Case(model, x, y, {}, stats.norm(target.mean() + target.std() * f[..., 0], scale), 1e-4)


def poisson_ensemble():
    """An ensemble for counts of up to some tens."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(70, 2)).astype("float32")
    y = generator.poisson(np.exp(1.0 + 0.5 * x[:, 0])).astype("float32")
    likelihood = vb.likelihoods.Poisson()
    network = vb.build_network(2, hidden_units=(4,), likelihood=likelihood, seed=0)
    model = vb.fit_ensemble(network, likelihood, x[:40], y[:40], num_members=2, epochs=40, seed=0, verbose=0)
    options = {"num_draws": NUM_DRAWS, "seed": 5}
    f = vb.predict_f(model, x[40:], num_draws=NUM_DRAWS, seed=5)[..., 0]
    return Case(model, x[40:], y[40:].astype(float), options, stats.poisson(np.exp(f.astype(float))), 1e-4)


@pytest.fixture(
    scope="module",
    params=[
        normal_network,
        pytest.param(heteroscedastic_regressor, marks=pytest.mark.slow),
        pytest.param(poisson_ensemble, marks=pytest.mark.slow),
    ],
    ids=lambda make: make.__name__,
)
def case(request):
    return request.param()


def is_count(case):
    return isinstance(case.parts.dist, stats.rv_discrete)


def cdf(case, y):
    return case.parts.cdf(y).mean(axis=0)


def quantile(case, level):
    """Of each row: a root, or the first whole number that reaches the level."""
    if is_count(case):
        table = np.stack([cdf(case, k) for k in range(2_000)])
        return np.argmax(table >= level, axis=0).astype(float)
    ends = case.parts.ppf(1e-12).min() - 1.0, case.parts.ppf(1 - 1e-12).max() + 1.0
    return np.array(
        [optimize.brentq(lambda y, n=n: cdf(case, y)[n] - level, *ends, xtol=1e-12) for n in range(len(case.y))]
    )


def crps(case):
    """Of each row: a sum over whole numbers, or E|Y - y| - E|Y - Y'| / 2 over all pairs of components."""
    if is_count(case):
        steps = [(cdf(case, k) - (k >= case.y)) ** 2 for k in range(2_000)]
        return np.sum(steps, axis=0)

    def distance(mean, sd):
        return mean * (2 * stats.norm.cdf(mean / sd) - 1) + 2 * sd * stats.norm.pdf(mean / sd)

    mean, sd = case.parts.mean(), case.parts.std()
    sd = np.broadcast_to(sd, mean.shape)
    pairs = distance(mean[:, None] - mean[None], np.hypot(sd[:, None], sd[None]))
    return distance(case.y - mean, sd).mean(axis=0) - 0.5 * pairs.mean(axis=(0, 1))


def log_density(case):
    parts = case.parts.logpmf(case.y) if is_count(case) else case.parts.logpdf(case.y)
    return np.log(np.mean(np.exp(parts - parts.max(axis=0)), axis=0)) + parts.max(axis=0)


def test_scores(case):
    scores = vb.evaluate(case.model, case.x, case.y, levels=LEVELS, **case.options)
    assert scores.num_draws == NUM_DRAWS
    mean = case.parts.mean().mean(axis=0)
    assert scores.rmse == pytest.approx(np.sqrt(np.mean((mean - case.y) ** 2)), rel=case.precision)
    assert scores.log_likelihood == pytest.approx(log_density(case).mean(), rel=case.precision)
    # integrals by the trapezoidal rule: 1e-9 or better; sums over counts are exact
    assert scores.crps == pytest.approx(crps(case).mean(), rel=max(case.precision, 1e-8))
    share = case.parts.mean().var(axis=0).sum() / (case.parts.var().mean(axis=0) + case.parts.mean().var(axis=0)).sum()
    assert scores.epistemic_share == pytest.approx(share, rel=10 * case.precision)
    for level in LEVELS:
        low, high = quantile(case, 0.5 - level / 2), quantile(case, 0.5 + level / 2)
        miss = np.maximum(low - case.y, 0) + np.maximum(case.y - high, 0)
        # Newton's last step is 1e-12 sd; quantiles of counts are whole numbers
        assert scores.sharpness[level] == pytest.approx(np.mean(high - low), rel=max(case.precision, 1e-9))
        expected = np.mean(high - low + 2 / (1 - level) * miss)
        assert scores.interval_score[level] == pytest.approx(expected, rel=10 * case.precision)
        if is_count(case):
            assert scores.coverage[level] <= np.mean(miss == 0) + 1e-12  # randomised: whole intervals hold more
        else:
            assert scores.coverage[level] == np.mean(miss == 0)


def test_probability_integral_transforms(case):
    pit = vb.evaluate(case.model, case.x, case.y, levels=LEVELS, **case.options).pit[:, 0]
    slack = 10 * case.precision
    assert (pit <= cdf(case, case.y) + slack).all()
    assert (pit >= cdf(case, case.y - 1 if is_count(case) else case.y) - slack).all()


def test_quantiles_intervals_and_densities(case):
    made = vb.predict_dist(case.model, case.x, **case.options)
    tails = [0.025, 0.5, 0.975]
    expected = np.stack([quantile(case, level) for level in tails], axis=1)
    wide = np.sqrt((case.parts.var().mean(axis=0) + case.parts.mean().var(axis=0)).mean())
    found = np.reshape(vb.predict_quantiles(case.model, case.x, tails, **case.options), (30, 3))
    np.testing.assert_allclose(found, expected, atol=max(case.precision, 1e-9) * wide)
    interval = np.reshape(vb.predict_interval(case.model, case.x, 0.95, **case.options), (30, 2))
    np.testing.assert_allclose(interval, expected[:, [0, 2]], atol=max(case.precision, 1e-9) * wide)
    np.testing.assert_allclose(made.log_pdf(case.y), log_density(case), rtol=10 * case.precision)
    np.testing.assert_allclose(np.ravel(made.cdf(case.y)), cdf(case, case.y), atol=case.precision)
    np.testing.assert_allclose(np.ravel(made.mean()), case.parts.mean().mean(axis=0), rtol=10 * case.precision)
