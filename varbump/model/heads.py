"""Networks that end in a distribution of y: the network of its parameters, and the distribution as a likelihood."""

from __future__ import annotations

from typing import Any

from varbump.core.keras import is_built, keras
from varbump.likelihoods.head import HeadLikelihood
from varbump.model.checks import check_inputs, check_model, head_of

__all__ = ["separated"]


def separated(network: Any, likelihood: Any, x: Any = None) -> tuple[Any, Any]:
    """Separate a network that ends in a distribution into the network of its parameters, and the likelihood.

    Parameters
    ----------
    network : tf_keras.Model
    likelihood : likelihood or None
        Must be None for such a network; otherwise returned as it is.
    x : array-like (N, D), optional
        Inputs to build the network on, if it has not been built yet.

    Returns
    -------
    network, likelihood
        Those of a Sequential or functional network whose last layer is a `tfp.layers.DistributionLambda`, always the
        same two; otherwise the arguments.

    Raises
    ------
    ValueError
        If there is a likelihood besides that of the network.
    """
    check_model(network)
    head = head_of(network)
    if head is None:
        return network, likelihood
    if likelihood is not None:
        raise ValueError(
            f"network ends in a distribution of y, that of layer {head.name!r}, so there must not be a likelihood "
            f"besides: pass likelihood=None, and for predictive draws predict_y(network, x)"
        )
    if head.activity_regularizer is not None:
        raise ValueError(
            f"layer {head.name!r} has an activity_regularizer, which cannot be separated from it; use a layer before it"
        )
    if not is_built(network):
        network(check_inputs(network, x)[:1])
    made, known = network.outputs[0]._keras_history, getattr(network, "_varbump_separated", None)
    parameters = head.get_input_at(made.node_index)
    if known is None or known[0] is not parameters:
        known = parameters, keras.Model(network.inputs, parameters), HeadLikelihood(head, tuple(parameters.shape[1:]))
        object.__setattr__(network, "_varbump_separated", known)  # bypasses the attribute tracking of Keras
    return known[1], known[2]
