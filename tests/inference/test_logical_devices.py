"""Two logical devices of one machine, as two GPUs would be: each a worker, with the programs placed on it."""

import json
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow

PRELUDE = """
import json
import numpy as np
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import varbump as vb

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
generator = np.random.default_rng(0)
x = generator.normal(size=(501, 2)).astype(np.float32)
y = (x @ [[1.0], [-0.5]] + 0.3 * generator.normal(size=(501, 1))).astype(np.float32)
family = vb.posteriors.MeanFieldNormal()
"""


def said(code):
    """What a process with two devices prints, as JSON."""
    script = PRELUDE + textwrap.dedent(code)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=900)
    assert not found.returncode, found.stderr[-3_000:]
    return json.loads(found.stdout.splitlines()[-1])


def test_workers_are_what_a_naive_loop_over_their_shares_computes():
    """Programs of one device, one after the other, and means by NumPy; the last bits may differ between devices."""
    found = said("""
    from varbump.data.sources.share import Share
    from varbump.inference.stream.blocks import Blocks
    from varbump.inference.stream.course import BlockCourse
    from varbump.inference.vi.loop import Loop
    from varbump.inference.vi.loss import NetworkLoss
    from varbump.inference.vi.members import Members
    from varbump.inference.vi.optimizers import make_optimizer
    from varbump.inference.vi.options import Options
    from varbump.inference.workers import loop as worker_loop
    from varbump.inference.workers.averaging import worker_seed

    devices = set()
    run = Loop.run
    def noted(*arguments):
        after, result = run(*arguments)
        devices.add(after.optimizer[0].device[-5:])
        return after, result
    Loop.run = noted
    network = lambda: vb.build_network(2, hidden_units=(3,), make_posterior_fn=family, seed=0)
    model = network()
    given = {"strategy": strategy, "average_every": 6, "epochs": 3, "batch_size": 10, "seed": 4, "verbose": 0}
    history = vb.fit(model, vb.likelihoods.Normal(), x, y, **given)
    Loop.run = run

    other = network()
    loss = NetworkLoss(other, vb.likelihoods.Normal(), (2,))
    shares = [Share(vb.sources.ArraySource(x, y), rank, 2, 60) for rank in range(2)]
    blocks = [Blocks(share, loss.likelihood, 10, "float32") for share in shares]
    options = Options(epochs=3)
    stepper = make_optimizer(None, loss.trainable)
    own = Loop(Members(loss, 1), stepper, blocks[0].empty(), blocks[0].plan(0), 501.0, None, epochs_a_call=1)
    course = BlockCourse(3, blocks[0].num_blocks, blocks[0].steps, options, 0.01)
    state = own.start([v.numpy()[None] for v in loss.trainable])
    runs = [part.run(worker_seed(4, rank), 0, course.end) for rank, part in enumerate(blocks)]
    for pair in zip(*runs):
        after = []
        for rank, block in enumerate(pair):
            number = range(block.number, block.number + 1)
            part = own.on(block.data, block.plan)
            after.append(part.run(state, worker_seed(4, rank), number, course.block(number), 0)[0])
        means = [np.mean([np.asarray(a), np.asarray(b)], 0) for a, b in zip(after[0].optimizer, after[1].optimizer)]
        state = state._replace(optimizer=means)
    naive = stepper.values([tf.constant(v) for v in state.optimizer])
    gaps = [float(np.abs(a.numpy() - b[0].numpy()).max()) for a, b in zip(model.trainable_variables, naive)]
    moved = [float(np.abs(a.numpy() - b.numpy()).max()) for a, b in zip(model.variables, other.variables)]
    print(json.dumps({"gap": max(gaps), "moved": min(moved), "devices": sorted(devices), "blocks": len(history.epoch)}))
    """)
    assert found["devices"] == ["CPU:0", "CPU:1"]
    assert found["gap"] < 1e-5
    assert found["moved"] > 1e-2


def test_the_posterior_is_that_of_all_rows():
    """Precision X'WX / sigma^2 + 1 of linear regression; with the rows of a worker for N, sds would be 1.4 times it."""
    found = said("""
    weights = generator.uniform(0.5, 2.0, 501)
    model = vb.build_network(2, hidden_units=(), make_posterior_fn=family, seed=0)
    options = {"strategy": strategy, "epochs": 120, "batch_size": 20, "average_every": 8, "seed": 0, "verbose": 0}
    likelihood = vb.likelihoods.Normal(3.0)
    history = vb.fit(model, likelihood, x, y, sample_weight=weights, validation_data=(x, y), **options)
    design = np.c_[x, np.ones(501)]
    precision = design.T @ (weights[:, None] * design) / 3.0**2 + np.eye(3)
    mean = np.linalg.solve(precision, design.T @ (weights * y[:, 0]) / 3.0**2)
    q = model.layers[-1].posterior.distribution()
    f = model(x)  # one draw
    print(json.dumps({
        "mean": float(np.abs(q.mean() - mean).max()),
        "sd": (q.stddev().numpy() * np.sqrt(np.diag(precision))).tolist(),
        "steps": history.steps_per_epoch, "num_data": history.num_data, "val": history.history["val_nll"][-1],
        "nll": history.history["nll"][-1],
    }))
    """)
    assert found["mean"] < 0.03
    assert found["sd"] == pytest.approx([1.0, 1.0, 1.0], abs=0.1)
    assert found["steps"] == 14  # 251 rows in two blocks, for each of which eight steps are enough
    assert found["num_data"] == 501
    assert found["val"] == pytest.approx(found["nll"], abs=0.02)


def test_keras_counts_the_kl_once_whatever_the_number_of_replicas():
    """A step of SGD on KL / N alone; counted by each replica it would be twice as long."""
    found = said("""
    def step(scope):
        with scope:
            model = vb.build_network(2, hidden_units=(3,), make_posterior_fn=family, kl_weight=1 / 500, seed=0)
            from varbump.core.keras import keras
            model.compile(optimizer=keras.optimizers.SGD(10.0), loss=lambda y, f: tf.reduce_sum(0.0 * f, -1))
            before = [v.numpy() for v in model.trainable_variables]
            kl = float(sum(model.losses))
            history = model.fit(x[:100], y[:100], batch_size=100, epochs=1, verbose=0)
            after = [v.numpy() for v in model.trainable_variables]
            return [a - b for a, b in zip(after, before)], history.history["loss"][0], kl
    alone, loss_alone, kl_alone = step(tf.device("CPU:0"))
    shared, loss, kl = step(strategy.scope())
    ratios = [float(np.vdot(a, b) / np.vdot(a, a)) for a, b in zip(alone, shared)]
    print(json.dumps({"ratios": ratios, "loss": loss, "alone": loss_alone, "kl": kl, "kl_alone": kl_alone}))
    """)
    assert found["ratios"] == pytest.approx([1.0] * len(found["ratios"]), abs=1e-4)
    assert found["loss"] == pytest.approx(found["alone"], rel=1e-5) == pytest.approx(found["kl"], rel=1e-5)
