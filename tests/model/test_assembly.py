import numpy as np
import pytest
from other_keras import REFUSED, other

import varbump as vb
from varbump.core.keras import keras
from varbump.core.registry import by_short_name


def test_layers_and_widths():
    network = vb.build_network(3, hidden_units=(5, 4), num_outputs=2, activation="tanh", seed=0)
    assert isinstance(network, keras.Model)
    assert [layer.units for layer in network.layers] == [5, 4, 2]
    assert [layer.activation.__name__ for layer in network.layers] == ["tanh", "tanh", "linear"]
    assert network(np.zeros((7, 3), "float32")).shape == (7, 2)


def test_no_hidden_units_is_one_linear_layer():
    assert len(vb.build_network(hidden_units=()).layers) == 1


def test_seed_decides_the_start_and_layers_differ():
    a, b, c = (vb.build_network(4, hidden_units=(4, 4), seed=s).get_weights()[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    network = vb.build_network(4, hidden_units=(4, 4), seed=0)
    first, second = (layer.posterior.loc.numpy() for layer in network.layers[:2])
    assert not np.allclose(first, second)


def test_an_activation_layer_is_copied_for_each_hidden_layer():
    network = vb.build_network(2, hidden_units=(3, 3), activation=keras.layers.PReLU())
    first, second = (layer.activation for layer in network.layers[:2])
    assert first is not second


def test_a_layer_too_large_for_its_family_is_refused():
    with pytest.raises(ValueError, match="MeanFieldNormal"):
        vb.build_network(10, hidden_units=(4, 20_000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_features": 0}, "num_features"),
        ({"num_outputs": -1}, "num_outputs"),
        ({"hidden_units": (3, 0)}, "hidden_units"),
        ({"hidden_units": (3, 2.5)}, "hidden_units"),
        ({"hidden_units": 16}, "hidden_units"),
        ({"num_features": 2.0}, "num_features"),
    ],
)
def test_sizes_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f"{message} must be"):
        vb.build_network(**arguments)


def test_an_activation_of_the_other_keras_is_refused():
    with pytest.raises(TypeError, match=f"activation {REFUSED}"):
        vb.build_network(activation=other.layers.ReLU())


def classes(network):
    return [(type(layer.make_posterior_fn), type(layer.make_prior_fn)) for layer in network.layers]


def test_priors_and_posteriors_by_name():
    """All short names, with or without "_normal", under both names of the argument; defaults are as before."""
    for name, cls in by_short_name(vb.posteriors.PosteriorFactory).items():
        network = vb.build_network(1, hidden_units=(), seed=0, posterior=name)
        assert classes(network) == [(cls, type(vb.prior))]
    for name, cls in by_short_name(vb.priors.Prior).items():
        network = vb.build_network(1, hidden_units=(), seed=0, make_posterior_fn="mean_field_normal", prior=name)
        assert classes(network) == [(vb.posteriors.MeanFieldNormal, cls)]
    network = vb.build_network(1, hidden_units=(), posterior=vb.posterior, make_prior_fn="trainable_normal", seed=0)
    assert classes(network) == [(type(vb.posterior), vb.priors.TrainableNormal)]
    assert classes(vb.build_network(1, hidden_units=(), seed=0)) == [(type(vb.posterior), type(vb.prior))]


def test_names_that_are_unknown_or_two():
    with pytest.raises(ValueError, match="posterior must be one of full_covariance, .*mean_field.*, got 'gaussian'"):
        vb.build_network(posterior="gaussian")
    with pytest.raises(ValueError, match="prior must be one of ard, .*, or a factory, got ''"):
        vb.build_network(make_prior_fn="")
    with pytest.raises(ValueError, match="prior and make_prior_fn are two names of one argument"):
        vb.build_network(prior="normal", make_prior_fn=vb.prior)
    with pytest.raises(ValueError, match="posterior and make_posterior_fn are two names of one argument"):
        vb.build_network(posterior="joint", make_posterior_fn=vb.posterior)
