"""Scorers are what `evaluate` says, signed so that greater is better."""

import pickle

import numpy as np
import pytest
from exact_linear import ExactRegressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_regressor import positive_table, small_regressor

import varbump as vb


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(StandardScaler(), ExactRegressor()).fit(*positive_table())


def test_scores_are_those_of_evaluate(pipeline):
    X, y = positive_table(30, seed=1)
    scores = vb.evaluate(pipeline, X, y, levels=(0.5, 0.95))
    for name, expected in {
        "log_likelihood": scores.log_likelihood,
        "crps": -scores.crps,
        "rmse": -scores.rmse,
        "coverage_95": scores.coverage[0.95],
        "interval_score_95": -scores.interval_score[0.95],
        "sharpness_50": -scores.sharpness[0.5],
    }.items():
        made = pickle.loads(pickle.dumps(vb.scorer(name)))
        assert made(pipeline, X, y) == pytest.approx(expected, rel=1e-12)
        assert isinstance(made(pipeline, X, y), float)


def test_unknown_names_are_refused():
    for name in ("accuracy", "coverage", "coverage_0", "coverage_100", "crps_95", 95, None, ["crps"]):
        with pytest.raises(ValueError, match="name must be one of log_likelihood, crps, rmse, coverage_95"):
            vb.scorer(name)
    assert repr(vb.scorer("coverage_99.5")) == "varbump.scorer('coverage_99.5')"


@pytest.mark.slow
def test_in_cross_validation():
    X, y = positive_table()
    pipeline = make_pipeline(StandardScaler(), small_regressor())
    found = cross_val_score(pipeline, X, y, cv=2, scoring=vb.scorer("log_likelihood"))
    assert found.shape == (2,)
    assert np.isfinite(found).all()
    coverage = cross_val_score(pipeline, X, y, cv=2, scoring=vb.scorer("coverage_95"))
    assert ((coverage >= 0) & (coverage <= 1)).all()
