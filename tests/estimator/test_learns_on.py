"""Rows that come in pieces: a line ends where all rows together would, other models near."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from small_regressor import small_regressor

import varbump as vb

LINE = {"hidden_layer_sizes": (), "posterior": "full_covariance", "prior": "normal", "max_iter": None}
LINE |= {"n_members": 1, "n_draws": 2}


def line(num_rows, seed=0, num_targets=1):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(num_rows, 3)) @ [[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]] + 5.0
    slopes = generator.normal(size=(3, num_targets))
    return X, X @ slopes + 0.4 * generator.normal(size=(num_rows, num_targets))


def moments(model):
    q = model.network_.layers[-1].posterior(None)
    return q.mean().numpy(), q.covariance().numpy()


@pytest.mark.parametrize(
    ("prior", "number"),
    [
        ("normal", 3),
        pytest.param("normal", 10, marks=pytest.mark.slow),
        pytest.param("ard", 10, marks=pytest.mark.slow),
    ],
)
def test_pieces_of_a_line_are_all_rows(prior, number):
    """With the units of the first piece, the posterior, the noise and the scales of the prior are those of all rows."""
    X, y = line(500)
    pieces = np.array_split(np.arange(500), number)
    model = small_regressor(**{**LINE, "prior": prior})
    for piece in pieces:
        assert model.partial_fit(X[piece], y[piece, 0]) is model
    assert model.history_.exact
    assert model.parameter_report_.num_data == 500
    at_once = clone(model).fit(X[pieces[0]], y[pieces[0], 0])  # which decides the units
    at_once.partial_fit(X[len(pieces[0]) :], y[len(pieces[0]) :, 0])
    np.testing.assert_allclose(model.noise_std_, at_once.noise_std_, rtol=1e-4)
    for found, expected in zip(moments(model), moments(at_once), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)  # the scales stop at 1e-9 nats
    whole = clone(model).fit(X, y[:, 0])
    scale = model.x_scaler_.scale_ / model.y_scaler_.scale_
    scales = whole.x_scaler_.scale_ / whole.y_scaler_.scale_
    slopes, of_whole = (m[:3] / s for m, s in ((moments(model)[0], scale), (moments(whole)[0], scales)))
    sds = np.sqrt(np.diag(moments(whole)[1]))[:3] / scales
    np.testing.assert_array_less(np.abs(slopes - of_whole) / sds, 0.1)  # the prior has other units
    np.testing.assert_allclose(np.sqrt(np.diag(moments(model)[1]))[:3] / scale, sds, rtol=0.01)


def test_a_line_by_itself_is_the_exact_posterior():
    X, y = line(80)
    assert small_regressor(**LINE).fit(X, y[:, 0]).history_.exact


@pytest.mark.slow
def test_networks_go_on_and_keep_what_they_know():
    """Of rows like the first ones: as good on all of them as before, and surer."""
    generator = np.random.default_rng(0)
    X = generator.uniform(-2.0, 2.0, size=(300, 1))
    y = np.sin(2.0 * X[:, 0]) + 0.1 * generator.normal(size=300)
    grid = np.linspace(-1.9, 1.9, 50)[:, None]
    model = vb.VariationalRegressor((20,), likelihood="normal", embedding=None, n_members=2, random_state=0)
    model.fit(X[:60], y[:60])
    before = np.ptp(model.predict_interval(grid, kind="epistemic"), axis=1).mean()
    model.partial_fit(X[60:], y[60:])
    assert np.ptp(model.predict_interval(grid, kind="epistemic"), axis=1).mean() < before
    assert model.score(grid, np.sin(2.0 * grid[:, 0])) > 0.97
    assert model.history_.num_data == 300
    assert model.noise_std_ == pytest.approx(0.1, rel=0.3)


@pytest.mark.slow
def test_pools_tables_and_copies_go_on():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=80), "k": generator.choice(["u", "v"], 80)})
    y = frame["a"].to_numpy() ** 2 + (frame["k"] == "u")
    model = vb.VariationalRegressor(max_iter=2, n_members=2, n_draws=4, random_state=0)
    model.partial_fit(frame[:60], y[:60])
    copies = [pickle.loads(pickle.dumps(model)) for _ in range(2)]
    weights = model.stacking_.weights
    for one in copies:
        one.partial_fit(frame[60:], y[60:], sample_weight=np.full(20, 2.0))
    np.testing.assert_array_equal(copies[0].predict(frame), copies[1].predict(frame))
    assert (copies[0].predict(frame) != model.predict(frame)).any()
    first = copies[0].ensemble_.member(0).get_weights()
    for shown, own in zip(copies[0].network_.get_weights(), first, strict=True):
        np.testing.assert_array_equal(shown, own)  # not those of before
    assert copies[0].likelihood_.get_config() == copies[0].ensemble_.likelihoods[0].get_config()
    np.testing.assert_array_equal(copies[0].stacking_.weights, weights)


def test_what_does_not_belong_to_the_first_rows_is_refused():
    X, y = line(30)
    model = small_regressor(**LINE).fit(X, y[:, 0])
    before = model.predict(X)
    for changed, message in (
        ((X[:, :2], y[:, 0]), "2 features"),
        ((X, np.hstack([y, y])), "y has 2 targets, but the first rows had 1"),
        ((X[:9], y[:8, 0]), "inconsistent numbers of samples"),
        ((X, np.full(30, np.nan)), "y"),
    ):
        with pytest.raises(ValueError, match=message):
            model.partial_fit(*changed)
    np.testing.assert_array_equal(model.predict(X), before)
