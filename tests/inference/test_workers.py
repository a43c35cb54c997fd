"""Workers of a strategy, as far as one process can tell: sums, averages, agreement, refusals."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.core import interrupts
from varbump.data.sources.share import Share
from varbump.inference.vi.state import TrainState
from varbump.inference.workers import training
from varbump.inference.workers.agreement import check_same, check_same_result, checksum
from varbump.inference.workers.averaging import average, worker_seed
from varbump.inference.workers.cluster import Cluster
from varbump.inference.workers.packing import packed, unpacked
from varbump.inference.workers.status import ENDED, INTERRUPTED, raise_status, status

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(300, 2)).astype(np.float32)
Y = (X @ [[1.0], [-0.5]] + 0.3 * GENERATOR.normal(size=(300, 1))).astype(np.float32)


def network(seed=0):
    return vb.build_network(2, hidden_units=(3,), make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=seed)


def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0"])


class Peers:
    """Cluster of this worker, the first, and of others that contribute given tensors."""

    def __init__(self, *others):
        self.count, self.ranks, self.is_chief, self.has_checkpoint = 1 + len(others), (0,), True, False
        self.has_begun = self.has_stopped = False
        self._others = others

    def total(self, parts, limit=None, share=False):
        sums = [tf.add_n([tf.cast(t, own.dtype) for t in (own, *more)]) for own, *more in self._columns(parts)]
        return [s / self.count for s in sums] if share else sums

    def gathered(self, numbers):
        return np.array([*numbers, *self._others])

    def _columns(self, parts):
        return zip(parts[0], *self._others, strict=True)


def test_tensors_survive_packing():
    shapes = [((2, 3), tf.float32), ((), tf.float64), ((4,), tf.float32), ((0,), tf.int32), ((1, 1), tf.int32)]
    tensors = [tf.cast(tf.random.stateless_normal(shape, [0, i]) * 9, kind) for i, (shape, kind) in enumerate(shapes)]
    vectors = packed(tensors)
    assert [(v.dtype.name, int(v.shape[0])) for v in vectors] == [("float32", 10), ("float64", 1), ("int32", 1)]
    for tensor, found in zip(tensors, unpacked(vectors, tensors), strict=True):
        np.testing.assert_array_equal(tensor, found)
        assert tensor.shape == found.shape


def test_states_are_averaged_but_for_their_integers():
    own = TrainState([tf.constant([[1.0, 2.0]]), tf.constant(7)], [tf.constant([3.0])], [], tf.constant(0.5), None)
    other = [tf.constant([[3.0, 6.0]]), tf.constant([5.0]), tf.constant([10.0, 1.0])]
    cluster = Peers(other)
    state, report = average(cluster, [own], [np.array([2.0, 0.0], np.float32)])
    np.testing.assert_array_equal(state.optimizer[0], [[2.0, 4.0]])
    assert int(state.optimizer[1]) == 7
    np.testing.assert_array_equal(state.moving[0], [4.0])
    np.testing.assert_array_equal(report, [12.0, 1.0])
    assert float(state.best_loss) == 0.5


def test_workers_have_seeds_of_their_own():
    seeds = {worker_seed(seed, rank) for seed in range(3) for rank in range(50)}
    assert len(seeds) == 150
    assert min(seeds) >= 0
    assert max(seeds) < 2**31


def test_what_differs_between_workers_is_named():
    facts = {"epochs": 3, "batch_size": 32}
    own = [checksum(repr(value)) for value in facts.values()]
    check_same(Peers(own), facts)
    with pytest.raises(ValueError, match="batch_size of worker 2 differs from that of worker 0"):
        check_same(Peers(own, [own[0], own[1] + 1]), facts)


def test_results_that_differ_are_reported():
    arrays = [np.ones(3), np.zeros((2, 2))]
    with pytest.raises(RuntimeError, match="worker 1 has other weights than worker 0"):
        check_same_result(Peers([17]), arrays)
    check_same_result(Peers(), arrays)


def test_a_worker_that_stops_stops_all():
    cluster = Peers()
    raise_status(status(), cluster)
    assert not cluster.has_stopped
    with pytest.raises(KeyboardInterrupt):
        raise_status(status(INTERRUPTED), cluster)
    with pytest.raises(vb.WorkerLost, match="an error of its own"):
        raise_status(status(ENDED) + status(INTERRUPTED), cluster)
    assert cluster.has_stopped


@pytest.mark.slow
def test_the_end_of_another_worker_is_an_exit_code_and_a_sentence():
    code = "from varbump.inference.workers.faults import WorkerLost; raise WorkerLost('another worker has ended', True)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 75
    assert "another worker has ended; this worker ends with exit code 75: start all workers again" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_importing_the_package_leaves_the_start_of_tensorflow_to_the_user():
    """A strategy of several workers can only be made before TensorFlow has started."""
    code = (
        "import varbump as vb; vb.fit; vb.build_network; vb.VariationalRegressor;"
        "from tensorflow.python.eager import context; assert not context.context()._initialized"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_collectives_that_fail_say_why():
    cluster = Cluster(strategy(), has_checkpoint=True)
    late = cluster.lost(tf.errors.DeadlineExceededError(None, None, "Collective has timed out"), 20.0)
    assert "has not answered for 20 seconds" in str(late)
    assert "go on from the last checkpoint" in str(late)
    gone = cluster.lost(
        tf.errors.UnavailableError(None, None, "x\nCollective ops is aborted by: reset by peer\ny"), 2.0
    )
    assert "has ended or cannot be reached (Collective ops is aborted by: reset by peer)" in str(gone)


def test_values_of_the_chief_arrive():
    cluster = Cluster(strategy())
    arrays = {"a": np.arange(5.0), "b/0": np.array(3, np.int64), "c": np.zeros((0, 2), np.float32)}
    found, facts = cluster.shared(arrays, {"seed": 3, "history": {"loss": [1.5]}})
    assert facts == {"seed": 3, "history": {"loss": [1.5]}}
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape


@pytest.mark.slow
def test_one_worker_has_the_bits_of_a_source_of_such_blocks():
    """A strategy of one worker is a streamed fit whose blocks are the steps between two averages."""
    options = {"epochs": 3, "batch_size": 10, "verbose": 0, "validation_data": (X[:50], Y[:50])}
    found = []
    for arguments in (
        {"strategy": strategy(), "average_every": 6, "seed": 3},
        {"seed": worker_seed(3, 0)},
    ):
        data = (X, Y) if "strategy" in arguments else (Share(vb.sources.ArraySource(X, Y), 0, 1, 60),)
        model, likelihood = network(), vb.likelihoods.LearnedNormal()
        history = vb.fit(model, likelihood, *data, **options, **arguments)
        found.append(([*model.get_weights(), likelihood.scale], history))
    for a, b in zip(*(weights for weights, _ in found), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("loss", "nll", "kl"):
        assert found[0][1].history[name] == found[1][1].history[name]
    assert len(found[0][1].history["val_nll"]) == 3


def test_ctrl_c_between_two_averages_ends_the_run_with_the_last_average(monkeypatch):
    calls = []

    def pending():
        calls.append(1)
        return len(calls) == 4

    monkeypatch.setattr("varbump.inference.workers.loop.is_pending", pending)
    options = {"strategy": strategy(), "average_every": 6, "batch_size": 10, "seed": 0, "verbose": 0}
    history = vb.fit(network(), vb.likelihoods.LearnedNormal(), X, Y, epochs=9, **options)
    assert history.stopped == "interrupted"
    assert len(calls) == 4
    assert len(history.epoch) == 1
    assert not interrupts.is_pending()


class TestRefusals:
    def test_other_strategies(self):
        with pytest.raises(TypeError, match="strategy must be a tf.distribute.MultiWorkerMirroredStrategy or Mirrored"):
            vb.fit(network(), vb.likelihoods.Normal(), X, Y, strategy=tf.distribute.OneDeviceStrategy("CPU:0"))

    def test_average_every_without_a_strategy(self):
        with pytest.raises(ValueError, match="average_every belongs to a strategy"):
            vb.fit(network(), vb.likelihoods.Normal(), X, Y, average_every=5)

    def test_average_every_of_nothing(self):
        with pytest.raises(ValueError, match="average_every"):
            vb.fit(network(), vb.likelihoods.Normal(), X, Y, average_every=0, strategy=strategy())

    def test_rows_that_cannot_be_compared(self):
        source = vb.sources.DatasetSource(tf.data.Dataset.from_tensor_slices((X, Y)), batched=False)
        with pytest.raises(ValueError, match="strategy needs rows that all workers can be seen to share"):
            vb.fit(network(), vb.likelihoods.Normal(), source, strategy=strategy(), epochs=1)

    def test_ensembles(self):
        with pytest.raises(TypeError, match="fit_ensemble takes no strategy"):
            vb.fit_ensemble(network(), vb.likelihoods.Normal(), X, Y, strategy=strategy())


def test_the_default_number_of_steps_is_what_the_docstring_says():
    assert f"The default is {training.AVERAGE_EVERY}" in vb.fit.__doc__
