"""Fits that the scale of their data has spoiled give a warning with its figures; all others are silent."""

import inspect
import warnings

import numpy as np
import pytest

import varbump as vb
from varbump.inference.vi.history import History
from varbump.inference.vi.misfit import warn_of_misfit

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(200, 2))
Y = np.sin(X[:, :1]) + 0.3 * GENERATOR.normal(size=(200, 1))
LEARNED = vb.likelihoods.LearnedNormal()


def warned(nll, likelihood=LEARNED, x=X, y=Y, weights=None, **history):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_misfit(History({"loss": [nll], "nll": [nll]}, **history), likelihood, x, y, weights)
    return " ".join(str(one.message) for one in caught)


def normal_entropy(y):
    """Nll of a normal with the moments of y, summed over columns."""
    return float(np.sum(0.5 * np.log(2.0 * np.pi * np.e * y.var(0))))


@pytest.mark.parametrize("likelihood", [LEARNED, vb.likelihoods.StudentT(), vb.likelihoods.HeteroscedasticNormal()])
def test_the_limit_is_half_a_nat_above_the_normal_of_y(likelihood):
    y = 2e6 + 1e5 * np.concatenate([Y, -Y], 1)
    limit = normal_entropy(y) + 0.5
    assert not warned(limit - 0.01, likelihood, y=y)
    message = warned(limit + 0.01, likelihood, y=y)
    for part in (
        "worse than a constant",
        f"{limit + 0.01:.4g}",
        f"{limit - 0.5:.4g}",
        "column 0 of y has mean",
        "standardise x and y",
    ):
        assert part in message


def test_a_fixed_scale_is_compared_with_a_constant_of_that_scale():
    limit = 0.5 * np.log(2.0 * np.pi) + np.log(10.0) + 0.5 * np.var(100 * Y) / 100.0 + 0.5
    assert not warned(limit - 0.01, vb.likelihoods.Normal(10.0), y=100 * Y)
    assert warned(limit + 0.01, vb.likelihoods.Normal(10.0), y=100 * Y)


def test_rows_count_by_their_weights():
    y, weights = 1e3 * Y, np.repeat([0.0, 1.0, 3.0], [50, 100, 50])
    limit = normal_entropy(np.repeat(y, weights.astype(int), axis=0)) + 0.5
    assert not warned(limit - 0.01, y=y, weights=weights)
    assert warned(limit + 0.01, y=y, weights=weights)


@pytest.mark.parametrize("name", ["Poisson", "NegativeBinomial", "Gamma", "LogNormal"])
def test_positive_y_need_an_offset(name):
    likelihood = getattr(vb.likelihoods, name)()
    y = np.round(2e6 * np.exp(0.1 * Y))
    assert "set the offset of the likelihood" in warned(1e6, likelihood, y=y)
    assert not warned(10.0, likelihood, y=y)
    assert not warned(1e6, likelihood, y=np.round(20 * np.exp(0.1 * Y)))  # a network reaches it


def test_a_censored_normal_has_an_origin_and_a_unit_of_its_own():
    y = np.maximum(3e3 + 1e3 * Y, 2e3)
    placed = vb.likelihoods.CensoredNormal(lower=2e3, offset=3e3, unit=1e3)
    assert not warned(1e9, placed, y=y)  # exp(offset) is not its level
    assert "far from the unit scale" in warned(1e9, vb.likelihoods.CensoredNormal(lower=2e3), y=y)


def test_silence():
    assert not warned(1e9)  # of unit scale: the run was short
    assert not warned(1e9, y=np.zeros_like(Y))
    assert not warned(1e9, y=5.0 * Y + 10.0)  # not far
    assert not warned(1e9, y=1e6 * Y, stopped="interrupted")
    assert "column 1 of x has mean 2e+03" in warned(1e9, x=X + [0.0, 2000.0])
    assert warned(1e9, y=np.full_like(Y, 2e6))


def test_likelihoods_that_say_little_are_left_alone():
    class Own(vb.likelihoods.Likelihood):
        """No noise of a fixed shape."""

        def nll(self, y, f):
            return 0.0

    assert not warned(1e9, Own(), y=1e6 * Y)


@pytest.mark.slow
def test_fit_warns_after_it_has_kept_the_result():
    network = vb.build_network(2, hidden_units=(), seed=0)
    before = network.get_weights()
    with pytest.warns(UserWarning, match="worse than a constant") as caught:
        history = vb.fit(network, vb.likelihoods.LearnedNormal(), X, 2e6 + 3e5 * Y, epochs=2, seed=0, verbose=0)
    assert caught[0].filename == __file__
    assert len(history.epoch) == 2
    assert not np.array_equal(network.get_weights()[0], before[0])


@pytest.mark.slow
@pytest.mark.parametrize("data", [(X, 1e6 * Y), (vb.sources.ArraySource(X, 1e6 * Y),)], ids=["arrays", "source"])
@pytest.mark.parametrize(("train", "options"), [(vb.fit, {}), (vb.fit_ensemble, {"num_members": 2})])
def test_the_line_to_blame_is_that_of_the_call(train, options, data):
    network = vb.build_network(2, hidden_units=(), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)
    with pytest.warns(UserWarning, match="worse than a constant") as caught:
        train(network, vb.likelihoods.LearnedNormal(), *data, epochs=2, seed=0, verbose=0, **options)
    assert caught[0].filename == __file__


FUNCTIONS = [name for name in vb.datasets.__all__ if inspect.isfunction(getattr(vb.datasets, name))]
TOY_DATA = [name for name in FUNCTIONS if "num_data" in inspect.signature(getattr(vb.datasets, name)).parameters]


@pytest.mark.slow
@pytest.mark.parametrize("name", TOY_DATA)
def test_toy_data_are_silent(name):
    x, y = getattr(vb.datasets, name)(num_data=200)
    for epochs in (1, 100):  # warnings are errors
        network = vb.build_network(x.shape[1], hidden_units=(16,), seed=0)
        vb.fit(network, vb.likelihoods.LearnedNormal(), x, y, epochs=epochs, seed=0, verbose=0)
