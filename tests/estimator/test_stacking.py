"""Weights of candidates: against brute force, and what they must not depend on."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import norm

from varbump.estimator.report import StackingReport, hint_for
from varbump.estimator.stacking import (
    FACTOR_PRIOR_ROWS,
    TAILS,
    factor_for_all_members,
    noise_factor,
    noise_tail,
    pooled_log_density,
    stacking_weights,
)
from varbump.likelihoods.noise import noise_with_tail

GENERATOR = np.random.default_rng(0)
LOG_DENSITY = GENERATOR.normal(size=(3, 40)) * [[1.0], [2.0], [0.5]]


def objective(weights, log_density, row_weights, prior_rows):
    """As in the docstring, without any trick."""
    pooled = np.log(np.sum(weights[:, None] * np.exp(log_density), axis=0))
    return np.sum(row_weights * pooled) + prior_rows * np.sum(np.log(weights))


@pytest.mark.parametrize("prior_rows", [0.5, 2.0])
def test_they_are_the_optimum(prior_rows):
    row_weights = GENERATOR.uniform(0.5, 3.0, size=40)
    found = stacking_weights(LOG_DENSITY, row_weights, prior_rows)
    best = minimize(
        lambda v: -objective(softmax(v), LOG_DENSITY, row_weights, prior_rows), np.zeros(3), options={"gtol": 1e-10}
    )
    np.testing.assert_allclose(found, softmax(best.x), atol=1e-5)  # of a flat optimum, the root of the tolerance
    assert found.sum() == pytest.approx(1.0)


def test_without_rows_all_weigh_the_same():
    np.testing.assert_allclose(stacking_weights(np.zeros((4, 0))), 0.25)


def test_few_rows_do_not_rule_a_model_out_but_many_do():
    gap = np.array([[0.0], [-1.0]])
    few, many = (stacking_weights(np.repeat(gap, count, axis=1))[1] for count in (5, 5_000))
    assert many < 0.01 < 0.2 < few


def test_a_weight_is_a_number_of_equal_rows():
    counts = GENERATOR.integers(1, 4, size=40)
    repeated = np.repeat(LOG_DENSITY, counts, axis=1)
    np.testing.assert_allclose(stacking_weights(LOG_DENSITY, counts), stacking_weights(repeated), atol=1e-7)


def test_densities_of_any_size():
    """Far below what float64 can hold; and a row that no model thinks possible."""
    shifts = GENERATOR.normal(size=40) * 1e4
    np.testing.assert_allclose(stacking_weights(LOG_DENSITY + shifts), stacking_weights(LOG_DENSITY), atol=1e-7)
    impossible = np.concatenate([LOG_DENSITY, np.full((3, 1), -np.inf)], axis=1)
    np.testing.assert_allclose(stacking_weights(impossible), stacking_weights(LOG_DENSITY), atol=1e-7)


@pytest.mark.parametrize("sd", [0.5, 0.9, 1.4])
def test_the_factor_of_one_model_has_a_closed_form(sd):
    """For normal noise, its square is about the mean of the squared residuals, which the prior pulls towards 1."""
    z, v = sd * GENERATOR.normal(size=300), GENERATOR.uniform(0.5, 2.0, size=300)
    found = noise_factor(lambda factor: norm.logpdf(z, scale=factor)[None], np.ones(1), v)
    squares, count = v @ z**2, v.sum()
    # of the loss, -count + squares / b^2 = 2 r log b
    assert squares / found**2 - count == pytest.approx(2.0 * FACTOR_PRIOR_ROWS * np.log(found), abs=0.01 * count)
    assert found == pytest.approx(np.sqrt(squares / count), rel=0.1)


def test_a_pool_of_calibrated_models_gets_less_noise():
    """Two models with errors of their own, each of which it counts as noise: y = f + e, f + u_1 and f + u_2 predict."""
    y = GENERATOR.normal(size=(1, 4_000))
    errors = GENERATOR.normal(size=(2, 4_000))
    log_density = [norm.logpdf(y[0], error, np.sqrt(2.0)) for error in errors]
    assert np.mean((y - errors) ** 2) == pytest.approx(2.0, rel=0.05)  # each is calibrated

    def at(factor):
        return np.array([norm.logpdf(y[0], error, factor * np.sqrt(2.0)) for error in errors])

    np.testing.assert_array_equal(at(1.0), log_density)
    weights = np.array([0.5, 0.5])
    factor = noise_factor(at, weights, np.ones(4_000))
    naive = np.arange(0.5, 1.2, 0.01)
    likelihood = [np.log(np.mean(np.exp(at(b)), axis=0)).sum() - FACTOR_PRIOR_ROWS * np.log(b) ** 2 for b in naive]
    assert factor == pytest.approx(naive[np.argmax(likelihood)], abs=0.01)  # the grid
    assert 0.7 < factor < 0.9  # by moments alone it is sqrt(1 / 2), but a mixture of two is no normal
    assert pooled_log_density(at(factor), weights).mean() > pooled_log_density(at(1.0), weights).mean() + 0.02


def test_all_members_together_are_calibrated():
    """The variance of y around the mean of M members is that of the pool: noise and between members."""
    num_members, sds, weights = 4, np.array([0.8, 0.5]), np.array([0.7, 0.3])
    f = sds[:, None, None] * GENERATOR.normal(size=(2, num_members, 200_000))  # each member is off by its own error
    y = GENERATOR.normal(size=200_000)
    noise = np.array([2.0, 2.0])
    variance_of_one = np.mean((y - weights @ f[:, 0]) ** 2)
    spread_of_one = np.mean(weights @ (f[:, 0] - weights @ f[:, 0]) ** 2)
    one = np.sqrt((variance_of_one - spread_of_one) / 2.0)  # calibrates a pool of one member of each
    between = np.repeat((sds**2)[:, None], 5, axis=1)
    found = factor_for_all_members(one, weights, between, np.repeat(noise[:, None], 5, axis=1), np.ones(5), num_members)
    mean = weights @ f.mean(axis=1)
    spread = np.mean(weights @ np.mean((f - mean) ** 2, axis=1))
    assert found**2 * 2.0 + spread == pytest.approx(np.mean((y - mean) ** 2), rel=0.01)  # 200,000 rows
    assert found < one


def test_the_correction_for_members_has_its_limits():
    rows = np.ones((2, 4))
    assert factor_for_all_members(0.9, np.full(2, 0.5), rows, rows, np.ones(4), 1) == 0.9
    assert factor_for_all_members(0.9, np.full(2, 0.5), rows[:, :0], rows[:, :0], np.zeros(0), 4) == 0.9
    assert factor_for_all_members(0.9, np.full(2, 0.5), 9.0 * rows, rows, np.ones(4), 4) == 0.25
    ratios = np.array([[0.0, 0.1, 0.2], [0.0, 0.1, 0.2]])
    found = [factor_for_all_members(1.0, np.full(2, 0.5), ratios, np.ones((2, 3)), v, 2) for v in np.eye(3) * 8 + 1]
    np.testing.assert_allclose(np.square(found), 1.0 - 0.5 * ratios[0])  # the median is that of repeated rows


@pytest.mark.parametrize(("df", "low", "high"), [(np.inf, 0.0, 0.0), (4.0, 0.15, 0.3), (10.0, 0.03, 0.2)])
def test_the_tail_of_the_noise_is_found(df, low, high):
    """Of 4,000 rows, whose log-likelihood at neighbouring values differs by more than ten standard errors or a nat."""
    z = GENERATOR.standard_t(df, 4_000) * (np.sqrt((df - 2) / df) if np.isfinite(df) else 1.0)

    def at(tail):
        noise = noise_with_tail(tail)
        return noise.log_pdf(z, np.ones_like(z))[None]

    assert low <= noise_tail(at, np.ones(1), np.ones(4_000)) <= high


def test_the_tail_has_to_pay_for_itself():
    z = np.array([0.3, -1.1, 0.8, -0.2, 2.6])  # t is more likely, but by less than a nat

    def at(tail):
        return noise_with_tail(tail).log_pdf(z, np.ones_like(z))[None]

    gains = [at(tail).sum() - at(0.0).sum() for tail in TAILS]
    assert 0.0 < max(gains) < 1.0
    assert noise_tail(at, np.ones(1), np.ones(5)) == 0.0
    assert noise_tail(at, np.ones(1), 1.5 / max(gains) * np.ones(5)) == TAILS[np.argmax(gains)]
    assert noise_tail(lambda _: np.zeros((1, 0)), np.ones(1), np.zeros(0)) == 0.0
    impossible = noise_tail(lambda tail: np.append(at(tail)[0], -np.inf)[None], np.ones(1), np.full(6, 99.0))
    assert impossible == TAILS[np.argmax(gains)]


def test_without_rows_and_with_impossible_ones_there_is_a_factor():
    assert noise_factor(lambda _: np.zeros((2, 0)), np.full(2, 0.5), np.zeros(0)) == 1.0
    z = np.array([0.5, -0.5, 1.0])
    impossible = noise_factor(lambda b: np.append(norm.logpdf(z, scale=b), -np.inf)[None], np.ones(1), np.ones(4))
    possible = noise_factor(lambda b: norm.logpdf(z, scale=b)[None], np.ones(1), np.ones(3))
    assert impossible == pytest.approx(possible)


def report(**changed):
    weights = np.array([0.7, 0.3, 0.0])
    made = {
        "names": ("a", "b", "c"),
        "weights": weights,
        "log_density": LOG_DENSITY,
        "pooled": pooled_log_density(LOG_DENSITY, weights),
        "row_weights": np.ones(40),
        "hint": "",
    }
    return StackingReport(**{**made, **changed})


def test_the_report_compares_rows_in_pairs():
    made = report()
    difference, error = made.differences
    pairs = LOG_DENSITY[1] - np.log(0.7 * np.exp(LOG_DENSITY[0]) + 0.3 * np.exp(LOG_DENSITY[1]))
    assert difference[1] == pytest.approx(pairs.mean())
    assert error[1] == pytest.approx(pairs.std() / np.sqrt(40))
    np.testing.assert_allclose(made.log_likelihood, LOG_DENSITY.mean(axis=1))


def test_the_report_prints_the_heaviest_first():
    text = str(report(weights=np.array([0.3, 0.7, 0.0]), hint="try something else"))
    assert text.index("│ b") < text.index("│ a") < text.index("│ c")
    assert "on 40 rows" in text
    assert "try something else" in text
    assert "0.80 of what its candidates have learned." in str(report(noise_factor=0.8))
    text = " ".join(str(report(noise_factor=0.8, noise_tail=0.25)).split())
    assert "learned, with the tails of Student's t with 4.0 degrees of freedom." in text
    empty = str(report(log_density=np.zeros((3, 0)), pooled=np.zeros(0), row_weights=np.zeros(0)))
    assert "too few rows" in empty


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (GENERATOR.poisson(3.0, size=200), "poisson"),
        (np.exp(GENERATOR.normal(size=200)), "log_normal"),
        (GENERATOR.normal(size=200), ""),
        (10.0 + GENERATOR.normal(size=200), ""),
        (np.arange(200), ""),
        (-GENERATOR.poisson(3.0, size=200), ""),
        (np.full(200, 3.0), ""),
    ],
    ids=["counts", "skewed", "normal", "positive", "all distinct", "negative", "constant"],
)
def test_hints(y, expected):
    found = hint_for(np.asarray(y, float)[:, None])
    assert expected in found
    assert bool(found) == bool(expected)
