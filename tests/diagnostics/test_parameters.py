import numpy as np
import pytest
import tensorflow_probability as tfp
from other_keras import TFP_LAYERS, only_keras2

import varbump as vb
from varbump.core.keras import keras


def test_the_network_that_people_gave_up_on():
    report = vb.parameter_report(vb.build_network(num_outputs=2), num_data=5000)
    assert report.num_trainable == 38_589
    report = vb.parameter_report(vb.build_network(num_outputs=1), num_data=5000)
    assert report.num_trainable == 38_130
    assert report.num_weights == 321
    assert report.num_data == 5000
    assert report.ratio == pytest.approx(7.626)
    assert report.num_covariances == 38_130 - 2 * 321


def words(report):
    return " ".join(str(report).split())


def test_it_says_so_in_a_sentence():
    text = words(vb.parameter_report(vb.build_network(), num_data=5000))
    for part in ("38,130", "321", "5,000 data points", "more trainable parameters than data points", "covariances"):
        assert part in text
    few = words(vb.parameter_report(vb.build_network(make_posterior_fn=vb.posteriors.MeanFieldNormal()), num_data=5000))
    assert "fewer trainable parameters than points" in few


@only_keras2(TFP_LAYERS)
def test_stock_layers_are_counted_alike():
    stock = keras.Sequential(
        [
            tfp.layers.DenseVariational(16, vb.posterior, vb.prior, input_shape=(1,)),
            tfp.layers.DenseVariational(16, vb.posterior, vb.prior),
            tfp.layers.DenseVariational(2, vb.posterior, vb.prior),
        ]
    )
    report = vb.parameter_report(stock, num_data=5000)
    assert report.num_trainable == 38_589
    assert report.num_weights == 338


def test_networks_inside_networks_are_counted():
    inner = vb.build_network(2, seed=0)
    outer = keras.Sequential([keras.Input((2,)), inner])
    assert vb.parameter_report(outer).num_weights == vb.parameter_report(inner).num_weights
    assert vb.parameter_report(outer).kl == pytest.approx(vb.parameter_report(inner).kl)


def test_plain_layers_count_their_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.ReLU()])
    report = vb.parameter_report(model)
    assert report.num_weights == report.num_trainable == 16
    assert report.kl is None
    assert report.ratio is None


def test_kl_and_effective_number_are_those_of_the_distributions():
    network = vb.build_network(2, hidden_units=(), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)
    q = network.layers[-1].posterior(None)
    mean, sd = np.asarray(q.mean()), np.asarray(q.stddev())
    report = vb.parameter_report(network)
    assert report.kl == pytest.approx(np.sum(0.5 * (sd**2 + mean**2 - 1) - np.log(sd)), rel=1e-5)
    assert report.num_effective == pytest.approx(np.sum(1 - sd**2), rel=1e-5)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="num_data"):
        vb.parameter_report(vb.build_network(), num_data=0)
    with pytest.raises(ValueError, match="not built"):
        vb.parameter_report(keras.Sequential([keras.layers.Dense(1)]))


@pytest.mark.slow
def test_relevance_is_that_of_the_inputs_that_matter():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 4)).astype("float32")
    y = np.sin(2 * x[:, :1]) + 0.5 * x[:, 2:3] + 0.1 * generator.normal(size=(300, 1)).astype("float32")
    network = vb.build_network(
        4,
        hidden_units=(20,),
        make_prior_fn=vb.priors.ARDNormal(),
        make_posterior_fn=vb.posteriors.MeanFieldNormal(),
        estimator="local",
        seed=0,
    )
    vb.fit(network, vb.likelihoods.LearnedNormal(), x, y, epochs=400, batch_size=50, kl_warmup=0.5, seed=0, verbose=0)
    report = vb.parameter_report(network, num_data=300)
    assert report.relevance.shape == (4,)
    assert min(report.relevance[[0, 2]]) > 3 * max(report.relevance[[1, 3]])
    shown = str(report)
    assert "Relevance of the inputs" in shown
    assert shown.index(f"{report.relevance.max():.3g}") < shown.index(f"{report.relevance.min():.3g}")


def test_there_is_no_relevance_without_a_prior_that_learns_it():
    assert vb.parameter_report(vb.build_network(3, seed=0)).relevance is None
    one_scale = vb.build_network(3, make_prior_fn=vb.priors.TrainableNormal(), seed=0)
    assert vb.parameter_report(one_scale).relevance is None
