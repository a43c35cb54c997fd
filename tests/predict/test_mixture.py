"""A mixture over draws against scipy, scoringrules, and a naive loop."""

import numpy as np
import pytest
import scoringrules
from scipy import integrate, stats

from varbump.likelihoods import HeteroscedasticNormal, LearnedNormal, Normal, StudentT
from varbump.likelihoods.noise import NormalNoise, StudentTNoise
from varbump.predict.mixture import Mixture

GENERATOR = np.random.default_rng(0)
NOISES = {"normal": [NormalNoise()], "t": [StudentTNoise(4.5)], "both": [NormalNoise(), StudentTNoise(3.0)]}


def mixture(kind, num_draws=12, spread=1.0):
    """Of (S, 5 rows, 2 targets), with scales that differ by a factor of up to 4."""
    generator = np.random.default_rng(1)
    loc = 3.0 + spread * generator.normal(size=(num_draws, 5, 2))
    return Mixture(loc, 0.5 * 4.0 ** generator.uniform(size=loc.shape), NOISES[kind])


def component(noise, loc, scale):
    """The same component by scipy."""
    if isinstance(noise, NormalNoise):
        return stats.norm(loc, scale)
    return stats.t(noise.df, loc, scale * np.sqrt((noise.df - 2.0) / noise.df))


def components(made, kind, row, target):
    noises = NOISES[kind]
    return [
        component(noises[s % len(noises)], made.loc[s, row, target], made.scale[s, row, target])
        for s in range(len(made.loc))
    ]


@pytest.mark.parametrize("kind", NOISES)
def test_cdf_density_and_moments_are_those_of_scipy(kind):
    made, y = mixture(kind), 3.0 + 2.0 * GENERATOR.normal(size=(5, 2))
    for row in range(5):
        parts = [components(made, kind, row, q) for q in range(2)]
        for q in range(2):
            cdf = np.mean([part.cdf(y[row, q]) for part in parts[q]])
            assert made.cdf(y)[row, q] == pytest.approx(cdf, rel=1e-12)
            mean = np.mean([part.mean() for part in parts[q]])
            second = np.mean([part.var() + part.mean() ** 2 for part in parts[q]])
            assert made.moments()[0][row, q] == pytest.approx(mean)
            assert made.moments()[1][row, q] == pytest.approx(np.sqrt(second - mean**2))
        joint = np.mean([a.pdf(y[row, 0]) * b.pdf(y[row, 1]) for a, b in zip(*parts, strict=True)])
        assert made.log_density(y)[row] == pytest.approx(np.log(joint), rel=1e-12)


@pytest.mark.parametrize("kind", NOISES)
def test_quantiles_invert_the_cdf(kind):
    made, levels = mixture(kind), [1e-3, 0.025, 0.3, 0.5, 0.9, 0.999]
    for level, quantile in zip(levels, made.ladder(levels), strict=True):
        # the table of a t is good to 1e-11, of 1e-3 here
        np.testing.assert_allclose(made.cdf(quantile), level, rtol=1e-8)
        np.testing.assert_allclose(quantile, made.quantile(level), rtol=1e-8)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_crps_of_normals_is_that_of_scoringrules(spread):
    made, y = mixture("normal", spread=spread), 3.0 + GENERATOR.normal(size=(5, 2))
    pairs = scoringrules.crps_mixnorm(y, np.moveaxis(made.loc, 0, -1), np.moveaxis(made.scale, 0, -1))
    # the trapezoidal rule converges to 1e-11; where locations are far apart the last digits cancel
    np.testing.assert_allclose(made.crps(y), pairs, rtol=1e-9)


@pytest.mark.parametrize("df", [2.2, 3.0, 8.0, 200.0])
def test_crps_of_one_student_t_is_that_of_scoringrules(df):
    noise, y = StudentTNoise(df), GENERATOR.normal(size=(5, 1)) * 3.0
    one = Mixture(np.ones((1, 5, 1)), np.full((1, 5, 1), 0.7), [noise])
    expected = scoringrules.crps_t(y, df, 1.0, 0.7 * noise.unit)
    # tails of 2.2 degrees of freedom beyond 1e6 sd hold 1e-7 sd, where the score is 0.06
    np.testing.assert_allclose(one.crps(y), expected, rtol=1e-5 if df < 3 else 1e-8)


def test_crps_of_a_mixture_is_its_integral():
    made, y = mixture("both"), 3.0 + GENERATOR.normal(size=(5, 2))
    parts = components(made, "both", 2, 1)

    def cdf(t):
        return np.mean([part.cdf(t) for part in parts])

    below = integrate.quad(lambda t: cdf(t) ** 2, -np.inf, y[2, 1])[0]
    above = integrate.quad(lambda t: (1.0 - cdf(t)) ** 2, y[2, 1], np.inf)[0]
    assert made.crps(y)[2, 1] == pytest.approx(below + above, rel=1e-6)  # the accuracy of quad


def test_one_narrow_component_among_wide_ones_is_still_resolved():
    loc, scale = np.zeros((20, 1, 1)), np.ones((20, 1, 1))
    loc[3], scale[3] = 2.0, 1e-4
    made, y = Mixture(loc, scale, [NormalNoise()]), np.array([[2.0]])
    pairs = scoringrules.crps_mixnorm(y, np.moveaxis(loc, 0, -1), np.moveaxis(scale, 0, -1))
    np.testing.assert_allclose(made.crps(y), pairs, rtol=5e-4)  # nodes are capped: one of 20 lies between two
    np.testing.assert_allclose(made.cdf(made.ladder([0.95])[0]), 0.95, rtol=1e-9)


@pytest.mark.parametrize("kind", NOISES)
def test_change_of_units(kind):
    made, y, shift, unit = mixture(kind), np.full((5, 2), 2.5), np.array([7.0, -1.0]), np.array([1000.0, 1e-3])
    other = made.affine(shift, unit)
    np.testing.assert_allclose(other.crps(shift + unit * y), unit * made.crps(y), rtol=1e-9)
    np.testing.assert_allclose(other.cdf(shift + unit * y), made.cdf(y), rtol=1e-9)
    np.testing.assert_allclose(other.log_density(shift + unit * y), made.log_density(y) - np.log(unit).sum())


def test_draws_have_the_distribution():
    noise = StudentTNoise(5.0)
    made = Mixture(np.full((4000, 1, 1), 2.0), np.full((4000, 1, 1), 0.5), [noise])
    draws = made.sample(np.random.default_rng(0))[:, 0, 0]
    # false-alarm rate 1e-6; 4,000 draws tell a sd that is off by 10 %
    assert stats.kstest(draws, stats.t(5.0, 2.0, 0.5 * noise.unit).cdf).pvalue > 1e-6


@pytest.mark.parametrize("df", [2.05, 3.0, 30.0, 1e6])
def test_the_table_of_a_t_is_its_distribution_function(df):
    noise = StudentTNoise(df)
    z = np.concatenate([np.linspace(-12, 12, 5001), np.geomspace(1e-8, 1e9, 200), -np.geomspace(1e-8, 1e9, 200)])
    np.testing.assert_allclose(noise.fast_cdf(z), noise.cdf(z), rtol=0, atol=1e-10)


def test_noise_of_likelihoods():
    for likelihood in (Normal(0.3), LearnedNormal(0.3), HeteroscedasticNormal()):
        assert isinstance(likelihood.noise(), NormalNoise)
    assert StudentT(df=7.0).noise().df == 7.0
