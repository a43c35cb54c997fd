"""Laplace's approximation of the posterior of a trained network."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.checks import check_number
from varbump.core.interrupts import uninterrupted
from varbump.core.keras import is_built, keras
from varbump.inference.laplace.curvature import curvature_of
from varbump.inference.laplace.posterior import LaplacePosterior
from varbump.inference.laplace.response import Response
from varbump.inference.laplace.scales import scaled
from varbump.inference.laplace.weights import random_weights
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network
from varbump.model.heads import separated

__all__ = ["laplace"]


@uninterrupted()
def laplace(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    structure: str = "auto",
    prior_scale: float | None = None,
    linearised: bool = True,
) -> LaplacePosterior:
    r"""Approximate the posterior of a trained network by a normal around its weights.

    .. math:: p(w | x, y) \approx N(w^*, \Lambda^{-1}), \quad
              \Lambda = \sum_n J_n^T H_n J_n + S^{-2}, \quad
              H_n = -\nabla_f^2 \log p(y_n | f_n)

    with the Jacobian J of f with respect to the weights, and the prior sd S: the generalised Gauss-Newton matrix. The
    network may be a plain tf_keras one, trained in any way: w are then its trainable weights, with the prior
    N(0, s^2). Or it is one with `DenseVariational` layers, whose weights have the mean of q for w*, and their own
    priors. Everything else keeps its value. Dropout and batch normalisation act as in prediction.

    Functions are drawn from the network linearised in its weights, for which this posterior is made: weights drawn
    from it often lie where the network itself fits badly (Immer et al. 2021). The linearisation of a network with ReLU
    jumps where one of its units starts, and so do bands beyond the data; with tanh they are smooth.

    Parameters
    ----------
    network : tf_keras.Model
        Built and trained; it is not changed. The approximation is only right close to a mode, such as after long
        training; the result says whether the weights are.
    likelihood : likelihood
        The one that corresponds to the loss of the training: of mean squared errors, `varbump.likelihoods.Normal`.
        With `varbump.likelihoods.LearnedNormal` with one scale, a plain network gets the scale that maximises the
        marginal likelihood (for "diagonal", which overestimates what the weights have absorbed, the root mean square of
        y - f), and it is set in this object, as `varbump.fit` does. All other scales keep their values.
        None for a network that ends in a distribution of y.
    x, y : array-like (N, D), (N, Q)
        The training data. Inputs may have further axes; y must not.
    structure : {"auto", "full", "last_layer", "diagonal"}, default="auto"
        "full" is the covariance of all weights, "last_layer" that of the last layer's weights (the others keep their
        values), and "diagonal" leaves out all correlations between weights. "auto" takes the first of these that has
        at most 2,000 weights, "diagonal" if none has.
    prior_scale : float, optional
        Standard deviation s of the prior of every random weight of a plain network. By default it maximises the
        marginal likelihood. If the training had an L2 penalty c w^2 per observation, it was 1 / sqrt(2 N c).
    linearised : bool, default=True
        Whether to draw functions :math:`f(x; w^*) + J(x) (w - w^*)`, rather than f(x; w).

    Returns
    -------
    LaplacePosterior
        `predict_f`, `predict_y`, `predict_bands` and `evaluate` accept it in place of the network. Print it to see
        what was chosen, and whether it can be trusted.

    Raises
    ------
    ValueError
        If the network is not built, has nothing trainable or stock variational layers, if an argument is out of range,
        if x or y does not fit, if `structure` does not suit the network, if a prior has no moments, if the likelihood
        has no second derivative, or if something is not finite.
    TypeError
        If `network` is not of tf_keras, or `likelihood` is not a likelihood.
    KeyboardInterrupt
        After Ctrl-C, as soon as the call under way has ended.

    Notes
    -----
    Memory and time grow as P^2 and as N P^2 + P^3 for the P random weights, and as P and N P for "diagonal". Where the
    log density of y is convex in f, as for outliers of Student's t, H is replaced by its positive part.

    References
    ----------
    MacKay (1992), "A Practical Bayesian Framework for Backpropagation Networks". Immer, Korzepa and Bauer (2021),
    "Improving predictions of Bayesian neural nets via local linearization". Daxberger et al. (2021), "Laplace Redux".
    """
    given, (network, likelihood) = network, separated(network, likelihood, x)
    check_network(network)
    check_likelihood(likelihood)
    if not isinstance(linearised, (bool, np.bool_)):
        raise ValueError(f"linearised must be True or False, got {linearised!r}")
    if prior_scale is not None:
        prior_scale = check_number(prior_scale, "prior_scale, a standard deviation,", strict=True)
    if not is_built(network):
        raise ValueError("network is not built, so it has no trained weights to start from; train it first")
    x, y = check_data(network, likelihood, x, y)
    if y.ndim != 2:
        raise ValueError(f"laplace takes y of shape (N, Q), but y has shape {y.shape}")
    weights = random_weights(network, x.shape[1:], structure)
    if prior_scale is not None and weights.prior_sd is not None:
        raise ValueError(
            "prior_scale is for plain networks, but this one has priors of its own; leave prior_scale out, or build "
            "the network with make_prior_fn=varbump.priors.Normal(scale)"
        )

    response, diagonal = Response(weights, x.shape[1:]), weights.structure == "diagonal"
    data = curvature_of(response, likelihood, x, y, diagonal=diagonal)
    final = scaled(data, weights, likelihood, y.size, prior_scale)
    data, spectrum = final.data, final.spectrum
    z = (weights.loc - final.prior_loc) / final.prior_sd
    slope = spectrum.into(final.prior_sd * data.gradient - z)  # of the log posterior, in units of the prior
    step = slope / (1.0 + spectrum.values)  # Newton's
    posterior = LaplacePosterior(
        network=network,
        likelihood=likelihood,
        head=None if network is given else likelihood,
        linearised=bool(linearised),
        random_weights=weights,
        prior_scale=final.prior_scale,
        prior_chosen=final.prior_scale is not None and prior_scale is None,
        noise_scale=final.noise_scale,
        prior_sd=final.prior_sd,
        spectrum=spectrum,
        log_likelihood=data.log_likelihood,
        log_marginal_likelihood=float(data.log_likelihood - 0.5 * (z @ z) - 0.5 * spectrum.log_det),
        shift=float(np.sqrt(spectrum.values @ step**2 / spectrum.num_effective)),
        num_data=len(x),
        num_clipped=data.num_clipped,
    )
    if final.noise_scale is not None:
        likelihood.assign_scale(np.asarray(final.noise_scale))
    return posterior
