"""Partitions of a Dask data frame, in processes that load the model themselves."""

import time

import numpy as np
import pandas as pd
import pytest

import varbump as vb

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=40_000), "c": rng.choice(["u", "v"], 40_000)})
    y = np.sin(frame["a"]) + (frame["c"] == "u")
    quick = {"hidden_layer_sizes": (5,), "likelihood": "normal", "embedding": None, "max_iter": 1, "random_state": 0}
    model = vb.VariationalRegressor(**quick).fit(frame[:2_000], y[:2_000])
    path = tmp_path_factory.mktemp("model") / "model.varbump"
    vb.save(model, path)
    return frame, model, str(path)


def test_partitions_are_predicted_in_other_processes(saved):
    dask_frames = pytest.importorskip("dask.dataframe", reason='pip install "varbump[dask]"')
    frame, model, path = saved
    rows = frame[:400]
    parts = dask_frames.from_pandas(rows, npartitions=3)
    meta = vb.predict_partition(rows[:0], path)
    found = parts.map_partitions(vb.predict_partition, path, meta=meta).compute(scheduler="processes", num_workers=1)
    np.testing.assert_allclose(found["mean"], model.predict(rows), rtol=1e-6)
    assert list(found.index) == list(rows.index)


def test_a_second_partition_costs_a_warm_prediction(saved):
    """At most 1.2 times as much, in CPU time of this process, the least of three."""
    frame, model, path = saved
    part, other = frame[:20_000], frame[20_000:]
    vb.predict_partition(part, path)

    def of_model():
        for _, mixture in model.predict_dist(other).blocks():
            mixture.moments()
            mixture.quantile(0.025)
            mixture.quantile(0.975)

    def seconds(call):
        taken = []
        for _ in range(3):
            began = time.process_time()
            call()
            taken.append(time.process_time() - began)
        return min(taken)

    of_model()
    assert seconds(lambda: vb.predict_partition(other, path)) < 1.2 * seconds(of_model)
