"""Terms of the ELBO as separate scalars in the logs of Keras, for TensorBoard and other callbacks."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.keras import float_dtype, is_built, keras, refuse_other_keras

__all__ = ["ElboLogger"]


class ElboLogger(keras.callbacks.Callback):
    """Callback of Keras `fit` that adds "nll" and "kl" to the logs of each epoch, beside "loss".

    "kl" is what the layers add to the loss at the end of the epoch, with their own weights: nats per observation if
    ``kl_weight=1/N``, with other penalties of layers included, and from one draw if it is estimated. "nll" is "loss"
    minus "kl"; with validation data there is "val_nll" too. Put it first, so that later callbacks see both:
    ``model.fit(x, y, callbacks=[varbump.ElboLogger(), tf_keras.callbacks.TensorBoard(folder)])``.
    """

    def set_model(self, model: Any) -> None:
        """Attach to a model, whose layers may be ours or stock."""
        refuse_other_keras(model, "model")
        super().set_model(model)
        self._kl = tf.function(self._added, autograph=False)

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuse, before training, a model that cannot be called to compute what its layers add."""
        unbuilt = isinstance(self.model, keras.Sequential) and not is_built(self.model)
        if not unbuilt and not isinstance(getattr(self.model, "input_shape", None), tuple):
            raise ValueError(
                "ElboLogger needs a Sequential or functional model with one input, to be called for what its layers "
                "add to the loss"
            )

    def _added(self) -> tf.Tensor:
        """Compute what the layers add to the loss, by a call, since TFP's layers add it in their calls."""
        shape = [1 if size is None else size for size in self.model.input_shape]
        self.model(tf.zeros(shape, float_dtype(self.model)), training=False)
        losses = [tf.cast(tf.reduce_sum(loss), tf.float32) for loss in self.model.losses]
        return tf.add_n(losses) if losses else tf.zeros([])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the terms to the logs."""
        if logs is None or "loss" not in logs:
            return
        kl = float(self._kl())
        logs["kl"], logs["nll"] = kl, logs["loss"] - kl
        if "val_loss" in logs:
            logs["val_nll"] = logs["val_loss"] - kl
