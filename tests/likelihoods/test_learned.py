"""Likelihoods with weights of their own."""

import copy

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import varbump as vb
from varbump.core.keras import keras
from varbump.likelihoods import HeteroscedasticNormal, LearnedNormal, Normal, StudentT

MEAN_FIELD = vb.posteriors.MeanFieldNormal()


def line(num_data=2000, sd=0.3, seed=0, noise=None):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, size=(num_data, 1))
    e = generator.standard_normal((num_data, 1)) if noise is None else noise.rvs((num_data, 1), random_state=generator)
    return x.astype("float32"), (0.5 + x + sd * e).astype("float32")


def linear(**options):
    return vb.build_network(**{"hidden_units": (), "make_posterior_fn": MEAN_FIELD, "seed": 0, **options})


@pytest.mark.parametrize("scale", [0.07, 1.0, 30.0, [0.5, 1.0, 7.0]])
def test_learned_normal_nll_is_that_of_scipy(scale):
    y, f = np.random.default_rng(0).normal(size=(2, 50, 3))
    likelihood = LearnedNormal(scale, num_targets=np.size(scale), dtype="float64")
    np.testing.assert_allclose(likelihood.nll(y, f), -scipy.stats.norm.logpdf(y, f, scale).sum(-1), rtol=1e-10)
    np.testing.assert_allclose(likelihood.scale, scale, rtol=1e-12)
    np.testing.assert_allclose(likelihood.stddev(f), np.broadcast_to(scale, f.shape), rtol=1e-12)


def learned_student():
    return StudentT(learn_df=True)


@pytest.mark.parametrize("df", [2.1, 4.0, 30.0, 199.0, 1e6])
@pytest.mark.parametrize("scale", [0.07, [0.5, 1.0, 7.0]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_student_t_nll_is_that_of_scipy(df, scale, dtype):
    y, f = np.random.default_rng(0).normal(size=(2, 50, 3)).astype(dtype)
    likelihood = StudentT(scale, df=df, learn_df=df < 200, num_targets=np.size(scale), dtype="float64")
    expected = -scipy.stats.t.logpdf(y.astype(float), df, f.astype(float), scale).sum(-1)
    # log gammas of the size of 6e6 at df = 1e6 leave 1e-9 of double precision; in float32 those at 199 would cost 1e-4
    tolerance = 1e-8 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(likelihood.nll(y, f), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(likelihood.df, df, rtol=1e-12)


@pytest.mark.slow
def test_fit_learns_the_scale_of_known_noise():
    x, y = line(sd=0.3)
    likelihood = LearnedNormal()
    vb.fit(linear(), likelihood, x, y, epochs=40, seed=0, verbose=0)
    # 2,000 residuals give their sd to 1.6 %, 4 of these; the KL of three weights adds next to nothing
    np.testing.assert_allclose(likelihood.scale, 0.3, rtol=0.065)
    network = linear()
    vb.fit(network, likelihood, x, y, epochs=20, seed=0, verbose=0)
    np.testing.assert_allclose(vb.predict_y(network, likelihood, x, num_draws=50, seed=0).std(0).mean(), 0.3, rtol=0.1)


@pytest.mark.slow
def test_each_target_learns_a_scale_of_its_own():
    x, clean = line(sd=0.0)
    y = clean + np.random.default_rng(1).normal(size=(len(x), 2)) * [0.3, 0.05]
    likelihood = LearnedNormal(num_targets=2)
    vb.fit(linear(num_outputs=2), likelihood, x, y, epochs=60, seed=0, verbose=0)
    np.testing.assert_allclose(likelihood.scale, [0.3, 0.05], rtol=0.1)


@pytest.mark.slow
def test_student_t_learns_scale_and_degrees_of_freedom():
    x, y = line(20_000, sd=0.3, noise=scipy.stats.t(4.0))
    likelihood = StudentT(df=20.0, learn_df=True)
    vb.fit(linear(), likelihood, x, y, epochs=50, learning_rate=0.1, batch_size=200, seed=0, verbose=0)
    # asymptotic standard errors at 20,000 points: 0.9 % of the scale and 0.15 of df; 5 of these
    np.testing.assert_allclose(likelihood.scale, 0.3, rtol=0.05)
    assert abs(likelihood.df - 4.0) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(LearnedNormal, marks=pytest.mark.slow),
        learned_student,
        pytest.param(HeteroscedasticNormal, marks=pytest.mark.slow),
    ],
)
def test_fit_trains_everything_and_repeats_itself(make, dtype):
    x, y = line(100)
    ends = []
    for _ in range(2):
        likelihood = make()
        network = linear(likelihood=likelihood, dtype=dtype)
        trained = [*network.trainable_variables, *getattr(likelihood, "trainable_variables", [])]
        start = [v.numpy() for v in trained]
        history = vb.fit(network, likelihood, x, y, epochs=2, seed=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
        ends.append([v.numpy() for v in trained])
        assert all((before != after).any() for before, after in zip(start, ends[-1], strict=True))
    for first, second in zip(*ends, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_a_keras_optimizer_trains_it():
    x, y = line(100)
    likelihood = LearnedNormal()
    vb.fit(linear(), likelihood, x, y, optimizer=keras.optimizers.Adam(0.05, global_clipnorm=1.0), epochs=5, verbose=0)
    assert likelihood.scale < 0.9


def test_plain_keras_leaves_the_scale_alone():
    x, y = line(100)
    likelihood, network = LearnedNormal(0.5), linear(kl_weight=0.01)
    before = likelihood.scale
    network.compile("adam", loss=likelihood)
    network.fit(x, y, epochs=1, verbose=0)
    assert likelihood.scale == before


@pytest.mark.slow
def test_patience_restores_the_scale_of_the_best_epoch():
    x, y = line(200)
    likelihood, network = LearnedNormal(), linear()
    options = {"learning_rate": 0.3, "schedule": "constant", "kl_warmup": 0.0, "seed": 0, "verbose": 0}
    history = vb.fit(network, likelihood, x, y, epochs=60, patience=3, **options)
    assert history.stopped == "patience"
    again = LearnedNormal()  # as many epochs as lead to the best one are the same run
    vb.fit(linear(), again, x, y, epochs=history.best_epoch + 1, **options)
    assert likelihood.scale == again.scale


@pytest.mark.slow
def test_a_loss_that_is_not_finite_leaves_the_last_finite_scale():
    x, y = line(100)
    likelihood = LearnedNormal()
    y[57] = 1e25  # its square is no float32; steps before the one that meets it change the scale
    with pytest.raises(vb.NonFiniteLossError, match=r"epoch 1, step ([2-9]|10) of 10"):
        vb.fit(linear(), likelihood, x, y, batch_size=10, epochs=2, seed=0, verbose=0)
    assert likelihood.scale == LearnedNormal().scale


@pytest.mark.parametrize("make", [LearnedNormal, StudentT])
def test_copies_carry_the_present_values(make):
    likelihood = make(num_targets=2)
    likelihood.variables[0].assign([-60.0, 3.0])  # one of them at the floor
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    for made in (restored, copy.deepcopy(likelihood)):
        np.testing.assert_array_equal(made.scale, likelihood.scale)
        made.variables[0].assign([1.0, 1.0])
    assert likelihood.scale[0] == 1e-3
    assert likelihood.get_config()["scale"] == likelihood.scale.tolist()


@pytest.mark.parametrize("make", [LearnedNormal, StudentT])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale must be a finite number above 0"),
        ({"scale": 1e-4}, "scale must lie between min_scale, 0.001, and"),
        ({"scale": 1e20}, "scale must lie between min_scale, 0.001, and"),
        ({"scale": [1.0, np.nan], "num_targets": 2}, "scale must lie between"),
        ({"scale": [1.0, 1.0], "num_targets": 3}, "scale must be one number or one for each of 3 targets"),
        ({"scale": [1.0, 1.0]}, "scale must be one number or one for each of 1 targets"),
        ({"min_scale": 0.0}, "min_scale, a standard deviation, must be"),
        ({"num_targets": 0}, "num_targets must be"),
    ],
)
def test_options_out_of_range_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("options", [{"df": 2.0}, {"df": np.nan}, {"df": 300.0, "learn_df": True}])
def test_degrees_of_freedom_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="df"):
        StudentT(**options)


def test_as_many_scales_as_targets():
    x, y = line(20)
    with pytest.raises(ValueError, match="The likelihood has 2 scales, but y has 1 columns"):
        vb.fit(linear(), LearnedNormal(num_targets=2), x, y)


@pytest.mark.slow
def test_a_likelihood_with_nothing_but_nll_and_sample_still_works():
    class Minimal:
        def nll(self, y, f):
            return tf.reduce_sum(tf.square(y - f), -1)

        def sample(self, f, seed):
            return Normal().sample(f, seed)

    x, y = line(50)
    network = linear(likelihood=Minimal())
    vb.fit(network, Minimal(), x, y, epochs=1, verbose=0)
    assert vb.predict_y(network, Minimal(), x, num_draws=3).shape == (3, 50, 1)
    with pytest.raises(TypeError, match="likelihood must be"):
        vb.predict_f(network, x, likelihood=Minimal())
    with pytest.raises(ValueError, match="y has 2 columns, but the network has 1 outputs$"):
        vb.fit(network, Minimal(), x, np.zeros((50, 2)))
