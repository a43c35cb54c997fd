"""Each fault is planted in stock layers under Keras fit, and the term, the layer and the step are named."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import STOCK, TFP_LAYERS, only_keras2

import varbump as vb
from varbump.core.keras import keras

tfd, layers = tfp.distributions, tfp.layers
X, Y = vb.datasets.cubic(64, seed=0)
MEAN_FIELD = vb.posteriors.MeanFieldNormal()


def stock(num_outputs=1, posterior=MEAN_FIELD, units=8, prior=vb.prior):
    shared = {"make_posterior_fn": posterior, "make_prior_fn": prior, "kl_weight": 1 / 64, "kl_use_exact": True}
    first = STOCK(units, activation="relu", name="first", **shared)
    return keras.Sequential([keras.Input((1,)), first, STOCK(num_outputs, name="head", **shared)])


def raw_nll(y, outputs):
    return -tfd.Normal(outputs[..., :1], tf.nn.softplus(outputs[..., 1:])).log_prob(y)


def guarded(model, loss, x=X, y=Y, optimizer="adam", epochs=2, **options):
    model.compile(optimizer, loss, **options)
    model.fit(x, y, epochs=epochs, batch_size=16, verbose=0, callbacks=[vb.NanGuard()])


def variable(model, layer, name):
    (found,) = [v for v in model.get_layer(layer).variables if name in v.name]
    return found


def finite(model):
    return all(np.all(np.isfinite(v.numpy())) for v in model.variables)


@pytest.mark.slow
def test_huge_targets_are_the_likelihood():
    model = stock()
    y = Y.copy()
    y[40] = 1e20
    before = [v.numpy() for v in model.variables]
    with pytest.raises(vb.NonFiniteLossError, match="the likelihood went first") as error:
        guarded(model, "mse", y=y)
    assert (error.value.epoch, error.value.layer) == (1, "head")
    assert error.value.blame.operation in ("SquaredDifference", "Square")  # of Keras 2, of Keras 3
    assert set(error.value.activations) == {"first", "head"}
    assert 1 <= error.value.step <= 4
    assert finite(model)
    if error.value.step == 1:
        for value, v in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(value, v.numpy())


@pytest.mark.slow
def test_data_that_are_nan_are_no_fault_of_a_layer():
    with pytest.raises(vb.NonFiniteLossError, match="The data of that step hold nan or infinity") as error:
        guarded(stock(), "mse", y=Y * np.nan)
    assert error.value.layer is None
    assert "Drop the rows" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("per_execution", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_the_scale_of_the_head(per_execution):
    model = stock(2)
    loc = variable(model, "head", "loc")
    loc.assign(tf.tensor_scatter_nd_update(loc, [[17]], [-60.0]))  # the bias of the raw scale: softplus(-60) = 9e-27
    with pytest.raises(vb.NonFiniteLossError, match="scale of the head, which layer 'head' predicts") as error:
        guarded(model, raw_nll, steps_per_execution=per_execution)
    assert (error.value.culprit, error.value.layer, error.value.step) == ("scale", "head", 1)
    assert error.value.weight.startswith("head/")
    assert error.value.scales["softplus of head"][0] < 1e-20
    assert "floor under the scale" in str(error.value)
    assert finite(model)


@pytest.mark.parametrize("raw", [-200.0, pytest.param(1e30, marks=[pytest.mark.slow, only_keras2(TFP_LAYERS)])])
def test_the_kl(raw):
    model = stock()
    variable(model, "first", "raw_scale").assign(tf.fill([16], raw))  # softplus(-200) = 0; 1e30 overflows when squared
    with pytest.raises(vb.NonFiniteLossError, match="the KL went first") as error:
        guarded(model, "mse")
    assert error.value.layer == "first"
    assert "raw_scale" in error.value.weight
    assert "smaller scale" in str(error.value)


def test_the_gradient_of_an_unsafe_where():
    class Unsafe(keras.layers.Layer):
        def build(self, shape):
            self.sigma = self.add_weight(name="sigma", shape=(), initializer=keras.initializers.Constant(0.5))

        def call(self, x):
            return tf.where(tf.abs(x) < self.sigma, tf.exp(-self.sigma / (self.sigma - x**2)), 0.0)

    model = keras.Sequential([keras.Input((1,)), Unsafe(name="unsafe"), keras.layers.Dense(1)])
    x = np.full((64, 1), 0.7075, "float32")  # exp(893) in the branch that is not taken
    with pytest.raises(vb.NonFiniteLossError, match="gradient of unsafe/sigma went first") as error:
        guarded(model, "mse", x=x)
    assert (error.value.layer, error.value.blame.operation) == ("unsafe", "Exp")
    assert "in a branch of the tf.where" in str(error.value)
    assert finite(model)


@pytest.mark.parametrize(
    ("function", "operation", "said"),
    [
        (lambda z: tf.math.log(tf.nn.relu(z)), "Log", "Log in layer 'fault' gave -inf of an input of 0."),
        (lambda z: tf.math.log(z - 50.0), "Log", r"Log in layer 'fault' gave nan of an input of -5\d"),
        (lambda z: z / (0.0 * z), "RealDiv", "RealDiv in layer 'fault' gave nan of an input of -?0."),
        (lambda z: tf.math.xlogy(1.0, z - 50.0), "Xlogy", r"Xlogy in layer 'fault' gave nan of an input of -5\d"),
        (lambda z: tf.math.reciprocal(tf.minimum(z, 0.0)), "Reciprocal", r"gave -?inf of an input of -?0\. L"),
    ],
)
def test_inputs_outside_of_what_an_operation_takes(function, operation, said):
    dense = keras.layers.Dense(4, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), dense, keras.layers.Lambda(function, name="fault")])
    with pytest.raises(vb.NonFiniteLossError, match=said) as error:
        guarded(model, "mse")
    assert (error.value.layer, error.value.blame.operation) == ("fault", operation)
    assert "Keep that input positive" in str(error.value)


def test_a_training_that_diverges():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)])
    with pytest.raises(vb.NonFiniteLossError, match="The training diverges: lower the learning rate"):
        guarded(model, "mse", y=100 * Y, optimizer=keras.optimizers.SGD(10.0), epochs=20)


@pytest.mark.slow
def test_a_gradient_whose_square_overflows_is_caught_while_it_is_finite():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    with pytest.raises(vb.NonFiniteLossError, match="gradient of only/") as error:
        guarded(model, lambda y, f: 1e20 * tf.abs(f - y))
    assert finite(model)
    assert error.value.layer == "only"


@pytest.mark.slow
def test_the_replay_takes_the_very_draw_of_the_step():
    # one in about three batches has a negative draw, whose log is nan: the replay can only see it with the same draw
    class Drawn(keras.layers.Layer):
        def call(self, x):
            return x * tf.math.log(tf.random.normal([]) + 0.5)

    for _ in range(3):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), Drawn(name="drawn")])
        with pytest.raises(vb.NonFiniteLossError) as error:
            guarded(model, "mse", epochs=20)
        assert (error.value.layer, error.value.blame.operation) == ("drawn", "Log")


def test_a_healthy_training_is_the_same_with_and_without():
    losses = []
    for callbacks in ([], [vb.NanGuard()]):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        losses.append(model.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks).history["loss"])
        assert "train_step" not in model.__dict__
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_a_quiet_guard_stops_and_keeps_what_happened():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    model.compile("sgd", "mse")
    guard = vb.NanGuard(raises=False)
    history = model.fit(X, Y * 1e30, epochs=5, verbose=0, callbacks=[guard])
    assert len(history.history["loss"]) == 1
    assert guard.error.epoch == 1
    assert guard.blame.term == "likelihood"
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[guard])  # the same guard again
    assert guard.error is None


@pytest.mark.slow
def test_a_fit_that_ends_by_another_error_gives_the_step_back():
    def rows():
        yield X[:16], Y[:16]
        raise OSError("the disk is gone")

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    shapes = tf.TensorSpec((16, 1)), tf.TensorSpec((16, 1))
    rows_of = tf.data.Dataset.from_generator(rows, output_signature=shapes)
    with pytest.raises(tf.errors.UnknownError, match="the disk is gone"):
        model.fit(rows_of, shuffle=False, verbose=0, callbacks=[vb.NanGuard()])
    assert "train_step" not in model.__dict__
    assert model.train_function is None


@pytest.mark.slow
def test_eager_training_is_stopped_too():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(vb.NonFiniteLossError, match="epoch 1, step 1"):
        guarded(model, "mse", y=Y * 1e30, run_eagerly=True)
    assert finite(model)


@pytest.mark.slow
def test_the_step_is_known_under_xla_too():
    model = stock()
    y = Y.copy()
    y[20] = 1e20
    model.compile("adam", "mse", jit_compile=True)
    guard = vb.NanGuard(raises=False)
    history = model.fit(X, y, batch_size=16, epochs=3, shuffle=False, verbose=0, callbacks=[guard])
    assert (guard.error.epoch, guard.error.step, len(history.history["loss"])) == (1, 2, 1)
    assert finite(model)


@pytest.mark.slow
def test_no_validation_of_an_epoch_that_failed():
    model, tried = stock(), []
    model.compile("adam", "mse")
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: tried.append("epoch"))
    count.on_test_batch_end = lambda *_: tried.append("validation")
    y = np.where(np.arange(64)[:, None] < 16, 1e30, Y)
    options = {"batch_size": 16, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
    with pytest.raises(vb.NonFiniteLossError, match="epoch 1, step 1 of 4"):
        model.fit(X, y, callbacks=[vb.NanGuard(), count], **options)
    assert tried == []
    assert int(model.optimizer.iterations) == 0  # nor any further step


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_false_alarm(seed):
    keras.utils.set_random_seed(seed)
    model = stock()
    guarded(model, vb.likelihoods.Normal(0.3), epochs=10)


@pytest.mark.slow
def test_diagnose_nan_tries_and_puts_everything_back():
    model = stock()
    before = [v.numpy() for v in model.variables]
    y = Y.copy()
    y[7] = 1e25
    report = vb.diagnose_nan(model, X, y, loss="mse", epochs=1)
    assert (report.term, report.layer, report.epoch, report.ok) == ("likelihood", "head", 1, False)
    assert "Scale x and y" in str(report)
    healthy = vb.diagnose_nan(model, X, Y, loss="mse", epochs=1)
    assert healthy.ok
    assert healthy.findings == []
    assert "stayed finite for 2 steps" in str(healthy)
    for value, v in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, v.numpy())


@pytest.mark.slow
def test_diagnose_nan_of_weights_that_are_lost_already():
    model = stock()
    variable(model, "head", "loc").assign(tf.fill([9], np.nan))
    report = vb.diagnose_nan(model, X, Y, loss="mse")
    assert (report.term, report.layer, report.weight) == ("weight", "head", "loc")


@only_keras2(TFP_LAYERS)
@pytest.mark.slow
def test_the_network_that_people_stumble_over():
    from test_experiments import load

    script = load("nan_loss")
    x, y = vb.datasets.cubic(5000, seed=0)
    keras.utils.set_random_seed(0)
    shared = {"make_posterior_fn": script.stock_posterior, "make_prior_fn": script.stock_prior, "kl_weight": 1 / 5000}
    hidden = [layers.DenseVariational(16, activation="relu", **shared) for _ in range(2)]
    network = keras.Sequential([keras.Input((1,)), *hidden, layers.DenseVariational(2, name="head", **shared)])
    network.compile("adam", lambda y, outputs: -script.raw_head(outputs).log_prob(y))
    with pytest.raises(vb.NonFiniteLossError, match="scale of the head, which layer 'head' predicts"):
        network.fit(x, y, epochs=12, batch_size=32, verbose=0, callbacks=[vb.NanGuard()])
    assert finite(network)


@pytest.mark.slow
def test_fit_names_layer_weight_and_magnitudes():
    network = vb.build_network(hidden_units=(4,), make_posterior_fn=MEAN_FIELD, seed=0)
    y = Y.copy()
    y[3] = 1e25
    with pytest.raises(vb.NonFiniteLossError, match="the likelihood went first") as error:
        vb.fit(network, vb.likelihoods.Normal(0.3), X, y, epochs=2, seed=0, verbose=0)
    assert error.value.layer == "output"
    assert 0.01 < error.value.activations["dense_variational_0"] < 100.0
    assert "Largest activations" in str(error.value)
