"""Draws and bands know what they are of, and keep it for as long as it is certain."""

import copy
import pickle

import numpy as np
import pytest

import varbump as vb
from varbump.predict.draws import Draws, draws_of_kind

X = np.linspace(-1.0, 1.0, 4)[:, None]
LIKELIHOOD = vb.likelihoods.Normal(0.5)


@pytest.fixture(scope="module")
def network():
    return vb.build_network(1, hidden_units=(), seed=0, make_posterior_fn=vb.posteriors.MeanFieldNormal())


@pytest.fixture
def f():
    return draws_of_kind(np.random.default_rng(0).normal(size=(20, 4, 2)), "epistemic")


def test_predictions_know_their_kind(network):
    f = vb.predict_f(network, X, num_draws=5, seed=0)
    y = vb.predict_y(network, LIKELIHOOD, X, num_draws=5, seed=0)
    assert (f.kind, y.kind) == ("epistemic", "predictive")
    assert (vb.credible_bands(f).kind, vb.credible_bands(y).kind) == ("epistemic", "predictive")
    assert vb.predict_bands(network, X, num_draws=5).kind == "epistemic"
    assert vb.predict_bands(network, X, likelihood=LIKELIHOOD, num_draws=5).kind == "predictive"


def test_bands_of_a_kind_that_is_asked_for(network):
    options = {"likelihood": LIKELIHOOD, "num_draws": 5, "seed": 0}
    bands = vb.predict_bands(network, X, kind="epistemic", **options)
    assert bands.kind == "epistemic"
    np.testing.assert_array_equal(bands.sd, vb.predict_bands(network, X, num_draws=5, seed=0).sd)  # E[y | f] = f
    with pytest.raises(TypeError, match="likelihood is missing"):
        vb.predict_bands(network, X, kind="predictive")
    with pytest.raises(ValueError, match="kind must be 'epistemic' or 'predictive', got 'total'"):
        vb.predict_bands(network, X, kind="total")


def test_slices_copies_and_other_units_keep_the_kind(f):
    same = [f[3:], f[:, :2], f[..., 0], f.copy(), copy.deepcopy(f), pickle.loads(pickle.dumps(f)), f.astype("float32")]
    same += [2.0 * f + 1.0, np.exp(f), f * np.array([1.0, 2.0]) + np.ones((4, 2)), f > 0.0, f - f[:, :1]]
    assert {draws.kind for draws in same} == {"epistemic"}
    f *= 2.0
    assert f.kind == "epistemic"


def test_what_may_be_of_another_kind_does_not_know_it(f):
    noise = np.random.default_rng(1).normal(size=f.shape)
    others = [f + noise, noise + f, f + draws_of_kind(noise, "predictive"), np.concatenate([f, noise]), np.asarray(f)]
    assert {getattr(draws, "kind", None) for draws in others} == {None}
    for summary in (f.mean(axis=0), f.sum(), np.add.reduce(f), f.std()):
        assert not isinstance(summary, Draws)
    plain = np.array(f)
    f += noise
    assert f.kind is None
    np.testing.assert_array_equal(f, plain + noise)


def test_plain_arrays_take_the_kind_that_is_named(f):
    assert vb.credible_bands(np.array(f)).kind is None
    assert vb.credible_bands(np.array(f), kind="predictive").kind == "predictive"
    with pytest.raises(ValueError, match="kind is 'predictive', but these draws are of kind 'epistemic'"):
        vb.credible_bands(f, kind="predictive")
    with pytest.raises(ValueError, match="kind must be one of"):
        vb.credible_bands(np.array(f), kind="both")


def test_bands_print_what_they_are(f):
    assert repr(vb.credible_bands(f)) == "<epistemic bands: shape (4, 2), levels 50 %, 95 %>"
    tempered = vb.credible_bands(np.array(f), levels=(0.9,), temperature=0.5)
    assert repr(tempered) == "<draws of unknown kind (temperature 0.5): shape (4, 2), levels 90 %>"
    assert pickle.loads(pickle.dumps(vb.credible_bands(f))).kind == "epistemic"
