"""Regression on tables, as a scikit-learn estimator."""

from varbump.estimator.regressor import VariationalRegressor

__all__ = ["VariationalRegressor"]
