"""A training in plain Keras that stops at the first step that is not finite, and says what went first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from varbump._keras import keras, refuse_keras3
from varbump.backtrace import Blame, NonFiniteLossError
from varbump.diagnostics.replay import Replay

__all__ = ["NanGuard"]

NEVER = -1
"""In place of the step that failed."""


class NanGuard(keras.callbacks.Callback):
    """Callback of Keras `fit` that stops before a step that is not finite can reach the weights.

    ``model.fit(x, y, callbacks=[varbump.NanGuard()])``, for any tf_keras model, stock layers of TensorFlow Probability
    included. In each step the sum of the squared gradient is looked at: a loss that is nan or infinite makes it so,
    and a finite gradient whose square overflows is what turns the weights of Adam into nan a step later. Such a step
    is not applied: weights and optimiser keep the state before it. The very step, its rows and its random numbers are
    then gone through again, operation by operation.

    Parameters
    ----------
    raises : bool, default=True
        Raise `varbump.NonFiniteLossError`; False ends `fit` quietly instead.

    Attributes
    ----------
    error : NonFiniteLossError or None
        What happened, with epoch, step, layer, weight, activations, scales.
    blame : Blame or None

    Notes
    -----
    Not for several devices, nor for loss scaling, where infinite gradients are part of the method. A model compiled
    with ``jit_compile=True`` makes no further step either, but hears of it at the end of the epoch, and the step is not
    gone through again.

    Nothing happens in Python between the steps: a callback with a hook for each batch would cost more than the check.
    """

    def __init__(self, *, raises: bool = True) -> None:
        super().__init__()
        self.raises = bool(raises)
        self.error: NonFiniteLossError | None = None
        self._failed = tf.Variable(NEVER, trainable=False, dtype=tf.int64)
        self._replays: list[Replay] = []
        self._epoch = self._first_step = 0

    @property
    def blame(self) -> Blame | None:
        """What went first, None while all is well."""
        return self.error.blame if self.error else None

    def set_model(self, model: Any) -> None:
        """Note the model."""
        refuse_keras3(model, "model")
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the watched step in place of that of the model, before it is traced."""
        self._release()
        self._failed.assign(NEVER)
        self.error, self._replays = None, []
        model = self.model
        self._original = model.train_step
        model.train_step, model.train_function = self._watched, None
        model.train_function = model.make_train_function()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._epoch, self._first_step = epoch, int(self.model._train_counter.numpy())

    def on_test_begin(self, logs: Any = None) -> None:
        """Look before the validation of an epoch."""
        self._look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the end of each epoch, which a bad step has cut short."""
        self._look()

    def _look(self) -> None:
        """Stop if a step was not finite."""
        at = int(self._failed.numpy())
        if self.error is not None or at == NEVER:
            return
        failed = next((replay for replay in self._replays if replay.step == at), None)
        self._release()
        found = failed.blame() if failed else None
        steps = self.params.get("steps")
        self.error = NonFiniteLossError(
            self._epoch + 1, at - self._first_step, steps, culprit(found), found, "before that step"
        )
        self._stop()
        if self.raises:
            raise self.error

    def _stop(self) -> None:
        """End `fit` after the batch call that is running."""
        self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Give the model its own step back."""
        self._release()

    def _release(self) -> None:
        own = self.model.__dict__.get("train_step")
        if getattr(own, "__func__", None) is NanGuard._watched:
            object.__delattr__(self.model, "train_step")
            self.model.train_function = None

    def _watched(self, data: Any) -> Any:
        """The step of the model, whose gradients are applied only if they are finite."""
        replay = Replay(self.model, data)
        with self._intercepted(replay):
            logs = self._original(data)
        if replay.bad is None and replay.loss is not None:  # a step that applies its gradients by itself
            self._note(replay, tf.logical_not(tf.math.is_finite(replay.loss)))
        self._replays.append(replay)
        return logs

    @contextmanager
    def _intercepted(self, replay: Replay) -> Iterator[None]:
        """Within: the loss is noted, and `apply_gradients` of the optimiser goes through the check."""
        model, optimizer = self.model, self.model.optimizer
        compute_loss, apply = model.compute_loss, optimizer.apply_gradients

        def noted(*args: Any, **kwargs: Any) -> Any:
            replay.loss = compute_loss(*args, **kwargs)
            return replay.loss

        def checked(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
            pairs = list(grads_and_vars)
            if hasattr(optimizer, "build"):
                with tf.init_scope():
                    optimizer.build([variable for _, variable in pairs])
            size = _squares([g for g, _ in pairs if g is not None], getattr(optimizer, "clipvalue", None))
            if replay.loss is not None:
                size += tf.cast(replay.loss, size.dtype)  # an infinity of a constant has no gradient
            bad = tf.logical_or(tf.logical_not(tf.math.is_finite(size)), self._failed > NEVER)
            self._note(replay, bad, lambda: _done(apply(pairs, *args, **kwargs)))
            return getattr(optimizer, "iterations", None)

        object.__setattr__(model, "compute_loss", noted)
        object.__setattr__(optimizer, "apply_gradients", checked)
        try:
            yield
        finally:
            object.__delattr__(model, "compute_loss")
            object.__delattr__(optimizer, "apply_gradients")

    def _note(self, replay: Replay, bad: Any, otherwise: Any = lambda: tf.constant(0)) -> None:
        """Take the way of a bad step, on which what it takes to go through it again is kept, or the other way."""
        replay.bad = bad
        replay.prepare()

        def keep() -> tf.Tensor:
            if not getattr(self.model, "_jit_compile", False):  # XLA cannot hand anything out in between
                replay.keep(self._stop)
            self._failed.assign(tf.where(self._failed > NEVER, self._failed, self.model._train_counter))
            return tf.constant(0)

        tf.cond(bad, keep, otherwise)


def _done(result: Any) -> tf.Tensor:
    """A value of one type for either branch, after the updates."""
    with tf.control_dependencies([result] if isinstance(result, (tf.Operation, tf.Tensor)) else []):
        return tf.constant(0)


def _squares(gradients: list[Any], clip: float | None) -> tf.Tensor:
    """Half the sum of the squared entries: not finite if one of them is not, or its square."""
    total = []
    for gradient in gradients:
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        if clip is not None:
            values = tf.clip_by_value(values, -clip, clip)
        total.append(tf.cast(tf.nn.l2_loss(values), tf.float32 if values.dtype.size < 4 else values.dtype))
    return tf.add_n([tf.cast(t, total[0].dtype) for t in total]) if total else tf.zeros([])


def culprit(found: Blame | None) -> str:
    """The term, with the weight where it is a gradient."""
    if found is None:
        return "likelihood"
    return f"gradient of {found.weight}" if found.term == "gradient" else found.term
