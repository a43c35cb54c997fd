import inspect

import numpy as np
import pytest
import registry

from varbump import layers, likelihoods, posteriors, priors
from varbump.cli.fit_command import fit
from varbump.core.registry import registered

ABSTRACT = {"Likelihood", "Posterior", "PosteriorFactory", "Prior"}


@pytest.mark.parametrize(
    ("module", "listed"),
    [
        (priors, registry.PRIORS),
        (posteriors, registry.POSTERIORS),
        (likelihoods, registry.LIKELIHOODS),
    ],
    ids=["priors", "posteriors", "likelihoods"],
)
def test_every_exported_class_is_in_the_registry(module, listed):
    exported = {n for n in module.__all__ if inspect.isclass(getattr(module, n)) and n not in ABSTRACT}
    assert exported == set(listed)


UNNAMED = {"varbump>ContinuedNormal"}
"""Classes that hold arrays, and so cannot be made by a name alone."""


def builtin(base):
    return {key: cls for key, cls in registered(base).items() if key.startswith("varbump>") and key not in UNNAMED}


@pytest.mark.parametrize("base", [priors.Prior, posteriors.PosteriorFactory], ids=lambda base: base.__name__)
def test_each_has_a_short_name_of_its_own(base):
    classes = builtin(base).values()
    assert all(cls.__dict__.get("short_name") for cls in classes)
    assert len({cls.short_name for cls in classes}) == len(classes)


@pytest.mark.parametrize("base", [priors.Prior, posteriors.PosteriorFactory], ids=lambda base: base.__name__)
def test_each_is_complete(base):
    for cls in registered(base).values():
        cls.check_definition()


@pytest.mark.parametrize("option", ["posterior", "prior"])
def test_the_help_of_the_command_line_names_them(option):
    base = posteriors.PosteriorFactory if option == "posterior" else priors.Prior
    (shown,) = [parameter.metavar for parameter in fit.params if parameter.name == option]
    assert shown == "[" + "|".join(sorted(cls.short_name for cls in builtin(base).values())) + "]"


@pytest.mark.parametrize("factory", registry.flatten(registry.POSTERIORS), ids=registry.name)
@pytest.mark.parametrize("num_weights", [1, 2, 7])
def test_variable_shapes_are_those_of_the_variables(factory, num_weights):
    for _ in range(3):  # a joint family has another shape in each layer
        made = factory(num_weights)
        assert [tuple(v.shape) for v in made.variables] == factory.variable_shapes(num_weights)
        assert sum(made.trainable_variables[0].shape) == num_weights
        factory = factory.after(num_weights)


@pytest.mark.parametrize("factory", registry.flatten(registry.POSTERIORS)[::2], ids=registry.name)
def test_the_best_estimator_is_accepted(factory):
    layer = layers.DenseVariational(2, factory, priors.prior, estimator=factory.best_estimator, seed=0)
    layer.build((None, 3))


def own_center():
    return layers.GaussianBump(shared=False, trainable_center=True)


@pytest.mark.parametrize("factory", registry.flatten(registry.POSTERIORS)[::2], ids=registry.name)
@pytest.mark.parametrize("activation", ["relu", "bump", own_center])
def test_weight_shapes_are_those_of_the_weights(factory, activation):
    for use_bias in (True, False):
        layer = layers.DenseVariational(
            2,
            factory,
            priors.prior,
            activation=activation() if callable(activation) else activation,
            use_bias=use_bias,
            seed=0,
        )
        expected = layer.weight_shapes((None, 3))
        outputs = layer(np.zeros((4, 3), "float32"))
        assert layer.compute_output_shape((4, 3)) == outputs.shape
        assert [tuple(v.shape) for v in layer.weights] == expected
