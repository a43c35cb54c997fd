"""Exported models answer as varbump does, by TensorFlow alone."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small_regressor import small_regressor

import varbump as vb

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(150, 3)) * [1.0, 10.0, 100.0] + 5.0
Z = X[:, 0] + 0.1 * X[:, 1] + 0.3 * GENERATOR.normal(size=150)
NEW = GENERATOR.normal(size=(40, 3)) * [1.0, 10.0, 100.0] + 5.0
LEVELS = (0.025, 0.5, 0.975)
Y = {
    "normal": Z,
    "heteroscedastic": Z,
    "student_t": Z,
    "gamma": np.exp(Z / 3.0),
    "log_normal": np.exp(Z / 3.0),
    "poisson": GENERATOR.poisson(4.0, 150),
    "negative_binomial": GENERATOR.poisson(4.0, 150),
}


def served(folder, x):
    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return {name: value.numpy() for name, value in function(x=tf.constant(x)).items()}


def assert_same(found, mean, sd, quantiles, tolerance=1e-5):
    """To rounding: f is in float32 in both, but one divides rows into blocks."""
    unit = sd.mean()
    np.testing.assert_allclose(found["mean"][:, 0], mean, atol=tolerance * unit)
    np.testing.assert_allclose(found["sd"][:, 0], sd, atol=tolerance * unit)
    np.testing.assert_allclose(found["quantiles"][..., 0], quantiles, atol=tolerance * unit)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(Y))
def test_a_regressor_of_each_likelihood(tmp_path, name):
    model = small_regressor(likelihood=name, max_iter=5, n_draws=30).fit(X, Y[name])
    found = served(vb.export(model, tmp_path / "served"), NEW)
    assert_same(found, *model.predict(NEW, return_std=True), model.predict_quantiles(NEW, LEVELS))
    epistemic = model.predict_f(NEW, 30)[..., 0].std(axis=0)
    np.testing.assert_allclose(found["epistemic_sd"][:, 0], epistemic, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("tail", [0.0, 0.25])
def test_a_pool_with_its_forest_by_tensorflow_alone(tmp_path, tail):
    """In a process that cannot import varbump; one call per number of rows, and rows far outside."""
    model = vb.VariationalRegressor(n_members=2, max_iter=5, n_draws=40, random_state=0).fit(X, Z)
    model._pool = model._pool._replace(noise_tail=tail)
    folder, far = vb.export(model, tmp_path / "served", quantiles=LEVELS), np.concatenate([NEW, 1e6 * NEW[:2]])
    np.savez(tmp_path / "rows.npz", far=far)
    code = f"""
import sys
sys.modules["varbump"] = sys.modules["tensorflow_probability"] = sys.modules["tf_keras"] = None
import numpy as np, tensorflow as tf
far = np.load({str(tmp_path / "rows.npz")!r})["far"]
served = tf.saved_model.load({str(folder)!r}).signatures["serving_default"]
one = served(x=tf.constant(far[:1]))
found = {{name: value.numpy() for name, value in served(x=tf.constant(far)).items()}}
assert abs(one["mean"].numpy() - found["mean"][:1]) < 1e-6
np.savez({str(tmp_path / "found.npz")!r}, **found)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    with np.load(tmp_path / "found.npz") as found:
        assert_same(found, *model.predict(far, return_std=True), model.predict_quantiles(far, LEVELS))


@pytest.mark.slow
def test_networks_ensembles_and_exact_draws(tmp_path):
    x, y = vb.datasets.cubic(30, seed=0)
    network, likelihood = vb.build_network(hidden_units=(4,), seed=0), vb.likelihoods.Normal(0.3)
    options = {"num_draws": 50, "seed": 3}
    ensemble = vb.fit_ensemble(network, likelihood, x, y, num_members=3, epochs=2, seed=0, verbose=0)
    chains = vb.sample_prior(network)
    for source in (network, ensemble, chains):
        found = served(vb.export(source, tmp_path / "served", likelihood=likelihood, **options), x)
        made = vb.predict_dist(source, x, likelihood=likelihood, **options)
        assert_same(found, made.mean()[:, 0], made.std()[:, 0], made.ppf(LEVELS)[..., 0])


@pytest.mark.slow
def test_two_targets_and_other_levels(tmp_path):
    model = small_regressor(max_iter=3, n_draws=20).fit(X, np.stack([Z, -100.0 * Z], axis=1))
    found = served(vb.export(model, tmp_path / "served", quantiles=[0.3]), NEW)
    assert found["quantiles"].shape == (40, 1, 2)
    np.testing.assert_allclose(found["quantiles"], model.predict_quantiles(NEW, [0.3]), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_it_replaces_an_export_and_nothing_else(tmp_path):
    network, likelihood = vb.build_network(1, hidden_units=(), seed=0), vb.likelihoods.Normal(0.3)
    vb.export(network, tmp_path / "served", likelihood=likelihood, num_draws=3)
    vb.export(network, tmp_path / "served", likelihood=likelihood, num_draws=4)
    assert (tmp_path / "served" / "saved_model.pb").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        vb.export(network, tmp_path / "file", likelihood=likelihood, num_draws=3)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_what_it_refuses(tmp_path):
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "u", "v")})
    with pytest.raises(ValueError, match="'b' of X had cells of the kind category in the fit"):
        vb.export(small_regressor(max_iter=2).fit(frame, Z), tmp_path / "served")
    holes = X.copy()
    holes[::5, 1] = np.nan
    with pytest.raises(ValueError, match="of X had missing cells in the fit; export takes plain numbers"):
        vb.export(small_regressor(max_iter=2).fit(holes, Z), tmp_path / "served")
    with pytest.raises(TypeError, match="likelihood is missing"):
        vb.export(vb.build_network(1, seed=0), tmp_path / "served")
    x, y = vb.datasets.cubic(30, seed=0)
    near_mode = vb.laplace(vb.build_network(1, hidden_units=(3,), seed=0), vb.likelihoods.Normal(0.3), x, y)
    with pytest.raises(TypeError, match="draws that are no weights of its network"):
        vb.export(near_mode, tmp_path / "served")
    with pytest.raises(TypeError, match="model must be a network"):
        vb.export(3, tmp_path / "served")
    with pytest.raises(ValueError, match="quantiles"):
        vb.export(
            vb.build_network(1, seed=0), tmp_path / "served", likelihood=vb.likelihoods.Normal(1.0), quantiles=2.0
        )
    assert not list(tmp_path.iterdir())
