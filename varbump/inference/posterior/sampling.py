"""Sample the posterior over the weights by the method that suits the model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from varbump.core.checks import check_count, check_draws, check_number
from varbump.core.interrupts import safe_point, uninterrupted
from varbump.core.keras import is_built, keras, variables_of
from varbump.core.random import host_seed
from varbump.core.restored import restored_after_errors
from varbump.core.temperature import forget_temperature, was_trained
from varbump.inference.mcmc.convergence import checked_test_points, in_range_of
from varbump.inference.mcmc.cost import MAX_WEIGHTS
from varbump.inference.posterior.annealed import sample_annealed
from varbump.inference.posterior.draws import NearExactDraws
from varbump.inference.posterior.exact import exact_draws
from varbump.inference.vi.fitting import fit
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network
from varbump.model.hyper_posterior import check_hyperparameters, log_posterior

__all__ = ["sample_posterior"]


@uninterrupted()
def sample_posterior(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    hyperparameters: str = "hold",
    num_draws: int = 2000,
    num_warmup: int = 200,
    num_chains: int = 4,
    x_test: Any = None,
    max_minutes: float | None = None,
    seed: int | None = None,
    verbose: int = 1,
) -> NearExactDraws:
    r"""Draw weights from their exact posterior, or as close to it as can be, by the method that suits the model.

    .. math:: p(w | x, y) \propto \prod_n p(y_n | f(x_n; w)) \prod_l p(w_l)

    over the weights w of all variational layers. The network need not be fitted, and its q does not matter.

    - Models that are linear in their weights, with normal noise and a normal prior: independent draws in closed form.
    - All others: Hamiltonian Monte Carlo. Chains start at draws of the prior and are annealed, which means that the
      likelihood is given more and more weight. Then scales and step size are adapted, and draws are kept. Where rows
      are many and close together, gradients see groups of them; which trajectories are accepted is decided by all rows.

    Print the result: it says which method was chosen, and whether f can be trusted in the range of the data and outside
    of it.

    Learned values, such as a learned noise scale, the learned scales of a prior, or weights of other layers, are held
    at their present values, unless `hyperparameters="sample"` includes the scales in what is sampled. If any are held
    and the network has not been trained yet, it is trained first, with the default options of `varbump.fit`; otherwise
    neither network nor likelihood is changed. Penalties that layers add to a Keras loss are not part of the posterior
    and are ignored.

    Parameters
    ----------
    network : tf_keras.Model
        Built.
    likelihood : likelihood
    x, y : array-like (N, D), (N, Q)
        All of the data.
    hyperparameters : {"hold", "sample"}, default="hold"
        Whether learned scales, of the noise and of priors, keep their values or are sampled with the weights. Sampled
        scales have half-Cauchy distributions. The median of the scale of a prior is the argument `scale` of that prior,
        that of a scale of the noise in the units of y is the standard deviation of y, and that of others, such as a
        dispersion, is 1. Predictions then take the noise of each draw.
    num_draws : int, default=2000
        Largest number of draws kept per chain, at least 4. HMC ends at a quarter or half of them if the chains agree by
        then everywhere, and in the range of the data with an R-hat of at most 1.01.
    num_warmup : int, default=200
        Number of draws per chain between the annealing and these, at least 10.
    num_chains : int, default=4
        Number of chains; draws of one chain are never trusted.
    x_test : array-like (M, D), optional
        Points at which the convergence of f is assessed. By default at most 64 points over the range of x, widened by
        half its width on either side.
    max_minutes : float, optional
        Bound on the time in minutes that is estimated after the annealing. By default the bounds are 10 minutes and
        2,000 weights.
    seed : int, optional
        The same seed, machine and versions give the same draws. If omitted, TensorFlow's global seed decides.
    verbose : int, default=1
        0 is silent; otherwise a progress bar is shown on terminals and in notebooks.

    Returns
    -------
    NearExactDraws
        `predict_f`, `predict_y` and `predict_bands` accept it in place of the network.

    Raises
    ------
    ValueError
        If the network is not built or has no variational layers, if an argument is out of range, if x or y does not
        fit, if a prior has no density or cannot be drawn from, if the log density is not finite where the chains
        start, if there are too many weights or the estimated cost, which the message gives, exceeds the bound, or if
        hyperparameters are to be sampled and there are none.
    TypeError
        If `network` is not of tf_keras.
    KeyboardInterrupt
        After Ctrl-C, as soon as the calls under way have ended; nothing is changed.

    References
    ----------
    Neal (2011), "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo; for the distributions of the
    scales, Gelman (2006), "Prior distributions for variance parameters in hierarchical models", Bayesian Analysis 1.
    """
    sampled = check_hyperparameters(hyperparameters)
    check_network(network)
    check_likelihood(likelihood)
    if not is_built(network):
        raise ValueError("network is not built, so it has no weights to sample; call it on some x, or give input_shape")
    num_draws, num_warmup = check_draws(num_draws, minimum=4), check_count(num_warmup, "num_warmup", 10)
    num_chains = check_count(num_chains, "num_chains")
    if max_minutes is not None:
        max_minutes = check_number(max_minutes, "max_minutes", strict=True)
    x, y = check_data(network, likelihood, x, y)
    x_test = checked_test_points(network, x, x_test)
    seed = host_seed(seed)

    safe_point()
    began = time.perf_counter()
    with _undone_after_errors(network, likelihood):
        target = log_posterior(network, likelihood, x, y, sampled=sampled, at_present=False)
        num_weights = sum(target.num_weights)
        if max_minutes is None and num_weights > MAX_WEIGHTS:
            raise ValueError(
                f"The network has {num_weights:,} weights; above {MAX_WEIGHTS:,}, chains with the default settings "
                f"seldom converge. Pass max_minutes, such as max_minutes=30, to go on."
            )
        if target.num_held and not was_trained(network):
            history = fit(network, likelihood, x, y, seed=seed, verbose=0)
            if history.stopped == "interrupted":
                raise KeyboardInterrupt
        made = partial(
            NearExactDraws,
            network=network,
            x_test=x_test,
            in_range=in_range_of(x, x_test),
            num_data=len(x),
            num_held=target.num_held,
        )
        w = None if sampled else exact_draws(target, num_chains * num_draws, seed)
        if w is not None:
            none = np.zeros((num_chains, num_draws))
            return made(
                weights=(w.reshape(num_chains, num_draws, -1),),
                method="closed form",
                accept=none + 1.0,
                leapfrogs=none.astype(int),
                divergent=none.astype(bool),
                num_warmup=0,
                num_rows=len(x),
                seconds=time.perf_counter() - began,
                compile_seconds=0.0,
            )
        return sample_annealed(
            target,
            made,
            num_draws=num_draws,
            num_warmup=num_warmup,
            num_chains=num_chains,
            max_minutes=max_minutes,
            seed=seed,
            verbose=verbose,
        )


@contextmanager
def _undone_after_errors(network: keras.Model, likelihood: Any) -> Iterator[None]:
    """Give all variables the values back that they had, if training or sampling fails or is interrupted."""
    trained = was_trained(network)
    try:
        with restored_after_errors([*variables_of(network), *getattr(likelihood, "variables", [])]):
            yield
    except BaseException:
        if not trained:
            forget_temperature(network)
        raise
