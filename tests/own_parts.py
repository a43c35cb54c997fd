"""A prior, a family and layers as users write them: by the documented bases alone."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb

tfd = tfp.distributions


@vb.register("TestsHeavyTails")
class HeavyTails(vb.priors.Prior):
    """Student's t."""

    short_name = "tests_heavy_tails"

    def __init__(self, df=3.0, *, kind="t", cores=(), base=None, **kwargs):
        super().__init__(**kwargs)
        self.df, self.kind, self.cores, self.base = df, kind, tuple(cores), base

    def distribution(self, scale):
        return tfd.StudentT(self.df, 0.0, scale)


class _Logistic(vb.posteriors.Posterior):
    def __init__(self, loc, scale, dtype):
        super().__init__(loc, dtype)
        self.log_scale = self.add_variable("log_scale", np.full(len(loc), np.log(scale)))

    def transform(self, noise):
        logit = (
            tfp.math.log_ndtr if hasattr(tfp.math, "log_ndtr") else tfd.Normal(tf.zeros([], self.dtype), 1.0).log_cdf
        )
        return self.loc + tf.exp(self.log_scale) * (logit(noise) - logit(-noise))

    def distribution(self):
        return tfd.Logistic(self.loc, tf.exp(self.log_scale))


@vb.register("TestsLogistic")
class Logistic(vb.posteriors.PosteriorFactory):
    """Independent logistic distributions: no normal family."""

    short_name, best_estimator = "tests_logistic", "flipout"

    def make(self, loc, dtype):
        return _Logistic(loc, self.scale, dtype)

    def variable_shapes(self, num_weights):
        return [(num_weights,), (num_weights,)]


@vb.register("TestsSlope")
class Slope(vb.layers.TrainableActivation):
    """x times a slope of each feature."""

    def build(self, input_shape):
        self.slope = self.add_weight(name="slope", shape=(input_shape[-1],), initializer="ones")
        super().build(input_shape)

    def call(self, inputs):
        return self.slope * inputs

    def weight_shapes(self, input_shape):
        return [(input_shape[-1],)]


@vb.register("TestsTwice")
class Twice(vb.layers.DenseVariational):
    """A variational layer of one's own."""

    def call(self, inputs, training=None):
        return 2.0 * super().call(inputs, training)


class OnceDifferentiable(vb.likelihoods.Normal):
    """A normal of scale 1 whose second derivative is missing."""

    def nll(self, y, f):
        @tf.custom_gradient
        def square(r):
            def twice(upstream):
                raise NotImplementedError("no second derivative")

            @tf.custom_gradient
            def slope(r):
                return r, twice

            return 0.5 * r**2, lambda upstream: upstream * slope(r)

        return tf.reduce_sum(square(tf.cast(y, f.dtype) - f), -1)


class NotCurved(vb.likelihoods.Likelihood):
    """Laplace's distribution of scale 1."""

    def distribution(self, f):
        return tfd.Laplace(f, tf.ones([], f.dtype))
