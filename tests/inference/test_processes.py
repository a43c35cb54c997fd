"""The same seed gives the same bits in another process."""

import hashlib
import os
import subprocess
import sys

import pytest

SCRIPT = """
import hashlib
import numpy as np
import varbump as vb

x = np.linspace(-1, 1, 60)[:, None]
y = np.sin(3 * x)
network = vb.build_network(1, hidden_units=(5,), seed=0)
likelihood = vb.likelihoods.LearnedNormal()
history = vb.fit(network, likelihood, x, y, epochs=5, seed=3, verbose=0)
f = vb.predict_f(network, x, num_draws=20, seed=1)
y_new = vb.predict_y(network, likelihood, x, num_draws=20, seed=1)
bands = vb.predict_bands(network, x, num_draws=20, seed=1)
parts = [*network.get_weights(), np.array(history.history["loss"]), likelihood.scale, f, y_new, bands.upper[0.95]]
total = hashlib.sha256()
for part in parts:
    total.update(np.ascontiguousarray(part).tobytes())
print(total.hexdigest())
"""


@pytest.mark.slow
def test_fit_and_predictions_have_the_same_bits_in_fresh_processes():
    results = []
    for hash_seed in ("1", "2"):  # the order of sets of strings must not matter
        found = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        results.append(found.stdout.split()[-1])
    assert results[0] == results[1]
    assert len(results[0]) == 2 * hashlib.sha256().digest_size
