import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import REFUSED, TFP_LAYERS, only_keras2, other

import varbump as vb
from varbump.core.keras import keras

LIKELIHOOD = vb.likelihoods.Normal(0.3)
MEAN_FIELD = vb.posteriors.MeanFieldNormal()


def data(num_data=100, num_features=1, num_outputs=1, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, num_features)).astype("float32")
    y = x @ generator.normal(size=(num_features, num_outputs)) + 0.3 * generator.normal(size=(num_data, num_outputs))
    return x, y.astype("float32")


def network(**options):
    options = {"hidden_units": (4,), "make_posterior_fn": MEAN_FIELD, "seed": 0, **options}
    return vb.build_network(**options)


def train(model, x, y, **options):
    return vb.fit(model, LIKELIHOOD, x, y, **{"epochs": 3, "seed": 0, "verbose": 0, **options})


def test_history_has_one_entry_an_epoch_and_adds_up():
    x, y = data()
    history = train(network(), x, y, epochs=7, kl_warmup=0.5)
    columns = history.history
    assert {len(values) for values in columns.values()} == {7}
    np.testing.assert_allclose(columns["loss"], np.array(columns["nll"]) + np.array(columns["kl"]) / 100, rtol=1e-6)
    assert columns["kl_weight"][-1] == 1.0
    assert columns["kl_weight"][0] < 0.5
    assert columns["learning_rate"][0] > columns["learning_rate"][-1]
    assert history.epoch == list(range(7))


@pytest.mark.slow
def test_recorded_kl_is_that_of_the_network():
    x, y = data()
    model = network(make_posterior_fn=vb.posterior)
    history = train(model, x, y)
    assert history.history["kl"][-1] == pytest.approx(vb.parameter_report(model).kl, rel=1e-5)


@pytest.mark.slow
def test_loss_comes_down():
    x, y = data(300)
    losses = train(network(), x, y, epochs=40).history["loss"]
    assert losses[-1] < losses[0] / 2


def test_same_seed_same_bits_other_seed_others():
    x, y = data()
    weights = []
    for seed in (3, 3, 4):
        model = network()
        train(model, x, y, epochs=5, seed=seed)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.slow
def test_how_epochs_are_grouped_into_calls_does_not_matter(monkeypatch):
    x, y = data()
    results = []
    for a_call in (5, 2):
        monkeypatch.setattr("varbump.inference.vi.loop.Loop._epochs_a_call", lambda loop, a_call=a_call: a_call)
        model = network()
        history = train(model, x, y, epochs=5)
        results.append((model.get_weights(), history.history["loss"]))
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)
    for first, second in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_noise_drawn_in_blocks_trains_every_step(monkeypatch):
    x, y = data()
    monkeypatch.setattr("varbump.inference.vi.loop.MAX_NOISE_BYTES", 3 * 13 * 4)  # three steps' worth
    losses = train(network(), x, y, epochs=30, batch_size=10).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_two_processes_agree_to_the_bit():
    script = textwrap.dedent("""
        import hashlib, numpy as np, varbump as vb
        x, y = vb.datasets.cubic(64)
        model = vb.build_network(hidden_units=(3,), seed=1)
        vb.fit(model, vb.likelihoods.Normal(), x, y, epochs=3, seed=2, verbose=0)
        f = vb.predict_f(model, x, num_draws=5, seed=3)
        print("digest", hashlib.sha256(b"".join(w.tobytes() for w in [*model.get_weights(), f])).hexdigest())
    """)
    outputs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert "digest" in outputs[0]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("num_features", "num_outputs", "batch_size"),
    [
        pytest.param(1, 1, 1, marks=pytest.mark.slow),
        pytest.param(3, 1, 7, marks=pytest.mark.slow),
        pytest.param(2, 3, 32, marks=pytest.mark.slow),
        pytest.param(1, 2, 1000, marks=pytest.mark.slow),
    ],
)
def test_any_widths_and_batch_sizes(num_features, num_outputs, batch_size):
    x, y = data(33, num_features, num_outputs)
    model = network(num_features=num_features, num_outputs=num_outputs)
    history = train(model, x, y, batch_size=batch_size, epochs=2)
    assert np.isfinite(history.history["loss"]).all()
    assert history.steps_per_epoch == -(-33 // min(batch_size, 33))


@pytest.mark.slow
def test_float64_networks_train_in_float64():
    x, y = data()
    model = network(dtype="float64", make_posterior_fn=vb.posterior)
    train(model, x, y)
    assert {w.dtype.name for w in model.trainable_variables} == {"float64"}
    assert vb.predict_f(model, x, num_draws=2).dtype == np.float64


@pytest.mark.slow
def test_one_dimensional_and_integer_arrays_are_taken():
    model = network()
    train(model, np.arange(20), np.arange(20))
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_batch_size_in_expectation():
    x, y = data(96, num_features=2)
    kls = []
    for batch_size in (8, 96):
        model = network(num_features=2, hidden_units=(), make_posterior_fn=vb.posterior)
        epochs = 60 * batch_size // 2
        kls.append(train(model, x, y, batch_size=batch_size, epochs=epochs).history["kl"][-1])
    # a KL scaled by the batch size would differ by log(12) = 2.5 nats in each of three weights
    assert kls[0] == pytest.approx(kls[1], abs=0.7)  # steps of 8 rows leave some tenths of noise


@pytest.mark.slow
def test_sample_weight_counts_rows_more_than_once():
    x, y = data(40)
    doubled = network(hidden_units=(), make_posterior_fn=vb.posterior)
    weighted = network(hidden_units=(), make_posterior_fn=vb.posterior)
    train(doubled, np.repeat(x, 2, 0), np.repeat(y, 2, 0), epochs=800, batch_size=80)
    train(weighted, x, y, sample_weight=np.full(40, 2.0), epochs=800, batch_size=40)
    first, second = doubled.layers[-1].posterior(None), weighted.layers[-1].posterior(None)
    # two stochastic optimisations of one objective: agreement to a small part of the posterior sd
    np.testing.assert_allclose(first.mean(), second.mean(), atol=0.2 * float(np.max(first.stddev())))
    np.testing.assert_allclose(first.stddev(), second.stddev(), rtol=0.05)


@pytest.mark.parametrize("optimizer", [pytest.param("rmsprop", marks=pytest.mark.slow), keras.optimizers.AdamW(0.01)])
def test_any_optimizer_of_keras(optimizer):
    x, y = data()
    losses = train(network(), x, y, epochs=20, optimizer=optimizer).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_built_in_adam_takes_the_steps_of_keras_adam():
    x, y = data()
    ours, theirs = network(), network()
    train(ours, x, y, learning_rate=0.01, schedule="constant")
    train(theirs, x, y, optimizer=keras.optimizers.Adam(0.01))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        # 12 steps of 0.01, far apart where they differ; epsilon stands inside the root here, which small gradients feel
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.slow
def test_learning_rate_schedules():
    x, y = data()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.02, 10, 0.5)
    rates = train(network(), x, y, learning_rate=schedule, epochs=4).history["learning_rate"]
    np.testing.assert_allclose(rates, [float(schedule(step)) for step in (3, 7, 11, 15)], rtol=1e-5)
    rates = train(network(), x, y, learning_rate=0.1, schedule=lambda t: 1 - t, epochs=2).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.1 * (1 - 3 / 8), 0.1 * (1 - 7 / 8)])


def test_patience_restores_the_best_weights():
    x, y = data(60)
    x_val, y_val = data(200, seed=1)
    model = network(hidden_units=(16,))
    history = train(
        model, x, y, epochs=400, validation_data=(x_val, y_val), patience=5, kl_warmup=0.0, learning_rate=0.05
    )
    losses = history.history["val_loss"]
    assert history.stopped == "patience"
    assert history.best_epoch == int(np.argmin(losses))
    assert len(losses) == history.best_epoch + 6
    # the KL is a function of the weights alone: the network holds those of the best epoch
    assert vb.parameter_report(model).kl == pytest.approx(history.history["kl"][history.best_epoch], rel=1e-5)


@pytest.mark.slow
def test_patience_does_not_count_while_the_kl_warms_up():
    x, y = data()
    history = train(network(), x, y, epochs=40, patience=1, kl_warmup=0.5, learning_rate=1e-6)
    assert len(history.epoch) > 20


@pytest.mark.usefixtures("_handles_ctrl_c")
def test_ctrl_c_keeps_the_last_finished_epoch(monkeypatch):
    monkeypatch.setattr("varbump.inference.vi.loop.Loop._epochs_a_call", lambda loop: 1)
    updates = []

    def update(self, *args):  # a timer could fire inside of the compiler, which swallows interrupts
        updates.append(args)
        if len(updates) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("varbump.core.progress.TrainingProgress.update", update)
    x, y = data()
    model = network()
    history = train(model, x, y, epochs=200)
    assert history.stopped == "interrupted"
    assert 3 <= len(history.epoch) < 200
    assert np.isfinite(np.concatenate([w.ravel() for w in model.get_weights()])).all()


@pytest.mark.slow
def test_a_loss_that_overflows_names_the_likelihood_and_leaves_finite_weights():
    x, y = data()
    model = network()
    before = model.get_weights()
    with pytest.raises(vb.NonFiniteLossError, match=r"epoch 1, step 1 of 4: the likelihood went first") as error:
        vb.fit(model, vb.likelihoods.Normal(1e-25), x, y, epochs=2, verbose=0)
    assert error.value.epoch == 1
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_is_named():
    @keras.saving.register_keras_serializable("test")
    def square_root(x):
        return tf.sqrt(0.0 * x)  # 0, with an infinite derivative times 0

    x, y = data()
    model = network(activation=square_root)
    with pytest.raises(vb.NonFiniteLossError, match="gradient of") as error:
        train(model, x, y)
    assert error.value.culprit.startswith("gradient of")
    assert np.isfinite(np.concatenate([w.ravel() for w in model.get_weights()])).all()


@pytest.mark.slow
def test_a_kl_that_is_not_finite_is_named():
    x, y = data()
    model = network(make_prior_fn=vb.priors.Normal(1e-25))
    with pytest.raises(vb.NonFiniteLossError, match="the KL went first"):
        train(model, x, y)


@pytest.mark.slow
def test_other_layers_of_keras_train_along():
    x, y = data(200, num_features=2)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(8, "relu", kernel_regularizer=keras.regularizers.L2(1e-4)),
            vb.layers.DenseVariational(1, vb.posterior, vb.prior),
        ]
    )
    before = model.layers[0].moving_mean.numpy()
    losses = train(model, x, y, epochs=30).history["loss"]
    assert losses[-1] < losses[0]
    assert not np.array_equal(before, model.layers[0].moving_mean.numpy())


@only_keras2(TFP_LAYERS)
def test_stock_tfp_layers_are_refused_with_what_to_use():
    x, y = data()
    model = keras.Sequential([tfp.layers.DenseVariational(1, vb.posterior, vb.prior, input_shape=(1,))])
    with pytest.raises(ValueError, match="use varbump.layers.DenseVariational"):
        train(model, x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TFP's own, on add_weight
        model = keras.Sequential([tfp.layers.DenseFlipout(1, input_shape=(1,))])
    with pytest.raises(ValueError, match="use varbump.layers.DenseVariational"):
        train(model, x, y)


def test_objects_of_the_other_keras_are_refused_with_what_to_import():
    x, y = data()
    with pytest.raises(TypeError, match=f"network {REFUSED}"):
        train(other.Sequential([other.layers.Dense(1)]), x, y)
    with pytest.raises(TypeError, match=f"optimizer {REFUSED}"):
        train(network(), x, y, optimizer=other.optimizers.Adam())


def with_entry(array, value):
    array = array.copy()
    array[3, 0] = value
    return array


X, Y = data()
BAD = {
    "nan in x": ({"x": with_entry(X, np.nan)}, r"x must be finite.*row 3, column 0"),
    "inf in y": ({"y": with_entry(Y, np.inf)}, r"y must be finite.*row 3"),
    "too large for float32": ({"y": with_entry(Y.astype(float), 1e300)}, "y must be finite in float32"),
    "lengths": ({"y": Y[:-1]}, "x has 100 rows but y has 99"),
    "width of x": ({"x": np.hstack([X, X])}, "x has 2 columns, but the network has 1 inputs"),
    "width of y": ({"y": np.hstack([Y, Y])}, "y has 2 columns, but the network has 1 outputs"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "x has no rows"),
    "objects": ({"x": X.astype(object)}, "x must hold numbers, got dtype object"),
    "strings": ({"y": np.full((100, 1), "a")}, "y must hold numbers"),
    "a scalar": ({"x": 1.0}, "x must have rows"),
    "batch size 0": ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
    "batch size 2.5": ({"batch_size": 2.5}, "batch_size must be an integer"),
    "epochs 0": ({"epochs": 0}, "epochs must be an integer"),
    "patience 0": ({"patience": 0}, "patience must be an integer"),
    "learning rate": ({"learning_rate": -1.0}, "learning_rate must be a finite number above 0"),
    "schedule": ({"schedule": "linear"}, "schedule must be"),
    "warm-up": ({"kl_warmup": 1.0}, "kl_warmup must be"),
    "two rates": ({"learning_rate": 0.1, "optimizer": "adam"}, "learning_rate belongs to"),
    "weights": ({"sample_weight": -np.ones(100)}, "sample_weight must not be negative"),
    "number of weights": ({"sample_weight": np.ones(99)}, "sample_weight has 99"),
    "masked": ({"y": np.ma.masked_array(Y, Y > 0)}, "y is a masked array"),
    "columns of weights": ({"sample_weight": np.ones((100, 2))}, "sample_weight must have one number a row"),
    "axes of y": ({"y": Y[..., None]}, "y has shape"),
    "seed": ({"seed": -1}, "seed must be an integer"),
    "schedule with nan": ({"schedule": lambda t: t * np.nan}, "schedule must give finite factors"),
    "rate as text": ({"learning_rate": "fast"}, "learning_rate must be a finite number"),
    "three of validation": ({"validation_data": (X, Y, Y)}, "validation_data must be a pair"),
    "validation": ({"validation_data": (X, Y[:-1])}, "validation x has 100 rows but validation y has 99"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    change, message = BAD[case]
    arguments = {"x": X, "y": Y, **change}
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        train(model, arguments.pop("x"), arguments.pop("y"), **arguments)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_monte_carlo_kl_trains_too():
    x, y = data()
    model = keras.Sequential(
        [
            keras.Input((1,)),
            vb.layers.DenseVariational(4, vb.posterior, vb.prior, kl_use_exact=False, activation="relu"),
            vb.layers.DenseVariational(1, vb.posterior, vb.prior, kl_use_exact=False),
        ]
    )
    losses = train(model, x, y, epochs=30).history["loss"]
    assert losses[-1] < losses[0]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = vb.layers.DenseVariational(1, vb.posterior, vb.prior, seed=0)

    def call(self, x):
        return self.out(x)


@pytest.mark.slow
def test_models_that_are_not_built_yet_are_built_from_the_data():
    x, y = data()
    deferred = keras.Sequential([vb.layers.DenseVariational(1, vb.posterior, vb.prior, seed=0)])
    for model in (Subclassed(), deferred):
        losses = train(model, x, y, epochs=30).history["loss"]
        assert losses[-1] < losses[0] / 2
        assert vb.predict_f(model, x, num_draws=3).shape == (3, 100, 1)
    assert vb.predict_f(Subclassed(), x, num_draws=3).shape == (3, 100, 1)


@pytest.mark.slow
def test_patience_without_validation_data_watches_the_training_loss():
    x, y = data()
    history = train(network(), x, y, epochs=40, patience=3, kl_warmup=0.0)
    best = int(np.argmin(history.history["loss"]))
    assert history.best_epoch == best > 0
    assert len(history.epoch) == (best + 4 if history.stopped else 40)


def test_networks_with_several_inputs_or_outputs_are_refused():
    x, y = data()
    inputs = keras.Input((1,))
    dense = [vb.layers.DenseVariational(1, vb.posterior, vb.prior)(inputs) for _ in range(2)]
    with pytest.raises(ValueError, match="network has 2 output tensors"):
        train(keras.Model(inputs, dense), x, y)


@pytest.mark.parametrize("likelihood", ["mse", None, vb.likelihoods.Normal, keras.losses.MeanSquaredError()])
def test_what_is_no_likelihood_is_refused(likelihood):
    x, y = data()
    with pytest.raises(TypeError, match="likelihood must be one of varbump.likelihoods"):
        vb.fit(network(), likelihood, x, y, epochs=1)


@pytest.mark.slow
def test_training_runs_eagerly_for_debugging():
    x, y = data(20)
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = train(network(), x, y, epochs=2, batch_size=10)
    finally:
        tf.config.run_functions_eagerly(False)
    assert np.isfinite(history.history["loss"]).all()


def test_options_are_described_without_indentation():
    """Python 3.13 takes the indentation of docstrings away, earlier versions do not: neither may lose an option."""
    text = vb.fit_ensemble.__doc__
    assert "\nkl_warmup : float" in text
    assert "\n    Fraction of the run over which the KL weight rises" in text
    assert "{options}" not in text
    assert text.index("\nParameters\n----------\n") < text.index("\nkl_warmup : ") < text.index("\nReturns\n-------\n")
