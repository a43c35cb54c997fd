"""Release of the machine code that XLA has compiled in this process, for which TensorFlow has no function."""

from __future__ import annotations

from contextlib import suppress

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

__all__ = ["release_executables"]

COMPILER = b"N10tensorflow14DeviceCompilerIN3xla15LocalExecutableENS1_11LocalClientEEE"
"""Name, as typeid gives it, of the class of the object that holds all executables of a device."""


def release_executables() -> None:
    """Free all machine code of XLA on the CPU; functions that are called again compile again.

    TensorFlow keeps each executable for good, which takes memory, and about 150 of the 65,530 mappings that Linux
    grants a process: after some 130 structures of networks, the process would crash. The executables are held by a
    resource of the CPU device. This deletes it, by a handle that is put together here, since nothing returns one. In a
    version of TensorFlow that names it differently, nothing happens.

    No other thread may be running a compiled function meanwhile.
    """
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
