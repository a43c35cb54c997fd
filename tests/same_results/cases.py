"""A registry of eleven short runs, whose numbers must not change.

Each case takes about 50 steps on a small table, through the public names of the package only, and returns what it ends
with: history, some weights, some predictions. Together they visit each family, estimator, likelihood and prior, most
options of `varbump.fit`, and the ways to predict. All random numbers are seeded, so that neither the order of the cases
nor TensorFlow's global seed matters.
"""

import numpy as np

import varbump as vb
from varbump.core.keras import keras

FLOAT64 = frozenset({"joint_normal_tanh_float64", "importance_float64"})
"""Cases whose networks compute in double precision."""


def table(num_rows, num_features, num_targets=1):
    """Noisy smooth functions of the features: x (N, D), y (N, Q)."""
    generator = np.random.default_rng(num_rows + 1000 * num_features)
    x = generator.normal(size=(num_rows, num_features))
    y = np.sin(x @ generator.normal(size=(num_features, num_targets))) + 0.3 * x[:, :1]
    return x, y + 0.1 * generator.normal(size=y.shape)


def five_rows(num_features):
    """Rows to predict at, the outer ones beyond most of the data."""
    return np.linspace(-2.5, 2.5, 5 * num_features).reshape(5, num_features)


def history_of(history):
    """The terms of the loss by epoch."""
    names = ("loss", "nll", "kl", "val_loss", "val_nll")
    return {name: np.array(history.history[name]) for name in names if name in history.history}


def first_weights(network):
    """The first two entries of each weight of a network, in the order of `get_weights`."""
    return np.concatenate([weight.ravel()[:2] for weight in network.get_weights()])


def fitted(network, history, num_features, num_draws=3, likelihood=None):
    """What a fit leaves behind: its history, weights, and three functions."""
    f = vb.predict_f(network, five_rows(num_features), likelihood=likelihood, num_draws=num_draws, seed=7)
    return {**history_of(history), "weights": first_weights(network), "f": f}


def mean_field():
    """Batches of equal size, one draw for all rows; everything else as it is by default."""
    x, y = table(64, 1)
    network = vb.build_network(1, hidden_units=(8, 8), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=1)
    history = vb.fit(network, vb.likelihoods.Normal(0.2), x, y, epochs=12, batch_size=16, seed=1, verbose=0)
    return fitted(network, history, 1)


def full_covariance_uneven_batches():
    """50 rows in batches of 13 and 12, two targets, a constant rate, and a KL that is cold and not warmed up."""
    x, y = table(50, 2, num_targets=2)
    network = vb.build_network(2, hidden_units=(6,), num_outputs=2, make_posterior_fn=vb.posterior, seed=2)
    options = {"learning_rate": 0.02, "schedule": "constant", "kl_warmup": 0.0, "temperature": 0.5}
    likelihood = vb.likelihoods.Normal(0.3)
    history = vb.fit(network, likelihood, x, y, epochs=12, batch_size=16, seed=2, verbose=0, **options)
    return fitted(network, history, 2)


def joint_normal_tanh_float64():
    """One covariance over all layers, in double precision, with the ELBO of the draws at the end."""
    x, y = table(48, 2)
    network = vb.build_network(
        2,
        hidden_units=(6,),
        activation="tanh",
        make_posterior_fn=vb.posteriors.JointNormal(scale=0.1),
        make_prior_fn=vb.priors.Normal(1.5, fan_in=True),
        seed=3,
        dtype="float64",
    )
    likelihood = vb.likelihoods.Normal(0.2)
    history = vb.fit(network, likelihood, x, y, epochs=16, batch_size=16, seed=3, verbose=0)
    estimate = vb.estimate_elbo(network, likelihood, x, y, num_draws=4, seed=3)
    return {**fitted(network, history, 2), "elbo": np.array([estimate.elbo, estimate.nll, estimate.kl])}


def low_rank_local():
    """Outputs that are drawn row by row, and learned scales of the noise and of the prior."""
    x, y = table(60, 2)
    network = vb.build_network(
        2,
        hidden_units=(8,),
        make_posterior_fn=vb.posteriors.LowRankNormal(rank=2),
        make_prior_fn=vb.priors.TrainableNormal(fan_in=True),
        estimator="local",
        seed=4,
    )
    likelihood = vb.likelihoods.LearnedNormal(0.5)
    history = vb.fit(network, likelihood, x, y, epochs=12, batch_size=15, seed=4, verbose=0)
    return {**fitted(network, history, 2), "scale": likelihood.scale}


def mean_field_flipout_ard():
    """Weighted rows, two draws a step with signs of their own for each row, and a prior that learns relevance."""
    x, y = table(45, 3)
    network = vb.build_network(
        3,
        hidden_units=(6,),
        make_posterior_fn=vb.posteriors.MeanFieldNormal(),
        make_prior_fn=vb.priors.ARDNormal(fan_in=True),
        estimator="flipout",
        seed=5,
    )
    options = {"sample_weight": np.random.default_rng(5).uniform(0.5, 2.0, len(x)), "num_samples": 2}
    likelihood = vb.likelihoods.Normal(0.3)
    history = vb.fit(network, likelihood, x, y, epochs=12, batch_size=12, seed=5, verbose=0, **options)
    report = vb.parameter_report(network, num_data=len(x))
    return {**fitted(network, history, 3), "relevance": np.asarray(report.relevance)}


def heteroscedastic_patience():
    """Early stopping by validation data, after which the network holds the best epoch."""
    x, y = table(70, 1)
    likelihood = vb.likelihoods.HeteroscedasticNormal(0.2, beta=0.5)
    network = vb.build_network(
        1,
        hidden_units=(8,),
        likelihood=likelihood,
        make_posterior_fn=vb.posteriors.MeanFieldNormal(),
        make_prior_fn=vb.priors.Laplace(0.5),
        seed=6,
    )
    options = {"learning_rate": 0.1, "schedule": lambda fraction: 1.0 - 0.5 * fraction, "patience": 3}
    history = vb.fit(
        network,
        likelihood,
        x[:40],
        y[:40],
        epochs=25,
        batch_size=20,
        validation_data=(x[40:], y[40:]),
        seed=6,
        verbose=0,
        **options,
    )
    result = fitted(network, history, 1, likelihood=likelihood)
    y_drawn = vb.predict_y(network, likelihood, five_rows(1), num_draws=2, seed=8)
    return {**result, "best_epoch": history.best_epoch, "y": y_drawn}


def bump_scale_mixture_student_t():
    """A trainable activation, a KL that is estimated from the draw, and heavy tails."""
    x, y = table(56, 2)
    network = vb.build_network(
        2,
        hidden_units=(6,),
        activation=vb.layers.Bump(trainable_height=True),
        make_posterior_fn=vb.posteriors.MeanFieldNormal(),
        make_prior_fn=vb.priors.ScaleMixtureNormal(narrow_scale=0.1),
        seed=7,
    )
    likelihood = vb.likelihoods.StudentT(0.5, learn_df=True)
    history = vb.fit(network, likelihood, x, y, epochs=12, batch_size=14, seed=7, verbose=0)
    y_drawn = vb.predict_y(network, likelihood, five_rows(2), num_draws=2, seed=8)
    return {**fitted(network, history, 2), "noise": np.array([likelihood.scale, likelihood.df]), "y": y_drawn}


def keras_layers_and_optimizer():
    """Layers and an optimiser of Keras, with a penalty and moving averages, around one variational layer."""
    x, y = table(64, 2)
    network = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(
                8,
                "tanh",
                kernel_initializer=keras.initializers.GlorotUniform(seed=8),
                kernel_regularizer=keras.regularizers.L2(1e-2),
            ),
            keras.layers.BatchNormalization(momentum=0.9),
            vb.layers.DenseVariational(1, vb.posteriors.FullCovarianceNormal(), vb.priors.Normal(), seed=8),
        ]
    )
    optimizer = keras.optimizers.RMSprop(learning_rate=0.01)
    likelihood = vb.likelihoods.Normal(0.3)
    history = vb.fit(network, likelihood, x, y, epochs=12, batch_size=16, optimizer=optimizer, seed=8, verbose=0)
    return fitted(network, history, 2)


def ensemble():
    """Three members at once, each with a noise of its own, and the bands of all together."""
    x, y = table(60, 1)
    network = vb.build_network(1, hidden_units=(8,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=9)
    likelihood = vb.likelihoods.LearnedNormal(0.5)
    options = {"epochs": 12, "batch_size": 15, "learning_rate": 0.02, "seed": 9, "verbose": 0}
    members = vb.fit_ensemble(network, likelihood, x, y, num_members=3, **options)
    weights = [first_weights(members.member(index)) for index in range(members.num_members)]
    bands = vb.predict_bands(members, five_rows(1), likelihood=likelihood, levels=(0.9,), num_draws=30, seed=9)
    return {
        **history_of(members.history),
        "weights": np.array(weights),
        "f": vb.predict_f(members, five_rows(1), num_draws=4, seed=7),
        "bands": np.stack([bands.mean, bands.sd, bands.lower[0.9], bands.upper[0.9]]),
    }


def regressor():
    """The estimator, from a table in units of its own to intervals in these units."""
    x, y = table(60, 3)
    x, y, at = 10.0 * x + 3.0, 100.0 * y[:, 0] - 20.0, 10.0 * five_rows(3) + 3.0
    options = {"max_iter": 25, "batch_size": 30, "n_draws": 20, "random_state": 10}
    model = vb.VariationalRegressor((8,), likelihood="normal", embedding=None, n_members=2, **options).fit(x, y)
    mean, std = model.predict(at, return_std=True)
    return {
        **history_of(model.history_),
        "weights": first_weights(model.network_),
        "mean": mean,
        "std": std,
        "interval": model.predict_interval(at, coverage=0.9),
        "sample_y": model.sample_y(at, n_samples=2, random_state=1),
        "noise_std": model.noise_std_,
    }


def importance_float64():
    """Candidates of an inducing point posterior, in double precision, and those that were chosen."""
    x, y = table(40, 2)
    network = vb.build_network(2, hidden_units=(4,), make_posterior_fn=vb.posterior, seed=11, dtype="float64")
    options = {"num_candidates": 4, "num_inducing": 6, "num_steps": 50, "num_samples": 1}
    draws = vb.sample_importance(
        network, vb.likelihoods.Normal(0.3), x, y, num_draws=5, learning_rate=0.02, seed=11, verbose=0, **options
    )
    return {
        **{name: values[::5] for name, values in history_of(draws.history).items()},
        "log_weights": draws.log_weights,
        "weights": np.concatenate([layer[:, :2] for layer in draws.weights], axis=1),
        "f": vb.predict_f(draws, five_rows(2), num_draws=3),
    }


CASES = {
    case.__name__: case
    for case in (
        mean_field,
        full_covariance_uneven_batches,
        joint_normal_tanh_float64,
        low_rank_local,
        mean_field_flipout_ard,
        heteroscedastic_patience,
        bump_scale_mixture_student_t,
        keras_layers_and_optimizer,
        ensemble,
        regressor,
        importance_float64,
    )
}
