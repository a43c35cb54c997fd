"""Tests of the length of runs: when they have settled, how they end, and what they say."""

from __future__ import annotations

import numpy as np
import pytest

import varbump as vb
from varbump.inference.vi.convergence import BLOCKS, CERTAINTY, TOLERANCE, settling
from varbump.inference.vi.course import BUDGET, DECAY, NUM_STEPS, FixedCourse, OpenCourse
from varbump.inference.vi.options import Options


def losses(generator, length, gain, noise, correlation=0.9):
    """A loss that gains `gain` in each doubling, with noise as correlated as that of epochs."""
    steps = generator.normal(size=length) * noise * np.sqrt(1 - correlation**2)
    noisy = np.zeros(length)
    for i in range(1, length):
        noisy[i] = correlation * noisy[i - 1] + steps[i]
    return 5.0 - gain * np.log2(1.0 + np.arange(length)) + noisy


def test_gain_of_a_doubling():
    length = 4_000
    found = settling(5.0 - 0.3 * np.log2(1.0 + np.arange(length)), np.linspace(0, 100, length), 7)
    assert found.gain == pytest.approx(0.3, rel=0.01)  # the means of both windows lie alike in theirs
    assert found.kl_change == pytest.approx(37.5, rel=0.01)  # the middles are 0.375 and 0.75 of the length
    assert not found.has_settled


@pytest.mark.parametrize(("gain", "kl", "settled"), [(0.0, 0.0, True), (0.02, 0.0, False), (0.0, 1.0, False)])
def test_both_the_loss_and_the_scales_must_have_settled(gain, kl, settled):
    t = np.arange(1_000)
    found = settling(5.0 - gain * np.log2(1.0 + t), kl * np.log2(1.0 + t), num_weights=10)
    assert found.has_settled is settled


def test_rate_of_false_stops():
    """A run that gains exactly the tolerance passes in 2.3 % of the checks, if errors were normal and known.

    They are estimated, from 8 blocks each with 6 degrees of freedom, whose tails allow up to 5 %. Of 400 runs, more
    than 7.5 % pass by chance with a probability below 2 % at a rate of 5 %.
    """
    generator = np.random.default_rng(0)
    runs = [losses(generator, 2_000, TOLERANCE, noise=0.02) for _ in range(400)]
    passed = [settling(run, np.zeros(2_000), 10).has_settled for run in runs]
    assert np.mean(passed) < 0.075
    finished = [losses(generator, 2_000, 0.0, noise=0.002) for _ in range(50)]
    assert all(settling(run, np.zeros(2_000), 10).has_settled for run in finished)
    assert CERTAINTY == 2.0


def drive(course, loss):
    """Epochs that a course takes when the loss is a function of the epoch, and the learning rate of each."""
    columns, rates = {"loss": [], "kl": []}, []
    while len(columns["loss"]) < course.end:
        epochs = range(len(columns["loss"]), course.end)
        rates.extend(course.block(epochs)[:, -1, 0])
        columns["loss"].extend(loss(e) for e in epochs)
        columns["kl"].extend(0.0 for _ in epochs)
        course.judge(columns)
    return np.array(rates), columns


def open_course(steps=1, **options):
    return OpenCourse(5_000, steps, Options(**options), 0.01, 100)


def test_a_run_that_has_settled_ends_with_a_falling_rate():
    course = open_course()
    rates, columns = drive(course, lambda e: 1.0)
    warming = 500
    assert course.warming == warming
    assert course.settling.has_settled
    first = warming + NUM_STEPS
    assert len(rates) == int(np.ceil(first / (1 - DECAY)))
    assert (rates[:first] == 0.01).all()
    assert (np.diff(rates[first:]) < 0).all()
    assert rates[-1] < 1e-5 * rates[0]
    again = open_course()
    again.judge(columns)  # as after a resumption
    assert again.end == len(rates)
    assert np.array_equal(again.block(range(first, first + 9)), course.block(range(first, first + 9)))


def test_a_run_that_does_not_settle_ends_at_the_budget():
    course = open_course()
    rates, _ = drive(course, lambda e: 5.0 - 0.1 * np.log2(1.0 + e))
    assert BUDGET - 1 <= len(rates) <= BUDGET + 1
    assert not course.settling.has_settled
    assert course.settling.gain == pytest.approx(0.1, rel=0.05)


def test_long_epochs_give_few_numbers_to_judge_by_and_take_as_many_as_that_needs():
    course = OpenCourse(200, 10_000, Options(kl_warmup=0.0), 0.01, 100)
    rates, _ = drive(course, lambda e: 1.0)
    assert len(rates) == int(np.ceil(4 * BLOCKS / (1 - DECAY)))


def test_of_a_given_length():
    course = FixedCourse(10, 3, Options(kl_warmup=0.5), 0.1)
    assert (course.end, course.expected, course.warming) == (10, 10, 5)
    whole = course.block(range(10))
    assert np.array_equal(course.block(range(4, 6)), whole[4:6])
    assert whole[0, 0].tolist() == [0.1, 0.0]


@pytest.mark.parametrize(
    ("options", "is_open"),
    [
        ({}, True),
        ({"learning_rate": 0.02, "kl_warmup": 0.0, "batch_size": 8}, True),
        ({"epochs": 5}, False),
        ({"patience": 5}, False),
        ({"optimizer": "sgd"}, False),
        ({"schedule": "constant"}, False),
    ],
)
def test_which_runs_are_open(options, is_open):
    assert Options(**options).seeks_convergence is is_open


def test_default_rows_a_step():
    assert [Options().rows_a_step(n) for n in (5, 256, 257)] == [5, 256, 32]
    assert Options(epochs=3).rows_a_step(256) == 32
    assert [Options(batch_size=64).rows_a_step(n) for n in (5, 256)] == [5, 64]


@pytest.fixture
def small(monkeypatch):
    """A network, data, and a budget of 300 steps."""
    monkeypatch.setattr("varbump.inference.vi.course.BUDGET", 300)
    monkeypatch.setattr("varbump.inference.vi.course.NUM_STEPS", 100)
    monkeypatch.setattr("varbump.inference.vi.options.NUM_STEPS", 200)
    x = np.linspace(-1, 1, 8)[:, None]
    return vb.build_network(hidden_units=(2,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0), x, x**3


@pytest.mark.slow
def test_fit_warns_with_the_figure_when_the_budget_ends_it(small):
    network, x, y = small
    with pytest.warns(UserWarning, match=r"budget of 3\d\d epochs .* -ELBO/N still fell by .* nats"):
        history = vb.fit(network, vb.likelihoods.Normal(0.1), x, y, seed=0, verbose=0)
    assert history.converged is False
    assert f"not converged: the last doubling gained {history.gain:.2g}" in repr(history)
    assert history.history["learning_rate"][-1] < 1e-5


@pytest.mark.slow
def test_resumed_open_run_is_that_of_an_undisturbed_one(small, tmp_path, monkeypatch):
    network, x, y = small
    likelihood, start = vb.likelihoods.Normal(1.0), network.get_weights()
    monkeypatch.setattr("varbump.inference.vi.convergence.TOLERANCE", 10.0)  # it settles at the first check
    monkeypatch.setattr("varbump.inference.vi.convergence.SCALE_TOLERANCE", 100.0)
    whole = vb.fit(network, likelihood, x, y, seed=0, verbose=0)
    weights = network.get_weights()
    assert whole.converged

    from varbump.inference.vi.checkpoint import Checkpoint

    def written_then_killed(self, state, history, done):
        original(self, state, history, done)
        if done > 150:
            raise MemoryError

    original = Checkpoint.write
    monkeypatch.setattr(Checkpoint, "write", written_then_killed)
    monkeypatch.setattr("varbump.inference.vi.loop.MAX_INDEX_BYTES", 4 * 8 * 20)  # twenty epochs a call
    monkeypatch.setattr(Checkpoint, "after_chunk", lambda self, *parts: self.write(*parts))
    network.set_weights(start)
    with pytest.raises(MemoryError):
        vb.fit(network, likelihood, x, y, seed=0, verbose=0, checkpoint=tmp_path / "run")
    monkeypatch.setattr(Checkpoint, "write", original)
    resumed = vb.fit(network, likelihood, x, y, seed=0, verbose=0, checkpoint=tmp_path / "run")
    assert resumed.history == whole.history
    assert resumed.converged
    for value, expected in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(value, expected)
