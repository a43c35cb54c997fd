"""Archives that someone has changed, and how loading must refuse them."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

import varbump as vb

HEADER = "varbump.json"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tampered(source, path, change):
    """A file whose JSON has been changed in place."""
    content = members(source)
    header = json.loads(content[HEADER])
    change(header)
    return write(path, {**content, HEADER: json.dumps(header)})


def put(*keys):
    """A change that puts the last of `keys` where the others lead."""
    *path, last, value = keys

    def change(header):
        for key in path:
            header = header[key]
        header[last] = value

    return change


def refused(path):
    with pytest.raises(vb.ArchiveError) as caught:
        vb.load(path)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be loaded: ")
    assert len(message) < len(str(path)) + 700
    return message


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def with_member(source, path, name, data):
    """A file in which a member, and the digest of it, have been replaced."""
    content = members(source)
    header = json.loads(content[HEADER])
    header["arrays"][name]["sha256"] = hashlib.sha256(data).hexdigest()
    return write(path, {**content, f"{name}.npy": data, HEADER: json.dumps(header)})


def with_arrays(source, path, arrays, change=None):
    """A file with these arrays instead of its own, each truly declared, and a configuration that has been changed."""
    header = json.loads(members(source)[HEADER])
    if change is not None:
        change(header)
    data = {name: npy(array) for name, array in arrays.items()}
    header["arrays"] = {
        name: {"shape": list(a.shape), "dtype": a.dtype.name, "sha256": hashlib.sha256(data[name]).hexdigest()}
        for name, a in arrays.items()
    }
    return write(path, {HEADER: json.dumps(header), **{f"{name}.npy": entry for name, entry in data.items()}})


def arrays_of(path):
    """The arrays of a file, by name."""
    return {name[: -len(".npy")]: np.load(io.BytesIO(data)) for name, data in members(path).items() if name != HEADER}
