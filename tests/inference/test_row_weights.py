"""A row of weight k is k equal rows: in the loss and its gradient, in every step of full batches, and in the end."""

import exact_linear
import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.forward.stateless import key
from varbump.inference.vi.loss import Batch, NetworkLoss
from varbump.inference.vi.options import Options

COUNTS = np.random.default_rng(3).integers(0, 4, 24)
TOTAL = int(COUNTS.sum())


def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(len(COUNTS), 2))
    return x, np.sin(x[:, :1]) + 0.3 * generator.normal(size=(len(x), 1))


def made(likelihood=None):
    options = {"make_posterior_fn": vb.posteriors.MeanFieldNormal(), "dtype": "float64", "seed": 0}
    return vb.build_network(2, hidden_units=(4,), likelihood=likelihood, **options)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", [vb.likelihoods.LearnedNormal(0.4), vb.likelihoods.HeteroscedasticNormal()])
def test_loss_and_gradient_are_those_of_repeated_rows(likelihood):
    (x, y), network = data(), made(likelihood)
    loss = NetworkLoss(network, likelihood, (2,))
    values = {key(v): tf.convert_to_tensor(v) for v in [*loss.trainable, *loss.moving, *loss.fixed]}
    noise = tf.constant(np.random.default_rng(1).normal(size=loss.count_noise((len(x), 2))))
    weights, total = Options(sample_weight=COUNTS).row_weights(x)
    assert total == TOTAL
    weighted = Batch(*map(tf.constant, (x, y, weights / len(x))))
    repeated = Batch(*(tf.constant(np.repeat(a, COUNTS, axis=0)) for a in (x, y)), None)

    @tf.function(autograph=False)
    def gradient(*batch):
        return loss.gradient(values, Batch(*batch), noise, tf.constant([0, 1]), 1.0 / TOTAL)

    results = gradient(*weighted), gradient(*repeated)
    (first, terms), (second, other) = results
    for one, another in zip([*first, terms.nll, terms.kl], [*second, other.nll, other.kl], strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-10, atol=1e-13)  # sums in another order


@pytest.mark.slow
def test_full_batches_take_the_same_steps():
    x, y = data()
    ends = []
    for rows, targets, weights in ((x, y, COUNTS), (np.repeat(x, COUNTS, axis=0), np.repeat(y, COUNTS, axis=0), None)):
        network, likelihood = made(), vb.likelihoods.LearnedNormal(0.4, dtype="float64")
        options = {"epochs": 50, "batch_size": len(rows), "sample_weight": weights, "seed": 0, "verbose": 0}
        history = vb.fit(network, likelihood, rows, targets, **options).history
        ends.append([*(history[name] for name in ("loss", "nll", "kl")), *network.get_weights(), likelihood.scale])
    for one, another in zip(*ends, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-5, atol=1e-6)  # histories are float32


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [8, 60])
def test_minibatches_end_at_the_posterior_of_repeated_rows(batch_size):
    x, y = exact_linear.problem()
    counts = np.random.default_rng(5).integers(0, 5, len(x))
    mean, covariance, _ = exact_linear.truth(*(np.repeat(a, counts, axis=0) for a in (x, y)))
    network = vb.build_network(2, hidden_units=(), make_posterior_fn=vb.posterior, seed=0)
    options = {"sample_weight": counts, "batch_size": batch_size, "epochs": 3000, "seed": 0, "verbose": 0}
    vb.fit(network, exact_linear.LIKELIHOOD, x, y, num_samples=4, **options)
    posterior = network.layers[-1].posterior
    sd = np.sqrt(np.diag(covariance))
    # what is left of the noise of the gradient after the learning rate has decayed; without weights the means differ by
    # up to 0.5 sds, and sds by 36 % and more
    np.testing.assert_allclose(posterior.mean.numpy(), mean, atol=0.1 * sd.min())
    np.testing.assert_allclose(np.sqrt(posterior.variances().numpy()), sd, rtol=0.05)
