import inspect

import pytest
import registry

from varbump import likelihoods, posteriors, priors

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
