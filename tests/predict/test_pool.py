"""Pools of ensembles: shares of the draws, and the distribution that they make."""

import numpy as np
import pytest
from scipy import stats

from varbump.likelihoods.noise import NormalNoise, StudentTNoise
from varbump.predict.mixture import Mixture
from varbump.predict.pool import PoolNoise, shared_out

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("num_draws", [1, 7, 20, 400, 401])
@pytest.mark.parametrize("members", [[4, 4, 4], [4, 2, 1]])
def test_all_draws_are_shared_out_by_weight(num_draws, members):
    weights = [0.61, 0.3, 0.09]
    shares = np.array([shared_out(weights, num_draws, members, seed) for seed in range(50)])
    assert (shares.sum(axis=1) == num_draws).all()
    unit = members[0] if len(set(members)) == 1 and num_draws == 400 else 1
    assert (shares % unit == 0).all()
    assert (np.abs(shares - num_draws * np.array(weights)) < unit).all()


def test_shares_are_exact_on_average():
    """Of 2,000 single draws, 30 % have an sd of 20: six of them, a false alarm in 5e8 runs."""
    shares = [shared_out([0.7, 0.3], 1, [4, 4], seed)[1] for seed in range(2_000)]
    assert abs(sum(shares) - 600) < 6 * np.sqrt(2_000 * 0.7 * 0.3)


def test_noises_need_not_take_turns():
    """Two normals and three t, against SciPy."""
    loc, scale = GENERATOR.normal(size=(5, 4, 1)), GENERATOR.uniform(0.5, 2.0, size=(5, 4, 1))
    mixture = Mixture(loc, scale, [NormalNoise(), StudentTNoise(4.0)], [slice(0, 2), slice(2, 5)])
    y = GENERATOR.normal(size=(4, 1))
    of_t = stats.t(4.0, loc[2:], scale[2:] * np.sqrt(0.5))
    of_normal = stats.norm(loc[:2], scale[:2])
    density = np.concatenate([of_normal.pdf(y), of_t.pdf(y)]).mean(axis=0)
    cdf = np.concatenate([of_normal.cdf(y), of_t.cdf(y)]).mean(axis=0)
    np.testing.assert_allclose(mixture.log_density(y), np.log(density[:, 0]), rtol=1e-9)
    np.testing.assert_allclose(mixture.cdf(y), cdf, rtol=1e-9)
    np.testing.assert_allclose(mixture.cdf(mixture.quantile(0.9)), 0.9, rtol=1e-9)
    moved = mixture.affine(np.array([3.0]), np.array([2.0])).first(2)
    np.testing.assert_allclose(moved.log_density(3.0 + 2.0 * y[:2]), np.log(density[:2, 0] / 2.0), rtol=1e-9)


@pytest.mark.parametrize("df", [np.inf, 4.0])
def test_noise_of_a_draw(df):
    """The distance of an empirical distribution of 20,000 draws exceeds 2.2 / sqrt(20,000) once in 10,000 seeds."""
    mean, sd, tail = np.full((1, 20_000, 1), 3.0), np.full((1, 20_000, 1), 0.5), np.full((1, 20_000, 1), 1.0 / df)
    f, noise = np.concatenate([mean, sd, tail], axis=-1), PoolNoise()
    np.testing.assert_array_equal(noise.mean(f), mean)
    np.testing.assert_array_equal(noise.stddev(f), sd)
    drawn = (noise.sample(f, np.array([1, 2], np.int32)).numpy().ravel() - 3.0) / 0.5
    exact = stats.norm() if df == np.inf else stats.t(df, scale=np.sqrt((df - 2.0) / df))
    assert stats.kstest(drawn, exact.cdf).statistic < 2.2 / np.sqrt(20_000)
