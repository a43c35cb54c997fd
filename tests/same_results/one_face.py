"""What one Keras gives, in a process of its own: draws after 300 epochs, archives, and what archives predict.

Called with a folder, and with the folder of the other Keras to load the archives in it.
"""

import sys
from pathlib import Path

import numpy as np

import varbump as vb
from varbump.core.keras import keras

FAMILIES = ("mean_field", "low_rank", "full_covariance")

X, Y = vb.datasets.cubic(128, seed=0)
AT = np.linspace(-5.0, 5.0, 9)[:, None]


def trained(family):
    """A network after 300 epochs."""
    network = vb.build_network(1, hidden_units=(8, 8), posterior=family, seed=0)
    vb.fit(network, vb.likelihoods.Normal(3.0), X, Y, epochs=300, batch_size=32, seed=0, verbose=0)
    return network


def functional():
    """Layers of Keras and ours, connected by hand, of which one is called twice."""
    inputs = keras.Input((1,), name="x")
    twice = keras.layers.Dense(4, "tanh", kernel_initializer="ones", name="twice")
    hidden = keras.layers.LeakyReLU(0.1)(twice(keras.layers.Dense(1, kernel_initializer="ones")(inputs)))
    joined = keras.layers.Concatenate()([hidden, twice(inputs), vb.layers.Bump(trainable_height=True)(inputs)])
    return keras.Model(inputs, vb.layers.DenseVariational(1, vb.posteriors.MeanFieldNormal(), vb.prior, seed=0)(joined))


def plain():
    """A Sequential of plain layers, with a bump by its name."""
    layers, start = keras.layers, keras.initializers.RandomNormal(stddev=1.0, seed=0)
    network = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(4, "bump", kernel_initializer=start, kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.LayerNormalization(),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.PReLU(),
            layers.Dense(1, kernel_initializer=start),
        ]
    )
    network(AT)
    return network


def members():
    """An ensemble."""
    network = vb.build_network(1, hidden_units=(4,), posterior="mean_field", activation="gaussian_bump", seed=0)
    likelihood = vb.likelihoods.LearnedNormal(1.0)
    return vb.fit_ensemble(network, likelihood, X, Y, num_members=2, epochs=5, seed=0, verbose=0)


def regressor():
    """The estimator."""
    return vb.VariationalRegressor((4,), max_iter=20, embedding=None, random_state=0).fit(X, Y[:, 0])


def predicted(model):
    """Numbers that a model gives."""
    return model.predict(AT) if hasattr(model, "predict_dist") else vb.predict_f(model, AT, num_draws=3, seed=0)


def make(folder):
    """Write the draws and the archives."""
    networks = {family: trained(family) for family in FAMILIES}
    np.savez(folder / "draws.npz", **{k: vb.predict_f(v, AT, num_draws=50, seed=1) for k, v in networks.items()})
    models = {**networks, "functional": functional(), "plain": plain(), "members": members(), "regressor": regressor()}
    for name, model in models.items():
        vb.save(model, folder / f"{name}.varbump")
    np.savez(folder / "predicted.npz", **{name: predicted(model) for name, model in models.items()})


def load(folder, other):
    """Predict with the archives of the other Keras."""
    found = {path.stem: predicted(vb.load(path)) for path in sorted(other.glob("*.varbump"))}
    np.savez(folder / "loaded.npz", **found)


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]]
    (make if len(folders) == 1 else load)(*folders)
