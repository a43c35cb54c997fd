"""Mixtures of any distribution against scipy and naive sums."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, optimize, stats

from varbump.likelihoods import CensoredNormal, Gamma, Likelihood, LogNormal, NegativeBinomial, Poisson, StudentT
from varbump.predict.counts import CountMixture
from varbump.predict.densities import DensityMixture
from varbump.predict.mixture import Mixture

LEVELS = [1e-3, 0.025, 0.3, 0.5, 0.9, 0.999]

COUNTS = {
    "poisson": (Poisson(1.5), lambda f: stats.poisson(np.exp(1.5 + f))),
    "rare": (Poisson(-4.0), lambda f: stats.poisson(np.exp(-4.0 + f))),
    "many": (Poisson(9.2), lambda f: stats.poisson(np.exp(9.2 + f))),
    "negative binomial": (
        NegativeBinomial(0.5, offset=2.0, dtype="float64"),
        lambda f: stats.nbinom(2.0, 2.0 / (2.0 + np.exp(2.0 + f))),
    ),
    "many, overdispersed": (
        NegativeBinomial(0.5, offset=9.2, dtype="float64"),
        lambda f: stats.nbinom(2.0, 2.0 / (2.0 + np.exp(9.2 + f))),
    ),
}

DENSITIES = {
    "gamma": (Gamma(0.4, offset=1.0, dtype="float64"), lambda f: stats.gamma(2.5, scale=0.4 * np.exp(1.0 + f))),
    "singular gamma": (Gamma(3.0, dtype="float64"), lambda f: stats.gamma(1.0 / 3.0, scale=3.0 * np.exp(f))),
    "log normal": (LogNormal(0.7, offset=8.0, dtype="float64"), lambda f: stats.lognorm(0.7, scale=np.exp(8.0 + f))),
}


def draws(num_draws=15, spread=0.3, seed=1):
    """Network outputs (S, 4 rows, 2 targets)."""
    return spread * np.random.default_rng(seed).normal(size=(num_draws, 4, 2))


@pytest.mark.parametrize("kind", COUNTS)
def test_counts_are_those_of_a_naive_sum(kind):
    likelihood, of = COUNTS[kind]
    f = draws()
    made, parts = CountMixture([likelihood], f), of(f)
    y = parts.rvs(random_state=0)[0].astype(float)
    k = np.arange(np.max(parts.ppf(1 - 1e-14)) + 2)
    cdf = np.stack([parts.cdf(each).mean(0) for each in k]) if len(k) < 5000 else None
    np.testing.assert_allclose(made.cdf(y), parts.cdf(y).mean(0), rtol=1e-9)
    np.testing.assert_allclose(made.cdf(y - 0.5), parts.cdf(y - 1).mean(0), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(made.mass(y), parts.pmf(y).mean(0), rtol=1e-8)
    joint = np.log(parts.pmf(y).prod(-1).mean(0))
    np.testing.assert_allclose(made.log_density(y), joint, rtol=1e-8)
    np.testing.assert_allclose(made.moments()[0], parts.mean().mean(0), rtol=1e-9)
    total = np.mean(parts.var() + parts.mean() ** 2, 0) - parts.mean().mean(0) ** 2
    np.testing.assert_allclose(made.moments()[1], np.sqrt(total), rtol=1e-9)
    for level, quantile in zip(LEVELS, made.ladder(LEVELS), strict=True):
        np.testing.assert_array_equal(quantile, np.floor(quantile))
        # the smallest whole number that reaches the level, which 1e-12 of rounding may move
        assert (parts.cdf(quantile).mean(0) >= level - 1e-9).all()
        assert (parts.cdf(quantile - 1).mean(0) < level + 1e-9).all()
    if cdf is None:  # many: the sum for one entry, over where its F is neither 0 nor 1
        one = of(f[:, 2, 1])
        k = np.arange(max(np.min(one.ppf(1e-14)) - 5, 0), np.max(one.ppf(1 - 1e-14)) + 5)
        F = np.mean([of(each).cdf(k) for each in f[:, 2, 1]], 0)
        # 128 nodes for up to 100,000 numbers: documented as 1e-4
        assert made.crps(y)[2, 1] == pytest.approx(np.sum((F - (k >= y[2, 1])) ** 2), rel=2e-4)
    else:
        expected = np.sum((cdf - (k[:, None, None] >= y)) ** 2, 0)
        np.testing.assert_allclose(made.crps(y), expected, rtol=1e-6)
        far = np.full(y.shape, k[-1] + 100.0)
        np.testing.assert_allclose(made.crps(far), np.sum((cdf - 0.0) ** 2, 0) + 99.0, rtol=1e-6)


@pytest.mark.parametrize("kind", DENSITIES)
def test_densities_are_those_of_scipy(kind):
    likelihood, of = DENSITIES[kind]
    f = draws()
    made, parts = DensityMixture([likelihood], f), of(f)
    y = parts.rvs(random_state=0)[0]
    np.testing.assert_allclose(made.cdf(y), parts.cdf(y).mean(0), rtol=1e-8)
    np.testing.assert_allclose(made.log_density(y), np.log(parts.pdf(y).prod(-1).mean(0)), rtol=1e-7)
    np.testing.assert_allclose(made.pit(y, np.full(y.shape, 0.3)), made.cdf(y))
    assert (made.cdf(-y) == 0.0).all()
    np.testing.assert_array_equal(made.log_density(-y), -np.inf)
    for level, quantile in zip(LEVELS, made.ladder(LEVELS), strict=True):
        np.testing.assert_allclose(parts.cdf(quantile).mean(0), level, rtol=1e-7)
    for row, q in ((0, 0), (3, 1)):
        components = [of(each) for each in f[:, row, q]]

        def cdf(t, components=components):
            return np.mean([part.cdf(t) for part in components])

        def both(v, at=y[row, q]):  # over the logarithm, where singular densities are smooth
            return np.exp(v) * (cdf(np.exp(v)) - (np.exp(v) >= at)) ** 2

        at, end = np.log(y[row, q]), np.log(max(part.ppf(1 - 1e-13) for part in components))
        expected = integrate.quad(both, at - 30, at, limit=200)[0] + integrate.quad(both, at, end, limit=200)[0]
        assert made.crps(y)[row, q] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_censored_normal_has_atoms():
    likelihood = CensoredNormal(-0.5, 2.0, 0.8, offset=0.4, dtype="float64")
    f = draws(spread=0.7)
    made, z = DensityMixture([likelihood], f), stats.norm(0.4 + f, 0.8)
    y = np.clip(z.rvs(random_state=0)[0], -0.5, 2.0)
    at_low, at_high = z.cdf(-0.5).mean(0), z.sf(2.0).mean(0)
    np.testing.assert_allclose(made.mass(np.full(y.shape, -0.5)), at_low, rtol=1e-9)
    np.testing.assert_allclose(made.mass(np.full(y.shape, np.float32(2.0))), at_high, rtol=1e-9)
    assert (made.mass(np.full(y.shape, 1.0)) == 0.0).all()
    assert (made.cdf(np.full(y.shape, 2.0)) == 1.0).all()
    low = np.full(y.shape, -0.5)
    np.testing.assert_allclose(made.pit(low, np.full(y.shape, 0.25)), 0.25 * at_low, rtol=1e-9)
    for level, quantile in zip(LEVELS, made.ladder(LEVELS), strict=True):
        for row in range(4):
            for q in range(2):
                found = optimize.brentq(lambda t, r=row, q=q, p=level: z.cdf(t)[:, r, q].mean() - p, -20.0, 20.0)
                assert quantile[row, q] == pytest.approx(np.clip(found, -0.5, 2.0), abs=1e-6)
    for row, q in ((0, 0), (2, 1)):
        grid = np.linspace(-0.5, 2.0, 20_001)
        grid = 0.5 * (grid[1:] + grid[:-1])
        F = stats.norm(0.4 + f[:, row, q, None], 0.8).cdf(grid).mean(0)
        expected = np.sum((F - (grid >= y[row, q])) ** 2) * (grid[1] - grid[0])
        assert made.crps(y)[row, q] == pytest.approx(expected, rel=2e-4)


def test_members_of_an_ensemble_take_turns():
    f = draws(num_draws=6)
    members = [Gamma(0.2, dtype="float64"), Gamma(2.0, dtype="float64"), Gamma(0.7, dtype="float64")]
    made, y = DensityMixture(members, f), np.ones((4, 2))
    shapes = np.array([1 / member.dispersion for member in members] * 2)[:, None, None]
    parts = stats.gamma(shapes, scale=np.exp(f) / shapes)
    np.testing.assert_allclose(made.cdf(y), parts.cdf(y).mean(0), rtol=1e-9)
    np.testing.assert_allclose(made.log_components(y), parts.logpdf(y), rtol=1e-9)
    np.testing.assert_allclose(made.scale, parts.std(), rtol=1e-9)
    np.testing.assert_allclose(made.first(2).crps(y[:2]), made.crps(y)[:2], rtol=1e-12)


class OwnStudent(Likelihood):
    """Through `distribution` only, beside the fast path of location and scale."""

    def distribution(self, f):
        return tfp.distributions.StudentT(tf.constant(5.0, f.dtype), f, tf.constant(0.8, f.dtype))


@pytest.mark.slow
def test_the_two_paths_agree():
    f = draws(num_draws=40, spread=2.0)
    made = DensityMixture([OwnStudent()], f)
    like = StudentT(0.8, df=5.0, dtype="float64")
    fast = Mixture(f, like.stddev(f).numpy(), [like.noise()])
    y = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_allclose(made.moments(), fast.moments(), rtol=1e-9)
    np.testing.assert_allclose(made.log_density(y), fast.log_density(y), rtol=1e-9)
    np.testing.assert_allclose(made.ladder(LEVELS), fast.ladder(LEVELS), rtol=1e-6)
    np.testing.assert_allclose(made.crps(y), fast.crps(y), rtol=1e-4)  # tails beyond 1e-9 are left out


@pytest.mark.parametrize("make", [lambda: Poisson(0.3), lambda: CensoredNormal(0.0, 1.0), lambda: Gamma(0.5)])
def test_draws_have_the_distribution_and_their_pit_is_uniform(make):
    likelihood, num = make(), 3000
    kind = CountMixture if likelihood.discrete else DensityMixture
    made = kind([likelihood], np.full((num, 1, 1), 0.3))
    sample = made.sample(np.random.default_rng(0))[:, 0, 0]
    uniform = np.random.default_rng(1).uniform(size=num)
    one = kind([likelihood], np.full((1, num, 1), 0.3))
    pit = one.pit(sample[:, None], uniform[:, None])[:, 0]
    # false-alarm rate 1e-6; 3,000 draws tell distribution functions that differ by 0.05
    assert stats.kstest(pit, "uniform").pvalue > 1e-6
    halves = one.pit(sample[:, None], np.full((num, 1), 0.5))[:, 0]
    if likelihood.discrete:  # and this test can fail: mid-p values of few counts are not uniform
        assert stats.kstest(halves, "uniform").pvalue < 1e-6


@pytest.mark.slow
def test_change_of_units():
    f = draws()
    made, shift, unit = DensityMixture([OwnStudent()], f), np.array([7.0, -1.0]), np.array([1000.0, 1e-3])
    other, y = made.affine(np.zeros(2), np.full(2, 2.0)).affine(shift, unit), np.full((4, 2), 0.3)
    at, unit = shift + 2.0 * unit * y, 2.0 * unit
    np.testing.assert_allclose(other.cdf(at), made.cdf(y), rtol=1e-9)
    np.testing.assert_allclose(other.crps(at), unit * made.crps(y), rtol=1e-9)
    np.testing.assert_allclose(other.log_density(at), made.log_density(y) - np.log(unit).sum(), rtol=1e-9)
    np.testing.assert_allclose(other.log_components(at), made.log_components(y) - np.log(unit), rtol=1e-9)
    np.testing.assert_allclose(other.ladder([0.1, 0.8]), shift + unit * made.ladder([0.1, 0.8]), rtol=1e-9)
    np.testing.assert_allclose(other.first(2).moments()[1], unit * made.moments()[1][:2], rtol=1e-9)
    draw, expected = other.sample(np.random.default_rng(0)), made.sample(np.random.default_rng(0))
    np.testing.assert_allclose(draw, shift + unit * expected, rtol=1e-9)


def test_other_units_are_refused():
    made = CountMixture([Poisson()], draws())
    assert made.affine(np.zeros(2), np.ones(2)) is made
    assert made.first(2).affine(np.zeros(2), np.ones(2)).loc.shape == (15, 2, 2)
    with pytest.raises(ValueError, match="Poisson cannot be had in other units"):
        made.affine(np.zeros(2), np.full(2, 3.0))
