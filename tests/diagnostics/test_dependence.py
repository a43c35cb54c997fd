"""Partial dependence: the average over rows of each drawn function, and bands of these averages."""

import numpy as np
import pandas as pd
import pytest
from exact_linear import LIKELIHOOD, linear
from small_regressor import small_regressor

import varbump as vb


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(0)
    size = 60
    made = pd.DataFrame(
        {
            "size": generator.normal(size=size),
            "colour": generator.choice(["red", "green", "blue"], size=size, p=[0.6, 0.3, 0.1]),
            "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 700, size), "D"),
            "flag": generator.random(size) < 0.3,
            "number": generator.integers(0, 4, size),
        }
    )
    made.loc[::9, "size"] = np.nan
    return made.astype({"colour": "category"})


@pytest.fixture(scope="module")
def model(frame):
    y = frame["size"].fillna(0.0) + 2.0 * (frame["colour"] == "green")
    return small_regressor(max_iter=20).fit(frame, y)


def naive(model, frame, feature, values, seed=0, num_draws=20):
    """One value after the other."""
    curves = []
    for value in values:
        changed = frame.copy()
        changed[feature] = pd.Series([value] * len(frame), index=frame.index).astype(frame[feature].dtype)
        curves.append(vb.predict_f(model, changed, num_draws=num_draws, seed=seed).mean(axis=1))
    return np.stack(curves, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("feature", ["size", "colour", "sold", "flag", "number"])
def test_it_is_the_average_of_each_function_over_the_rows(model, frame, feature, monkeypatch):
    monkeypatch.setattr("varbump.diagnostics.dependence.MOST_VALUES", 60 * 20 * 2)  # several calls
    found = vb.partial_dependence(model, frame, feature, grid=5, num_draws=20, levels=(0.8,))
    curves = naive(model, frame, feature, found.values)
    np.testing.assert_allclose(found.bands.mean, curves.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.bands.sd, curves.std(axis=0, ddof=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.bands.lower[0.8], np.quantile(curves, 0.1, axis=0), rtol=1e-4, atol=1e-5)
    assert (found.feature, found.num_rows, found.bands.kind) == (feature, 60, "epistemic")
    assert found.is_ordered == (feature in ("size", "sold", "number"))


@pytest.mark.slow
def test_values(model, frame):
    assert vb.partial_dependence(model, frame, "colour", num_draws=2).values.tolist() == ["red", "green", "blue"]
    assert vb.partial_dependence(model, frame, "number", num_draws=2).values.tolist() == [0, 1, 2, 3]
    assert set(vb.partial_dependence(model, frame, "flag", num_draws=2).values.tolist()) == {False, True}
    sold = vb.partial_dependence(model, frame, "sold", num_draws=2, grid=10)
    assert sold.values.dtype.kind == "M"
    assert frame["sold"].min() <= sold.values[0] < sold.values[-1] <= frame["sold"].max()
    size = vb.partial_dependence(model, frame, "size", num_draws=2, grid=10)
    np.testing.assert_allclose(size.values[[0, -1]], frame["size"].quantile([0.01, 0.99]))
    given = vb.partial_dependence(model, frame, 0, num_draws=2, grid=[3.0, -1.0])
    assert given.values.tolist() == [3.0, -1.0]
    assert given.feature == "size"


@pytest.mark.slow
def test_bands_are_those_of_an_average():
    """Along a line they have a closed form: sd of w_j v + mean of the rest, from the covariance of the weights."""
    network, x, _, _, mean, covariance = linear()
    found = vb.partial_dependence(network, x, 0, likelihood=LIKELIHOOD, grid=[-2.0, 1.0], num_draws=4_000, seed=1)
    design = np.array([[value, x[:, 1].mean(), 1.0] for value in (-2.0, 1.0)])
    np.testing.assert_allclose(found.bands.mean[:, 0], design @ mean, atol=5.0 * 0.3 / np.sqrt(4_000))
    sd = np.sqrt(np.einsum("gi,ij,gj->g", design, covariance, design))
    np.testing.assert_allclose(found.bands.sd[:, 0], sd, rtol=5.0 / np.sqrt(8_000))
    single = vb.predict_bands(network, x, num_draws=1_000, seed=1).sd.mean()
    assert found.bands.sd[1, 0] > 2.0 * single / np.sqrt(len(x))  # rows share their weights


@pytest.mark.slow
def test_rows_are_chosen_by_the_seed(model, frame):
    one, same, other = (vb.partial_dependence(model, frame, 0, num_rows=10, num_draws=5, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.bands.mean, same.bands.mean)
    assert (one.bands.mean != other.bands.mean).any()
    assert one.num_rows == 10


@pytest.mark.slow
def test_it_prints_as_a_table(model, frame):
    shown = str(vb.partial_dependence(model, frame, "colour", num_draws=5))
    assert "Partial dependence of y on colour, averaged over 60 rows" in shown
    assert all(word in shown for word in ("red", "green", "blue", "95 %"))
    assert len(str(vb.partial_dependence(model, frame, "size", num_draws=5)).splitlines()) < 20


@pytest.mark.slow
def test_what_it_refuses(model, frame):
    for feature in ("width", 5, -1, True, None):
        with pytest.raises(ValueError, match="feature must be a column of X, one of 'size'"):
            vb.partial_dependence(model, frame, feature)
    with pytest.raises(ValueError, match="an index below 2"):
        vb.partial_dependence(linear()[0], np.zeros((4, 2)), 2)
    with pytest.raises(ValueError, match="column size of X has no value"):
        vb.partial_dependence(model, frame.assign(size=np.nan), "size")
    with pytest.raises(ValueError, match="grid must hold finite values"):
        vb.partial_dependence(model, frame, "size", grid=[0.0, np.inf])
    with pytest.raises(ValueError, match="grid must be"):
        vb.partial_dependence(model, frame, "size", grid=1)
    with pytest.raises(ValueError, match="X must be a table"):
        vb.partial_dependence(model, np.zeros((3, 2, 1)), 0)


class OfArrays:
    """A frame without pandas: columns by name."""

    ndim = 2

    def __init__(self, cells):
        self._cells, self.columns = cells, list(cells)
        self.dtypes = [column.dtype for column in cells.values()]
        self.shape = (len(cells[self.columns[0]]), len(cells))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, name):
        return self._cells[name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # scikit-learn looks for those of pandas
@pytest.mark.parametrize("feature", ["size", "colour", "sold"])
def test_frames_of_arrays_are_taken_as_those_of_pandas(frame, model, feature):
    words = np.array([None if cell != cell else cell for cell in frame["colour"].astype(object)], dtype=object)
    cells = {name: words if name == "colour" else frame[name].to_numpy() for name in frame.columns}
    one, other = (vb.partial_dependence(model, X, feature, grid=5, num_draws=20) for X in (frame, OfArrays(cells)))
    assert one.values.tolist() == other.values.tolist()
    assert one.is_ordered == other.is_ordered
    np.testing.assert_array_equal(one.bands.mean, other.bands.mean)
    with pytest.raises(ValueError, match="column colour of X has no value"):
        vb.partial_dependence(model, OfArrays({**cells, "colour": np.full(60, None)}), "colour")


@pytest.mark.slow
def test_scikit_learns_inspection_works(model, frame):
    from sklearn.inspection import partial_dependence, permutation_importance

    theirs = partial_dependence(model, frame, ["number"], categorical_features=["number"])
    ours = vb.partial_dependence(model, frame, "number", num_draws=400)
    np.testing.assert_allclose(theirs["average"][0], ours.bands.mean[:, 0], atol=0.3 * ours.bands.sd.max())
    found = permutation_importance(model, frame, frame["size"].fillna(0.0), n_repeats=2, random_state=0)
    assert found.importances_mean.shape == (5,)
