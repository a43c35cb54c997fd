"""Laws of every likelihood."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import registry
import scipy.stats
import tensorflow as tf
from registry import first_fast, flatten, name

import varbump as vb
from varbump.core.keras import keras
from varbump.forward.programs import compiled

each = pytest.mark.parametrize("likelihood", flatten(registry.LIKELIHOODS), ids=name)
one_of_each = pytest.mark.parametrize("likelihood", first_fast(flatten(registry.LIKELIHOODS)), ids=name)
FEW = ("HeteroscedasticNormal",)  # two outputs; the others are slow tests
a_few = pytest.mark.parametrize(
    "likelihood",
    [
        pytest.param(item, marks=[] if index == 0 and key in FEW else pytest.mark.slow)
        for key, items in registry.LIKELIHOODS.items()
        for index, item in enumerate(items)
    ],
    ids=name,
)

EXTREMES = [0.0, 2e-38, 1.0, -3.0, 100.0, -100.0, 1e10, -1e10, 1e17, -1e17, 3e38, -3e38]


def weighted(likelihood):
    """Whether it weighs its gradients on purpose."""
    return getattr(likelihood, "beta", 0.0) > 0.0 or getattr(likelihood, "faithful", False)


def outputs(likelihood, shape, loc=0.0, raw=0.4, dtype="float64"):
    """Network outputs f (..., k Q) for targets of a shape (..., Q)."""
    columns = likelihood.num_outputs(shape[-1])
    f = np.full((*shape[:-1], columns), raw, dtype)
    f[..., : shape[-1]] = loc
    return f


def observations(likelihood, f, seed=0):
    """Observations (..., Q) that there can be, drawn for f."""
    return likelihood.sample(f, (seed, 7)).numpy()


def is_possible(likelihood, y):
    try:
        likelihood.check_observations(np.reshape(y, (1, 1)))
    except ValueError:
        return False
    return True


def restored(likelihood):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))


@one_of_each
def test_nll_has_one_number_an_observation(likelihood):
    for shape in [(5, 3), (2, 5, 3), (1, 1)]:
        f = outputs(likelihood, shape, dtype="float32")
        assert likelihood.nll(np.zeros(shape, "float32"), f).shape == shape[:-1]
        assert likelihood.mean(f).shape == likelihood.stddev(f).shape == likelihood.sample(f, (0, 1)).shape == shape


def value_and_gradients(likelihood, y, f):
    """Per observation nll, its gradient with respect to f, and that of the sum with respect to the variables."""
    variables = getattr(likelihood, "variables", [])
    with tf.GradientTape() as tape:
        tape.watch(f)
        nll = likelihood.nll(y, f)
    by_f, *by_variables = tape.gradient(nll, [f, *variables])
    return nll, by_f, by_variables


@one_of_each
@pytest.mark.parametrize("run", ["eager", pytest.param("function", marks=pytest.mark.slow), "xla"])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_no_finite_input_makes_a_nan(likelihood, dtype, run):
    likelihood = copy.deepcopy(likelihood)
    extremes = EXTREMES + [1e300, -1e300] * (dtype == "float64")
    rows = np.array(list(itertools.product(*[extremes] * (1 + likelihood.num_outputs(1)))))
    rows = rows[[is_possible(likelihood, row[0]) for row in rows]]
    y, f = rows[:, :1], rows[:, 1:]

    def evaluate(y, f):
        return value_and_gradients(likelihood, y, f)

    call = {"eager": evaluate, "function": tf.function(evaluate), "xla": compiled(evaluate)}[run]
    variables = getattr(likelihood, "variables", [])
    for raw in [None, 0.0, -100.0, 1e10, 3e38, -3e38] if variables else [None]:
        for variable in variables if raw is not None else []:
            variable.assign(tf.cast(raw, variable.dtype))
        nll, by_f, by_variables = call(tf.constant(y, dtype), tf.constant(f, dtype))
        assert nll.dtype == by_f.dtype == dtype
        for value in (nll, by_f, *by_variables):
            assert not np.isnan(value).any()
        if dtype == "float32":  # finite wherever the exact values, with room for squares, are
            exact, exact_by_f, _ = value_and_gradients(likelihood, tf.constant(y), tf.constant(f))
            with np.errstate(over="ignore"):
                fits = (exact < 1e37) & np.all(np.abs(exact_by_f) < 1e37, 1) & (np.abs(y - f[:, :1])[:, 0] < 1e38)
            assert fits.numpy().sum() > 0.3 * len(fits)
            # exp(-log scale) loses a few of 7 digits, log y of those that were rounded off y
            np.testing.assert_allclose(nll[fits], exact[fits], rtol=2e-5, atol=2e-6)
            assert np.isfinite(by_f[fits]).all()


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nll_is_finite_for_finite_input(likelihood, dtype):
    large = 1e17  # its square over a scale of 0.07 still fits float32
    f = np.concatenate([outputs(likelihood, (1, 1), loc, 0.0, dtype) for loc in (0.0, large, -large, 1e-38)])
    y = np.full((4, 1), 0.0 if is_possible(likelihood, 0.0) else 1.0, dtype)
    nll, by_f, by_variables = value_and_gradients(likelihood, y, tf.constant(f))
    assert nll.dtype == dtype
    for value in (nll, by_f, *by_variables):
        assert np.isfinite(value).all()


@pytest.mark.parametrize("likelihood", [item for item in flatten(registry.LIKELIHOODS) if not weighted(item)], ids=name)
def test_gradients_are_those_of_the_nll(likelihood):
    generator = np.random.default_rng(0)
    f = generator.normal(size=(20, likelihood.num_outputs(2)))
    y = observations(likelihood, f)
    variables = [tf.Variable(v.numpy().astype(float)) for v in getattr(likelihood, "variables", [])]
    _, by_f, by_variables = value_and_gradients(likelihood, tf.constant(y), tf.constant(f))
    step = 1e-5  # central differences: step^2 from the third derivative, 1e-16 / step from rounding
    for column in range(f.shape[1]):
        moved = [f + sign * step * np.eye(f.shape[1])[column] for sign in (1, -1)]
        difference = (likelihood.nll(y, moved[0]) - likelihood.nll(y, moved[1])) / (2 * step)
        np.testing.assert_allclose(by_f[:, column], difference, rtol=1e-5, atol=1e-6)
    for variable, start, gradient in zip(getattr(likelihood, "variables", []), variables, by_variables, strict=True):
        values = []
        for sign in (1, -1):  # the variable is float32: take the step that it really made
            variable.assign(tf.cast(start + sign * 1e-3, variable.dtype))
            values.append((float(variable), float(tf.reduce_sum(likelihood.nll(y, f)))))
        variable.assign(tf.cast(start, variable.dtype))
        difference = (values[0][1] - values[1][1]) / (values[0][0] - values[1][0])
        np.testing.assert_allclose(gradient, difference, rtol=1e-4)  # step^2 = 1e-6 times third derivatives, some 10


@one_of_each
def test_keras_loss_is_the_mean_nll(likelihood):
    generator = np.random.default_rng(0)
    f = generator.normal(size=(50, likelihood.num_outputs(2))).astype("float32")
    y = observations(likelihood, f)
    np.testing.assert_allclose(likelihood(y, f), np.mean(likelihood.nll(y, f)), rtol=1e-6)


@a_few
def test_keras_trains_with_it(likelihood):
    x, _ = vb.datasets.cubic(64)
    y = observations(likelihood, outputs(likelihood, (64, 1), dtype="float32"))
    network = vb.build_network(
        likelihood=likelihood, make_posterior_fn=vb.posteriors.MeanFieldNormal(), kl_weight=1 / 64
    )
    network.compile("adam", loss=copy.deepcopy(likelihood))
    history = network.fit(x, y, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@one_of_each
@pytest.mark.parametrize("copied", [restored, copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))])
def test_copies_are_equal(likelihood, copied):
    made = copied(likelihood)
    assert type(made) is type(likelihood)
    assert made.get_config() == likelihood.get_config()
    generator = np.random.default_rng(0)
    f = generator.normal(size=(5, likelihood.num_outputs(1)))
    y = observations(likelihood, f)
    np.testing.assert_array_equal(made.nll(y, f), likelihood.nll(y, f))
    assert not {v.ref() for v in getattr(made, "variables", [])} & {
        v.ref() for v in getattr(likelihood, "variables", [])
    }


def measure(likelihood, f):
    """Points (M,) and their probability under one row f, far into both tails, and whether it is at the point alone."""
    mean, sd = likelihood.mean(f).numpy().item(), likelihood.stddev(f).numpy().item()
    if likelihood.discrete:
        y = np.arange(0.0, mean + 60.0 * sd + 60.0)
        width, is_atom = np.ones_like(y), np.ones(len(y), bool)
    elif likelihood.open_support:
        y = mean * np.exp(np.linspace(-60.0, 12.0, 200_001))
        width, is_atom = np.gradient(y), np.zeros(len(y), bool)
    elif likelihood.atoms:
        low, high = np.clip(likelihood.support, -60.0, 60.0)
        inside = np.linspace(low, high, 200_002)
        inside = 0.5 * (inside[1:] + inside[:-1])  # the midpoint rule does not touch the atoms
        y = np.sort(np.concatenate([inside, likelihood.atoms]))
        is_atom = np.isin(y, likelihood.atoms)
        width = np.where(is_atom, 1.0, inside[1] - inside[0])
    else:
        y = mean + 0.1 * np.sinh(np.linspace(-30.0, 30.0, 200_001))
        width, is_atom = np.gradient(y), np.zeros(len(y), bool)
    p = np.exp(-likelihood.nll(y[:, None], np.tile(f, (len(y), 1))).numpy())
    return y, p * width, is_atom


@each
def test_nll_is_a_density_with_the_mean_and_sd_that_it_says(likelihood):
    f = outputs(likelihood, (1, 1), loc=0.7)
    y, p, _ = measure(likelihood, f)
    # the rule is exact to 1e-7 on this grid; the tail that it cuts off the variance of df = 2.5 is 1e-6 of it
    np.testing.assert_allclose(np.sum(p), 1.0, rtol=1e-6)
    mean = np.sum(p * y)
    np.testing.assert_allclose(mean, likelihood.mean(f).numpy().item(), rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.sum(p * (y - mean) ** 2)), likelihood.stddev(f).numpy().item(), rtol=1e-5)


@each
def test_nll_and_cdf_are_those_of_the_distribution(likelihood):
    f = np.random.default_rng(0).normal(size=(30, likelihood.num_outputs(2)))
    y, made = observations(likelihood, f), likelihood.distribution(f)
    assert made.batch_shape == y.shape
    log_prob = np.sum(made.log_prob(y), -1)
    np.testing.assert_allclose(likelihood.nll(y, f), -log_prob, rtol=1e-6, atol=1e-8)  # TFP's rounding of float32
    np.testing.assert_allclose(likelihood.cdf(y, f), made.cdf(y), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(likelihood.mean(f), made.mean(), rtol=1e-6)
    np.testing.assert_allclose(likelihood.stddev(f), made.stddev(), rtol=1e-6)


@one_of_each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_have_that_density(likelihood, dtype):
    f = outputs(likelihood, (1, 1), loc=0.7)
    y, p, is_atom = measure(likelihood, f)
    cdf = np.cumsum(p) - np.where(is_atom, 0.0, 0.5 * p)
    draws = np.sort(likelihood.sample(np.tile(f, (100_000, 1)).astype(dtype), (1, 2)).numpy()[:, 0])
    # false alarm in 1 of a million (Dvoretzky, Kiefer, Wolfowitz, Massart; atoms too); a scale that is 4 % off moves
    # the distribution function of a normal by 0.0097
    slack = 1e-6 * np.abs(y)  # draws in float32
    observed = np.searchsorted(draws, y + slack, side="right") / len(draws)
    assert np.max(np.abs(observed - cdf)) < 0.0086
    columns = likelihood.sample(np.repeat(f[:, :1], 2 * f.shape[1], 1).repeat(1000, 0), (1, 2)).numpy()
    assert abs(np.corrcoef(columns.T)[0, 1]) < 0.2  # targets of their own; heavy tails blur this at 1,000 rows


@one_of_each
def test_samples_are_a_function_of_the_seed_however_they_are_compiled(likelihood):
    f = outputs(likelihood, (50, 2), loc=3.0, dtype="float32")
    draws = likelihood.sample(f, (1, 2))
    np.testing.assert_array_equal(draws, likelihood.sample(f, (1, 2)))
    assert not np.array_equal(draws, likelihood.sample(f, (1, 3)))
    # the samplers of TFP for gamma and Poisson have other algorithms under XLA, or none
    theirs = isinstance(likelihood, (vb.likelihoods.Gamma, vb.likelihoods.NegativeBinomial, vb.likelihoods.Poisson))
    for compile_ in (lambda call: tf.function(call), *([] if theirs else [compiled])):
        np.testing.assert_allclose(compile_(lambda: likelihood.sample(f, (1, 2)))(), draws, rtol=1e-4, atol=1e-5)


@a_few
def test_predictions_have_a_column_for_each_target(likelihood):
    network = vb.build_network(
        2, num_outputs=3, likelihood=likelihood, make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0
    )
    x = np.random.default_rng(0).normal(size=(7, 2))
    assert vb.predict_f(network, x, num_draws=4).shape == (4, 7, likelihood.num_outputs(3))
    f = vb.predict_f(network, x, likelihood=likelihood, num_draws=4, seed=1, chunk_size=2)
    assert f.shape == vb.predict_y(network, likelihood, x, num_draws=4).shape == (4, 7, 3)
    outputs = vb.predict_f(network, x, num_draws=4, seed=1)
    np.testing.assert_allclose(f, likelihood.mean(outputs), rtol=1e-4, atol=1e-6)
    bands = vb.predict_bands(network, x, likelihood=likelihood, num_draws=4)
    assert bands.mean.shape == bands.lower[0.5].shape == (7, 3)


@pytest.mark.parametrize("scale", [0.07, 1.0, 30.0])
def test_normal_nll_is_that_of_scipy(scale):
    generator = np.random.default_rng(0)
    y, f = generator.normal(size=(2, 50, 3))
    expected = -scipy.stats.norm.logpdf(y, f, scale).sum(-1)
    np.testing.assert_allclose(vb.likelihoods.Normal(scale).nll(y, f), expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_normal_refuses_a_scale_out_of_range(scale):
    with pytest.raises(ValueError, match="scale, a standard deviation, must be a finite number above 0"):
        vb.likelihoods.Normal(scale)
