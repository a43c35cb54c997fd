import copy
import hashlib
import io
import json
import os
import shutil
import textwrap
import time
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from equal_runs import assert_equal_runs, assert_killed_runs_end_alike
from hypothesis import HealthCheck, given, settings, strategies as st

import varbump as vb
from varbump.core.files import alone_in
from varbump.core.keras import keras
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
        ({"optimizer": keras.optimizers.SGD(0.1)}, "optimizer is not the one of before"),
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


def test_a_disk_that_fills_up_costs_neither_history_nor_weights(finished, tmp_path, monkeypatch, short_calls):
    _, whole, _, _ = finished
    replace, calls = os.replace, []

    def full(*paths):
        calls.append(paths)
        if len(calls) > 2:  # the state at the start and the first one after are written
            raise OSError(28, "No space left on device")
        return replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.warns(RuntimeWarning, match=r"fit.checkpoint could not be written \(No space") as warned:
            assert_equal_runs(whole, train(tmp_path))
    assert len(warned) == 1
    assert len(calls) > 4  # it was tried again
    assert os.listdir(tmp_path) == ["fit.checkpoint"]
    resumed = train(tmp_path)  # from the last state that was written
    assert_equal_runs(whole, resumed)
    assert resumed[1].timed_steps == whole[1].timed_steps


def test_a_clock_that_goes_back_does_not_matter(finished, tmp_path, monkeypatch, short_calls):
    hours = iter(range(10**6, 0, -1))
    monkeypatch.setattr(time, "time", lambda: 3600.0 * next(hours))
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        train(tmp_path)
    assert_equal_runs(finished[1], train(tmp_path))


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_folder_belongs_to_one_run_at_a_time(finished, tmp_path):
    shutil.copy(finished[0] / "fit.checkpoint", tmp_path)
    with alone_in(tmp_path), pytest.raises(ValueError, match="checkpoint .* is in use by another run of fit"):
        train(tmp_path)
    assert_equal_runs(finished[1], train(tmp_path))


HEADER = "varbump.json"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def places(value, path=()):
    """All paths into a JSON but the empty one."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*path, key)
        yield from places(entry, (*path, key))


SCALARS = st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SCALARS | st.text(max_size=5) | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS)


def edited(data, original):
    """The bytes of a checkpoint after one edit."""
    content = original.read_bytes()
    kind = data.draw(st.sampled_from(["bit", "cut", "json", "delete", "member", "array"]))
    if kind == "bit":
        changed = bytearray(content)
        changed[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        return bytes(changed)
    if kind == "cut":
        start = data.draw(st.integers(0, len(content)))
        return (
            content[:start] + data.draw(st.binary(max_size=9)) + content[data.draw(st.integers(start, len(content))) :]
        )
    parts = members(original)
    header = json.loads(parts[HEADER])
    if kind in ("json", "delete"):
        *path, last = data.draw(st.sampled_from(list(places(header))))
        inner = header
        for key in path:
            inner = inner[key]
        if kind == "json":
            inner[last] = data.draw(VALUES)
        else:
            del inner[last]
    else:
        name = data.draw(st.sampled_from(sorted(header["arrays"])))
        if kind == "member":
            parts[f"{name}.npy"] = parts[data.draw(st.sampled_from(sorted(parts)))]
        else:  # other numbers or another shape, with a header that says so
            array = np.load(io.BytesIO(parts[f"{name}.npy"]))
            array = data.draw(st.sampled_from([array + 1, array[..., None], -array - 1, np.full_like(array, 3)]))
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, version=(1, 0))
            parts[f"{name}.npy"] = buffer.getvalue()
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()
            header["arrays"][name] = {"shape": list(array.shape), "dtype": array.dtype.name, "sha256": digest}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in {**parts, HEADER: json.dumps(header).encode()}.items():
            archive.writestr(name, part)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def loaded(finished):
    """Checkpoint, and the state and history that it restores."""
    held = []
    resume = module.Checkpoint.resume
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module.Checkpoint, "resume", lambda self, *start: held.append((self, start[0])) or resume(self, *start)
        )
        train(finished[0])
    ((checkpoint, state),) = held
    history = vb.History()
    return checkpoint, state, (*checkpoint.resume(state, history), history)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_checkpoint_that_was_edited_is_refused_in_one_sentence(finished, loaded, tmp_path, data):
    checkpoint, state, (done, restored, history) = loaded
    path = tmp_path / "fit.checkpoint"
    path.write_bytes(edited(data, finished[0] / "fit.checkpoint"))
    again, found = copy.copy(checkpoint), vb.History()
    again.path = path
    for read in (lambda: again.resume(state, found), lambda: module.stored_argument(tmp_path, "seed")):
        try:
            result = read()
        except ValueError as error:
            message = str(error)
            assert message.startswith(f"checkpoint {tmp_path} cannot be used (")
            assert message.endswith("; delete it to train from the start")
            assert "\n" not in message
            assert len(message) < 600
            continue
        if isinstance(result, int):
            assert result == OPTIONS["seed"]
        else:  # the edit did not matter, as that of a date
            assert result[0] == done
            assert found == history
            for a, b in zip(tf.nest.flatten(tuple(result[1])), tf.nest.flatten(tuple(restored)), strict=True):
                np.testing.assert_array_equal(a, b)


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
            model = keras.Sequential([keras.layers.BatchNormalization(), model])
        optimizer = keras.optimizers.AdamW(0.02) if kind == "keras optimizer" else None
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
    generator = np.random.default_rng(0)

    def wait(process):
        time.sleep(3.0 + generator.uniform(0, 1.5))  # past compilation, into the epochs

    assert_killed_runs_end_alike(SCRIPT, folder=tmp_path / "run", wait=wait)
