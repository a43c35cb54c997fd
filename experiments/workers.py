"""One model on several workers of this machine: what averaging costs, and what becomes of a worker that dies.

Each worker is a process with an address on loopback in TF_CONFIG, as on several machines. Without --kill, one process
without a strategy, that many of them at the same time, and the workers of a strategy train with the same options; a
step of the workers is compared with that of as many processes that know nothing of each other, since they share the
same cores. With --kill, a worker is killed, or stopped with --hang, at a random time after a checkpoint; the others
end, all are started again, and the result is compared with that of a run that nothing has disturbed, bit by bit.

python experiments/workers.py --workers 2
python experiments/workers.py --workers 2 --kill 1 --repeats 10
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"

LOST = 75
"""Exit code of a worker whose peers have ended: all can be started again."""


def main(arguments: list[str] | None = None) -> None:
    """Print a table of steps a second, or of runs that were disturbed."""
    options = parsed(arguments)
    if options.rank is not None:
        work(options)
    elif options.kill is None:
        speed(options)
    else:
        faults(options)


def speed(options: argparse.Namespace) -> None:
    """Steps a second of one process, of several that know nothing of each other, and of the workers of a strategy."""
    alone = finish(launch(options, 1, strategy=False))[0]
    apart = mean_speed(finish(launch(options, options.workers, strategy=False)))
    rows = [
        f"| one process | | {alone['steps_per_second']:,.0f} | | {alone['loss']:.4f} |",
        f"| {options.workers} processes without a strategy | | {apart:,.0f} | 1 | |",
    ]
    for every in options.every:
        found = finish(launch(options, options.workers, every=every))
        (same,) = {worker["checksum"] for worker in found}
        speed = mean_speed(found)
        relative = f"{apart / speed:.2f}"
        rows.append(f"| {options.workers} workers | {every} | {speed:,.0f} | {relative} | {found[0]['loss']:.4f} |")
        print(f"Checksums of the workers: all {same}")
    title = (
        f"{options.rows:,} rows of {options.features} features, one hidden layer of {options.width}, mean field, "
        f"batches of {options.batch_size}, the same number of steps of each process; cores: {os.cpu_count()}. "
        f"A step is compared with that of as many processes that know nothing of each other; the last column is an "
        f"estimate from 20 draws of the weights, each on all rows."
    )
    heads = "| what | steps between averages | steps a second of each | a step, relative | -ELBO / N |"
    heads += "\n|---|---|---|---|---|"
    table = "\n".join([title, "", heads, *rows, ""])
    print(table)
    options.out.write_text(table)
    print(f"Table: {options.out}")


def mean_speed(found: list[dict]) -> float:
    """Steps a second of a process."""
    return float(np.mean([worker["steps_per_second"] for worker in found]))


def faults(options: argparse.Namespace) -> None:
    """Disturb runs, start them again, and compare the results with those of a run that was not disturbed."""
    (undisturbed,) = {found["checksum"] for found in finish(launch(options, options.workers))}
    print(f"undisturbed: checksum {undisturbed}")
    rng, same = np.random.default_rng(options.seed), 0
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            processes = launch(options, options.workers, folder)
            wait_for_checkpoint(Path(folder), processes)
            time.sleep(rng.uniform(0.0, options.within))
            victim = processes[options.kill]
            victim.send_signal(signal.SIGSTOP if options.hang else signal.SIGKILL)
            began = time.monotonic()
            others = [process for process in processes if process is not victim]
            codes = [process.wait(600.0) for process in others]
            seconds = time.monotonic() - began
            victim.kill()
            sentence = others[0].communicate()[1].strip().splitlines()[-1:]
            found = finish(launch(options, options.workers, folder))
            again = {result["checksum"] for result in found}
            same += again == {undisturbed}
            what = "stopped" if options.hang else "killed"
            if set(codes) != {LOST}:
                raise RuntimeError(f"the others have ended with {codes}: {sentence}")
            print(
                f"{repeat + 1}: worker {options.kill} {what}; the others ended after {seconds:.1f} s with {codes}; "
                f"resumed: checksum {', '.join(sorted(again))}"
            )
            if not repeat:
                print(*sentence)
    print(f"{same} of {options.repeats} resumed runs have the bits of the undisturbed one")


def launch(
    options: argparse.Namespace,
    workers: int,
    folder: str | None = None,
    strategy: bool = True,
    every: int | None = None,
) -> list[subprocess.Popen[str]]:
    """Start the workers, each a process that runs this script."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    names = ("rows", "features", "width", "epochs", "batch_size", "seed", "limit")
    command = [sys.executable, __file__, *(f"--{n.replace('_', '-')}={getattr(options, n)}" for n in names)]
    command += [f"--every={every or options.every[0]}", *([f"--folder={folder}"] if folder else [])]
    processes = []
    for rank in range(workers):
        environment = dict(os.environ)
        if strategy:
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            environment["TF_CONFIG"] = json.dumps(task)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen([*command, f"--rank={rank}"], env=environment, **pipes))
    return processes


def finish(processes: list[subprocess.Popen[str]]) -> list[dict]:
    """Wait for workers, which must not fail, and return what they say."""
    try:
        outputs = [process.communicate(timeout=1_800) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"a worker has ended with {process.returncode}: {errors[-2_000:]}")
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def wait_for_checkpoint(folder: Path, processes: list[subprocess.Popen[str]]) -> None:
    """Wait until a state of the run under way has been written, after the one before its first step."""
    path, written = folder / "fit.checkpoint", set()
    while len(written) < 2:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("the run has ended before it could be disturbed; pass more --epochs")
        if path.exists():
            written.add(path.stat().st_mtime_ns)
        time.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def work(options: argparse.Namespace) -> None:
    """Do the work of one worker: the script that every machine of a cluster would run."""
    strategy = None
    if "TF_CONFIG" in os.environ:
        waits = tf.distribute.experimental.CommunicationOptions(timeout_seconds=options.limit)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=waits)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.rows, options.features)).astype(np.float32)
    y = np.sin(x[:, :1]) + 0.3 * rng.normal(size=(options.rows, 1)).astype(np.float32)
    family = vb.posteriors.MeanFieldNormal()
    network = vb.build_network(options.features, hidden_units=(options.width,), make_posterior_fn=family, seed=0)
    likelihood = vb.likelihoods.LearnedNormal()
    more = {"strategy": strategy, "average_every": options.every[0]} if strategy else {}
    history = vb.fit(
        network,
        likelihood,
        vb.sources.ArraySource(x, y),
        epochs=options.epochs if strategy is None else options.epochs * strategy.num_replicas_in_sync,
        batch_size=options.batch_size,
        checkpoint=options.folder,
        seed=options.seed,
        verbose=0,
        **more,
    )
    bits = b"".join(values.tobytes() for values in [*network.get_weights(), np.float32(likelihood.scale)])
    found = {
        "loss": vb.estimate_elbo(network, likelihood, x, y, num_draws=20, seed=0).loss,
        "checksum": f"{zlib.crc32(bits):08x}",
        "steps_per_second": history.steps_per_second,
    }
    print(json.dumps(found))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", type=int, help="number of the worker to kill; 0 is the chief")
    parser.add_argument("--hang", action="store_true", help="stop it instead, so that it does not answer")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--within", type=float, default=1.0, help="seconds after a checkpoint, default 1")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds to wait for the others, default 20")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=6)
    parser.add_argument("--width", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=10, help="of one process; workers take as many steps")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--every", type=int, nargs="+", default=[256, 64, 1024], help="steps between two averages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "workers.md", help="default plots/workers.md")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
