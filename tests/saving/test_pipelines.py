"""Pipelines and recalibrated models are saved whole, with the answers they gave before."""

import json
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from exact_linear import LIKELIHOOD, fresh, linear
from sklearn import impute, preprocessing
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted
from small_regressor import positive_table, small_regressor

import varbump as vb
from varbump.saving.transformers import Reader, Writer, refuse_step

X, Y = positive_table()
FRAME = pd.DataFrame(X, columns=["a", "b"]).assign(c=np.where(X[:, 0] > 0.5, "up", "down"), d=np.arange(40) % 3)
FRAME.loc[3, "a"] = np.nan


@pytest.fixture(scope="module")
def columns():
    """Every kind of column, behind every kind of scaler."""
    numbers = make_pipeline(impute.SimpleImputer(add_indicator=True), preprocessing.PowerTransformer())
    return ColumnTransformer(
        [
            ("numbers", numbers, ["a"]),
            ("words", preprocessing.OneHotEncoder(handle_unknown="ignore"), make_column_selector("c")),
            ("codes", preprocessing.OrdinalEncoder(dtype=np.float32), ["d"]),
            ("rest", FeatureUnion([("robust", preprocessing.RobustScaler())]), [False, True, False, False]),
            ("dropped", "drop", ["b"]),
        ],
        remainder="passthrough",
    )


@pytest.fixture(scope="module")
def logged():
    inner = make_pipeline(preprocessing.StandardScaler(), small_regressor())
    return TransformedTargetRegressor(inner, func=np.log1p, inverse_func=np.expm1).fit(X, Y)


def again(model, path):
    vb.save(model, path / "model.varbump")
    return vb.load(path / "model.varbump")


def through_json(value):
    """The value after it was encoded, written as JSON and decoded."""
    writer = Writer(refuse_step)
    coded = json.loads(json.dumps(writer.encode(value, "it"), allow_nan=False))
    return Reader(refuse_step, lambda name: writer.arrays[name].copy()).decode(coded, "it")


@pytest.mark.parametrize(
    "step",
    [
        impute.MissingIndicator(),
        impute.SimpleImputer(),
        impute.SimpleImputer(strategy="most_frequent", add_indicator=True),
        preprocessing.FunctionTransformer(),
        preprocessing.FunctionTransformer(np.arcsinh, inverse_func=np.sinh, validate=True),
        preprocessing.MaxAbsScaler(),
        preprocessing.MinMaxScaler(clip=True),
        preprocessing.OneHotEncoder(drop="first", sparse_output=False),
        preprocessing.OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False),
        preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        preprocessing.PolynomialFeatures(3, interaction_only=True),
        preprocessing.PowerTransformer(),
        preprocessing.QuantileTransformer(n_quantiles=7, random_state=3),
        preprocessing.RobustScaler(),
        preprocessing.StandardScaler(with_mean=False),
        FeatureUnion([("a", preprocessing.StandardScaler()), ("b", "passthrough")]),
        Pipeline([("none", "passthrough"), ("scale", preprocessing.StandardScaler())]),
    ],
    ids=lambda step: type(step).__name__,
)
def test_every_transformer_comes_back(step):
    rows = np.round(np.abs(X[:, :2]), 1) + 0.1
    if isinstance(step, impute.MissingIndicator | impute.SimpleImputer):
        rows[4, 1] = np.nan
    step = clone(step).fit(rows)
    loaded = through_json(step)
    check_is_fitted(loaded)
    np.testing.assert_array_equal(loaded.transform(rows), step.transform(rows))
    assert repr(loaded) == repr(step)
    assert set(vars(loaded)) == set(vars(step))


def test_columns_come_back(columns):
    made = clone(columns).fit(FRAME)
    loaded = through_json(made)
    np.testing.assert_array_equal(loaded.transform(FRAME), made.transform(FRAME))
    assert list(loaded.get_feature_names_out()) == list(made.get_feature_names_out())
    clone(loaded).fit(FRAME)  # also the parameters


@pytest.mark.slow
def test_a_transformed_pipeline_answers_the_same(logged, tmp_path):
    loaded = again(logged, tmp_path)
    np.testing.assert_array_equal(loaded.predict(X), logged.predict(X))
    np.testing.assert_array_equal(vb.predict_interval(loaded, X), vb.predict_interval(logged, X))
    assert repr(loaded) == repr(logged)
    assert clone(loaded).get_params()["regressor__variationalregressor__n_draws"] == 4
    first = (tmp_path / "model.varbump").read_bytes()
    again(loaded, tmp_path)
    assert (tmp_path / "model.varbump").read_bytes() == first


@pytest.mark.slow
def test_columns_and_searches(columns, tmp_path):
    pipeline = make_pipeline(columns, small_regressor())
    grid = GridSearchCV(pipeline, {"variationalregressor__n_draws": [4, 6]}, cv=2).fit(FRAME, Y)
    loaded = again(grid, tmp_path)
    assert isinstance(loaded, Pipeline)
    np.testing.assert_array_equal(loaded.predict(FRAME), grid.predict(FRAME))
    assert vb.evaluate(loaded, FRAME, Y).crps == vb.evaluate(grid, FRAME, Y).crps


@pytest.mark.slow
def test_what_cannot_be_saved_is_named(logged, tmp_path):
    path = tmp_path / "model.varbump"
    path.write_text("kept")
    fitted = logged.regressor_[-1]
    with pytest.raises(ValueError, match="cannot be saved: the step 'pca' is a PCA, which an archive cannot hold"):
        vb.save(Pipeline([("pca", PCA(2).fit(X)), ("model", fitted)]), path)
    odd = preprocessing.FunctionTransformer(lambda x: x)
    with pytest.raises(ValueError, match="transformer', func is the function <lambda>, .* Save the regressor alone"):
        vb.save(make_pipeline(odd, fitted), path)
    with pytest.raises(ValueError, match="holds no fitted VariationalRegressor; fit it first"):
        vb.save(make_pipeline(small_regressor()), path)
    with pytest.raises(ValueError, match="has not been fitted, or not with refit=True"):
        vb.save(GridSearchCV(small_regressor(), {}), path)
    with pytest.raises(TypeError, match="or a pipeline or search around one, got PCA"):
        vb.save(PCA(), path)
    assert path.read_text() == "kept"


def tampered(path, change):
    """The archive with another configuration of its model."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["varbump.json"])
    change(header["configuration"])
    members["varbump.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def first_step(configuration):
    """Encoded StandardScaler of the fitted pipeline."""
    steps = configuration["model"]["attributes"]["regressor_"]["attributes"]["steps"]["list"]
    return steps[0]["tuple"][1]


def cut(configuration):
    del configuration["regressor"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: first_step(c).update({"class": "system"}), "must not be"),
        (lambda c: first_step(c)["attributes"].update(transform="os"), "cannot have an attribute 'transform'"),
        (lambda c: first_step(c)["attributes"].update(__class__="os"), "cannot have an attribute '__class__'"),
        (lambda c: first_step(c)["attributes"].update(mean_={"array": "steps/99", "dtype": "float64"}), "no array"),
        (lambda c: first_step(c)["attributes"].update(mean_={"array": "steps/0", "dtype": "O"}), "of dtype 'O'"),
        (lambda c: first_step(c)["attributes"].update(mean_={"function": "load"}), "must not be"),
        (lambda c: first_step(c)["attributes"].update(mean_={"objects": [1.0], "shape": [9]}), "no array of words"),
        (lambda c: first_step(c)["attributes"].update(mean_={"type": "type"}), "must not be"),
        (lambda c: c["model"]["attributes"].update(memory="/tmp"), "cannot have an attribute"),
        (lambda c: c.update(model={"fitted": True}), "it is no pipeline"),
        (lambda c: c.update(model={"dict": [[["a"], 1]]}), "must"),
        (cut, "it has no regressor"),
    ],
)
def test_what_is_not_known_is_not_loaded(logged, tmp_path, change, message):
    path = tmp_path / "model.varbump"
    vb.save(logged, path)
    with pytest.raises(vb.ArchiveError, match=message):
        vb.load(tampered(path, change))


def test_another_version_of_scikit_learn_is_said(logged, tmp_path):
    path = tmp_path / "model.varbump"
    vb.save(logged, path)
    with pytest.warns(UserWarning, match=r"saved with scikit-learn 0\.1, and this is .*: compare some predictions"):
        vb.load(tampered(path, lambda c: c.update(scikit_learn="0.1")))
    vb.save(logged, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vb.load(path)


@pytest.mark.slow
def test_a_recalibrated_network_comes_back(tmp_path):
    network, *_, weights, _, _ = linear()
    x, y = fresh(weights, 60)
    mended = vb.recalibrate(network, x, y, likelihood=LIKELIHOOD, num_draws=20, seed=4)
    loaded = again(mended, tmp_path)
    np.testing.assert_array_equal(loaded.predict_quantiles(x), mended.predict_quantiles(x))
    np.testing.assert_array_equal(loaded.predict(x), mended.predict(x))
    assert (loaded.num_draws, loaded.seed, loaded.maps[0].num_data) == (20, 4, 60)
    with pytest.raises(ValueError, match="RecalibratedModel cannot be saved: it has not been fitted yet"):
        vb.save(clone(mended), tmp_path / "other.varbump")
    path = tmp_path / "model.varbump"
    with pytest.raises(vb.ArchiveError, match="does not say which model was recalibrated"):
        vb.load(tampered(path, lambda c: c.update(kind="recalibrated")))


@pytest.mark.slow
def test_a_recalibrated_pipeline_comes_back(logged, tmp_path):
    mended = vb.recalibrate(logged, X, Y)
    loaded = again(mended, tmp_path)
    np.testing.assert_array_equal(loaded.predict_interval(X, 0.8), mended.predict_interval(X, 0.8))
