"""PSIS k-hat where theory says what it is."""

import sys

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, linear

import varbump as vb
from varbump.core.keras import keras
from varbump.diagnostics.khat import KhatReport

pytest.importorskip("arviz_stats")


def khat(shrink, seed=0):
    network, x, y, *_ = linear(shrink)
    return vb.psis_khat(network, LIKELIHOOD, x, y, seed=seed)


@pytest.mark.slow
def test_the_exact_posterior_has_equal_ratios():
    report = khat(1.0)
    assert report.khat == -np.inf
    assert report.good
    assert report.num_weights == 3
    assert "q is the posterior itself" in " ".join(str(report).split())


def test_a_good_q_has_a_small_khat():
    report = khat(0.95)
    assert report.khat < 0.4  # in theory 1 - 0.95^2 = 0.1, and the estimate scatters by 0.1
    assert report.good


@pytest.mark.slow
def test_halved_sds_are_found_out():
    values = [khat(0.5, seed).khat for seed in range(2)]
    # the ratios of a normal to one of s times its sd have a tail of shape 1 - s^2; one estimate scatters by 0.1. With
    # the sign of the log ratios the wrong way round it would be negative
    assert np.mean(values) == pytest.approx(0.75, abs=0.1)
    assert np.mean(values) > 0.7
    report = khat(0.25)
    assert report.khat > 0.7
    assert report.good is False
    assert "mostly too narrow" in " ".join(report.judgement.split())


def test_too_many_weights_to_say():
    report = KhatReport(khat=1.3, num_weights=321, num_draws=4000, log_ratio_sd=9.0)
    assert report.good is None
    assert "Too many weights to say" in report.judgement
    assert KhatReport(khat=0.3, num_weights=321, num_draws=4000, log_ratio_sd=0.9).good
    assert KhatReport(khat=1.3, num_weights=20, num_draws=4000, log_ratio_sd=9.0).good is False


def test_large_networks_are_not_computed():
    network = vb.build_network(1, hidden_units=(80, 80), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)
    report = vb.psis_khat(network, LIKELIHOOD, np.zeros((2, 1)), np.zeros((2, 1)))
    assert np.isnan(report.khat)
    assert report.good is None
    assert "not computed" in str(report)


def test_a_network_without_a_posterior_is_refused():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="no variational layers, so it has no q"):
        vb.psis_khat(network, LIKELIHOOD, np.zeros((2, 1)), np.zeros((2, 1)))


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_stats.base", None)
    with pytest.raises(ImportError, match=r'varbump.psis_khat needs arviz-stats: pip install "varbump\[arviz\]"'):
        khat(1.0)
