"""Bumps with trainable width, as layers and as activations."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import tensorflow as tf

from varbump.core.keras import keras, refuse_other_keras
from varbump.core.registry import register_builtin
from varbump.forward.apply import active_pass
from varbump.layers.activation import TrainableActivation
from varbump.layers.bump_functions import SUPPORTS, bump, gaussian_bump
from varbump.layers.by_name import ActivationByName

__all__ = ["Bump", "BumpLayer", "GaussianBump"]


class BumpLayer(TrainableActivation):
    """Base of bump layers: a trained width, weights shared or per feature, optional height and centre.

    Parameters
    ----------
    shared : bool, default=True
        Whether all features (the last axis) share one set of weights, rather than having one each.
    trainable_height, trainable_center : bool, default=False
        Whether height and centre are trained; they start at 1 and 0.
    """

    why_no_gradient = (
        "Dead bump: no input reaches the support of layer {name!r}; value and gradient are 0 elsewhere.",
        "Start with a larger sigma_initializer, standardise the inputs, or use GaussianBump, which has no edge.",
    )

    def __init__(self, *, shared: bool, trainable_height: bool, trainable_center: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shared = bool(shared)
        self.trainable_height, self.trainable_center = bool(trainable_height), bool(trainable_center)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; raise a TypeError for a Keras 3 tensor."""
        refuse_other_keras(inputs, "inputs")
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Create the weights, of shape () if shared and (features,) otherwise."""
        features = tf.TensorShape(input_shape)[-1]
        if not self.shared and features is None:
            raise ValueError(
                f"{self.name!r} has weights for each feature, so the last axis of its inputs must be known"
            )
        self._shape = () if self.shared else (features,)
        self.height = self._weight("height", "ones") if self.trainable_height else None
        self.center = self._weight("center", "zeros") if self.trainable_center else None
        super().build(input_shape)

    def _weight(self, name: str, initializer: Any) -> tf.Variable:
        return self.add_weight(name=name, shape=self._shape, initializer=initializer)

    def _root_weight(self, name: str, initializer: Any) -> tf.Variable:
        """Add the root of a non-negative parameter as a weight; `initializer` is that of the parameter."""

        def root(shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
            start = initializer(shape, dtype=dtype)
            if not tf.executing_eagerly() or bool(tf.reduce_all(start >= 0.0)):
                return tf.sqrt(start)
            raise ValueError(f"the initializer of {name.removeprefix('root_')} gave a negative number")

        return self._weight(name, root)

    def observe(self, inputs: tf.Tensor) -> None:
        """Record the inputs in the active pass, for diagnostics."""
        forward = active_pass()
        if forward is not None:
            forward.observed.append((self, inputs))

    @property
    def width_variable(self) -> tf.Variable:
        """Trained weight from which the width is computed."""
        raise NotImplementedError

    @property
    def width(self) -> tf.Tensor:
        """Width parameter of the formula, shape () or (features,)."""
        raise NotImplementedError

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights, one for each trained parameter."""
        count = 1 + self.trainable_height + self.trainable_center
        return [() if self.shared else (input_shape[-1],)] * count

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {
            **super().get_config(),
            "shared": self.shared,
            "trainable_height": self.trainable_height,
            "trainable_center": self.trainable_center,
        }


def _initializer(value: Any) -> Any:
    """Turn a number, or the name or configuration of a tf_keras initializer, into an initializer."""
    if isinstance(value, Real):
        return keras.initializers.Constant(float(value))
    refuse_other_keras(value, "initializer")
    initializer = keras.initializers.get(value)
    if initializer is None:
        raise ValueError("an initializer of a bump must be a number or an initializer of tf_keras, got None")
    return initializer


@register_builtin("Bump")
class Bump(BumpLayer):
    r"""Trainable bump, applied elementwise, as a layer or as an activation (by name: ``activation="bump"``).

    .. math:: f(x) = \mathrm{height} \cdot \exp\left(-\frac{\sigma}{\sigma - (x - \mathrm{center})^2}\right)
              \text{ on the support, } 0 \text{ elsewhere}

    The trained weight is the radius :math:`\sqrt\sigma`, so :math:`\sigma` can never become negative. At
    :math:`\sigma = 0` the function and its gradient are zero.

    Parameters
    ----------
    support : {"smooth", "threshold"}, default="smooth"
        As in `varbump.bump`.
    normalize : bool, default=False
        Scale the peak from 1/e to 1.
    sigma_initializer : float or tf_keras initializer, default=6.25
        Initial value of sigma. The default covers 2.5 standard deviations of inputs of unit variance, so that units
        start active.
    shared : bool, default=True
        Whether all features (the last axis) share one set of weights, rather than having one each.
    trainable_height, trainable_center : bool, default=False
        Whether height and centre, initially 1 and 0, are trained too.

    Raises
    ------
    ValueError
        If `support` is unknown, or the initial sigma is negative.

    Notes
    -----
    Inputs may have any shape; outputs have the same. Outside the support the output is exactly 0 and sigma gets no
    gradient: `varbump.bump_report` lists units that no input reaches.
    """

    short_name = "bump"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"support": SUPPORTS}

    def __init__(
        self,
        support: str = "smooth",
        *,
        normalize: bool = False,
        sigma_initializer: Any = 6.25,
        shared: bool = True,
        trainable_height: bool = False,
        trainable_center: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(shared=shared, trainable_height=trainable_height, trainable_center=trainable_center, **kwargs)
        if support not in SUPPORTS:
            raise ValueError(f"support must be one of {SUPPORTS}, got {support!r}")
        self.support, self.normalize = support, bool(normalize)
        self.sigma_initializer = _initializer(sigma_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        super().build(input_shape)
        self.root_sigma = self._root_weight("root_sigma", self.sigma_initializer)

    @property
    def sigma(self) -> tf.Tensor:
        """Squared radius, shape () or (features,), in squared units of the inputs."""
        return tf.square(self.root_sigma)

    @property
    def width_variable(self) -> tf.Variable:
        """Trained weight, the square root of sigma."""
        return self.root_sigma

    @property
    def width(self) -> tf.Tensor:
        """Sigma of the formula."""
        return self.sigma

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the bump elementwise."""
        self.observe(inputs)
        x = inputs if self.center is None else inputs - tf.cast(self.center, inputs.dtype)
        outputs = bump(x, tf.cast(self.sigma, x.dtype), self.support)
        if self.normalize:
            outputs *= tf.cast(tf.exp(1.0), x.dtype)
        return outputs if self.height is None else outputs * tf.cast(self.height, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {
            **super().get_config(),
            "support": self.support,
            "normalize": self.normalize,
            "sigma_initializer": keras.initializers.serialize(self.sigma_initializer),
        }


@register_builtin("GaussianBump")
class GaussianBump(BumpLayer):
    r"""Trainable Gaussian bump, applied elementwise; by name ``activation="gaussian_bump"``.

    .. math:: f(x) = \mathrm{height} \cdot e^{-b (x - \mathrm{center})^2}

    The trained weight is :math:`\sqrt b`, so b can never become negative. The bump has no edge, so every input reaches
    every unit: prefer it where units with `Bump` die.

    Parameters
    ----------
    inverse_width_initializer : float or tf_keras initializer, default=0.5
        Initial value of b, in units of :math:`x^{-2}`; 0.5 is a bump of standard deviation 1.
    shared : bool, default=True
        Whether all features (the last axis) share one set of weights, rather than having one each.
    trainable_height, trainable_center : bool, default=False
        Whether height and centre, initially 1 and 0, are trained too.

    Raises
    ------
    ValueError
        If the initial b is negative.
    """

    short_name = "gaussian_bump"

    def __init__(
        self,
        *,
        inverse_width_initializer: Any = 0.5,
        shared: bool = True,
        trainable_height: bool = False,
        trainable_center: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(shared=shared, trainable_height=trainable_height, trainable_center=trainable_center, **kwargs)
        self.inverse_width_initializer = _initializer(inverse_width_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        super().build(input_shape)
        self.root_inverse_width = self._root_weight("root_inverse_width", self.inverse_width_initializer)

    @property
    def inverse_width(self) -> tf.Tensor:
        """Parameter b of the formula, shape () or (features,)."""
        return tf.square(self.root_inverse_width)

    @property
    def width_variable(self) -> tf.Variable:
        """Trained weight, the square root of b."""
        return self.root_inverse_width

    @property
    def width(self) -> tf.Tensor:
        """Parameter b of the formula."""
        return self.inverse_width

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the Gaussian bump elementwise."""
        self.observe(inputs)
        height = 1.0 if self.height is None else self.height
        center = 0.0 if self.center is None else self.center
        return gaussian_bump(inputs, height, self.inverse_width, center)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {
            **super().get_config(),
            "inverse_width_initializer": keras.initializers.serialize(self.inverse_width_initializer),
        }


ActivationByName(Bump.short_name, Bump)
keras.saving.get_custom_objects().update(Bump=Bump, GaussianBump=GaussianBump)  # bare names, as in .h5 files
ActivationByName(GaussianBump.short_name, GaussianBump)
