"""Regression on a table of data, as scikit-learn has it."""

from varbump.estimator.regressor import VariationalRegressor

__all__ = ["VariationalRegressor"]
