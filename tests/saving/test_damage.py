"""What comes out of a file that is damaged, or that someone has made to do harm: one sentence, or an equal model."""

import copy
import json
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tampered import HEADER, members, npy, put, refused, tampered, with_member, write

import varbump as vb


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A small archive that has everything: two layers, an activation with weights, a likelihood."""
    path = tmp_path_factory.mktemp("original") / "model.varbump"
    likelihood = vb.likelihoods.LearnedNormal(0.3)
    network = vb.build_network(2, hidden_units=(3,), activation="bump", likelihood=likelihood, seed=0)
    vb.save(network, path, likelihood=likelihood)
    return path


@pytest.fixture(scope="module")
def weights(original):
    saved = vb.load(original)
    return [*saved.network.get_weights(), saved.likelihood.scale]


@pytest.fixture(scope="module")
def regressor(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("regressor") / "model.varbump"
    vb.save(fitted, path)
    return path


def layer(number, *keys):
    return put("configuration", "layers", number, *keys)


def config(number, *keys):
    return layer(number, "config", *keys)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.varbump cannot be loaded: there is no such file"):
        vb.load(tmp_path / "none.varbump")
    with pytest.raises(IsADirectoryError, match="cannot be loaded: it is a folder"):
        vb.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(tmp_path / "pipe")


@pytest.mark.parametrize("content", [b"", b"x", b"PK", b"hello " * 1000, pickle.dumps([1, 2]), b"PK\5\6" + bytes(18)])
def test_no_archive_at_all(tmp_path, content):
    path = tmp_path / "model.varbump"
    path.write_bytes(content)
    assert "no archive of varbump" in refused(path)


def test_other_files_are_told_apart(tmp_path, original):
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    assert "no archive of varbump" in refused(tmp_path / "arrays.npz")
    vb.build_network(2, seed=0).save(tmp_path / "model.keras")
    assert "no archive of varbump" in refused(tmp_path / "model.keras")
    path = tampered(original, tmp_path / "fit.checkpoint", put("kind", "checkpoint"))
    assert "it holds no model (checkpoint)" in refused(path)


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"class": "varbump>Bump", "config": {"activation": value}}
    return value


ENTRY = {"shape": [], "dtype": "float32", "sha256": ""}

HOSTILE = {
    "other format": (put("format", "other"), "no archive of varbump"),
    "newer version": (put("format_version", 2), "format version 2, written by varbump '0.1.0'; varbump .* version 1"),
    "no version": (put("format_version", None), "format version None"),
    "version as text": (put("format_version", "1"), "format version '1'"),
    "unknown kind": (put("kind", "pickle"), "holds no model"),
    "kind of another type": (put("kind", ["network"]), "holds no model"),
    "wrong kind": (put("kind", "regressor"), "does not say how its network is built"),
    "wrong kind too": (put("kind", "ensemble"), "it has no network"),
    "no configuration": (put("configuration", None), "has no configuration"),
    "no arrays": (put("arrays", []), "no list of arrays"),
    "arrays that are text": (put("arrays", "weights/0/0", "npy"), "makes no sense"),
    "a path as a name": (put("arrays", "../../evil", ENTRY), "makes no sense"),
    "an absolute name": (put("arrays", "/etc/x", ENTRY), "makes no sense"),
    "an array that is missing": (put("arrays", "weights/9/9", ENTRY), "missing"),
    "pickled objects": (put("arrays", "weights/0/0", "dtype", "object"), "makes no sense"),
    "negative shape": (put("arrays", "weights/0/0", "shape", [-1]), "cannot have shape"),
    "shape as text": (put("arrays", "weights/0/0", "shape", ["9"]), "cannot have shape"),
    "shape of fractions": (put("arrays", "weights/0/1", "shape", [9.0]), "cannot have shape"),
    "too many axes": (put("arrays", "weights/0/1", "shape", [1] * 64), "cannot have shape"),
    "huge shape": (put("arrays", "weights/0/1", "shape", [10**15]), "cannot have shape"),
    "huge product": (put("arrays", "weights/0/1", "shape", [999, 999, 999]), "larger than its part"),
    "another shape": (put("arrays", "weights/0/1", "shape", [3, 3]), r"weights/0/1 should have shape \(9,\)"),
    "another dtype": (put("arrays", "weights/0/1", "dtype", "int32"), "dtype"),
    "another digest": (put("arrays", "weights/0/1", "sha256", "0" * 64), "SHA-256"),
    "a million units": (config(1, "units", 10**6), r"should have shape .* by its configuration"),
    "more units than there are": (config(1, "units", 10**12), "more than 16,777,216 numbers of each row"),
    "no units": (config(1, "units", 0), "units must be a positive integer"),
    "units as text": (config(1, "units", "3"), "units must not be 3"),
    "units true": (config(1, "units", True), "units must be a positive integer"),
    "a million inputs": (config(0, "batch_input_shape", [None, 10**6]), "should have shape"),
    "negative inputs": (config(0, "batch_input_shape", [None, -2]), "positive sizes"),
    "no inputs": (config(0, "batch_input_shape", None), "which shape a row"),
    "a lambda": (layer(1, "class", "layers.Lambda"), "Lambda, which cannot be saved or loaded"),
    "a distribution layer": (layer(1, "class", "DistributionLambda"), "DistributionLambda, which cannot"),
    "a module": (layer(1, "class", "os.system"), "system, which cannot"),
    "a class of another type": (layer(1, "class", ["varbump>Bump"]), "must be an object"),
    "a likelihood as a layer": (layer(1, "class", "varbump>NormalLikelihood"), "which cannot"),
    "no layers": (put("configuration", "layers", None), "at most 1000 layers"),
    "too many layers": (put("configuration", "layers", [{}] * 1001), "at most 1000 layers"),
    "no layer": (put("configuration", "layers", 1, None), "has no name"),
    "no model": (put("configuration", "class", "Model"), "must be one of"),
    "model of another type": (put("configuration", "class", {}), ""),
    "a layer without name": (config(1, "name", None), "has no name"),
    "names that are the same": (config(1, "name", "output"), "have one name"),
    "a strange name": (config(1, "name", "a\nb"), "has no name"),
    "an unknown option": (config(1, "hello", 3), "cannot be made of its configuration.*hello"),
    "a missing option": (lambda header: header["configuration"]["layers"][1]["config"].pop("seed"), None),
    "a word where none belongs": (config(1, "seed", "os.system"), "must not be os.system"),
    "an unknown activation": (config(2, "activation", "system"), "activation is system, which cannot"),
    "a function as activation": (config(2, "activation", {"class": "__lambda__", "config": {}}), "without a name"),
    "an unknown estimator": (config(1, "estimator", "other"), "must not be other"),
    "another dtype of a layer": (config(1, "dtype", "float64"), "its layer works in float64"),
    "half precision": (config(1, "dtype", "float16"), "must not be float16"),
    "a huge seed": (config(1, "seed", 2**70), "finite numbers"),
    "a prior as posterior": (config(1, "make_posterior_fn", "class", "varbump>NormalPrior"), "which cannot"),
    "a posterior without class": (config(1, "make_posterior_fn", {}), "must be an object"),
    "a negative scale": (config(1, "make_posterior_fn", "config", "scale", -1.0), "cannot be made"),
    "an unknown option of a factory": (config(1, "make_posterior_fn", "config", "x", 1), "cannot be made"),
    "another family": (config(1, "make_posterior_fn", "class", "varbump>LowRankNormal"), "cannot be made"),
    "deeply nested layers": (config(1, "activation", nested(100)), ""),
    "very deeply nested layers": (config(1, "activation", nested(300)), ""),
    "nested lists": (config(1, "kl_weight", [[[[[[[[]]]]]]]]), ""),
    "a negative temperature": (put("configuration", "temperature", -1.0), "temperature"),
    "a temperature as text": (put("configuration", "temperature", "hot"), "temperature"),
    "an unknown likelihood": (put("configuration", "likelihood", "class", "varbump>Poisson"), "likelihood is Poisson"),
    "no likelihood": (put("configuration", "likelihood", None), "must be an object"),
    "a million million targets": (put("configuration", "likelihood", "config", "num_targets", 10**12), "num_targets"),
    "a million targets": (put("configuration", "likelihood", "config", "num_targets", 10**6), "learn 1,000,000 num"),
    "a negative noise": (put("configuration", "likelihood", "config", "scale", -1.0), "cannot be made"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_configuration_that_was_changed(original, tmp_path, name):
    change, message = HOSTILE[name]
    path = tampered(original, tmp_path / "model.varbump", change)
    if message is None:  # a default takes its place
        vb.load(path)
        return
    found = refused(path)
    assert re.search(message, found), found


MANY = {"class": "varbump>LearnedNormalLikelihood", "config": {"num_targets": 2**30}}

GENERATOR = ("configuration", "parameters", "random_state", "RandomState")

REGRESSOR = {
    "an unknown parameter": (put("configuration", "parameters", "hello", 1), "is unknown"),
    "a parameter out of range": (put("configuration", "parameters", "n_draws", 0), "n_draws"),
    "a function": (put("configuration", "parameters", "activation", {"activation": "system"}), "system, which cannot"),
    "another value": (put("configuration", "parameters", "activation", {"eval": "1"}), "must not be"),
    "no parameters": (put("configuration", "parameters", None), "has no parameters"),
    "a million units": (put("configuration", "arguments", "hidden_units", {"tuple": [10**6]}), "should have shape"),
    "units as text": (put("configuration", "arguments", "hidden_units", {"tuple": ["3"]}), "hidden_units must not"),
    "a million features": (put("configuration", "arguments", "num_features", 10**6), "columns make 2 inputs"),
    "a million targets": (put("configuration", "arguments", "num_outputs", 10**6), "says that it has a single one"),
    "no arguments": (put("configuration", "arguments", {}), "do not describe a network"),
    "an unknown argument": (put("configuration", "arguments", "hello", 1), "is unknown"),
    "no members": (put("configuration", "likelihoods", []), "no members"),
    "too many members": (put("configuration", "likelihoods", [{}, {}]), "must be an object"),
    "names that do not fit": (put("configuration", "feature_names", ["a"]), "list of 2 words"),
    "names that are numbers": (put("configuration", "feature_names", [1, 2]), "list of 2 words"),
    "no rows": (put("configuration", "rows_seen", [0, 0]), "cannot have seen"),
    "epochs as text": (put("configuration", "n_iter", "many"), "n_iter must be an integer"),
    "no history": (put("configuration", "history", None), "history has no names"),
    "a history of another type": (put("configuration", "history", "seconds", "long"), "history, seconds"),
    "several targets": (put("configuration", "single_target", False), "noise_std should have shape"),
    "a generator far out": (put(*GENERATOR, 1, 10**9), "RandomState"),
    "a generator of words": (put(*GENERATOR, 0, ["x"]), "RandomState"),
    "a likelihood of millions": (
        put("configuration", "parameters", "likelihood", MANY),
        "learn 1,0.* numbers",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", REGRESSOR)
def test_a_regressor_that_was_changed(regressor, tmp_path, name):
    change, message = REGRESSOR[name]
    found = refused(tampered(regressor, tmp_path / "model.varbump", change))
    assert re.search(message, found), found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(np.full(9, np.nan, "float32")), "nan or infinite"),
        (npy(np.full(9, np.inf, "float32")), "nan or infinite"),
        (npy(np.zeros(8, "float32")), r"has shape \(8,\)"),
        (npy(np.zeros((3, 3), "float32")), r"has shape \(3, 3\)"),
        (npy(np.zeros(9, "float64")), "dtype float64"),
        (npy(np.zeros(9, ">f4")), "dtype >f4"),
        (npy(np.array([print] * 9, object), allow_pickle=True), "dtype object"),
        (npy(np.zeros(9, "float32"))[:-4], "as many numbers"),
        (npy(np.zeros(9, "float32")) + b"more", "as many numbers"),
        (b"", "larger than its part of the file"),
        (b"hello", "larger than its part of the file"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os') ", "larger than its part of the file"),
        (b"hello" * 30, "no readable header"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os') " * 10, "no readable header"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "no readable header"),
        (b"\x93NUMPY\x03\x00" + b"\0" * 100, "no readable header"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:12],
)
def test_an_array_that_was_changed(original, tmp_path, data, message):
    found = refused(with_member(original, tmp_path / "model.varbump", "weights/0/1", data))
    assert re.search(message, found), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": NaN}', "no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "no"),
        (b"[]", "no archive of varbump"),
        (b"3", "no archive of varbump"),
    ],
    ids=range(7),
)
def test_a_header_that_is_none(original, tmp_path, text, message):
    assert message in refused(write(tmp_path / "model.varbump", {**members(original), HEADER: text}))


def test_members_that_are_missing_or_too_many_or_packed(original, tmp_path):
    content, path = members(original), tmp_path / "model.varbump"
    for name in content:
        rest = {key: value for key, value in content.items() if key != name}
        assert ("is missing" if name != HEADER else f"no member {HEADER}") in refused(write(path, rest))
    for name in ("../evil.npy", "/etc/passwd", "C:\\evil", "weights/0/0.npy/", "more.npy"):
        assert "beside its arrays" in refused(write(path, {**content, name: b"evil"}))
    assert "compressed" in refused(write(path, content, zipfile.ZIP_DEFLATED))
    bomb = {**content, "weights/0/0.npy": npy(np.zeros(2**23, "float32"))}
    assert "compressed" in refused(write(path, bomb, zipfile.ZIP_DEFLATED))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(write(path, content), "a") as archive:
        archive.writestr(HEADER, b"{}")
    assert "two members of one name" in refused(path)


def test_members_that_overlap(original, tmp_path):
    """Many entries for the same bytes claim more than the file has."""
    content = {**members(original), "big.npy": bytes(100_000)}
    path = write(tmp_path / "model.varbump", content)
    with zipfile.ZipFile(path, "a") as archive:
        big = archive.getinfo("big.npy")
        for index in range(50):
            again = copy.copy(big)
            again.filename = f"big{index}.npy"
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive._didModify = True
    assert "larger than the file" in refused(path)


def load_or_refuse(path, data, weights):
    path.write_bytes(data)
    try:
        saved = vb.load(path)
    except vb.ArchiveError:
        return
    for a, b in zip(weights, [*saved.network.get_weights(), saved.likelihood.scale], strict=True):
        np.testing.assert_array_equal(a, b)


FUZZ = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@FUZZ
@given(data=st.data())
def test_bytes_that_were_flipped(original, weights, tmp_path, data):
    content = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    load_or_refuse(tmp_path / "model.varbump", bytes(content), weights)


@pytest.mark.slow
@FUZZ
@given(data=st.data())
def test_files_that_were_cut_or_grew(original, tmp_path, weights, data):
    content = original.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    more = data.draw(st.binary(max_size=20))
    load_or_refuse(tmp_path / "model.varbump", content[:start] + more + content[stop:], weights)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """All paths into a JSON."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


@pytest.mark.slow
@settings(FUZZ, max_examples=400)
@given(data=st.data())
@pytest.mark.parametrize("which", ["original", "regressor"])
def test_json_in_which_anything_was_replaced(request, tmp_path, which, data):
    content = members(request.getfixturevalue(which))
    header = json.loads(content[HEADER])
    place = data.draw(st.sampled_from(list(places(header))[1:]))
    if place[:4] == GENERATOR and len(place) > 5:
        return  # one of 624 words
    put(*place, data.draw(VALUES))(header)
    path = write(tmp_path / "model.varbump", {**content, HEADER: json.dumps(header)})
    try:
        vb.load(path)
    except vb.ArchiveError:
        pass


@pytest.mark.slow
def test_every_single_byte(original, tmp_path, weights):
    """Each byte of the file in turn; where it does not matter, such as in dates, the model is equal."""
    content = original.read_bytes()
    for index in range(0, len(content), 7):
        changed = bytearray(content)
        changed[index] ^= 1 << (index % 8)
        load_or_refuse(tmp_path / "model.varbump", bytes(changed), weights)
