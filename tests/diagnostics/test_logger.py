"""Separate scalars of the ELBO, in the logs and in TensorBoard's files."""

import numpy as np
import pytest
import tensorflow as tf
from other_keras import STOCK

import varbump as vb
from varbump.core.keras import keras

X, Y = vb.datasets.cubic(64, seed=0)


def scalars(folder):
    found = {}
    for path in sorted(folder.rglob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag.startswith("epoch_"):
                    found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("ours", [True, False])
def test_keras_logs_nll_and_kl_beside_the_loss(ours, tmp_path):
    make = vb.layers.DenseVariational if ours else STOCK
    layer = make(1, vb.posteriors.MeanFieldNormal(), vb.prior, kl_weight=1 / 64, kl_use_exact=True)
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(0.0), vb.likelihoods.Normal(0.3))
    board = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    callbacks = [vb.ElboLogger(), board]
    history = model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=callbacks).history
    kl = vb.parameter_report(model).kl / 64
    np.testing.assert_allclose(history["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(np.add(history["nll"], history["kl"]), history["loss"], rtol=1e-6)
    np.testing.assert_allclose(np.add(history["val_nll"], history["kl"]), history["val_loss"], rtol=1e-6)
    written = scalars(tmp_path / "train")
    assert written["epoch_kl", 1] == pytest.approx(kl, rel=1e-5)
    assert written["epoch_nll", 0] == pytest.approx(history["nll"][0], rel=1e-5)


def test_models_that_cannot_be_asked_are_refused_before_training():
    first, second = keras.Input((1,)), keras.Input((1,))
    model = keras.Model([first, second], keras.layers.Dense(1)(first + second))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="ElboLogger needs a Sequential or functional model with one input"):
        model.fit([X, X], Y, verbose=0, callbacks=[vb.ElboLogger()])
    assert int(model.optimizer.iterations) == 0
    built_by_the_data = keras.Sequential([keras.layers.Dense(1)])
    built_by_the_data.compile("sgd", "mse")
    assert built_by_the_data.fit(X, Y, verbose=0, callbacks=[vb.ElboLogger()]).history["kl"] == [0.0]


def test_a_history_becomes_scalars(tmp_path, monkeypatch):
    history = vb.History(history={"loss": [3.0, 2.0], "nll": [2.0, 1.5], "kl": [100.0, 50.0]}, num_data=100)
    history.to_tensorboard(tmp_path)
    assert scalars(tmp_path)["epoch_kl", 1] == 50.0
    assert len(scalars(tmp_path)) == 6
    monkeypatch.delattr(tf.summary, "scalar")
    with pytest.raises(ImportError, match=r"varbump\[tensorboard\]"):
        history.to_tensorboard(tmp_path)
