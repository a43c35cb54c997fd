"""Programs are compiled once for a structure, and for nothing else that a user may change."""

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import varbump as vb
from varbump.core.keras import keras
from varbump.forward import programs as module

X = np.linspace(-1, 1, 90)[:, None]
Y = X**3
MEAN_FIELD = vb.posteriors.MeanFieldNormal()


@pytest.fixture(autouse=True)
def _nothing_held():
    vb.clear_programs()
    yield
    vb.clear_programs()


def network(seed=0, **options):
    return vb.build_network(1, hidden_units=(4,), make_posterior_fn=MEAN_FIELD, seed=seed, **options)


def train(model=None, num_data=90, likelihood=None, **options):
    model = model or network()
    options = {"epochs": 3, "batch_size": 40, "seed": 0, "verbose": 0, **options}
    return model, vb.fit(model, likelihood or vb.likelihoods.LearnedNormal(0.3), X[:num_data], Y[:num_data], **options)


def kinds():
    return [kind for kind, *_ in vb.programs().rows]


def test_another_network_other_data_and_other_values_share_a_program():
    train()
    train(network(seed=1), 89, epochs=5, seed=2, learning_rate=0.1, kl_warmup=0.5, schedule="constant", temperature=0.9)
    train(network(seed=2), 88, likelihood=vb.likelihoods.LearnedNormal(0.7, min_scale=0.01))
    assert kinds() == ["train"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 20},
        {"num_samples": 2},
        {"patience": 5},
        {"sample_weight": np.ones(90)},
        {"optimizer": "sgd"},
        {"likelihood": lambda: vb.likelihoods.Normal(0.3)},
        {"model": lambda: network(activation="tanh")},
        {"model": lambda: network(make_prior_fn=vb.priors.Normal(2.0))},
        {"model": lambda: network(estimator="local")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_the_computation_compiles_another(change):
    train()
    train(**{name: value() if callable(value) else value for name, value in change.items()})
    assert kinds() == ["train", "train"]


@pytest.mark.slow
def test_patience_and_learning_rates_of_optimizers_are_values():
    train(patience=2)
    train(patience=7)
    train(optimizer=keras.optimizers.Adam(0.1))
    train(optimizer=keras.optimizers.Adam(0.2))
    assert kinds() == ["train", "train"]


def test_the_first_prediction_of_another_network_compiles_nothing():
    first = vb.predict_f(network(0), X, num_draws=5, seed=0)
    held = kinds()
    second = vb.predict_f(network(1), X, num_draws=5, seed=0)
    assert kinds() == held
    assert not np.array_equal(first, second)


@pytest.mark.slow
def test_a_shared_program_gives_what_one_of_its_own_gives():
    model, _ = train(network(seed=1))
    own = vb.predict_f(model, X, num_draws=5, seed=0)
    vb.clear_programs()
    train(network(seed=5), 89)
    vb.predict_f(network(seed=7), X, num_draws=5, seed=1)
    again, _ = train(network(seed=1))
    np.testing.assert_array_equal(vb.predict_f(again, X, num_draws=5, seed=0), own)


class Doubled(keras.layers.Layer):
    """A layer whose configuration does not say what it computes."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs


@pytest.mark.slow
def test_networks_that_cannot_be_described_compile_for_themselves():
    def made(factor):
        return keras.Sequential([keras.Input((1,)), Doubled(factor), network()])

    drawn = [vb.predict_f(made(factor), X, num_draws=2, seed=0) for factor in (1.0, 2.0)]
    assert len(kinds()) == 4  # two for each
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01


@vb.register("KeepsATensor")
class KeepsATensor(keras.layers.Layer):
    """A layer that is registered, and still holds something that is neither configuration nor variable."""

    def build(self, input_shape):
        self.kept = tf.constant(np.full((200, 1), self.start, "float32"))
        super().build(input_shape)

    def call(self, inputs):
        return inputs + self.kept[0]


@pytest.mark.slow
def test_names_of_layers_and_functions_are_not_what_is_computed():
    def made(name, activation):
        dense = keras.layers.Dense(3, activation, kernel_initializer="ones", name=name)
        return keras.Sequential([keras.Input((1,)), dense, keras.layers.Dense(1, kernel_initializer="ones")])

    def tanh(x):
        return 2.0 * x

    drawn = [
        vb.predict_f(made(name, activation), X, num_draws=1, seed=0)[0, -1, 0]
        for name, activation in [("tanh", "tanh"), ("relu", "relu"), ("tanh", tanh)]
    ]
    np.testing.assert_allclose(drawn, [3 * np.tanh(1.0), 3.0, 6.0], rtol=1e-6)


@pytest.mark.slow
def test_a_tensor_that_is_no_argument_is_not_shared():
    def made(start):
        layer = KeepsATensor()
        layer.start = np.float32(start)
        return keras.Sequential([keras.Input((1,)), layer, network()])

    first, second = (vb.predict_f(made(start), X, num_draws=2, seed=0) for start in (0.0, 5.0))
    assert np.abs(first - second).max() > 0.1


class Shifted(vb.likelihoods.Normal):
    """A likelihood that somebody gives an attribute after it is made."""

    shift = 0.0

    def nll(self, y, f):
        return super().nll(y, f + self.shift)


@pytest.mark.slow
def test_attributes_of_ones_own_likelihood_are_seen():
    losses = []
    for shift in (0.0, 5.0):
        likelihood = Shifted(0.3)
        likelihood.shift = shift
        losses.append(train(likelihood=likelihood)[1].history["nll"][-1])
    assert abs(losses[0] - losses[1]) > 1.0


def stack(*layers, seed=0):
    return keras.Sequential([keras.Input((1,)), *layers, vb.build_network(2, hidden_units=(),
                                make_posterior_fn=MEAN_FIELD, seed=seed)])  # fmt: skip


def dense(**options):
    return keras.layers.Dense(2, kernel_initializer="ones", **options)


def alone_and_after(make, other, **options):
    """Weights after a fit that compiles for itself, and after one that could have shared a program with another."""
    alone = train(make(), **options)[0].get_weights()
    vb.clear_programs()
    train(other(), **options)
    return alone, train(make(), **options)[0].get_weights()


def with_loss(weight):
    model = stack(dense())
    model.add_loss(lambda: weight * tf.reduce_sum(model.layers[0].kernel ** 2))
    return model


def frozen_batch_norm(trainable):
    layer = keras.layers.BatchNormalization()
    model = stack(dense(), layer)
    layer.trainable = trainable
    return model


PAIRS = {
    "trainable": (lambda: stack(dense(trainable=False), dense()), lambda: stack(dense(), dense(trainable=False))),
    "batch normalisation": (lambda: frozen_batch_norm(True), lambda: frozen_batch_norm(False)),
    "add_loss": (lambda: with_loss(10.0), lambda: with_loss(0.0)),
    "penalty": (
        lambda: stack(dense(), keras.layers.Activation("relu", activity_regularizer=keras.regularizers.L2(1.0))),
        lambda: stack(dense(), keras.layers.Activation("relu")),
    ),
    "partial": (
        lambda: stack(dense(activation=partial(tf.nn.leaky_relu, alpha=0.1))),
        lambda: stack(dense(activation=partial(tf.nn.leaky_relu, alpha=0.9))),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_what_no_configuration_says_is_not_shared(pair):
    for alone, after in zip(*alone_and_after(*pair), strict=True):
        np.testing.assert_array_equal(alone, after)


@pytest.mark.slow
def test_an_attribute_that_is_changed_is_noticed():
    dropout = keras.layers.Dropout(0.9)
    model = stack(dense(), dropout)
    start = model.get_weights()
    train(model)
    model.set_weights(start)
    dropout.rate = 0.0
    changed = train(model)[1].history["nll"]
    vb.clear_programs()
    assert changed == train(stack(dense(), keras.layers.Dropout(0.0)))[1].history["nll"]


@pytest.mark.slow
@pytest.mark.parametrize("make", [keras.optimizers.Nadam, lambda rate: keras.optimizers.Adam(
    rate, use_ema=True, ema_overwrite_frequency=2)], ids=["Nadam", "moving averages"])  # fmt: skip
def test_optimizers_with_conditions_and_variables_of_their_own(make):
    first, second = (train(stack(dense()), optimizer=make(0.01))[0].get_weights() for _ in "ab")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()


@pytest.mark.slow
def test_an_optimizer_of_other_weights_is_refused():
    optimizer = keras.optimizers.SGD(0.01)
    train(optimizer=optimizer)
    with pytest.raises(ValueError, match="optimizer has been used for other weights"):
        train(optimizer=optimizer)


class ReadsInside(keras.layers.Layer):
    """A layer with a graph of its own, traced before the training."""

    def build(self, input_shape):
        self.factor = self.add_weight(name="factor", shape=(), initializer="ones")
        self._graph = tf.function(lambda x: self.factor * x)
        self._graph(tf.zeros([1, 1]))
        super().build(input_shape)

    def call(self, inputs):
        return self._graph(inputs[:1]) + inputs


@pytest.mark.slow
def test_a_weight_that_is_read_past_its_value_is_named():
    with pytest.raises(TypeError, match=r"factor.* read inside of a tf.function"):
        train(keras.Sequential([keras.Input((1,)), ReadsInside(), network()]))


def own_prior(scale):
    @vb.register("ProgramsOwnPrior")
    class Own(vb.priors.Prior):
        def distribution(self, scales):
            return tfd.Normal(0.0, scale * scales)

    return Own


@pytest.mark.slow
def test_registered_priors_are_shared_by_class_and_attributes():
    def kl(prior):
        return train(network(make_prior_fn=prior(scale=0.5)))[1].history["kl"][-1]

    narrow = own_prior(1.0)
    losses = [kl(narrow), kl(narrow)]
    assert kinds() == ["train"]
    losses.append(kl(own_prior(10.0)))  # takes the name of the first, as where a notebook cell is run twice
    assert kinds() == ["train", "train"]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.slow
def test_the_least_recently_used_goes(monkeypatch):
    monkeypatch.setattr(module, "MAX_PROGRAMS", 2)
    vb.predict_f(network(), X, num_draws=2, seed=0)
    train()
    assert kinds() == ["evaluate draws", "train"]


@pytest.mark.slow
def test_threads_compile_once():
    models = [network(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda model: vb.predict_f(model, X, num_draws=3, seed=0), models))
    assert sorted(kinds()) == ["draw weights", "evaluate draws"]
    for model, f in zip(models, drawn, strict=True):
        np.testing.assert_array_equal(vb.predict_f(model, X, num_draws=3, seed=0), f)


@pytest.mark.slow
def test_it_prints_as_a_table():
    train()
    assert "train" in str(vb.programs())
    assert len(vb.programs()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        "Dropout",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("GaussianDropout", "AlphaDropout", "GaussianNoise")),
    ],
)
def test_random_layers_of_keras_are_a_function_of_the_seed(layer):
    def fitted(seed):
        made = getattr(keras.layers, layer)(0.2)
        model = keras.Sequential([keras.Input((1,)), network(num_outputs=4), made, network_of_four()])
        train(model, seed=seed)
        return model.get_weights()[0]

    def network_of_four():
        return vb.build_network(4, hidden_units=(), make_posterior_fn=MEAN_FIELD, seed=3)

    first, again, other = fitted(0), fitted(0), fitted(1)
    np.testing.assert_array_equal(first, again)
    vb.clear_programs()
    np.testing.assert_array_equal(first, fitted(0))
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_cross_validation_compiles_once_for_each_number_of_folds():
    from sklearn.model_selection import cross_val_score

    generator = np.random.default_rng(0)
    features, target = generator.normal(size=(300, 3)), generator.normal(size=300)
    for folds in (3, 5, 10):
        cross_val_score(
            vb.VariationalRegressor((4,), likelihood="normal", embedding=None, max_iter=2, random_state=0),
            features,
            target,
            cv=folds,
        )
    assert kinds().count("train") == 3


VALUES = textwrap.dedent("""
    import json, os, sys
    import numpy as np, varbump as vb

    def modules():
        return len([name for name in os.listdir(sys.argv[1]) if "after_optimizations.txt" in name])

    def run(num_data, seed, epochs, min_scale, patience, rate):
        x = np.linspace(-1, 1, num_data)[:, None]
        model = vb.build_network(1, hidden_units=(4,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=seed)
        likelihood = vb.likelihoods.LearnedNormal(0.5, min_scale=min_scale)
        vb.fit(model, likelihood, x, x, epochs=epochs, batch_size=40, learning_rate=rate, patience=patience, seed=seed,
               verbose=0)
        vb.predict_f(model, x[:50], num_draws=4, seed=seed)

    counts = []
    for arguments in [(90, 0, 3, 0.01, 5, 0.1), (89, 1, 4, 0.02, 6, 0.01), (88, 2, 400, 0.03, 7, 0.03)]:
        run(*arguments)
        counts.append(modules())
    print(json.dumps(counts))
""")


@pytest.mark.slow
def test_no_value_is_compiled_into_a_program(tmp_path):
    """XLA writes each program that it compiles into a folder: other values must add none."""
    flags = f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    command = [sys.executable, "-c", VALUES, str(tmp_path)]
    result = subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True, check=True)
    first, *others = json.loads(result.stdout.splitlines()[-1])
    assert first > 0
    assert others == [first, first]


MEMORY = textwrap.dedent("""
    import gc, json
    import numpy as np, varbump as vb

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 2**20

    x, sizes = np.linspace(-1, 1, 200)[:, None], []
    for seed in range(60):
        model = vb.build_network(1, make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=seed)
        vb.fit(model, vb.likelihoods.Normal(0.3), x, x**3, epochs=20, seed=seed, verbose=0)
        vb.predict_f(model, x, seed=seed)
        gc.collect()
        sizes.append(resident())
    print(json.dumps(sizes))
""")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory of a process as Linux tells it")
def test_fits_of_one_structure_do_not_grow_the_process():
    result = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    sizes = json.loads(result.stdout.splitlines()[-1])
    assert sizes[-1] - sizes[9] <= 20  # MB, of some 1,000
