import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

import varbump as vb
from varbump.core.keras import keras

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 2))
Y = X @ [[1.0, 0.5], [-0.5, 2.0]] + 0.3 * GENERATOR.normal(size=(40, 2))
FRAME = pd.DataFrame(X, columns=["width", "height"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.varbump"


def assert_equal_ensembles(first, second):
    assert first.num_members == second.num_members
    assert first.history == second.history
    for a, b in zip(first._values, second._values, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first.network.get_weights(), second.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_ensembles_keep_all_members(fitted, path):
    vb.save(fitted.ensemble_, path)
    assert_equal_ensembles(fitted.ensemble_, vb.load(path))


@pytest.mark.slow
def test_ensembles_with_weights_in_activation_and_likelihood(path):
    likelihood = vb.likelihoods.StudentT(learn_df=True, num_targets=2)
    network = vb.build_network(2, hidden_units=(3,), num_outputs=2, activation="bump", seed=0)
    ensemble = vb.fit_ensemble(network, likelihood, X, Y, num_members=3, epochs=3, seed=0, verbose=0)
    vb.save(ensemble, path)
    loaded = vb.load(path)
    assert_equal_ensembles(ensemble, loaded)
    drawn = [vb.predict_y(e, e.likelihood, X, num_draws=6, seed=1) for e in (ensemble, loaded)]
    np.testing.assert_array_equal(*drawn)


def test_a_likelihood_beside_an_ensemble_is_refused(fitted, path):
    with pytest.raises(ValueError, match="the model is a Ensemble, which holds its own"):
        vb.save(fitted.ensemble_, path, likelihood=fitted.likelihood_)


def regressor(**parameters):
    parameters = {
        "hidden_layer_sizes": (3,),
        "likelihood": "normal",
        "embedding": None,
        "max_iter": 2,
        "n_members": 2,
        "random_state": 0,
        "n_draws": 4,
        **parameters,
    }
    return vb.VariationalRegressor(**parameters)


@pytest.fixture(scope="module")
def pair(fitted, tmp_path_factory):
    """A fitted regressor, and the same after saving and loading."""
    path = tmp_path_factory.mktemp("regressor") / "model.varbump"
    vb.save(fitted, path)
    return fitted, vb.load(path)


def assert_equal_answers(first, second, x=X):
    for ask in (
        lambda model: model.predict(x, return_std=True),
        lambda model: model.predict_interval(x, kind="epistemic"),
        lambda model: model.predict_quantiles(x),
        lambda model: model.sample_y(x, 3),
        lambda model: model.noise_std_,
    ):
        for a, b in zip(np.atleast_1d(ask(first)), np.atleast_1d(ask(second)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_regressors_answer_the_same(pair):
    model, loaded = pair
    assert_equal_answers(model, loaded, FRAME)
    assert loaded.score(FRAME, Y[:, 0]) == model.score(FRAME, Y[:, 0])
    np.testing.assert_array_equal(
        loaded.log_predictive_density(FRAME, Y[:, 0]), model.log_predictive_density(FRAME, Y[:, 0])
    )


def test_every_attribute_of_a_regressor_is_there(pair):
    model, loaded = pair
    assert set(vars(loaded)) == set(vars(model))
    assert loaded.history_ == model.history_
    assert loaded.history_ is loaded.ensemble_.history
    assert str(loaded.parameter_report_) == str(model.parameter_report_)
    assert list(loaded.feature_names_in_) == ["width", "height"]
    for name in ("n_iter_", "n_features_in_", "noise_std_", "_draw_seed", "_single_target"):
        assert getattr(loaded, name) == getattr(model, name)
    for scaler in ("x_scaler_", "y_scaler_"):
        before, after = vars(getattr(model, scaler)), vars(getattr(loaded, scaler))
        assert set(before) == set(after)
        assert all(np.all(before[key] == after[key]) for key in before)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(FRAME[["height", "width"]])


def test_parameters_of_a_regressor_are_there(pair):
    model, loaded = pair
    before, after = model.get_params(deep=False), loaded.get_params(deep=False)
    assert before.pop("prior").get_config() == after.pop("prior").get_config()
    states = [parameters.pop("random_state").get_state() for parameters in (before, after)]
    assert all(np.array_equal(a, b) for a, b in zip(*states, strict=True))
    assert before == after


def test_a_loaded_regressor_is_saved_again(pair, path, tmp_path):
    vb.save(pair[1], path)
    vb.save(pair[0], tmp_path / "first.varbump")
    assert path.read_bytes() == (tmp_path / "first.varbump").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"activation": vb.layers.Bump(trainable_height=True), "likelihood": vb.likelihoods.StudentT(num_targets=2)},
        {"activation": keras.activations.tanh, "posterior": "joint", "likelihood": "heteroscedastic"},
        {"activation": "gaussian_bump", "posterior": vb.posteriors.LowRankNormal(rank=2), "prior": "laplace"},
        {"hidden_layer_sizes": np.array([3, 2]), "posterior": "full_covariance", "likelihood": "student_t"},
        {"hidden_layer_sizes": [], "random_state": np.random.RandomState(3), "learning_rate": np.float32(0.01)},
        {"early_stopping": True, "hidden_layer_sizes": 4, "max_iter": np.int64(3)},
    ],
    ids=lambda parameters: "-".join(parameters),
)
def test_regressors_of_every_kind(path, parameters):
    model = regressor(**parameters).fit(X, Y)
    vb.save(model, path)
    loaded = vb.load(path)
    assert_equal_answers(model, loaded)
    assert set(vars(loaded)) == set(vars(model))


def test_a_regressor_with_a_function_as_activation(path, pair):
    model = vb.VariationalRegressor(**{**pair[0].get_params(deep=False), "activation": lambda x: x})
    model.__dict__.update({key: value for key, value in vars(pair[0]).items() if key.endswith("_") or key[0] == "_"})
    with pytest.raises(ValueError, match="the parameter activation is <function .*, which has no name"):
        vb.save(model, path)
    assert not path.exists()


@pytest.mark.slow
def test_another_process_answers_the_same(pair, path):
    model = pair[0]
    vb.save(model, path)
    np.save(path.with_name("x.npy"), X)
    script = textwrap.dedent("""
        import sys, numpy as np, pandas as pd, varbump as vb
        x = pd.DataFrame(np.load(sys.argv[2]), columns=["width", "height"])
        np.save(sys.argv[3], np.stack(vb.load(sys.argv[1]).predict(x, return_std=True)))
    """)
    files = [str(path), str(path.with_name("x.npy")), str(path.with_name("y.npy"))]
    subprocess.run([sys.executable, "-c", script, *files], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(files[2]), np.stack(model.predict(FRAME, return_std=True)))
