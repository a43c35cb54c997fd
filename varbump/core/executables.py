"""Release of the machine code that XLA has compiled in this process, for which TensorFlow has no function."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

__all__ = ["executing", "make_room", "release_executables"]

COMPILER = b"N10tensorflow14DeviceCompilerIN3xla15LocalExecutableENS1_11LocalClientEEE"
"""Name, as typeid gives it, of the class of the object that holds all executables of a device."""

MOST_MAPPINGS = 0.6
"""Share of the mappings that a process may have, from which room is made for more machine code."""

CHECKS = 8
"""New functions after which mappings are counted, which takes milliseconds."""

_lock = threading.Lock()
_num_running = 0
_num_new = 0


@contextmanager
def executing() -> Iterator[None]:
    """Context manager in which a thread runs a compiled function, whose machine code must stay meanwhile."""
    global _num_running
    with _lock:
        _num_running += 1
    try:
        yield
    finally:
        with _lock:
            _num_running -= 1


def make_room() -> bool:
    """Free all machine code if there is so much that more would crash the process; called before more is made.

    Returns whether that was done. It is not while a thread is `executing`, and on systems other than Linux.
    """
    global _num_new
    _num_new += 1
    return _num_new % CHECKS == 0 and _is_crowded() and release_executables()


def _is_crowded() -> bool:
    try:
        most = int(Path("/proc/sys/vm/max_map_count").read_text())
        return Path("/proc/self/maps").read_bytes().count(b"\n") > MOST_MAPPINGS * most
    except (OSError, ValueError):  # not Linux
        return False


def release_executables() -> bool:
    """Free all machine code of XLA on the CPU, unless it is `executing`; functions that are called again compile again.

    TensorFlow keeps each executable for good, which takes memory, and about 150 of the 65,530 mappings that Linux
    grants a process: after some 130 structures of networks, the process would crash. The executables are held by a
    resource of the CPU device. This deletes it, by a handle that is put together here, since nothing returns one. In a
    version of TensorFlow that names it differently, nothing happens.

    No other thread may be running a function meanwhile that was compiled without varbump. Returns whether it was done.
    """
    with _lock:
        if not _num_running:
            _destroy()
        return not _num_running


def _destroy() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_RESOURCE)
    proto.tensor_shape.SetInParent()
    handle = proto.resource_handle_val.add()
    handle.device, handle.container = "/job:localhost/replica:0/task:0/device:CPU:0", "localhost"
    handle.name, handle.hash_code = "xla_device_compiler", _hash64(COMPILER)
    with suppress(tf.errors.OpError, ValueError, TypeError), tf.device("CPU:0"):
        resource = tf.io.parse_tensor(proto.SerializeToString(), tf.resource)
        tf.raw_ops.DestroyResourceOp(resource=resource, ignore_lookup_error=True)


def _hash64(text: bytes, seed: int = 0xDECAFCAFFE) -> int:
    """MurmurHash64A (Appleby, 2008), by which TensorFlow identifies classes."""
    factor, shift, mask = 0xC6A4A7935BD1E995, 47, 2**64 - 1
    value = (seed ^ (len(text) * factor)) & mask
    whole = len(text) // 8 * 8
    for start in range(0, whole, 8):
        word = int.from_bytes(text[start : start + 8], "little") * factor & mask
        value = (value ^ ((word ^ (word >> shift)) * factor & mask)) * factor & mask
    if whole < len(text):
        value = (value ^ int.from_bytes(text[whole:], "little")) * factor & mask
    value = (value ^ (value >> shift)) * factor & mask
    return value ^ (value >> shift)
