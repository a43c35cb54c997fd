"""Two workers of a strategy, which are processes: the same results, and what becomes of them when one ends."""

import json
import signal
import time

import pytest
from on_loopback import finished, launch

pytestmark = pytest.mark.slow

TOGETHER = """
try:
    train(epochs=3 + rank)
except ValueError as error:
    say(differs=str(error))

model, likelihood = network(rank), vb.likelihoods.LearnedNormal()
elbo = lambda: vb.estimate_elbo(model, likelihood, x, y, num_draws=200, seed=0).loss
found = train(60, model, likelihood, seed=None)
loss = elbo()
found["starts"] = bits(*network(rank).get_weights())
model, likelihood = network(0), vb.likelihoods.LearnedNormal()
vb.fit(model, likelihood, vb.sources.ArraySource(x, y), epochs=30, batch_size=20, seed=1, verbose=0)
say(**found, loss=loss, alone=elbo())

say(**train(200, validation_data=(x[::7], y[::7]), patience=3, schedule="constant", learning_rate=0.05))

average, calls = loop.average, []
def interrupting(*arguments):
    calls.append(1)
    if rank == 1 and len(calls) == 30:
        os.kill(os.getpid(), signal.SIGINT)
    return average(*arguments)
loop.average = interrupting
say(**train(10_000), calls=len(calls))

bad = y.copy()
bad[4_000] = 3e38
loop.average = average
try:
    train(3, data=(x, bad))
except vb.NonFiniteLossError as error:
    say(failed=str(error))
"""


def test_workers_agree_and_come_to_the_elbo_of_one_process():
    (first, second), _ = finished(launch(TOGETHER))
    differs, trained, patient, interrupted, failed = zip(first, second, strict=True)
    for found in differs:
        assert "epochs of worker 1 differs from that of worker 0" in found["differs"]
    for one, other in (trained, patient, interrupted):
        assert one["checksum"] == other["checksum"]
        assert one["history"] == other["history"]
        assert (one["stopped"], one["best_epoch"]) == (other["stopped"], other["best_epoch"])
    assert trained[0]["starts"] != trained[1]["starts"]
    assert trained[0]["loss"] == pytest.approx(trained[0]["alone"], abs=0.02)  # after the same number of steps
    assert trained[0]["history"]["loss"][-1] == pytest.approx(trained[0]["loss"], abs=0.05)  # by other draws
    assert patient[0]["stopped"] == "patience"
    assert interrupted[0]["stopped"] == "interrupted"
    assert interrupted[1]["calls"] in (30, 31)  # the round in which it came, or the one after
    assert any("likelihood went first" in found["failed"] for found in failed)
    assert any("another worker" in found["failed"] for found in failed)


DISTURBED = """
from varbump.inference.workers import cluster
victim, number, signal_number = (int(word) for word in os.environ["FAULT"].split())
average, calls = loop.average, []
def disturbing(*arguments):
    calls.append(1)
    if rank == victim and len(calls) == number:
        say(ended=time.time())
        os.kill(os.getpid(), signal_number) if signal_number else time.sleep(10_000)
    return average(*arguments)
loop.average = disturbing
say(**train(6, checkpoint=os.environ["FOLDER"] if rank == 0 else os.environ["FOLDER"] + "-elsewhere"))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("undisturbed"))
    (first, second), _ = finished(launch(DISTURBED, FOLDER=folder, FAULT="-1 0 0"))
    assert first == second
    return first


@pytest.mark.parametrize(
    ("victim", "what"),
    [(1, signal.SIGKILL), (0, signal.SIGKILL), (1, signal.SIGSTOP), (0, 0)],
    ids=["worker killed", "chief killed", "worker stopped", "chief asleep"],
)
def test_a_run_whose_worker_was_killed_or_hangs_is_resumed_with_the_same_bits(victim, what, undisturbed, tmp_path):
    processes = launch(DISTURBED, FOLDER=str(tmp_path), FAULT=f"{victim} 17 {int(what)}")
    survivor = processes[1 - victim]
    assert survivor.wait(600) == 75
    now = time.time()
    processes[victim].kill()
    told, _ = processes[victim].communicate(timeout=60)
    assert now - json.loads(told.splitlines()[-1])["ended"] < 60  # its limit is 10 s; then the process has to end
    _, errors = survivor.communicate()
    assert "start all workers again to go on from the last checkpoint" in errors
    assert "Traceback" not in errors
    resumed, _ = finished(launch(DISTURBED, FOLDER=str(tmp_path), FAULT="-1 0 0"))
    assert resumed == [undisturbed, undisturbed]


def test_a_checkpoint_of_another_run_ends_the_others_too(undisturbed, tmp_path):
    code = DISTURBED.replace("train(6,", "train(7,")
    finished(launch(DISTURBED, FOLDER=str(tmp_path), FAULT="-1 0 0"))
    _, (chief, other) = finished(launch(code, FOLDER=str(tmp_path), FAULT="-1 0 0"), [1, 75])
    assert "epochs is 7, but was 6" in chief
    assert "another worker has ended with an error of its own" in other
