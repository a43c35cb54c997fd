import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import tf_keras

import varbump as vb
from varbump.inference.vi import checkpoint as module
from varbump.inference.vi.state import TrainState

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 2)).astype("float32")
Y = (X @ [[1.0], [-0.5]] + 0.3 * GENERATOR.normal(size=(40, 1))).astype("float32")
VALIDATION = (X[:10] + 0.1, Y[:10])
OPTIONS = {"epochs": 11, "batch_size": 15, "validation_data": VALIDATION, "patience": 8, "seed": 0, "verbose": 0}


def network(**options):
    options = {"hidden_units": (3,), "make_posterior_fn": vb.posteriors.MeanFieldNormal(), "seed": 0, **options}
    return vb.build_network(2, **options)


def train(folder=None, model=None, likelihood=None, **options):
    """Weights of network and likelihood, and columns of the history, after a run."""
    model = network() if model is None else model
    likelihood = likelihood or vb.likelihoods.LearnedNormal()
    options = {**OPTIONS, **options}
    data = options.pop("data", (X, Y))
    history = vb.fit(model, likelihood, *data, checkpoint=folder, **options)
    return [*model.get_weights(), likelihood.scale], history


def assert_equal_runs(first, second):
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[1].history == second[1].history
    assert (first[1].best_epoch, first[1].stopped) == (second[1].best_epoch, second[1].stopped)


@pytest.fixture
def short_calls(monkeypatch):
    """Two epochs a call, and a checkpoint after each."""
    monkeypatch.setattr("varbump.inference.vi.loop.Loop._epochs_a_call", lambda loop: 2)
    monkeypatch.setattr(module, "MAX_SHARE", np.inf)


def interrupt(monkeypatch, number, error=KeyboardInterrupt):
    """End the run in the middle of the write with this number."""
    replace, calls = os.replace, []

    def stop(*paths):
        calls.append(paths)
        if len(calls) == number:
            raise error
        return replace(*paths)

    monkeypatch.setattr(os, "replace", stop)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and result of an interrupted run that was started again; and the result of a run without a break."""
    folder = tmp_path_factory.mktemp("checkpoint") / "new" / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("varbump.inference.vi.loop.Loop._epochs_a_call", lambda loop: 2)
        patch.setattr(module, "MAX_SHARE", np.inf)
        whole = train()
        with pytest.MonkeyPatch.context() as inner:
            interrupt(inner, 4)  # at the start, after epochs 2 and 4, and in the write after 6
            broken = train(folder)
        assert broken[1].stopped == "interrupted"
        assert os.listdir(folder) == ["fit.checkpoint"]
        return folder, whole, broken, train(folder, model=network(seed=0))


def test_an_interrupted_run_goes_on_to_the_same_bits(finished):
    _, whole, broken, resumed = finished
    assert len(broken[1].epoch) == 6
    assert_equal_runs(whole, resumed)


def test_a_finished_run_returns_at_once(finished, monkeypatch):
    folder, whole, _, _ = finished
    monkeypatch.setattr("varbump.inference.vi.loop.Loop.run", None)
    assert_equal_runs(whole, train(folder))


def test_a_seed_that_is_not_given_is_that_of_the_checkpoint(finished):
    folder, whole, _, _ = finished
    assert_equal_runs(whole, train(folder, seed=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 12}, "epochs is 12, but was 11"),
        ({"batch_size": 16}, "batch_size is 16, but was 15"),
        ({"seed": 1}, "seed is 1, but was 0"),
        ({"learning_rate": 0.1}, "learning_rate is 0.1, but was null"),
        ({"schedule": "constant"}, "schedule.* is constant, but was cosine"),
        ({"kl_warmup": 0.2}, "kl_warmup is 0.2, but was 0.1"),
        ({"temperature": 0.5}, "temperature is 0.5"),
        ({"patience": 9}, "patience is 9, but was 8"),
        ({"num_samples": 2}, "num_samples is 2"),
        ({"optimizer": tf_keras.optimizers.SGD(0.1)}, "optimizer is not the one of before"),
        ({"validation_data": None}, "validation_data is not"),
        ({"sample_weight": np.ones(40)}, "sample_weight is not"),
        ({"data": (X, Y + 1)}, "y is not the one of before"),
        ({"data": (X + 1, Y)}, "x is not the one of before"),
        ({"likelihood": vb.likelihoods.LearnedNormal(min_scale=0.1)}, "likelihood.*min_scale.* is 0.1, but was 0.001"),
        ({"likelihood": vb.likelihoods.StudentT()}, "likelihood"),
        ({"model": network(hidden_units=(4,))}, "network.*units.* is 4, but was 3"),
        ({"model": network(activation="tanh")}, "network.*activation.* is tanh, but was relu"),
        ({"model": network(seed=1)}, "network.*seed.* is 1, but was 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_run_is_refused_and_what_differs_is_named(finished, change, message):
    with pytest.raises(ValueError, match=f"another run of fit: {message}"):
        train(finished[0], **change)


def test_what_was_learned_is_no_other_argument(finished):
    folder, whole, _, _ = finished
    trained = network()
    trained.set_weights([weight + 1 for weight in trained.get_weights()])
    again = train(folder, model=trained, likelihood=vb.likelihoods.LearnedNormal(0.3))
    assert_equal_runs(whole, again)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-100], lambda data: b"", lambda data: data[:200] + b"?" + data[201:]]
)
def test_a_damaged_checkpoint_says_so(finished, tmp_path, damage):
    (tmp_path / "fit.checkpoint").write_bytes(damage((finished[0] / "fit.checkpoint").read_bytes()))
    with pytest.raises(ValueError, match="delete it to train from the start"):
        train(tmp_path)


def test_places_that_cannot_hold_a_checkpoint(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be a folder, but .*file is a file"):
        train(tmp_path / "file")
    with pytest.raises(ValueError, match="must be a folder, but .* lies below one"):
        train(tmp_path / "file" / "folder")
    (tmp_path / "taken" / "fit.checkpoint").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"checkpoint .*taken cannot be used .*it is a folder.*delete it"):
        train(tmp_path / "taken")
    for wrong in (3, "", "a\0b"):
        with pytest.raises(TypeError, match="checkpoint must be the path of a folder, got"):
            train(wrong)


def test_a_full_disk_is_heard_of_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("varbump.inference.vi.loop.Loop.run", None)
    interrupt(monkeypatch, 1, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match=r"fit.checkpoint could not be written \(No space left"):
        train(tmp_path)
    assert os.listdir(tmp_path) == []


def test_writing_waits_until_it_is_a_small_share_of_the_time(tmp_path, monkeypatch):
    state = TrainState([np.zeros(3)], [], [], np.float32(np.inf), np.int32(0))
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    written = []

    def write(*_):
        now[0] += 0.1
        written.append(now[0])

    monkeypatch.setattr(module, "write_archive", write)
    saved, began = module.Checkpoint(tmp_path, {}, 0), 0.0
    for _ in range(1000):
        now[0] += 0.25
        saved.after_chunk(state, vb.History(), 1)
    share = 0.1 * len(written) / (now[0] - began)
    assert 0.015 < share < 0.021


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ensemble", "keras optimizer", "batch normalisation"])
def test_every_kind_of_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, short_calls, kind):
    def run(folder):
        likelihood = vb.likelihoods.StudentT(learn_df=True)
        if kind == "ensemble":
            ensemble = vb.fit_ensemble(
                network(), likelihood, X, Y, num_members=3, checkpoint=folder, **{**OPTIONS, "seed": seed}
            )
            return [*ensemble._values, *ensemble.network.get_weights()], ensemble.history
        model = network()
        if kind == "batch normalisation":
            model = tf_keras.Sequential([tf_keras.layers.BatchNormalization(), model])
        optimizer = tf_keras.optimizers.AdamW(0.02) if kind == "keras optimizer" else None
        return train(folder, model, likelihood, optimizer=optimizer)

    seed = 0
    whole = run(None)
    with monkeypatch.context() as patch:
        interrupt(patch, 4)
        run(tmp_path)
    seed = None  # that of the checkpoint
    assert_equal_runs(whole, run(tmp_path))
    assert_equal_runs(whole, run(tmp_path))


SCRIPT = textwrap.dedent("""
    import sys, numpy as np, varbump as vb
    from varbump.inference.vi import checkpoint, loop
    checkpoint.MAX_SHARE = float("inf")  # as many writes to be killed in as possible
    loop.Loop._epochs_a_call = lambda loop: 5
    x, y = vb.datasets.cubic(200, seed=0)
    model = vb.build_network(hidden_units=(8,), seed=1)
    likelihood = vb.likelihoods.LearnedNormal()
    print("begins", flush=True)
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    history = vb.fit(model, likelihood, x, y, epochs=3000, seed=2, verbose=0, patience=3000, checkpoint=folder)
    import hashlib
    arrays = [*model.get_weights(), likelihood.scale, *history.history.values()]
    print("digest", hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in arrays)).hexdigest(), flush=True)
""")


@pytest.mark.slow
def test_killed_at_any_moment_it_still_ends_with_the_same_bits(tmp_path):
    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    whole = start().communicate()[0].split()[-1]
    folder, generator, kills = tmp_path / "run", np.random.default_rng(0), 0
    while True:
        process = start(str(folder))
        assert process.stdout.readline().strip() == "begins"
        while kills < 5 and process.poll() is None:
            if folder.exists() and (folder / "fit.checkpoint").exists():
                time.sleep(3.0 + generator.uniform(0, 1.5))  # past compilation, into the epochs
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.05)
        output = process.communicate()[0]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills >= 3
    assert output.split()[-1] == whole
    assert os.listdir(folder) == ["fit.checkpoint"]
