"""Ctrl-C at fifty random moments: what is returned and what the network holds belong together, and nothing is lost."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import varbump as vb
from varbump.inference.vi import checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_handles_ctrl_c")]

X, Y = vb.datasets.cubic(100, seed=0)
SETTINGS = {"epochs": 600, "schedule": "constant", "kl_warmup": 0.0, "seed": 0, "verbose": 0}
"""With a constant step size and KL weight, the first epochs of a run are those of a shorter run."""
WATCHED = {"validation_data": (X[:20], Y[:20]), "patience": 10_000}


def network():
    return vb.build_network(hidden_units=(4,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)


def moments(num, call):
    """Seconds after which to interrupt a call, spread over all of its duration, compilation included."""
    vb.clear_programs()
    began = time.perf_counter()
    call()
    seconds = time.perf_counter() - began
    return seconds * (np.arange(num) + np.random.default_rng(num).uniform(size=num)) / num


def interrupted(seconds, call):
    """Result of a call, None if it raised KeyboardInterrupt; a Ctrl-C that came in time must not be without effect."""
    vb.clear_programs()
    main, ended, fired, result, raised = threading.get_ident(), threading.Event(), [], None, False

    def fire():
        if not ended.wait(seconds):
            fired.append(True)
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        result = call()
        ended.set()
        thread.join()  # a Ctrl-C after the end arrives here at the latest
    except KeyboardInterrupt:
        raised = True
        ended.set()
        thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    history = getattr(result, "history", None)
    stopped = getattr(result, "stopped", getattr(history, "stopped", None))
    assert not fired or raised or stopped == "interrupted", "Ctrl-C was swallowed"
    assert fired or not raised
    return result


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("varbump.inference.vi.loop.Loop._epochs_a_call", lambda loop: 3)
    monkeypatch.setattr(checkpoint, "MAX_SHARE", np.inf)

    def run(folder=None, **options):
        model, likelihood = network(), vb.likelihoods.LearnedNormal()
        arguments = {**SETTINGS, **WATCHED, "checkpoint": folder, **options}
        return model, likelihood, lambda: vb.fit(model, likelihood, X, Y, **arguments)

    def held(model, likelihood):
        return [*model.get_weights(), likelihood.scale]

    *whole, call = run(tmp_path / "whole")
    times = moments(22, call)
    counts = []
    for number, seconds in enumerate(times):
        folder = tmp_path / str(number)
        *parts, call = run(folder)
        before = held(*parts)
        history = interrupted(seconds, call)
        if history is None:
            assert_equal(held(*parts), before)
        else:
            counts.append(len(history.epoch))
            *shorter, again = run(epochs=len(history.epoch))
            assert again().history == history.history
            assert_equal(held(*parts), held(*shorter))
        assert not folder.exists() or set(os.listdir(folder)) <= {"fit.checkpoint"}
        if number % 5 == 4:
            *parts, call = run(folder)
            call()
            assert_equal(held(*parts), held(*whole))
    assert len(set(counts)) > 3  # the moments were spread


def test_one_that_is_swallowed_in_tracing_surfaces_before_the_first_epoch():
    def swallows(x):
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            pass
        return x

    model = network()
    model.layers[0].activation = swallows
    before = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        vb.fit(model, vb.likelihoods.Normal(), X, Y, epochs=1, verbose=0)
    assert_equal(model.get_weights(), before)


def test_fit_ensemble():
    def run(**options):
        model, likelihood = network(), vb.likelihoods.LearnedNormal()
        arguments = {**SETTINGS, **options}
        return model, lambda: vb.fit_ensemble(model, likelihood, X, Y, num_members=3, **arguments)

    for seconds in moments(8, run()[1]):
        model, call = run()
        before = model.get_weights()
        ensemble = interrupted(seconds, call)
        if ensemble is None:
            assert_equal(model.get_weights(), before)
        else:
            shorter = run(epochs=len(ensemble.history.epoch))[1]()
            assert ensemble.history.history == shorter.history.history
            assert_equal(ensemble.values, shorter.values)
            assert_equal(model.get_weights(), shorter.network.get_weights())


@pytest.mark.parametrize("method", ["importance", "nuts", "posterior"])
def test_sampling_raises_and_changes_nothing(method):
    model, likelihood = network(), vb.likelihoods.LearnedNormal()
    sample, options = {
        "importance": (vb.sample_importance, {"num_draws": 50, "num_inducing": 5, "num_steps": 300}),
        "nuts": (vb.sample_nuts, {"num_draws": 30, "num_warmup": 30, "num_chains": 2, "max_tree_depth": 4}),
        "posterior": (vb.sample_posterior, {"num_draws": 30, "num_warmup": 30, "num_chains": 2}),
    }[method]

    def call():
        return sample(model, likelihood, X, Y, seed=0, verbose=0, **options)

    whole, before = call(), model.get_weights()
    for seconds in moments(6, call):
        draws = interrupted(seconds, call)
        assert draws is None or draws.num_draws == whole.num_draws
        assert_equal(model.get_weights(), before)
    assert_equal(call().weights, whole.weights)


def test_predictions():
    model = network()
    calls = [
        lambda: vb.predict_f(model, X, num_draws=300, seed=0),
        lambda: vb.predict_bands(model, X, num_draws=300, seed=0, levels=(0.5,)).mean,
    ]
    for call in calls:
        whole = call()
        for seconds in moments(4, call):
            result = interrupted(seconds, call)
            assert result is None or np.array_equal(result, whole)
            np.testing.assert_array_equal(call(), whole)
