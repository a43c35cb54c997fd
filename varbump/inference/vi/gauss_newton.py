"""Expected gradient and Gauss-Newton matrix of the negative log-likelihood with respect to the weights, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from varbump.forward.apply import apply
from varbump.forward.jacobian import outputs_and_jacobian
from varbump.forward.programs import program
from varbump.forward.stateless import all_variables, at, key
from varbump.inference.vi.loss import Batch, NetworkLoss

__all__ = ["Slopes", "gauss_newton"]


class Slopes(NamedTuple):
    r"""Averages over rows and draws of the weights, per observation.

    Attributes
    ----------
    nll : Tensor ()
        Nats.
    gradient : Tensor (P,)
        With respect to the weights.
    matrix : Tensor (P, P)
        :math:`\operatorname{E} J^T H J`, with the Jacobian J of f and the positive part of the diagonal H of the
        Hessian of the negative log-likelihood with respect to f.
    of_likelihood : list of Tensor
        Gradients with respect to the likelihood's own variables.
    """

    nll: tf.Tensor
    gradient: tf.Tensor
    matrix: tf.Tensor
    of_likelihood: list[tf.Tensor]


def gauss_newton(loss: NetworkLoss, sizes: Sequence[int]) -> Callable[..., Slopes]:
    """Return the program that takes a `Batch`, draws (S, P), values of the likelihood's variables, and other values.

    Parameters
    ----------
    loss : NetworkLoss
    sizes : sequence of int
        Number of weights of each variational layer, in the order of the calls.

    Returns
    -------
    callable
        Its last argument has the values of all variables of the loss, in the order of `all_variables`.
    """
    network, likelihood = loss.network, loss.likelihood
    variables = all_variables(network, likelihood)
    own = loss.of_likelihood

    def slopes(batch: Batch, draws: tf.Tensor, of_likelihood: list[tf.Tensor], state: Sequence[tf.Tensor]) -> Slopes:
        values = {key(v): value for v, value in zip(variables, state, strict=True)}
        values |= {key(v): value for v, value in zip(own, of_likelihood, strict=True)}

        def f(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
            return apply(network, x, values=values, draws=tf.split(w, list(sizes))).f

        def one(w: tf.Tensor) -> tuple[tf.Tensor, ...]:
            outputs, jacobian = outputs_and_jacobian(f, batch.x, w, network)  # (B, Q), (B, Q, P)
            with at(values):
                nll, slope, curvature, gradients = _derivatives(likelihood, batch, outputs, of_likelihood)
            flat = tf.reshape(jacobian * tf.sqrt(curvature)[..., None], [-1, jacobian.shape[-1]])
            gradient = tf.linalg.matvec(tf.reshape(jacobian, flat.shape), tf.reshape(slope, [-1]), transpose_a=True)
            return nll, gradient, tf.matmul(flat, flat, transpose_a=True), *gradients

        kinds = (draws.dtype,) * (3 + len(own))
        nll, gradient, matrix, *others = (
            tf.reduce_mean(s, 0) for s in tf.map_fn(one, draws, fn_output_signature=kinds)
        )
        return Slopes(nll, gradient, matrix, others)

    return program("gauss-newton", (loss.structure, tuple(sizes)), lambda: slopes, network)


def _derivatives(
    likelihood: Any, batch: Batch, f: tf.Tensor, own: list[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """Mean nll, its gradient and the positive diagonal of its Hessian by f (B, Q), and its gradients by `own`.

    Slopes and curvatures by what the likelihood does not depend on are zeros.
    """
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(f)
        with tf.GradientTape(persistent=True) as inner:
            inner.watch([f, *own])
            nll = batch.mean(likelihood.nll(batch.y, f))
        slope = inner.gradient(nll, f, unconnected_gradients="zero")
        columns = tf.unstack(slope, axis=-1)
    curvature = [outer.gradient(c, f, unconnected_gradients="zero")[..., q] for q, c in enumerate(columns)]
    gradients = inner.gradient(nll, own, unconnected_gradients="zero")
    return nll, slope, tf.nn.relu(tf.stack(curvature, -1)), gradients
