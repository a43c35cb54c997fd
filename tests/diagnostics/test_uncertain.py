"""Rows of the largest epistemic sd, and the training rows that are nearest where it matters."""

import numpy as np
import pandas as pd
import pytest
from exact_linear import LIKELIHOOD, NOISE, linear
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_regressor import small_regressor

import varbump as vb
from varbump.diagnostics.neighbours import nearest, typical_distance


def exact_regressor(**options):
    """Linear regression, solved without steps."""
    return vb.VariationalRegressor((), likelihood="normal", embedding=None, n_members=1, random_state=0, **options)


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(0)
    size = 60
    made = pd.DataFrame(
        {
            "size": generator.normal(size=size),
            "colour": generator.choice(["red", "green", "blue"], size=size, p=[0.6, 0.3, 0.1]),
            "noise": 100.0 * generator.normal(size=size),
        },
        index=[f"row {index}" for index in range(size)],
    )
    made.loc[made.index[::9], "size"] = np.nan
    return made


@pytest.fixture(scope="module")
def fitted(frame):
    y = 3.0 * frame["size"].fillna(0.0) + 2.0 * (frame["colour"] == "green")
    y = y + 0.1 * np.random.default_rng(1).normal(size=len(y))
    return exact_regressor().fit(frame[10:], y[10:]), y


def naive_neighbours(x, among, num):
    """Positions and distances, by sorting all of them."""
    found = []
    for point in x:
        apart = [np.sqrt(sum((a - b) ** 2 for a, b in zip(point, other, strict=True))) for other in among]
        order = sorted(range(len(among)), key=lambda index: (apart[index], index))[:num]
        found.append([(index, apart[index]) for index in order])
    return found


def test_the_rows_are_those_of_the_largest_sd_of_f():
    network, x, *_ = linear()
    found = vb.uncertain_rows(network, x, likelihood=LIKELIHOOD, num_rows=4, num_draws=300, seed=3)
    f = vb.predict_f(network, x, num_draws=300, seed=3)[..., 0]
    sds = [np.std(f[:, row]) for row in range(len(x))]
    order = sorted(range(len(x)), key=lambda row: -sds[row])[:4]
    assert found.rows.tolist() == order == found.labels.tolist()
    np.testing.assert_allclose(found.epistemic_sd[:, 0], np.array(sds)[order], rtol=1e-6)
    np.testing.assert_allclose(found.sd[:, 0], np.hypot(np.array(sds)[order], NOISE), rtol=1e-6)
    np.testing.assert_allclose(found.mean[:, 0], f[:, order].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.relative_sd, np.array(sds)[order] / np.median(sds), rtol=1e-6)
    assert found.num_rows == len(x)
    assert found.neighbours is None
    assert found.distances is None


@pytest.mark.slow
def test_neighbours_are_nearest_where_the_model_looks(frame, fitted):
    """Categories and missing cells are encoded, and inputs count by the scale of their weights."""
    model, y = fitted
    new, known = frame[:10], frame[10:]
    found = vb.uncertain_rows(model, new, X_train=known, y_train=y[10:], num_rows=3, num_neighbours=4)
    scales = vb.parameter_report(model.network_).relevance
    assert scales.argmax() == 0
    x, among = (model.predict_dist(rows).inputs * scales / scales[0] for rows in (new, known))
    oracle = naive_neighbours(x[found.rows], among, 4)
    assert found.neighbours.tolist() == [[index for index, _ in row] for row in oracle]
    np.testing.assert_allclose(found.distances, [[apart for _, apart in row] for row in oracle], rtol=1e-6, atol=1e-9)
    assert found.labels.tolist() == [f"row {index}" for index in found.rows]
    assert found.neighbour_labels[0, 0] == f"row {10 + found.neighbours[0, 0]}"
    np.testing.assert_array_equal(found.neighbour_y[..., 0], y[10:].to_numpy()[found.neighbours])
    closest = [naive_neighbours([row], among, 1)[0][0][1] for row in x]
    assert found.typical_distance == pytest.approx(np.median(closest), rel=1e-6, abs=1e-9)


@pytest.mark.slow
def test_a_column_that_does_not_matter_does_not_count():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 2))
    model = exact_regressor().fit(X, X[:, 0] + 0.01 * generator.normal(size=200))
    known = np.array([[5.0, -30.0], [4.0, 5.0]])
    found = vb.uncertain_rows(model, [[5.0, 5.0]], X_train=known, num_neighbours=1)
    assert found.neighbours.tolist() == [[0]]
    plain = exact_regressor(prior="normal").fit(X, X[:, 0] + 0.01 * generator.normal(size=200))
    assert vb.uncertain_rows(plain, [[5.0, 5.0]], X_train=known, num_neighbours=1).neighbours.tolist() == [[1]]


def test_of_equal_rows_the_first_come_first():
    among = np.array([[1.0], [0.0], [1.0], [0.0], [2.0]])
    indices, distances = nearest(np.array([[0.0], [1.0]]), among, 3)
    assert indices.tolist() == [[1, 3, 0], [0, 2, 1]]
    assert distances.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    assert typical_distance(among, among) == 0.0


@pytest.mark.slow
def test_several_targets_count_by_their_medians():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(50, 2))
    Y = np.stack([X[:, 0] + 0.1 * generator.normal(size=50), 1_000.0 * generator.normal(size=50)], axis=1)
    model = exact_regressor().fit(X, Y)
    found = vb.uncertain_rows(model, X, X_train=X, y_train=Y, num_rows=50, num_neighbours=1)
    epistemic = np.empty((50, 2))
    epistemic[found.rows] = found.epistemic_sd
    expected = np.sqrt(np.mean((epistemic / np.median(epistemic, axis=0)) ** 2, axis=1))
    np.testing.assert_allclose(found.relative_sd, np.sort(expected)[::-1])
    assert sorted(found.rows.tolist()) == list(range(50))
    assert found.neighbours[:, 0].tolist() == found.rows.tolist()  # each is its own nearest row
    assert found.neighbour_y.shape == (50, 1, 2)


@pytest.mark.slow
def test_it_looks_through_pipelines(frame, fitted):
    _, y = fitted
    X = frame[["size", "noise"]].fillna(0.0).to_numpy()
    scaled = StandardScaler().fit(X)
    model = make_pipeline(StandardScaler(), exact_regressor())
    model = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(X, y)
    found = vb.uncertain_rows(model, X, X_train=X, y_train=y)
    inner = vb.uncertain_rows(model.regressor_[-1], scaled.transform(X), X_train=scaled.transform(X))
    np.testing.assert_array_equal(found.rows, inner.rows)
    np.testing.assert_array_equal(found.neighbours, inner.neighbours)
    np.testing.assert_allclose(found.epistemic_sd, inner.epistemic_sd * np.std(y), rtol=1e-6)


@pytest.mark.slow
def test_of_a_pool_the_columns_of_the_forest_do_not_count(frame, fitted):
    _, y = fitted
    model = vb.VariationalRegressor(max_iter=2, n_members=2, n_draws=8, random_state=0).fit(frame, y)
    assert {part.inputs[-1] for part in model._pool.pool().parts} == {0.0, 1.0}  # the forest is there
    found = vb.uncertain_rows(model, frame, X_train=frame, y_train=y)
    count, squares = len(model.get_feature_names_out()), 0.0
    for part in model._pool.pool().parts:
        scales = np.array(vb.parameter_report(part.ensemble.network).relevance)[:count]
        squares = squares + part.weight * (scales / scales.max()) ** 2
    inputs = model.predict_dist(frame).inputs[:, :count] * np.sqrt(squares / squares.max())
    oracle = naive_neighbours(inputs[found.rows], inputs, 3)
    np.testing.assert_allclose(found.distances, [[apart for _, apart in row] for row in oracle], rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_an_ensemble_of_networks():
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = small_regressor(prior="normal").fit(X, X[:, 0])
    found = vb.uncertain_rows(model, X, X_train=X, num_rows=2)
    inner = vb.uncertain_rows(model.ensemble_, model.x_scaler_.transform(X), X_train=model.x_scaler_.transform(X))
    np.testing.assert_allclose(found.distances[0, 1:], inner.distances[inner.rows == found.rows[0], 1:][0], rtol=1e-6)


def test_it_prints_as_a_table():
    network, x, y, *_ = linear()
    options = {"likelihood": LIKELIHOOD, "num_draws": 20, "num_rows": 2}
    found = vb.uncertain_rows(network, x, X_train=x[10:], y_train=y[10:], num_neighbours=2, **options)
    shown = str(found)
    assert shown.startswith("The 2 rows of 60 with the largest epistemic sd, whose median is ")
    words = (f"{found.labels[0]}", f"{found.neighbour_labels[1, 1]}", "x median", "its y", "training row within")
    assert all(word in shown for word in words)
    assert sum(line.startswith("│") for line in shown.splitlines()) == 2 * 2
    assert "<table>" in found._repr_html_()
    assert repr(found).startswith("UncertainRows(rows=")
    alone = str(vb.uncertain_rows(network, x[:1], **options))
    assert "The row of 1 with" in alone
    assert "nearest" not in alone


def test_what_it_refuses():
    network, x, y, *_ = linear()
    options = {"likelihood": LIKELIHOOD, "num_draws": 20}
    with pytest.raises(ValueError, match="num_rows must be an integer of at least 1"):
        vb.uncertain_rows(network, x, num_rows=0, **options)
    with pytest.raises(ValueError, match="num_neighbours must be an integer of at least 1"):
        vb.uncertain_rows(network, x, num_neighbours=1.5, **options)
    with pytest.raises(ValueError, match="y_train is the y of X_train, which is missing"):
        vb.uncertain_rows(network, x, y_train=y, **options)
    with pytest.raises(ValueError, match="X_train: "):
        vb.uncertain_rows(network, x, X_train=x[:, :1], **options)
    with pytest.raises(ValueError, match=r"y_train must have shape \(60, 1\)"):
        vb.uncertain_rows(network, x, X_train=x, y_train=y[:50], **options)
    with pytest.raises(ValueError, match="y_train must be finite"):
        vb.uncertain_rows(network, x, X_train=x, y_train=y * np.nan, **options)
    with pytest.raises(TypeError, match="likelihood is missing"):
        vb.uncertain_rows(network, x)
