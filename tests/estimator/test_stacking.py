"""Weights of candidates: against brute force, and what they must not depend on."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from varbump.estimator.report import StackingReport, hint_for
from varbump.estimator.stacking import pooled_log_density, stacking_weights

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
