"""Each fault is planted, and found where it is; healthy models give no finding."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from other_keras import STOCK

import varbump as vb
from varbump.core.keras import keras

tfd = tfp.distributions
X = np.random.default_rng(0).uniform(-2, 2, (64, 1)).astype("float32")
Y = X**2


class Circulating(keras.layers.Layer):
    """A layer with one trainable sigma, as it circulates; `how` is the version."""

    def __init__(self, how, sigma=0.5, **options):
        super().__init__(**options)
        self.how, self.start = how, sigma

    def build(self, shape):
        self.sigma = self.add_weight(name="sigma", shape=(), initializer=keras.initializers.Constant(self.start))

    def call(self, x):
        if self.how == "condition":
            return tf.where(tf.abs(x) < self.sigma, tf.exp(-1.0 / (1.0 + x**2)), 0.0)
        if self.how == "cast":
            return x * tf.cast(tf.abs(x) < self.sigma, x.dtype)
        if self.how == "where":
            return tf.where(tf.abs(x) < self.sigma, tf.exp(-self.sigma / (self.sigma - x**2)), 0.0)
        if self.how == "round":
            return x * tf.round(self.sigma + 1.0)
        if self.how == "stop":
            return x * tf.stop_gradient(self.sigma)
        return x


def with_bump(how, **options):
    dense = keras.layers.Dense(1, name="last", kernel_initializer="ones")
    return keras.Sequential([keras.Input((1,)), Circulating(how, name="bumpy", **options), dense])


def row(report, layer, weight=None):
    (found,) = [w for w in report.weights if w.layer == layer and weight in (None, w.weight)]
    return found


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("condition", "behind a condition, Less of layer 'bumpy'"),
        ("cast", "behind a condition"),
        ("round", "behind Round"),
        ("stop", "StopGradient of layer 'bumpy' lets no gradient through"),
        ("unused", "does not depend on it"),
    ],
)
def test_a_weight_without_gradient_says_why(how, reason):
    report = vb.check_gradients(with_bump(how), X, Y, loss="mse")
    found = row(report, "bumpy")
    assert (found.status, found.weight, found.norm) == ("missing", "sigma", None)
    assert reason in found.reason
    assert found.remedy
    assert row(report, "last", "kernel").status == "ok"
    assert len(report.findings) == 1
    assert not report.ok
    assert "missing" in str(report)


def test_the_unsafe_where_is_named_though_the_loss_is_finite():
    # |x| just above sqrt(sigma) with sigma > 1 within the mask overflows; outside of the mask it must stay out
    x = np.array([[0.1], [0.2], [0.7075]], "float32")  # sigma - x^2 = -5.6e-4: exp(893) is inf, in the branch not taken
    model = with_bump("where", sigma=0.5)
    report = vb.check_gradients(model, x, x, loss="mse")
    found = row(report, "bumpy")
    assert np.isfinite(report.loss)
    assert found.status == "non-finite"
    assert "Unsafe tf.where: Exp in a branch of" in found.reason
    assert "bumpy" in found.reason
    assert "INPUT" in found.remedy


def test_a_dead_bump():
    model = keras.Sequential([keras.Input((1,)), vb.layers.Bump(name="bumps"), keras.layers.Dense(1)])
    report = vb.check_gradients(model, X + 100.0, Y, loss="mse")
    assert "Dead bump" in row(report, "bumps").reason
    assert row(report, "bumps").status == "zero"


def test_a_dead_relu():
    low = keras.initializers.Constant(-50.0)
    dead = keras.layers.Dense(4, activation="relu", bias_initializer=low, name="dead")
    model = keras.Sequential([keras.Input((1,)), dead, keras.layers.Dense(1)])
    found = row(vb.check_gradients(model, X, Y, loss="mse"), "dead", "kernel")
    assert found.status == "zero"
    assert "Dead relu: no row activates any unit of layer 'dead'" in found.reason


def test_an_output_that_starts_at_zero_hides_the_layers_below():
    layers = [keras.layers.Dense(4, name="below"), keras.layers.Dense(1, kernel_initializer="zeros")]
    report = vb.check_gradients(keras.Sequential([keras.Input((1,)), *layers]), X, Y, loss="mse")
    assert "multiplied by zeros" in row(report, "below", "kernel").reason


def test_an_unused_layer_of_a_subclassed_model():
    class Forgetful(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.unused = keras.layers.Dense(1), keras.layers.Dense(3, name="unused")
            self.unused.build((None, 1))

        def call(self, x):
            return self.used(x)

    report = vb.check_gradients(Forgetful(), X, Y, loss="mse")
    assert "does not depend on it" in row(report, "unused", "kernel").reason


def test_exploding_inputs_and_activations():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    report = vb.check_gradients(model, np.hstack([X, 1e8 * X]), Y, loss="mse")
    found = row(report, "dense", "kernel") if any(w.layer == "dense" for w in report.weights) else report.weights[0]
    assert found.status == "exploding"
    assert "Column 1 of x" in found.reason
    start = keras.initializers.Constant(12.0)
    layers = [keras.layers.Dense(3, tf.exp, kernel_initializer=start, name="steep"), keras.layers.Dense(1)]
    found = row(vb.check_gradients(keras.Sequential([keras.Input((1,)), *layers]), X, Y, loss="mse"), "steep", "kernel")
    assert found.status == "exploding"
    assert "Exp in layer 'steep'" in found.reason


def test_a_loss_that_is_not_finite_is_blamed_on_its_operation():
    def log_loss(y, f):
        return -tf.math.log(f - 1e3)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    report = vb.check_gradients(model, X, Y, loss=log_loss)
    assert [w.status for w in report.weights] == ["ok", "ok"]  # the derivative of the log is finite where it is nan
    assert not report.ok
    assert "The loss is nan. Log in the loss, of what layer 'only' gave, gave nan" in report.findings[0]


def stock(units):
    def posterior(kernel_size, bias_size=0, dtype=None):
        size = kernel_size + bias_size
        tri = tfp.layers.MultivariateNormalTriL
        return tf_keras.Sequential([tfp.layers.VariableLayer(tri.params_size(size), dtype=dtype), tri(size)])

    return STOCK(units, posterior, vb.prior, kl_weight=1 / 64, activation="relu")


MODELS = {
    "dense": lambda: keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]),
    "bump": lambda: keras.Sequential([keras.layers.Dense(8, "bump"), keras.layers.Dense(1)]),
    "gaussian bump": lambda: keras.Sequential([keras.layers.Dense(8), vb.layers.GaussianBump(), keras.layers.Dense(1)]),
    "ours": lambda: vb.build_network(hidden_units=(8, 8)),
    "ours, mean field": lambda: vb.build_network(hidden_units=(8,), make_posterior_fn=vb.posteriors.MeanFieldNormal()),
    "stock": lambda: keras.Sequential([stock(8), keras.layers.Dense(1)]),
}


@pytest.mark.parametrize(
    ("name", "seeds"),
    [(name, 1) for name in MODELS] + [pytest.param(name, 20, marks=pytest.mark.slow) for name in MODELS],
)
def test_healthy_models_give_no_finding(name, seeds):
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(64, 1)).astype("float32")
        report = vb.check_gradients(MODELS[name](), x, np.sin(x), loss="mse", seed=seed)
        assert report.findings == []
        assert report.ok


@pytest.mark.slow
def test_weights_state_and_generators_stay_as_they_were():
    def build():
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
        return keras.Sequential([keras.Input((1,)), *layers, stock(2), vb.build_network(2, hidden_units=())])

    models = build(), build()
    keras.utils.set_random_seed(4)
    expected = models[0](X, training=True), tf.random.normal([3])
    before = [v.numpy() for v in models[1].variables]
    keras.utils.set_random_seed(4)
    vb.check_gradients(models[1], X, Y, loss="mse")
    for value, variable in zip(before, models[1].variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    np.testing.assert_array_equal(models[1](X, training=True), expected[0])
    np.testing.assert_array_equal(tf.random.normal([3]), expected[1])


@pytest.mark.slow
def test_a_branch_that_is_not_taken():
    class Branches(keras.layers.Layer):
        def build(self, shape):
            self.far = self.add_weight(name="far", shape=(), initializer="ones")
            self.near = self.add_weight(name="near", shape=(), initializer="ones")

        def call(self, x):
            return tf.cond(tf.reduce_mean(x) > 100.0, lambda: x * self.far, lambda: x * self.near)

    model = keras.Sequential([keras.Input((1,)), Branches(name="branches"), keras.layers.Dense(1)])
    report = vb.check_gradients(model, X, Y, loss="mse")
    assert [w.weight for w in report.weights if w.status != "ok"] == ["far"]
    assert "branches/cond' that these rows do not take" in report.findings[0]


def test_what_is_shared_is_said_once():
    wide = {"kernel_initializer": keras.initializers.RandomNormal(stddev=5.0, seed=0)}
    hidden = [keras.layers.Dense(64, name=f"hidden_{i}", **wide) for i in range(8)]
    report = vb.check_gradients(keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(1)]), X, Y, loss="mse")
    assert sum(w.status == "exploding" for w in report.weights) > 10
    (finding,) = report.findings
    assert finding.startswith("hidden_0, kernel and bias; hidden_1, kernel and bias; ")
    assert "; and in 5 more layers: the gradient is exploding. MatMul in layer" in finding


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report():
    model = MODELS["ours"]()
    first, second, other = (vb.check_gradients(model, X, Y, loss="mse", seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first.loss != other.loss


def test_weights_of_the_likelihood_and_compiled_losses():
    model = MODELS["dense"]()
    model.compile("adam", "mse")
    assert vb.check_gradients(model, X, Y).ok
    report = vb.check_gradients(model, X, Y, loss=vb.likelihoods.LearnedNormal())
    assert row(report, "the likelihood").status == "ok"


def test_a_model_without_trainable_weights_still_has_a_loss():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, trainable=False)])
    report = vb.check_gradients(model, X, Y, loss="mse")
    assert report.findings == ["The model has no trainable weights."]
    assert report.loss == pytest.approx(float(np.mean((model(X) - Y) ** 2)), rel=1e-5)
    assert "nan" not in str(report)


def normal(scale, by_hand=False):
    """Loss of a head with two outputs; `scale` turns the second one into that of the noise."""

    def nll(y, f):
        loc, sd = f[..., :1], scale(f[..., 1:])
        if by_hand:
            return 0.5 * tf.square((y - loc) / sd) + tf.math.log(sd)
        return -tfd.Normal(loc, sd).log_prob(y)

    return nll


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize(
    ("scale", "what"),
    [
        (tf.exp, "exp of head"),
        (tf.math.softplus, "softplus of head"),
        (lambda raw: 0.1 * tf.math.softplus(raw), "softplus of head"),
        (lambda raw: 1e-3 + tf.math.softplus(raw), None),
        (lambda raw: tf.maximum(tf.exp(raw), 1e-3), None),
        (lambda raw: tf.exp(tf.clip_by_value(raw, -5.0, 5.0)), None),
        (lambda raw: tf.exp(5.0 * tf.tanh(raw)), None),
    ],
)
def test_a_scale_without_a_floor_is_named_before_it_gets_to_zero(scale, what, by_hand):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, "softplus"), keras.layers.Dense(2, name="head")])
    report = vb.check_gradients(model, X, Y, loss=normal(scale, by_hand))
    traps = [one for one in report.findings if "without a floor" in one]
    assert len(traps) == (what is not None)
    assert report.ok == (not report.findings)
    if what:
        assert f"is the {what}" in traps[0]
        assert "HeteroscedasticNormal" in traps[0]


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, f: y / tf.exp(f) + tf.math.log(tf.exp(f)),  # the scale of y itself: nothing draws it to 0
        lambda y, f: tf.exp(f) - y * f,
        vb.likelihoods.Gamma(),
        vb.likelihoods.LogNormal(),
        vb.likelihoods.StudentT(),
    ],
)
def test_other_exponentials_are_no_trap(loss):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    assert not vb.check_gradients(model, X, 0.1 + Y, loss=loss).traps


def test_bad_arguments():
    model = MODELS["dense"]()
    with pytest.raises(ValueError, match="loss is None and the model is not compiled"):
        vb.check_gradients(model, X, Y)
    with pytest.raises(ValueError, match="x has 64 rows but y has 63"):
        vb.check_gradients(model, X, Y[1:], loss="mse")
    with pytest.raises(ValueError, match="x must be finite"):
        vb.check_gradients(model, X * np.nan, Y, loss="mse")
    with pytest.raises(TypeError, match=r"model must be a \w*keras.Model"):
        vb.check_gradients(object(), X, Y, loss="mse")
    model = MODELS["ours"]()
    with pytest.raises(ValueError, match="x has 2 columns, but the network has 1 inputs"):
        vb.check_gradients(model, np.hstack([X, X]), Y, loss="mse")
    with pytest.raises(ValueError, match="y has 2 columns, but the network has 1 outputs"):
        vb.check_gradients(model, X, np.hstack([Y, Y]), loss=vb.likelihoods.Normal(0.3))
    with pytest.raises(ValueError, match="1 outputs and HeteroscedasticNormal needs 2"):
        vb.diagnose_nan(model, X, Y, loss=vb.likelihoods.HeteroscedasticNormal())
