"""Callback that stops plain Keras training at the first non-finite step, and finds its cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import (
    is_compiled_by_xla,
    keras,
    leave_xla,
    named_layers,
    refuse_other_keras,
    return_to_xla,
    steps_of,
    updates_through,
)
from varbump.debug.blame import Blame
from varbump.debug.failure import NonFiniteLossError
from varbump.debug.replay import Replay

__all__ = ["NanGuard"]

NOT_FINITE = "varbump.NanGuard: gradient or loss not finite in trace "
"""Message of the operation that fails a step, followed by the index of the trace."""

NEVER = -1
"""Value of the failed step while there is none."""


class NanGuard(keras.callbacks.Callback):
    """Callback of Keras `fit` that stops before a non-finite step can reach the weights.

    Use ``model.fit(x, y, callbacks=[varbump.NanGuard()])`` with any tf_keras model, including stock layers of
    TensorFlow Probability. Each step checks the sum of the squared gradient: it is not finite if the loss is not, nor
    if the square of a finite gradient overflows, which would make the weights nan one step of Adam later. Such a step
    is not applied, so weights and optimiser keep their previous state. The step is then replayed, with its rows and
    its random numbers, and examined operation by operation.

    Parameters
    ----------
    raises : bool, default=True
        Raise `varbump.NonFiniteLossError`; False ends `fit` quietly instead.

    Attributes
    ----------
    error : NonFiniteLossError or None
        The failure, with epoch, step, layer, weight, activations and scales.
    blame : Blame or None

    Notes
    -----
    Several devices are not supported, nor is loss scaling, of which infinite gradients are a part. A model compiled
    with ``jit_compile=True`` makes no further step either, but reports at the end of the epoch, without a replay.

    No Python runs between the steps. The updates depend on the check, so a bad step fails as a whole: a hook for each
    batch, or a condition around the updates, would cost several times as much.
    """

    def __init__(self, *, raises: bool = True) -> None:
        super().__init__()
        self.raises = bool(raises)
        self.error: NonFiniteLossError | None = None
        self._replays: list[Replay] = []
        self._failed: Replay | None = None
        self._failed_step = tf.Variable(NEVER, trainable=False, dtype=tf.int64)  # counted from 0, over the whole fit
        self._epoch = self._first_step = 0

    @property
    def blame(self) -> Blame | None:
        """Cause of the failure; None while training is finite."""
        return self.error.blame if self.error else None

    def set_model(self, model: Any) -> None:
        """Store the model."""
        refuse_other_keras(model, "model")
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Replace the step of the model by the watched one, before it is traced."""
        self._release()
        self._failed_step.assign(NEVER)
        self.error, self._replays, self._failed = None, [], None
        model = self.model
        self._original = model.train_step
        self._left_xla = leave_xla(model)
        model.train_step, model.train_function = self._watched, None
        model.make_train_function()
        model.train_function = self._caught(model.train_function)

    def _caught(self, train_function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Wrap the call of a batch: if our check fails in it, record the step and stop `fit`."""

        def call(iterator: Any) -> Any:
            try:
                return train_function(iterator)
            except BaseException as error:
                found = re.search(NOT_FINITE + r"(\d+)", getattr(error, "message", ""))
                if found is None:
                    self._release()  # fit ends here, and on_train_end is not called
                    raise
                self._failed = self._replays[int(found[1])]
                self._failed_step.assign(steps_of(self.model))
                self.model.stop_training = True
                return {"loss": np.nan}

        return call

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Store the epoch."""
        self._epoch, self._first_step = epoch, int(steps_of(self.model).numpy())

    def on_test_begin(self, logs: Any = None) -> None:
        """Check before the validation of an epoch."""
        self._look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check at the end of each epoch, which a bad step cuts short."""
        self._look()

    def _look(self) -> None:
        """Stop if a step was not finite."""
        at = int(self._failed_step.numpy())
        if self.error is not None or at == NEVER:
            return
        found = self._failed.blame() if self._failed else None
        self._release()
        steps = self.params.get("steps")
        self.error = NonFiniteLossError(
            self._epoch + 1, at - self._first_step, steps, culprit(found), found, "before that step"
        )
        self.model.stop_training = True
        if self.raises:
            raise self.error

    def on_train_end(self, logs: Any = None) -> None:
        """Restore the step of the model."""
        self._release()

    def _release(self) -> None:
        for replay in self._replays:
            replay.forget()
        own = self.model.__dict__.get("train_step")
        if getattr(own, "__func__", None) is NanGuard._watched:
            object.__delattr__(self.model, "train_step")
            self.model.train_function = None
            if self._left_xla:
                return_to_xla(self.model)

    def _watched(self, data: Any) -> Any:
        """Run the step of the model, but apply its gradients only if they are finite."""
        replay = Replay(self.model, data)
        self._replays.append(replay)
        with self._intercepted(replay), named_layers(self.model):
            logs = self._original(data)
        if not replay.prepared and replay.loss is not None:  # a custom step that applies its gradients itself
            self._gate(replay, tf.math.is_finite(replay.loss), lambda: None)
        with tf.control_dependencies(replay.checks):  # a step counts once it returns logs
            return tf.nest.map_structure(tf.identity, logs)

    @contextmanager
    def _intercepted(self, replay: Replay) -> Iterator[None]:
        """Record the loss, and route the updates of the optimiser through the check, within the block."""
        model, optimizer = self.model, self.model.optimizer
        compute_loss = model.compute_loss

        def noted(*args: Any, **kwargs: Any) -> Any:
            replay.loss = compute_loss(*args, **kwargs)
            return replay.loss

        def checked(gradients: list[Any], update: Callable[[], Any]) -> None:
            size = _squares(gradients, getattr(optimizer, "clipvalue", None))
            if replay.loss is not None:
                size += tf.cast(replay.loss, size.dtype)  # an infinite constant has no gradient
            self._gate(replay, tf.math.is_finite(size), update)

        object.__setattr__(model, "compute_loss", noted)
        try:
            with updates_through(optimizer, checked):
                yield
        finally:
            object.__delattr__(model, "compute_loss")

    def _gate(self, replay: Replay, finite: tf.Tensor, update: Callable[[], Any]) -> None:
        """Update if all is finite; otherwise fail the whole step, keeping what a replay needs."""
        replay.prepare()
        if is_compiled_by_xla(self.model):
            self._gate_under_xla(finite, update)
            return
        with tf.control_dependencies(replay.keep()):
            check = tf.debugging.Assert(finite, [f"{NOT_FINITE}{self._replays.index(replay)}"])
        replay.checks = [] if check is None else [check]
        with tf.control_dependencies(replay.checks):
            update()

    def _gate_under_xla(self, finite: tf.Tensor, update: Callable[[], Any]) -> None:
        """Skip a bad step, and all after it, since an XLA program can neither fail nor hand out values."""

        def updated() -> tf.Tensor:
            result = update()
            with tf.control_dependencies([result] if isinstance(result, (tf.Operation, tf.Tensor)) else []):
                return tf.constant(0)

        def skipped() -> tf.Tensor:
            earlier = self._failed_step > NEVER
            self._failed_step.assign(tf.where(earlier, self._failed_step, steps_of(self.model)))
            return tf.constant(0)

        tf.cond(tf.logical_and(finite, tf.equal(self._failed_step, NEVER)), updated, skipped)


def _squares(gradients: list[Any], clip: float | None) -> tf.Tensor:
    """Return half the sum of squares, which is not finite if an entry or its square is not."""
    total = []
    for gradient in gradients:
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        if clip is not None:
            values = tf.clip_by_value(values, -clip, clip)
        total.append(tf.cast(tf.nn.l2_loss(values), tf.float32 if values.dtype.size < 4 else values.dtype))
    return tf.add_n([tf.cast(t, total[0].dtype) for t in total]) if total else tf.zeros([])


def culprit(found: Blame | None) -> str:
    """Return the term at fault, with the weight if it is a gradient."""
    if found is None:
        return "likelihood"
    return f"gradient of {found.weight}" if found.term == "gradient" else found.term
