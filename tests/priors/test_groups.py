"""Scales that groups of inputs share."""

import numpy as np
import pytest

import varbump as vb
from varbump.posteriors import MeanFieldNormal

SIZES = [1, 1, 3, 2]


def first_layer(groups, units=4, hidden=(4,)):
    prior = vb.priors.ARDNormal(groups=groups)
    network = vb.build_network(7, hidden_units=hidden, make_prior_fn=prior, make_posterior_fn=MeanFieldNormal(), seed=0)
    return network.layers[0]


def test_a_scale_is_the_root_mean_square_of_its_group():
    layer = first_layer(SIZES)
    posterior = layer._posterior
    moments = (posterior.variances() + posterior.mean**2).numpy()[:28].reshape(7, 4)
    ends = np.cumsum(SIZES)
    expected = [np.sqrt(moments[end - size : end].mean()) for size, end in zip(SIZES, ends, strict=True)]
    relevance = vb.parameter_report(vb.build_network(7, seed=0)).relevance
    assert relevance is None
    # float32, and a floor of 1e-8 on variances
    np.testing.assert_allclose(layer._prior.relevance, np.repeat(expected, SIZES), rtol=1e-4)
    sds = layer._prior(None).stddev().numpy()[:28].reshape(7, 4)
    np.testing.assert_allclose(sds, np.repeat(expected, SIZES)[:, None] * np.ones(4), rtol=1e-4)


def test_groups_are_those_of_the_first_layer_only():
    """Also if the next layer has as many inputs as the first."""
    network = vb.build_network(7, hidden_units=(7,), make_prior_fn=vb.priors.ARDNormal(groups=SIZES), seed=0)
    assert network.layers[0].make_prior_fn.groups == SIZES
    assert network.layers[1].make_prior_fn.groups is None


def test_groups_of_single_inputs_are_none():
    alone = vb.priors.ARDNormal()
    assert alone.tied([1, 1, 1]) is alone
    assert alone.tied([1, 2]).groups == [1, 2]
    given = vb.priors.ARDNormal(groups=[3])
    assert given.tied([1, 2]) is given
    normal = vb.priors.Normal()
    assert normal.tied([1, 2]) is normal is normal.after()
    one, other = (first_layer(groups)._prior.scales.numpy() for groups in (None, [1] * 7))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("groups", "message"), [([3, 3], "add up to the 7 inputs"), ([0, 7], "groups"), ([1.5], "groups")]
)
def test_groups_that_do_not_fit(groups, message):
    with pytest.raises(ValueError, match=message):
        first_layer(groups)


def test_groups_are_saved(tmp_path):
    network = vb.build_network(7, hidden_units=(3,), make_prior_fn=vb.priors.ARDNormal(groups=SIZES), seed=0)
    vb.save(network, tmp_path / "network")
    assert vb.load(tmp_path / "network").layers[0].make_prior_fn.groups == SIZES
