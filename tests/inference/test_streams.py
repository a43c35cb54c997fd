"""Training on sources: the same program as with arrays, block by block, with the N of the whole source."""

import os
import signal
import textwrap
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from equal_runs import assert_equal_runs, assert_killed_runs_end_alike
from pyarrow import parquet

import varbump as vb
from varbump.core.archive import Archive
from varbump.inference.stream.blocks import Blocks
from varbump.inference.stream.course import BlockCourse
from varbump.inference.vi import checkpoint
from varbump.inference.vi.course import FixedCourse
from varbump.inference.vi.options import Options

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(500, 2))
Y = X @ [[1.0], [-0.5]] + 0.3 * GENERATOR.normal(size=(500, 1))
WEIGHTS = GENERATOR.uniform(0.5, 2.0, 500).astype(np.float32)
VALIDATION = (X[:90] + 0.1, Y[:90])
BLOCKS = {"block_rows": 120, "pool_rows": 240}
"""Five blocks of 100 rows."""


def network(seed=0):
    return vb.build_network(2, hidden_units=(3,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=seed)


def train(*data, model=None, **options):
    model, likelihood = model or network(), vb.likelihoods.LearnedNormal()
    history = vb.fit(model, likelihood, *data, **{"epochs": 4, "batch_size": 15, "seed": 1, "verbose": 0, **options})
    return [*model.get_weights(), likelihood.scale], history


def source(**options):
    return vb.sources.ArraySource(X, Y, **{**BLOCKS, **options})


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_a_source_of_one_block_gives_the_bits_of_arrays(weighted):
    options = {"validation_data": VALIDATION, "patience": 2, "epochs": 12, "schedule": "constant"}
    weights = WEIGHTS if weighted else None
    of_arrays = train(X, Y, **options, sample_weight=weights)
    of_source = train(vb.sources.ArraySource(X, Y, weights), **options)
    assert_equal_runs(of_arrays, of_source)
    assert of_source[1].stopped == "patience"
    assert of_source[1].num_data == 500


@pytest.mark.slow
def test_an_ensemble_on_a_source_of_one_block_has_the_bits_of_arrays():
    options = {"epochs": 3, "batch_size": 15, "seed": 1, "verbose": 0, "num_members": 2}
    found = [
        vb.fit_ensemble(network(), vb.likelihoods.LearnedNormal(), *data, **options)
        for data in ((X, Y), (vb.sources.ArraySource(X, Y),))
    ]
    assert_equal_runs(*((ensemble.values, ensemble.history) for ensemble in found))


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_the_posterior_is_that_of_all_rows_together(weighted):
    """Linear regression: precision of the weights X'WX / sigma^2 + 1, whatever the blocks are.

    With the rows of a block for N, sds would be twice as large; here they are within a tenth.
    """
    model = vb.build_network(2, hidden_units=(), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=0)
    weights = WEIGHTS if weighted else np.ones(500)
    rows = vb.sources.ArraySource(X, Y, weights if weighted else None, **BLOCKS)
    history = vb.fit(model, vb.likelihoods.Normal(3.0), rows, epochs=80, batch_size=20, seed=0, verbose=0)
    design = np.c_[X, np.ones(500)]
    precision = design.T @ (weights[:, None] * design) / 3.0**2 + np.eye(3)
    mean = np.linalg.solve(precision, design.T @ (weights * Y[:, 0]) / 3.0**2)
    posterior = model.layers[-1].posterior.distribution()
    np.testing.assert_allclose(posterior.mean(), mean, atol=0.03)
    np.testing.assert_allclose(posterior.stddev(), 1 / np.sqrt(np.diag(precision)), rtol=0.1)
    assert history.steps_per_epoch == 25
    assert not history.exact


def test_blocks_have_one_shape_and_every_row_counts_alike():
    blocks = Blocks(vb.sources.ArraySource(X[:403], Y[:403], block_rows=101), vb.likelihoods.Normal(), 10, "float32")
    found = list(blocks.run(0, 0, 8))
    assert [block.plan.num_data for block in found] == 2 * [101, 101, 101, 100]
    assert len({(block.data.x.shape, block.data.row_weights.shape) for block in found}) == 1
    for epoch in (found[:4], found[4:]):
        seen = []
        for block in epoch:
            (order,) = block.plan.shuffles(3, range(block.number, block.number + 1), 1)
            seen.append(block.data.x[order][block.data.row_weights.ravel() > 0])
        np.testing.assert_array_equal(np.sort(np.concatenate(seen), 0), np.sort(X[:403].astype(np.float32), 0))
    for number, block in zip(range(5, 8), blocks.run(0, 5, 8), strict=True):
        np.testing.assert_array_equal(block.data.x, found[number].data.x)
    assert [blocks.num_rows(number) for number in (0, 1, 3, 4, 5)] == [0, 101, 303, 403, 504]


@pytest.mark.parametrize("options", [{}, {"schedule": "constant", "kl_warmup": 0.0, "temperature": 0.5}])
def test_the_course_in_blocks_is_that_of_a_run_of_the_same_steps(options):
    chosen = Options(epochs=3, **options)
    course, whole = BlockCourse(3, 5, 7, chosen, 0.01), FixedCourse(3, 35, chosen, 0.01)
    np.testing.assert_array_equal(course.block(range(15)).reshape(3, 35, 2), whole.block(range(3)))
    np.testing.assert_array_equal(course.block(range(6, 8)), course.block(range(15))[6:8])
    assert (course.end, course.warming) == (15, whole.warming)


@pytest.mark.slow
def test_validation_on_a_source_is_the_mean_over_its_blocks():
    kept = vb.sources.ArraySource(*VALIDATION, WEIGHTS[:90], block_rows=20)
    _, history = train(source(), validation_data=kept)
    _, of_one = train(source(), validation_data=vb.sources.ArraySource(*VALIDATION, WEIGHTS[:90]))
    np.testing.assert_allclose(history.history["val_nll"], of_one.history["val_nll"], rtol=1e-5)
    assert history.history["nll"] == of_one.history["nll"]


@pytest.fixture
def every_block(monkeypatch):
    """A checkpoint after each block."""
    monkeypatch.setattr(checkpoint, "MAX_SHARE", np.inf)


OPTIONS = {"validation_data": VALIDATION, "patience": 3}


@pytest.mark.usefixtures("every_block")
@pytest.mark.parametrize("number", [pytest.param(4, marks=pytest.mark.slow), 6])
def test_an_interrupted_run_goes_on_within_its_epoch_to_the_same_bits(tmp_path, monkeypatch, number):
    whole = train(source(), **OPTIONS)
    replace, calls = os.replace, []

    def stop(*paths):
        calls.append(paths)
        if len(calls) == number:
            raise KeyboardInterrupt
        return replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        _, broken = train(source(), checkpoint=tmp_path, **OPTIONS)
    assert broken.stopped == "interrupted"
    with Archive(tmp_path / "fit.checkpoint") as archive:
        assert archive.configuration["epoch"] == number - 2  # blocks, after the write at the start
    other = network()
    other.set_weights([weight + 1 for weight in other.get_weights()])
    assert_equal_runs(whole, train(source(), checkpoint=tmp_path, model=other, **OPTIONS))
    monkeypatch.setattr("varbump.inference.vi.loop.Loop.run", None)
    assert_equal_runs(whole, train(source(), checkpoint=tmp_path, **OPTIONS))


def test_another_source_is_refused(tmp_path):
    train(source(), checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="belongs to another run of fit: source is not the one of before"):
        train(vb.sources.ArraySource(X + 1, Y, **BLOCKS), checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="belongs to another run of fit: source is not"):
        train(source(block_rows=110), checkpoint=tmp_path, epochs=1)


@pytest.mark.usefixtures("_handles_ctrl_c")
def test_ctrl_c_within_an_epoch_keeps_the_blocks_so_far(monkeypatch):
    numbers = []
    run = vb.sources.ArraySource.epoch

    def epoch(self, seed, number):
        for block, rows in enumerate(run(self, seed, number)):
            if (number, block) == (1, 3):
                while len(numbers) < 8:  # until the blocks before have been trained on
                    time.sleep(0.01)
                signal.pthread_kill(main, signal.SIGINT)
                time.sleep(0.3)
            yield rows

    def update(self, num_finished, *rest):
        numbers.append(num_finished)

    main = threading.main_thread().ident
    monkeypatch.setattr("varbump.core.progress.TrainingProgress.update", update)
    whole = train(source(), schedule="constant", kl_warmup=0.0)
    assert numbers == list(range(100, 2_001, 100))
    numbers.clear()
    monkeypatch.setattr(vb.sources.ArraySource, "epoch", epoch)
    weights, history = train(source(), schedule="constant", kl_warmup=0.0, validation_data=VALIDATION)
    assert numbers == list(range(100, 801, 100))
    assert (history.stopped, len(history.epoch)) == ("interrupted", 2)
    assert np.isnan(history.history["val_nll"][1])
    assert history.history["nll"][0] == whole[1].history["nll"][0]
    assert history.history["nll"][1] != whole[1].history["nll"][1]
    shorter = vb.sources.ArraySource(X, Y, **BLOCKS)
    monkeypatch.setattr(BlockCourse, "__init__", _ending_after(BlockCourse.__init__, 8))
    monkeypatch.setattr(vb.sources.ArraySource, "epoch", run)
    for a, b in zip(weights, train(shorter, schedule="constant", kl_warmup=0.0)[0], strict=True):
        np.testing.assert_array_equal(a, b)


def _ending_after(init, number):
    def made(self, *arguments):
        init(self, *arguments)
        self.end = number

    return made


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_the_step_of_the_epoch():
    x = X.copy()
    x[:, 0] *= np.where(np.arange(500) < 480, 1.0, 1e30)
    with pytest.raises(vb.NonFiniteLossError, match="not finite in epoch 1, step"):
        train(vb.sources.ArraySource(x, Y, **BLOCKS), learning_rate=1.0)


def raises(sentence):
    return pytest.raises(ValueError, match=sentence)


def test_what_does_not_suit_a_source(tmp_path):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(50)
    with raises("y must be left out where x is a source"):
        train(source(), Y)
    with raises("sample_weight belongs to the source"):
        train(source(), sample_weight=WEIGHTS)
    with raises("batch_size must be at most 100, the rows of a block, got 101"):
        train(source(), batch_size=101)
    with raises("x has 1 columns, but the network has 2 inputs"):
        train(vb.sources.ArraySource(X[:, :1], Y))
    with raises("y has 2 columns, but the network has 1 outputs"):
        train(vb.sources.ArraySource(X, X))
    with raises("DatasetSource of 500 rows has no random access, so each of 4 epochs"):
        train(vb.sources.DatasetSource(dataset, **BLOCKS))
    with raises("DatasetSource of 500 rows has no checksum"):
        train(vb.sources.DatasetSource(dataset), checkpoint=tmp_path)
    with raises("validation_data must be a pair"):
        train(X, Y, validation_data=source())
    with raises("y is missing: pass fit"):
        train(X)
    with raises("x of ArraySource of 500 rows has values that are infinite in float32"):
        train(vb.sources.ArraySource(X * 1e300, Y))
    with raises("y of ArraySource of 500 rows must hold numbers of at least 0 for Poisson"):
        vb.fit(network(), vb.likelihoods.Poisson(), source(), epochs=1, verbose=0)


@pytest.mark.parametrize("block", [0, 4])
def test_an_error_in_the_rows_keeps_what_was_learned_before(block):
    model, options = network(), {"block_rows": 100, "pool_rows": 1}
    seen = list(vb.sources.ArraySource(X, Y, **options).epoch(1, 0))[block].x[7]
    row, bad = int(np.argmax((seen == X).all(1))), X.copy()
    bad[row, 1] = np.nan
    before = model.get_weights()
    with raises(f"the arrays, row {row}: column 1 of x is missing"):
        train(vb.sources.ArraySource(bad, Y, **options), model=model)
    assert (block == 0) == all(map(np.array_equal, before, model.get_weights()))
    assert "varbump-reader" not in {thread.name for thread in threading.enumerate()}


def test_without_epochs_a_run_has_sixty_thousand_steps(monkeypatch):
    seen = []
    monkeypatch.setattr(vb.sources.ArraySource, "check_epochs", lambda self, epochs: seen.append(epochs) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(source(), epochs=None)
    assert seen == [-(-60_000 // 35)]


def test_a_dataset_is_trained_on_in_one_epoch_or_in_random_order():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    _, once = train(vb.sources.DatasetSource(dataset, batched=False, **BLOCKS), epochs=1)
    shuffled = dataset.shuffle(500, seed=0).batch(64)
    _, often = train(vb.sources.DatasetSource(shuffled, random_order=True, **BLOCKS), epochs=30)
    assert len(once.epoch) == 1
    assert often.history["nll"][-1] < 0.6 < once.history["nll"][-1]


SCRIPT = textwrap.dedent("""
    import sys
    import numpy as np
    import varbump as vb
    from varbump.inference.vi import checkpoint
    checkpoint.MAX_SHARE = float("inf")  # as many writes to be killed in as possible
    source = vb.sources.ParquetSource(sys.argv[1], "y", block_rows=2_000, pool_rows=6_000)
    model = vb.build_network(2, hidden_units=(8,), seed=1)
    likelihood = vb.likelihoods.LearnedNormal()
    print("begins", flush=True)
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    history = vb.fit(
        model, likelihood, source, epochs=30, seed=2, verbose=0, patience=30, checkpoint=folder,
        validation_data=vb.sources.ParquetSource(sys.argv[1], "y"),
    )
    import hashlib
    arrays = [*model.get_weights(), likelihood.scale, *history.history.values()]
    print("digest", hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in arrays)).hexdigest(), flush=True)
""")


@pytest.mark.slow
def test_killed_at_any_moment_it_still_ends_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    for part in range(4):
        x = rng.normal(size=(10_000, 2))
        columns = {"a": x[:, 0], "b": x[:, 1], "y": np.sin(x[:, 0]) + 0.1 * rng.normal(size=10_000)}
        (tmp_path / "rows").mkdir(exist_ok=True)
        parquet.write_table(pa.table(columns), tmp_path / "rows" / f"{part}.parquet", row_group_size=1_000)

    folder, places = tmp_path / "run", []

    def wait(process):
        before = places[-1] if places else 0
        while process.poll() is None and (place := _place(folder)) <= before + 7:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.1))
        places.append(place)

    assert_killed_runs_end_alike(SCRIPT, tmp_path / "rows", folder=folder, wait=wait)
    assert any(place % 20 for place in places)


def _place(folder):
    with Archive(folder / "fit.checkpoint") as archive:
        return archive.configuration["epoch"]
