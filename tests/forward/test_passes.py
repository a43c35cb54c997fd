import numpy as np
import tensorflow as tf

from varbump.forward._context import entered
from varbump.forward.passes import ForwardPass

SEED = (5, 9)


def test_a_pass_hands_out_consecutive_slices():
    with entered(ForwardPass(tf.range(10.0))) as forward:
        first, second = forward.take(3, tf.float32), forward.take(2, tf.float64)
    np.testing.assert_array_equal(first, [0, 1, 2])
    np.testing.assert_array_equal(second, [3, 4])
    assert second.dtype == tf.float64
    assert forward.taken == 5


def test_seeds_of_a_pass_differ():
    forward = ForwardPass(None, SEED)
    assert not np.array_equal(forward.take_seed(), forward.take_seed())


def test_kl_of_a_pass_without_variational_layers_is_zero():
    assert float(ForwardPass(None).kl) == 0.0
