"""Predictions and scores of sources are those of arrays, piece by piece."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import varbump as vb

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(700, 2))
Y = X[:, 0] + 0.3 * GENERATOR.normal(size=700)


@pytest.fixture(scope="module")
def network():
    return vb.build_network(2, hidden_units=(3,), posterior="mean_field", seed=0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    for part in range(2):
        rows = slice(350 * part, 350 * (part + 1))
        columns = {"a": X[rows, 0], "b": X[rows, 1], "y": Y[rows]}
        parquet.write_table(pa.table(columns), folder / f"{part}.parquet", row_group_size=200)
    return vb.sources.ParquetSource(folder, "y")


def test_files_have_the_predictions_of_the_rows_in_order(network, source, tmp_path):
    likelihood = vb.likelihoods.Normal(0.3)
    written = vb.predict_to(network, source, tmp_path / "out", likelihood=likelihood, levels=(0.5, 0.9), num_draws=20)
    assert [p.name for p in sorted(written.iterdir())] == [f"part-{n:05d}.parquet" for n in range(4)]
    found = parquet.read_table(written)
    assert found.column_names == ["mean", "sd", "lower_50", "upper_50", "lower_90", "upper_90"]
    expected = vb.predict_dist(network, X, likelihood=likelihood, num_draws=20)
    np.testing.assert_allclose(found["mean"], expected.mean()[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["sd"], expected.std()[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["upper_90"], expected.ppf(0.95)[:, 0], rtol=1e-5)


def test_nothing_is_left_of_predictions_that_fail(network, tmp_path):
    bad = X.copy()
    bad[600, 0] = np.inf
    with pytest.raises(ValueError, match="the arrays, row 600: column 0 of x is infinite"):
        vb.predict_to(
            network, vb.sources.ArraySource(bad, Y), tmp_path / "out", likelihood=vb.likelihoods.Normal(), num_draws=4
        )
    assert not list(tmp_path.iterdir())


def test_scores_are_those_of_all_rows(network, source):
    likelihood = vb.likelihoods.Normal(0.3)
    whole = vb.evaluate(network, X, Y, likelihood=likelihood, num_draws=20)
    found = vb.evaluate(network, source, likelihood=likelihood, num_draws=20)
    assert found.num_data == whole.num_data == 700
    for name in ("rmse", "log_likelihood", "crps", "epistemic_share"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-6)
    assert found.coverage == pytest.approx(whole.coverage)
    with pytest.raises(ValueError, match="y must be left out where x is a source"):
        vb.evaluate(network, source, Y, likelihood=likelihood)
    with pytest.raises(ValueError, match="y is missing"):
        vb.evaluate(network, X, likelihood=likelihood)


def test_other_functions_say_which_take_sources(network, source):
    with pytest.raises(TypeError, match="got a ParquetSource; only fit, fit_ensemble, evaluate, predict_to"):
        vb.predict_f(network, source)
