"""Workers of a MultiWorkerMirroredStrategy, each a process with an address on loopback."""

import json
import os
import socket
import subprocess
import sys
import textwrap

PRELUDE = """
import json, os, signal, time, zlib
import numpy as np
import tensorflow as tf
import varbump as vb
from varbump.inference.vi import checkpoint
from varbump.inference.workers import loop

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process of a shell's background would ignore it
waits = tf.distribute.experimental.CommunicationOptions(timeout_seconds=10.0)
strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=waits)
rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
checkpoint.MAX_SHARE = 1e9  # a state after each average

generator = np.random.default_rng(0)
x = np.sort(generator.normal(size=(4_001, 2)), axis=0).astype(np.float32)
y = (np.sin(x[:, :1]) + 0.3 * generator.normal(size=(4_001, 1))).astype(np.float32)

def network(seed):
    family = vb.posteriors.MeanFieldNormal()
    return vb.build_network(2, hidden_units=(5,), make_posterior_fn=family, seed=seed)

def bits(*arrays):
    return zlib.crc32(b"".join(np.asarray(a).tobytes() for a in arrays))

def train(epochs=20, model=None, likelihood=None, **options):
    model, likelihood = model or network(rank), likelihood or vb.likelihoods.LearnedNormal()
    shared = {"strategy": strategy, "average_every": 16, "batch_size": 20, "seed": 1, "verbose": 0}
    history = vb.fit(model, likelihood, *options.pop("data", (x, y)), epochs=epochs, **{**shared, **options})
    found = {"checksum": bits(*model.get_weights(), likelihood.scale), "history": history.history}
    return {**found, "stopped": history.stopped, "best_epoch": history.best_epoch}

def say(**facts):
    print(json.dumps(facts), flush=True)
"""


def launch(code, count=2, **environment):
    """Start workers that run some code after `PRELUDE`."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    script = PRELUDE + textwrap.dedent(code)
    processes = []
    for rank in range(count):
        config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})
        variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": config, **environment}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen([sys.executable, "-c", script], env=variables, **pipes))
    return processes


def finished(processes, codes=None, limit=900):
    """What each worker has said, line by line, and its standard error, once all have ended with these exit codes."""
    try:
        outputs = [process.communicate(timeout=limit) for process in processes]
    finally:
        for process in processes:
            process.kill()
    found = [process.returncode for process in processes]
    assert found == (codes or [0] * len(processes)), [errors[-3_000:] for _, errors in outputs]
    said = [[json.loads(line) for line in output.splitlines() if line.startswith("{")] for output, _ in outputs]
    return said, [errors for _, errors in outputs]


def free_ports(count):
    """Ports of loopback that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
