"""The Keras that is not in use, whose objects are refused, and tests that hold for one Keras only."""

import importlib

import pytest
import tensorflow_probability as tfp

import varbump as vb
from varbump.core.keras import FACE

other = importlib.import_module("keras" if FACE == 2 else "tf_keras")

REFUSED = "is a Keras 3 object.*import tf_keras" if FACE == 2 else "is a Keras 2 object.*instead of tf_keras"
"""Pattern of the sentence that says so."""

STOCK = tfp.layers.DenseVariational if FACE == 2 else vb.layers.DenseVariational
"""The layer of TFP, for tests of models that Keras trains; ours under Keras 3, where there is none of TFP."""

TFP_LAYERS = "layers of TensorFlow Probability"
"""Reason for what Keras 3 has none of."""

SAVED_MODELS = "models and weights that Keras saves in the formats of TensorFlow"
"""Reason for what Keras 3 writes by `export` only, and does not read."""

BY_NAME = "activations by name that no layer holds"
"""Reason for what Keras 3 makes a layer at once."""

SCRIPTS = "experiments that import `tf_keras`"
"""Reason for what is written for Keras 2."""


def only_keras2(why):
    """Mark a test, or a case of one, that holds for tf_keras only; `why` is in the table of docs/howto/keras3.md."""
    return pytest.mark.skipif(FACE != 2, reason=f"Keras 2 only: {why}")
