"""Networks of variational layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from varbump.core.checks import check_count
from varbump.core.keras import keras, refuse_other_keras
from varbump.core.random import host_seed
from varbump.layers import DenseVariational
from varbump.layers.factories import posterior_factory, prior_factory
from varbump.likelihoods.checks import outputs_needed
from varbump.posteriors import PosteriorFactory
from varbump.priors import Prior

__all__ = ["build_network"]


def build_network(
    num_features: int = 1,
    *,
    hidden_units: Sequence[int] = (16, 16),
    num_outputs: int = 1,
    likelihood: Any = None,
    activation: Any = "relu",
    prior: Any = None,
    posterior: Any = None,
    make_prior_fn: Callable[..., Any] | None = None,
    make_posterior_fn: Callable[..., Any] | None = None,
    kl_weight: float | None = None,
    estimator: str = "shared",
    seed: int | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build a network of `DenseVariational` layers, ready for `varbump.fit`.

    Parameters
    ----------
    num_features : int, default=1
        D, columns of x.
    hidden_units : sequence of int, default=(16, 16)
        Units of each hidden layer; ``()`` gives one linear layer.
    num_outputs : int, default=1
        Q, columns of y.
    likelihood : likelihood, optional
        The one to train with. Needed if it takes more than one output for each column of y, such as
        `HeteroscedasticNormal`: the network then has K = ``likelihood.num_outputs(num_outputs)`` outputs.
    activation : str, callable or tf_keras layer, default="relu"
        Activation of the hidden layers. A layer is copied from its configuration for each of them.
    prior, posterior : str or callable, optional
        Factories, called once for each layer, or their names, as in `VariationalRegressor`: "normal", "laplace",
        "scale_mixture", "trainable" or "ard", and "mean_field", "low_rank", "full_covariance" or "joint", also with
        "_normal" at the end. By default `varbump.prior`, a fixed N(0, I), and `varbump.posterior`, a normal with full
        covariance.
    make_prior_fn, make_posterior_fn : str or callable, optional
        The same arguments under the names that the layers of TFP have for them; give one or the other.
    kl_weight : float, optional
        Only for training with Keras `fit`: 1 / number of training rows.
    estimator : {"shared", "local", "flipout"}, default="shared"
        Estimator of the gradient in training, see `varbump.layers.DenseVariational`.
    seed : int, optional
        Seed of the initial values, and of draws made outside `varbump.fit` and `varbump.predict_f`.
    dtype : str, optional
        "float32" or "float64"; by default that of Keras.

    Returns
    -------
    tf_keras.Sequential
        Maps (N, D) to (N, Q), or (N, K) for a likelihood; each call is one draw of all weights.

    Raises
    ------
    ValueError
        If a size is not a positive integer, a layer is too large for its posterior, a name is unknown, or an argument
        is given under both names.
    TypeError
        If `likelihood` is not a likelihood, or a layer would compute in half precision, as with a mixed policy.
    """
    num_features, num_outputs = check_count(num_features, "num_features"), check_count(num_outputs, "num_outputs")
    if not isinstance(hidden_units, Sequence) or isinstance(hidden_units, str):
        raise ValueError(f"hidden_units must be a sequence of integers such as (16, 16), got {hidden_units!r}")
    hidden_units = [check_count(size, "hidden_units") for size in hidden_units]
    refuse_other_keras(activation, "activation")
    make_prior_fn = prior_factory(prior, make_prior_fn)
    make_posterior_fn = posterior_factory(posterior, make_posterior_fn)
    widths = [*hidden_units, num_outputs if likelihood is None else outputs_needed(likelihood, num_outputs)]
    num_detached = likelihood.num_detached(num_outputs) if hasattr(likelihood, "num_detached") else 0
    sizes = [(fan_in + 1) * units for fan_in, units in zip([num_features, *hidden_units], widths, strict=True)]
    factories = _by_layer(make_posterior_fn, sizes)
    shared = isinstance(make_posterior_fn, PosteriorFactory) and make_posterior_fn.shares_noise
    if shared:
        seed = host_seed(seed)  # the layers need the same seed
    network = keras.Sequential([keras.Input((num_features,), dtype=dtype)])
    for index, (units, factory) in enumerate(zip(widths, factories, strict=True)):
        if index and isinstance(make_prior_fn, Prior):
            make_prior_fn = make_prior_fn.after()
        is_last = index == len(widths) - 1
        network.add(
            DenseVariational(
                units,
                factory,
                make_prior_fn,
                kl_weight=kl_weight,
                activation=None if is_last else _copy_of(activation),
                estimator=estimator,
                num_detached=num_detached if is_last else 0,
                seed=seed if seed is None or shared else seed + index,
                dtype=dtype,
                name=f"dense_variational_{index}" if not is_last else "output",
            )
        )
    return network


def _by_layer(factory: Callable[..., Any], sizes: Sequence[int]) -> list[Callable[..., Any]]:
    """Return the posterior factory of each layer; too large a layer is refused before memory is allocated."""
    factories = []
    for size in sizes:
        factories.append(factory)
        if isinstance(factory, PosteriorFactory):
            factory.check_size(size)
            factory = factory.after(size)
    return factories


def _copy_of(activation: Any) -> Any:
    """Copy an activation layer, so that no two layers share trainable weights by accident."""
    if isinstance(activation, keras.layers.Layer):
        return type(activation).from_config({**activation.get_config(), "name": None})
    return activation
