"""Priors of one's own: one method is enough, and what is missing is said by name."""

import numpy as np
import own_parts
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb

tfd = tfp.distributions


def test_each_weight_has_the_scale_of_its_fan_in():
    p = own_parts.HeavyTails(4.0, scale=0.5, fan_in=True)(6, 2, "float64", num_inputs=3)(None)
    w = np.linspace(-1.0, 1.0, 8)
    scale = np.where(np.arange(8) < 6, 0.5 / np.sqrt(3.0), 0.5)
    assert p.event_shape == [8]
    np.testing.assert_allclose(p.log_prob(w), scipy.stats.t(4.0, scale=scale).logpdf(w).sum())


def test_one_distribution_over_all_weights_is_taken_as_it_is():
    class Correlated(vb.priors.Prior):
        def distribution(self, scale):
            n = scale.shape[0]
            covariance = 0.5 * tf.linalg.diag(scale**2) + 0.5 * scale[:, None] * scale[None, :]
            return tfd.MultivariateNormalTriL(tf.zeros([n], scale.dtype), tf.linalg.cholesky(covariance))

    p = Correlated(scale=2.0)(2, 1, "float64")(None)
    np.testing.assert_allclose(p.covariance(), [[4.0, 2.0, 2.0], [2.0, 4.0, 2.0], [2.0, 2.0, 4.0]])


def test_a_class_without_arguments_and_without_an_init():
    class Plain(vb.priors.Prior):
        def __init__(self):
            pass

        def distribution(self, scale):
            return tfd.Normal(0.0, scale)

    assert Plain().get_config() == {}
    assert Plain()(3)(None).event_shape == [3]


def test_what_is_missing_is_named():
    with pytest.raises(TypeError, match=r"Empty lacks the method distribution\(self, scale\)"):

        @vb.register("Empty")
        class Empty(vb.priors.Prior):
            pass


def test_what_is_no_distribution_is_refused():
    class Wrong(vb.priors.Prior):
        def distribution(self, scale):
            return scale

    with pytest.raises(TypeError, match=r"Wrong.distribution must return a tfd.Distribution"):
        Wrong()(3)(None)


def test_arguments_are_read_back_as_attributes():
    prior = own_parts.HeavyTails(5, kind="flat", cores=np.arange(2), base=vb.priors.Normal(0.3), scale=2.0)
    config = prior.get_config()
    assert {**config, "base": None} == {
        "df": 5, "kind": "flat", "cores": [0, 1], "base": None, "scale": 2.0, "fan_in": False,
    }  # fmt: skip
    again = own_parts.HeavyTails.from_config(config)
    assert again.get_config() == config
    assert isinstance(again.base, vb.priors.Normal)
    assert again.base.scale == 0.3


def test_an_argument_that_was_not_kept_is_named():
    class Forgetful(vb.priors.Prior):
        def __init__(self, df=3.0):
            self._df = df

        def distribution(self, scale):
            return tfd.StudentT(self._df, 0.0, scale)

    with pytest.raises(TypeError, match="Forgetful has no attribute 'df': keep the argument .* self.df = df"):
        Forgetful().get_config()
