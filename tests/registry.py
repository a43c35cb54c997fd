"""Every factory and likelihood of the package, for the laws that all of them obey.

A test fails when one is exported that is not listed here.
"""

import pytest

from varbump import likelihoods, posteriors, priors

PRIORS = {
    "Normal": [priors.Normal(), priors.Normal(scale=0.3), priors.Normal(0.5, loc=0.2, fan_in=True)],
    "Laplace": [priors.Laplace(), priors.Laplace(0.3, loc=0.2, fan_in=True)],
    "ScaleMixtureNormal": [
        priors.ScaleMixtureNormal(),
        priors.ScaleMixtureNormal(2.0, narrow_scale=0.1, weight=0.2, fan_in=True),
    ],
    "TrainableNormal": [priors.TrainableNormal(), priors.TrainableNormal(scale=0.3, fan_in=True)],
    "ARDNormal": [priors.ARDNormal(), priors.ARDNormal(scale=0.3, fan_in=True)],
}

POSTERIORS = {
    "FullCovarianceNormal": [posteriors.FullCovarianceNormal(), posteriors.FullCovarianceNormal(scale=0.2)],
    "JointNormal": [posteriors.JointNormal(), posteriors.JointNormal(scale=0.2)],
    "LowRankNormal": [posteriors.LowRankNormal(), posteriors.LowRankNormal(rank=2, scale=0.2)],
    "MeanFieldNormal": [posteriors.MeanFieldNormal(), posteriors.MeanFieldNormal(scale=0.2, loc_scale=0.5)],
}

LIKELIHOODS = {
    "Normal": [likelihoods.Normal(), likelihoods.Normal(scale=0.07)],
    "LearnedNormal": [likelihoods.LearnedNormal(), likelihoods.LearnedNormal(0.07, min_scale=0.01, dtype="float64")],
    "HeteroscedasticNormal": [
        likelihoods.HeteroscedasticNormal(),
        likelihoods.HeteroscedasticNormal(0.01, beta=0.5),
        likelihoods.HeteroscedasticNormal(beta=1.0),
        likelihoods.HeteroscedasticNormal(faithful=True),
    ],
    "NegativeBinomial": [
        likelihoods.NegativeBinomial(),
        likelihoods.NegativeBinomial(0.8, offset=2.5, min_dispersion=0.01, dtype="float64"),
    ],
    "Gamma": [likelihoods.Gamma(), likelihoods.Gamma(0.05, offset=2.5, min_dispersion=0.01, dtype="float64")],
    "LogNormal": [likelihoods.LogNormal(0.5), likelihoods.LogNormal(0.1, offset=2.5, dtype="float64")],
    "CensoredNormal": [
        likelihoods.CensoredNormal(lower=0.0),
        likelihoods.CensoredNormal(-1.5, 4.0, 0.5, offset=1.0, unit=2.0, dtype="float64"),
        likelihoods.CensoredNormal(upper=2.0),
    ],
    "Poisson": [likelihoods.Poisson(), likelihoods.Poisson(offset=2.5)],
    "StudentT": [
        likelihoods.StudentT(),
        likelihoods.StudentT(0.07, df=2.5),
        likelihoods.StudentT(0.3, df=9.0, learn_df=True),
    ],
}


def flatten(registry):
    """All objects of a registry."""
    return [item for items in registry.values() for item in items]


def first_fast(items, classes=None):
    """The same objects as parameters of a test, all but the first of each class, or of some classes, marked slow."""
    seen, parameters = set(), []
    for item in items:
        is_slow = type(item) in seen or (classes is not None and type(item).__name__ not in classes)
        parameters.append(pytest.param(item, marks=pytest.mark.slow) if is_slow else item)
        seen.add(type(item))
    return parameters


def name(item):
    """Readable test id."""
    config = {key: value for key, value in item.get_config().items() if key not in ("name", "reduction")}
    return f"{type(item).__name__}{config}"


def perturbed(posterior, seed=0):
    """Move a posterior away from its start, where every covariance is zero."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for variable in posterior.trainable_variables:
        variable.assign_add(generator.normal(scale=0.3, size=variable.shape))
    return posterior
