"""Files in which anything was changed, with digests that are right: one sentence or the model that they describe.

Loading has a second gibibyte of memory, and 20 seconds of the processor, for files of some 10 kB.
"""

import contextlib
import copy
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tampered import HEADER, arrays_of, members, with_arrays

import varbump as vb
from varbump.core.keras import keras

resource = pytest.importorskip("resource", reason="memory can be bounded on Unix only")

pytestmark = pytest.mark.slow

X = np.random.default_rng(1).normal(size=(3, 2))

SIZES = [-1, 0, 1, 2, 3, 5, 1000, 10**6, 2**31 - 1, 10**18, 10**400]

OTHERS = [None, True, "", "relu", "float64", "varbump>JointNormal", 0.5, -1.0, 1e308, [], [3], [1] * 50, {}, [[[]]]]


@contextlib.contextmanager
def bounded(num_bytes):
    """Bound the address space to what it is now and `num_bytes` more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def sources(fitted, tmp_path_factory):
    """Archives of each kind, with a family, a prior, a likelihood and an activation that have sizes of their own."""
    folder = tmp_path_factory.mktemp("sources")
    likelihood = vb.likelihoods.Gamma(num_targets=2, offset=[0.1, 0.2])
    family = vb.posteriors.LowRankNormal(rank=2)
    network = vb.build_network(
        2, hidden_units=(3,), num_outputs=2, likelihood=likelihood, make_posterior_fn=family, activation="bump", seed=0
    )
    vb.save(network, folder / "network", likelihood=likelihood)
    small = vb.build_network(2, hidden_units=(2,), make_posterior_fn=vb.posteriors.JointNormal(), seed=0)
    x = np.random.default_rng(0).normal(size=(20, 2))
    like = vb.likelihoods.StudentT(learn_df=True)
    options = {"num_members": 2, "epochs": 1, "seed": 0, "verbose": 0}
    vb.save(vb.fit_ensemble(small, like, x, x[:, :1], **options), folder / "ensemble")
    vb.save(fitted, folder / "regressor")
    inputs = keras.Input((2,))
    layers = keras.layers
    hidden = layers.BatchNormalization()(layers.Dense(3, activation="bump")(layers.Rescaling([1.0, 2.0])(inputs)))
    hidden = layers.Concatenate()([inputs, layers.PReLU()(layers.Dropout(0.5)(hidden))])
    outputs = layers.Reshape((2, 1))(layers.Dense(2)(layers.Add()([hidden, hidden])))
    vb.save(keras.Model(inputs, layers.Flatten()(outputs)), folder / "functional")
    return sorted(folder.iterdir())


def places(value, path=()):
    """All paths into a JSON, without the words of a generator's state."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        if key != "RandomState":
            yield from places(entry, (*path, key))


def at(header, path):
    for key in path:
        header = header[key]
    return header


def edit(data, header):
    """Put a number, a word, or another part of the same configuration in some place, or remove what is there."""
    *path, last = data.draw(st.sampled_from([p for p in places(header) if p[:1] == ("configuration",) and p[1:]]))
    where, how = at(header, path), data.draw(st.sampled_from(["size", "size", "other", "copy", "remove"]))
    if how == "remove":
        del where[last]
    elif how == "copy":
        where[last] = copy.deepcopy(at(header, data.draw(st.sampled_from(list(places(header))))))
    else:
        where[last] = data.draw(st.sampled_from(SIZES if how == "size" else OTHERS))


def change(data, arrays):
    """Change the numbers, the shape, the type or the name of an array."""
    name = data.draw(st.sampled_from(sorted(arrays)))
    array, how = arrays[name], data.draw(st.sampled_from(["numbers", "shape", "type", "remove", "swap", "large"]))
    if how == "remove":
        del arrays[name]
    elif how == "swap":
        other = data.draw(st.sampled_from(sorted(arrays)))
        arrays[name], arrays[other] = arrays[other], array
    elif how == "type":
        arrays[name] = array.astype(data.draw(st.sampled_from(["float32", "float64", "int32", "int64"])))
    elif how == "shape":
        shapes = [(-1,), (1, -1), array.shape[::-1], (*array.shape, 1), (0,), (0, 9999)]
        arrays[name] = np.resize(array, data.draw(st.sampled_from([s if -1 not in s else array.size for s in shapes])))
    elif how == "numbers":
        arrays[name] = array + np.asarray(data.draw(st.sampled_from([0.25, -1.0])), array.dtype)
    else:
        with np.errstate(invalid="ignore"):  # what becomes of 1e30 as an integer is one more change
            arrays[name] = np.full_like(array, data.draw(st.sampled_from([0, 1e30, -1e30])))


def one_sentence(error):
    assert 0 < len(str(error)) < 1000
    assert "\n" not in str(error)


def check_use(model, arrays):
    """Check that weights are those of the file, and that predictions have their shape or are refused."""
    network = getattr(model, "network", model)
    if isinstance(network, keras.Model) and not hasattr(model, "values"):
        stored = [arrays[name] for name in sorted(arrays) if name.startswith("weights/")]
        assert sum(a.size for a in stored) == sum(np.size(w) for w in network.get_weights())
    try:
        if isinstance(model, vb.VariationalRegressor):
            mean, std = model.predict(
                pd.DataFrame(X, columns=getattr(model, "feature_names_in_", None)), return_std=True
            )
            assert mean.shape == std.shape == (3,)
            assert np.isfinite(mean).all()
        else:
            f = vb.predict_f(model if hasattr(model, "values") else network, X, num_draws=2, seed=0)
            assert f.shape[:2] == (2, 3)
    except (ValueError, TypeError) as error:
        one_sentence(error)


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_two_hundred_changes(sources, tmp_path, data):
    source = data.draw(st.sampled_from(sources), label="source")
    header, arrays = json.loads(members(source)[HEADER]), arrays_of(source)
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            edit(data, header)
        else:
            change(data, arrays)
    path = with_arrays(source, tmp_path / "model.varbump", arrays, lambda own: own.update(header))
    start = time.process_time()
    try:
        with bounded(2**30):
            model = vb.load(path)
    except vb.ArchiveError as error:
        one_sentence(error)
        return
    finally:
        assert time.process_time() - start < 20.0
    check_use(model, arrays)
