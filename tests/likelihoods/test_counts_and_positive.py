"""Counts, positive y and censored y against scipy and mpmath."""

import mpmath
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import varbump as vb
from varbump.likelihoods import (
    CensoredNormal,
    Gamma,
    HeteroscedasticNormal,
    LearnedNormal,
    LogNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
)
from varbump.likelihoods.censored import log_ndtr

OFFSETS = [0.0, 3.0, [9.2, -2.0, 1.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", OFFSETS, ids=str)
def test_counts_are_those_of_scipy(offset, dtype):
    generator = np.random.default_rng(0)
    f = (0.3 * generator.normal(size=(50, 3))).astype(dtype)
    mean = np.exp(np.asarray(offset) + f.astype(float))
    y = generator.poisson(mean).astype(dtype)
    # counts of the order of 1e4 too: terms of 1e5 nats cancel, in double precision; then one rounding to float32
    tolerance = 1e-9 if dtype == "float64" else 1e-6
    nll = Poisson(offset).nll(y, f)
    np.testing.assert_allclose(nll, -scipy.stats.poisson.logpmf(y, mean).sum(-1), rtol=tolerance)
    for dispersion in (0.02, 0.7, 30.0):
        r = 1.0 / dispersion
        likelihood = NegativeBinomial(dispersion, offset=offset, dtype="float64")
        expected = -scipy.stats.nbinom.logpmf(y, r, r / (r + mean)).sum(-1)
        np.testing.assert_allclose(likelihood.nll(y, f), expected, rtol=max(tolerance, 1e-8))
        np.testing.assert_allclose(likelihood.stddev(f), np.sqrt(mean + dispersion * mean**2), rtol=1e-5)


def test_without_dispersion_a_negative_binomial_is_poisson():
    f = np.random.default_rng(0).normal(size=(50, 1))
    y = np.random.default_rng(1).poisson(np.exp(f)).astype(float)
    likelihood = NegativeBinomial(1e-8, min_dispersion=1e-8, dtype="float64")
    np.testing.assert_allclose(likelihood.nll(y, f), Poisson().nll(y, f), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", OFFSETS, ids=str)
def test_positive_densities_are_those_of_scipy(offset, dtype):
    generator = np.random.default_rng(0)
    f = generator.normal(size=(50, 3)).astype(dtype)
    level = np.exp(np.asarray(offset) + f.astype(float))
    y = (level * generator.gamma(1.3, size=f.shape)).astype(dtype)
    tolerance = {"float64": 1e-9, "float32": 1e-5}[dtype]
    for dispersion in (0.01, 0.5, 4.0):
        expected = -scipy.stats.gamma.logpdf(y.astype(float), 1 / dispersion, scale=dispersion * level).sum(-1)
        nll = Gamma(dispersion, offset=offset, dtype="float64").nll(y, f)
        np.testing.assert_allclose(nll, expected, rtol=tolerance, atol=1e-5 if dtype == "float32" else 1e-8)
    expected = -scipy.stats.lognorm.logpdf(y.astype(float), 0.4, scale=level).sum(-1)
    nll = LogNormal(0.4, offset=offset, dtype="float64").nll(y, f)
    np.testing.assert_allclose(nll, expected, rtol=tolerance, atol=1e-4 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_ndtr_and_its_gradient_are_those_of_mpmath(dtype):
    x = tf.constant([-1e6, -3e3, -40.0, -8.0, -1.0, -1e-3, 0.0, 0.5, 3.0, 7.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = log_ndtr(x)
    slope = tape.gradient(value, x)
    mpmath.mp.dps = 50
    exact = [mpmath.mpf(float(v)) for v in x]
    tails = [mpmath.erfc(-v / mpmath.sqrt(2)) / 2 for v in exact]
    hazards = [mpmath.npdf(v) / tail for v, tail in zip(exact, tails, strict=True)]
    tolerance = {"float32": 5e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(value, [float(mpmath.log(tail)) for tail in tails], rtol=tolerance, atol=1e-30)
    # beyond -1e4 the gradient is x itself: 1e-8 of it is left out
    np.testing.assert_allclose(slope, [float(hazard) for hazard in hazards], rtol=max(tolerance, 1e-11), atol=1e-30)


def test_a_censored_density_is_that_of_scipy():
    likelihood = CensoredNormal(-1.0, 2.0, 0.7, offset=0.5, unit=1.5, dtype="float64")
    f = np.random.default_rng(0).normal(size=(200, 2))
    z = scipy.stats.norm(0.5 + 1.5 * f, 0.7 * 1.5)
    y = np.clip(z.rvs(random_state=1), -1.0, 2.0)
    density = np.where(y == -1.0, z.logcdf(-1.0), np.where(y == 2.0, z.logsf(2.0), z.logpdf(y)))
    assert min(np.mean(y == limit) for limit in (-1.0, 2.0)) > 0.1
    np.testing.assert_allclose(likelihood.nll(y, f), -density.sum(-1), rtol=1e-9)
    np.testing.assert_allclose(likelihood.nll(y, f.astype("float32")), -density.sum(-1), rtol=1e-4)


def test_a_limit_that_float32_has_moved_is_still_the_limit():
    for limit in (0.3, 0.7, 1e-3, 12345.678):
        likelihood, y = CensoredNormal(limit, offset=limit, unit=limit), np.full((1, 1), limit, "float32")
        likelihood.check_observations(y)
        assert likelihood.nll(y, np.zeros((1, 1), "float32")).numpy() == pytest.approx(np.log(2.0), rel=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "y", "message"),
    [
        (
            Poisson(),
            [[1.0], [-2.0]],
            "y must hold numbers of at least 0 for Poisson, but 1 of .*first, -2, in row 1",
        ),
        (Poisson(), [[1.0, 2.0], [3.0, 0.5]], "y must hold whole numbers for Poisson.* first, 0.5, in row 1, column 1"),
        (NegativeBinomial(), [[0.5]], "whole numbers for NegativeBinomial"),
        (Gamma(), [[0.0]], "y must hold numbers above 0 for Gamma"),
        (LogNormal(), [[-1.0]], "y must hold numbers above 0 for LogNormal"),
        (CensoredNormal(upper=2.0), [[1.0], [2.5]], "of at most 2 for CensoredNormal.* first, 2.5, in row 1"),
        (CensoredNormal(lower=0.0), [[-1e-3]], "of at least 0 for CensoredNormal"),
    ],
)
def test_y_that_cannot_be_are_refused_before_training(likelihood, y, message):
    y = np.array(y)
    with pytest.raises(ValueError, match=message):
        likelihood.check_observations(y)
    network = vb.build_network(1, num_outputs=y.shape[1], likelihood=likelihood, seed=0)
    x = np.arange(len(y), dtype=float)[:, None]
    with pytest.raises(ValueError, match=message):
        vb.fit(network, likelihood, x, y, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="validation_data y|validation y|y must hold"):
        vb.evaluate(network, x, y, likelihood=likelihood)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(offset=np.nan), "offset, the log of the level of y, must be a number"),
        (lambda: Poisson(offset="log"), "offset"),
        (lambda: Gamma(offset=50.0), "offset"),
        (lambda: Gamma(0.0), "dispersion must be a finite number above 0"),
        (lambda: NegativeBinomial(1.0, min_dispersion=1e-12), "min_dispersion must lie between 1e-08"),
        (lambda: NegativeBinomial([1.0, 2.0], num_targets=3), "dispersion must be one number or one for each of 3"),
        (lambda: CensoredNormal(2.0, 1.0), "lower must be below upper"),
        (lambda: CensoredNormal(np.inf), "lower must be a finite number"),
        (lambda: CensoredNormal(0.0, unit=-1.0), "unit must be above 0"),
        (lambda: Poisson([1.0, 2.0]).num_outputs(3), "The likelihood has 2 offsets, but y has 3 columns"),
        (lambda: CensoredNormal(0.0, offset=[1.0, 2.0]).num_outputs(3), "2 offsets, but y has 3 columns"),
    ],
)
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_table_puts_the_level_of_y_at_zero():
    y = np.array([[1.0, 2e4], [3.0, 4e4]])
    np.testing.assert_allclose(Poisson.for_table(y, 0.1).mean(np.zeros((1, 2))), [[2.0, 3e4]], rtol=1e-6)
    np.testing.assert_allclose(Gamma.for_table(y, 0.1).mean(np.zeros((1, 2))), [[2.0, 3e4]], rtol=1e-6)
    medians = LogNormal.for_table(y, 0.1).distribution(np.zeros((1, 2))).quantile(0.5)
    np.testing.assert_allclose(medians, [[np.sqrt(3.0), np.sqrt(8e8)]], rtol=1e-6)
    assert Poisson(offset=1.0).adapted(y, 0.1).offset == 1.0
    none = Poisson.for_table(np.zeros((10, 1)), 0.1)
    assert none.mean(np.zeros((1, 1))).numpy() == pytest.approx(0.05)


def test_limits_are_found_where_rows_lie_at_them():
    y = np.concatenate([np.zeros(30), np.linspace(0.1, 5.0, 70)])[:, None]
    found = CensoredNormal.for_table(y, 0.01)
    assert (found.lower, found.upper) == (0.0, None)
    assert (found.offset, found.unit) == (y.mean(), y.std())
    with pytest.raises(ValueError, match="y has no limit that several rows lie at"):
        CensoredNormal.for_table(np.linspace(0.0, 1.0, 50)[:, None], 0.01)


@pytest.mark.parametrize(
    ("one", "other", "another"),
    [
        (LearnedNormal(0.3, min_scale=0.01), LearnedNormal(2.0), LearnedNormal(num_targets=2)),
        (HeteroscedasticNormal(0.1), HeteroscedasticNormal(0.2), HeteroscedasticNormal(0.1, beta=0.5)),
        (StudentT(0.3, min_scale=0.1), StudentT(4.0), StudentT(df=7.0)),
        (StudentT(df=5.0, learn_df=True), StudentT(df=9.0, learn_df=True), StudentT(df=5.0)),
        (NegativeBinomial(0.3, offset=1.0), NegativeBinomial(2.0), NegativeBinomial(dtype="float64")),
        (Gamma(0.3, offset=1.0), Gamma(2.0, min_dispersion=0.1), Gamma(num_targets=2)),
        (LogNormal(0.3, offset=1.0), LogNormal(2.0, min_scale=0.1), LogNormal(num_targets=2)),
        (CensoredNormal(0.0, offset=1.0), CensoredNormal(0.0, unit=2.0), CensoredNormal(1.0)),
        (Poisson(1.0), Poisson(), None),
        (Normal(1.0), Normal(1.0, name="other"), Normal(2.0)),
    ],
    ids=lambda item: type(item).__name__,
)
def test_structure_is_what_a_program_is_compiled_for(one, other, another):
    assert one.structure() == other.structure()
    assert another is None or one.structure() != another.structure()
    constants = {variable.ref() for variable in one.constants}
    assert not constants & {variable.ref() for variable in one.variables}
    assert not any(variable.trainable for variable in one.constants)
    assert len(one.constants) == len(one.constant_keys)


@pytest.mark.parametrize(
    ("likelihood", "change"),
    [(LearnedNormal(0.5), -1), (HeteroscedasticNormal(0.1), 0), (Poisson(1.0), 0), (CensoredNormal(0.0), 1)],
    ids=lambda item: type(item).__name__,
)
def test_a_compiled_program_reads_the_constants(likelihood, change):
    f = tf.zeros([3, likelihood.num_outputs(1)])
    call = tf.function(lambda: likelihood.nll(tf.ones([3, 1]), f), jit_compile=True)
    before = call().numpy()
    likelihood.constants[change].assign_add(0.7)
    np.testing.assert_allclose(call(), likelihood.nll(tf.ones([3, 1]), f), rtol=1e-6)
    assert (call().numpy() != before).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("likelihood", "learned", "true"),
    [
        (NegativeBinomial(offset=3.0), "dispersion", 0.5),
        (Gamma(offset=3.0), "dispersion", 0.5),
        (LogNormal(offset=3.0), "scale", 0.5),
        (CensoredNormal(lower=19.0, offset=20.0, unit=2.0), "scale", 0.5),
    ],
    ids=lambda item: type(item).__name__,
)
def test_fit_learns_the_dispersion(likelihood, learned, true):
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(4000, 1))
    mean = np.exp(3.0 + x)
    y = {
        NegativeBinomial: lambda: generator.negative_binomial(2.0, 2.0 / (2.0 + mean)),
        Gamma: lambda: generator.gamma(2.0, mean / 2.0),
        LogNormal: lambda: mean * np.exp(0.5 * generator.normal(size=x.shape)),
        CensoredNormal: lambda: np.maximum(20.0 + 2.0 * x + generator.normal(size=x.shape), 19.0),
    }[type(likelihood)]()
    network = vb.build_network(hidden_units=(), likelihood=likelihood, seed=0)
    vb.fit(network, likelihood, x, y.astype(float), epochs=60, learning_rate=0.03, seed=0, verbose=0)
    # 4,000 rows give each of these to 2.5 % or better; 4 of these
    assert getattr(likelihood, learned) == pytest.approx(true, rel=0.1)
