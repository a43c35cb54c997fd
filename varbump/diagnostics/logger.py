"""The terms of the ELBO as separate scalars, for TensorBoard and whatever else reads the logs of Keras."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.keras import float_dtype, keras, refuse_keras3

__all__ = ["ElboLogger"]


class ElboLogger(keras.callbacks.Callback):
    """Callback of Keras `fit` that adds "nll" and "kl" to the logs of each epoch, beside "loss".

    "kl" is what the layers add to the loss at the end of the epoch, as they weigh it: nats per observation where
    ``kl_weight=1/N``, other penalties of layers included, and of one draw where it is estimated. "nll" is "loss" less
    it; with validation data there is "val_nll" too. Put it first: the callbacks after it see both. For instance
    ``model.fit(x, y, callbacks=[varbump.ElboLogger(), tf_keras.callbacks.TensorBoard(folder)])``.
    """

    def set_model(self, model: Any) -> None:
        """Take a model, whose layers may be ours or stock."""
        refuse_keras3(model, "model")
        super().set_model(model)
        self._kl = tf.function(self._added, autograph=False)

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuse a model whose layers cannot be asked for what they add, before it is trained."""
        unbuilt = isinstance(self.model, keras.Sequential) and not self.model.built
        if not unbuilt and not isinstance(getattr(self.model, "input_shape", None), tuple):
            raise ValueError(
                "ElboLogger needs a Sequential or functional model with one input, to be called for what its layers "
                "add to the loss"
            )

    def _added(self) -> tf.Tensor:
        """What the layers add to the loss: those of TFP do so when they are called."""
        shape = [1 if size is None else size for size in self.model.input_shape]
        self.model(tf.zeros(shape, float_dtype(self.model)), training=False)
        losses = [tf.cast(tf.reduce_sum(loss), tf.float32) for loss in self.model.losses]
        return tf.add_n(losses) if losses else tf.zeros([])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the terms."""
        if logs is None or "loss" not in logs:
            return
        kl = float(self._kl())
        logs["kl"], logs["nll"] = kl, logs["loss"] - kl
        if "val_loss" in logs:
            logs["val_nll"] = logs["val_loss"] - kl
