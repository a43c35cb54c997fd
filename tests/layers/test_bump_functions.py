"""Values and gradients of the bump functions: against 50 digits, and for every number of half precision."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.layers.bump_functions import SUPPORTS

TYPES = [tf.float64, tf.float32, tf.bfloat16, tf.float16]
MODES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}
supports = pytest.mark.parametrize("support", SUPPORTS)
modes = pytest.mark.parametrize("mode", MODES)


def with_gradients(function, mode="eager"):
    """Value and first derivatives with respect to all arguments, in NumPy."""

    def evaluate(*arguments):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = function(*arguments)
        return value, *tape.gradient(value, arguments)

    return lambda *arguments: [r.numpy() for r in MODES[mode](evaluate)(*map(tf.constant, arguments))]


def as_float(array):
    """In double precision; NumPy warns of signalling nans in the cast, which are meant here."""
    with np.errstate(invalid="ignore"):
        return array.astype(float)


def all_numbers(dtype):
    """All 65,536 bit patterns of a type of two bytes."""
    return np.arange(65536, dtype=np.uint16).view(dtype.as_numpy_dtype)


def sigmas(dtype, count=64):
    """From 0 over the smallest to the largest finite number."""
    small = 6e-8 if dtype == tf.float16 else 1.2e-38
    spaced = np.geomspace(small, float(dtype.max), count - 2)
    return np.concatenate([[0.0], spaced[:-1], [float(dtype.max), small / 2]]).astype(dtype.as_numpy_dtype)


@supports
@modes
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda t: t.name)
@pytest.mark.parametrize("broadcast", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_number_of_half_precision(dtype, mode, support, broadcast):
    x, sigma = all_numbers(dtype), sigmas(dtype)
    grid_x = np.broadcast_to(x, (len(sigma), len(x)))
    grid_sigma = sigma[:, None] if broadcast else np.broadcast_to(sigma[:, None], grid_x.shape)
    evaluate = with_gradients(lambda a, b: vb.bump(a, b, support), mode)
    value, d_x, d_sigma = (as_float(r) for r in evaluate(grid_x, grid_sigma))
    is_nan = np.broadcast_to(np.isnan(as_float(x)), grid_x.shape)
    np.testing.assert_array_equal(np.isnan(value), is_nan)
    assert np.nanmin(value) == 0.0
    assert np.nanmax(value) <= np.exp(-1.0)
    assert np.nanmax(value) > 0.36
    assert np.isfinite(d_x).all()
    assert np.isfinite(d_sigma).all()


def reference(x, sigma):
    """Value, derivatives and exponent in 50 digits."""
    x, sigma = mpmath.mpf(float(x)), mpmath.mpf(float(sigma))
    gap = sigma - x * x
    value = mpmath.exp(-sigma / gap)
    return (value, -2 * x * sigma / gap**2 * value, x * x / gap**2 * value), -sigma / gap


def random_and_edge_hugging(dtype, count=1500, seed=0):
    """Inputs over the whole range of the type, half of them close to the edge of the support."""
    generator = np.random.default_rng(seed)
    limit = 0.95 * np.log(float(dtype.max))
    wide = np.exp(generator.uniform(-limit, limit, count // 2))
    sigma = np.concatenate([wide, generator.uniform(0.01, 10, count - count // 2)])
    inner = generator.uniform(-1.1, 1.1, count)
    edge = 1 - 10 ** generator.uniform(-4, 0, count)
    ratio = np.where(generator.uniform(size=count) < 0.5, inner, edge)
    return (np.sqrt(sigma) * ratio).astype(dtype.as_numpy_dtype), sigma.astype(dtype.as_numpy_dtype)


@modes
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda t: t.name)
def test_against_fifty_digits(dtype, mode):
    x, sigma = random_and_edge_hugging(dtype)
    results = np.stack(with_gradients(vb.bump, mode)(x, sigma), 1)
    info = np.finfo(dtype.as_numpy_dtype)
    checked = 0
    with mpmath.workdps(50):
        for got, a, b in zip(results, x, sigma, strict=True):
            if mpmath.mpf(float(a)) ** 2 >= mpmath.mpf(float(b)):
                assert (got == 0).all()
                continue
            expected, exponent = reference(a, b)
            for value, exact, factor in zip(got, expected, (8, 16, 16), strict=True):
                if info.tiny <= abs(exact) <= info.max:
                    # rounding of x^2 / sigma, of relative size eps, moves the exponent e by about eps e^2
                    allowed = factor * info.eps * (1 + exponent**2)
                    assert abs((mpmath.mpf(float(value)) - exact) / exact) <= allowed, (a, b)
                    checked += 1
    assert checked > 1500


def test_threshold_support_is_the_popular_definition_where_that_exists():
    x = np.linspace(-3, 3, 2001)
    for sigma in (0.2, 0.5, 1.0, 2.0, 5.0):
        value, d_x, d_sigma = with_gradients(lambda a, b: vb.bump(a, b, "threshold"))(x, np.full_like(x, sigma))
        on = np.abs(x) < min(sigma, np.sqrt(sigma))
        smooth = with_gradients(vb.bump)(x, np.full_like(x, sigma))
        for got, interior in zip((value, d_x, d_sigma), smooth, strict=True):
            np.testing.assert_array_equal(got, np.where(on, interior, 0.0))
    jump = vb.bump(tf.constant([0.2 - 1e-9, 0.2], tf.float64), tf.constant(0.2, tf.float64), "threshold").numpy()
    np.testing.assert_allclose(jump, [np.exp(-1 / 0.8), 0.0], rtol=1e-6)


@supports
@modes
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda t: t.name)
def test_hostile_inputs(dtype, mode, support):
    largest, smallest = float(dtype.max), float(np.finfo(dtype.as_numpy_dtype).tiny)
    numbers = [0.0, -0.0, smallest, 1.0, 1.001, 1.003, 1.005, np.nextafter(1, 0), largest, np.inf, -np.inf, np.nan]
    x, sigma = (g.ravel().astype(dtype.as_numpy_dtype) for g in np.meshgrid(numbers, [-1.0, *numbers]))
    value, d_x, d_sigma = with_gradients(lambda a, b: vb.bump(a, b, support), mode)(x, sigma)
    np.testing.assert_array_equal(np.isnan(value), np.isnan(x) | np.isnan(sigma))
    assert (value[~np.isnan(value)] >= 0).all()
    assert np.isfinite(d_x).all()
    assert np.isfinite(d_sigma).all()


@modes
def test_second_derivatives_are_those_of_finite_differences(mode):
    x = np.concatenate([np.linspace(-1.3, 1.3, 41), [0.0]])
    sigma = np.full_like(x, 1.4)

    def first(x, sigma):
        with tf.GradientTape() as tape:
            tape.watch([x, sigma])
            value = vb.bump(x, sigma)
        return tape.gradient(value, [x, sigma])

    def second(x, sigma):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, sigma])
            d_x, d_sigma = first(x, sigma)
        return [tape.gradient(d, v) for d in (d_x, d_sigma) for v in (x, sigma)]

    results = MODES[mode](second)(tf.constant(x), tf.constant(sigma))
    step = 1e-6
    for i, result in enumerate(results):
        move = np.array([[step, 0.0], [0.0, step]][i % 2])
        ahead = first(tf.constant(x + move[0]), tf.constant(sigma + move[1]))[i // 2]
        behind = first(tf.constant(x - move[0]), tf.constant(sigma - move[1]))[i // 2]
        # central differences: 1e-12 of truncation, 1e-16 / 1e-6 of rounding
        np.testing.assert_allclose(result, (ahead - behind) / (2 * step), atol=2e-8)


def test_second_derivatives_are_finite_at_the_edge():
    x = tf.constant(np.concatenate([1 - np.geomspace(1e-7, 0.1, 100), 1 + np.geomspace(1e-7, 0.1, 100)]), tf.float32)
    sigma = tf.ones_like(x)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([x, sigma])
        with tf.GradientTape() as tape:
            tape.watch([x, sigma])
            value = vb.bump(x, sigma)
        first = tape.gradient(value, [x, sigma])
        total = tf.add_n(first)
    for variable in (x, sigma):
        assert np.isfinite(outer.gradient(total, variable)).all()


@pytest.mark.parametrize("shapes", [((5, 4), ()), ((5, 4), (4,)), ((5, 1), (4,)), ((), (3,)), ((2, 1, 3), (4, 1))])
def test_broadcasting_sums_the_gradient(shapes):
    generator = np.random.default_rng(0)
    x, sigma = generator.uniform(-1, 1, shapes[0]), generator.uniform(0.5, 2, shapes[1])
    value, d_x, d_sigma = with_gradients(vb.bump)(x, sigma)
    full = np.broadcast_shapes(*shapes)
    values, full_x, full_sigma = with_gradients(vb.bump)(np.broadcast_to(x, full), np.broadcast_to(sigma, full))
    np.testing.assert_array_equal(value, values)
    for got, terms, shape in ((d_x, full_x, shapes[0]), (d_sigma, full_sigma, shapes[1])):
        assert got.shape == shape
        padded = (1,) * (len(full) - len(shape)) + shape
        axes = tuple(i for i, n in enumerate(padded) if n == 1)
        np.testing.assert_allclose(got, terms.sum(axes, keepdims=True).reshape(shape), rtol=1e-12)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.name)
def test_type_is_kept(dtype):
    x = tf.constant([0.1, 2.0], dtype)
    assert vb.bump(x, 1.0).dtype == dtype
    assert vb.gaussian_bump(x, 1.0, 1.0, 0.0).dtype == dtype
    assert vb.bump([0.1, 2.0], 1).dtype == tf.float32


@modes
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda t: t.name)
def test_gaussian_bump_for_every_number_of_half_precision(dtype, mode):
    x, b = all_numbers(dtype), sigmas(dtype, 16)
    x, b = np.broadcast_to(x, (16, len(x))), np.broadcast_to(b[:, None], (16, len(x)))
    one, center = np.ones_like(x), np.full_like(x, 0.5)
    value, *gradients = (as_float(r) for r in with_gradients(vb.gaussian_bump, mode)(x, one, b, center))
    np.testing.assert_array_equal(np.isnan(value), np.isnan(as_float(x)))
    assert np.nanmin(value) >= 0
    assert np.nanmax(value) <= 1
    assert all(np.isfinite(g).all() for g in gradients)


def test_gaussian_bump_and_its_gradients():
    generator = np.random.default_rng(0)
    x, a, b, c = generator.normal(size=(4, 200)) ** [[1], [1], [2], [1]]
    value, d_x, d_a, d_b, d_c = with_gradients(vb.gaussian_bump)(x, a, b, c)
    e = np.exp(-b * (x - c) ** 2)
    expected = (a * e, -2 * a * b * (x - c) * e, e, -a * (x - c) ** 2 * e, 2 * a * b * (x - c) * e)
    for got, exact in zip((value, d_x, d_a, d_b, d_c), expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-300)


def test_unknown_support_is_refused():
    with pytest.raises(ValueError, match="support must be one of"):
        vb.bump(1.0, 1.0, "round")


@pytest.mark.slow
def test_every_number_of_float32():
    """All 2^32 bit patterns at 8 sigmas; prints its count and time."""
    import time

    began, count, block = time.perf_counter(), 0, 2**24
    sigma = tf.constant([0.0, 1.2e-38, 1e-10, 0.1, 1.0, 9.9, 1e20, tf.float32.max], tf.float32)

    @tf.function(jit_compile=True)
    def failures(first):
        x = tf.bitcast(tf.cast(first + tf.range(block, dtype=tf.int64), tf.int32), tf.float32)
        bad = tf.constant(0)
        for s in tf.unstack(sigma):
            full = tf.fill([block], s)
            with tf.GradientTape() as tape:
                tape.watch([x, full])
                value = vb.bump(x, full)
            d_x, d_s = tape.gradient(value, [x, full])
            right = tf.where(tf.math.is_nan(x), tf.math.is_nan(value), (value >= 0) & (value <= 0.36787944))
            right &= tf.math.is_finite(d_x) & tf.math.is_finite(d_s)
            bad += tf.reduce_sum(tf.cast(~right, tf.int32))
        return bad

    for first in range(0, 2**32, block):
        assert int(failures(tf.constant(first, tf.int64))) == 0
        count += block
    assert count == 2**32
    print(f"{count:,} float32 numbers at {len(sigma)} sigmas in {time.perf_counter() - began:.0f} s")
