"""A posterior that was trained at a temperature other than 1 says so wherever it is shown."""

from __future__ import annotations

from varbump._keras import keras

__all__ = ["note_temperature", "temperature_label", "temperature_of"]


def note_temperature(network: keras.Model, temperature: float) -> None:
    """Keep with the network at which temperature it was trained last."""
    object.__setattr__(network, "_varbump_temperature", float(temperature))  # past the attribute tracking of Keras


def temperature_of(network: keras.Model) -> float:
    """Temperature of the last training, 1 for a network that was not trained."""
    return getattr(network, "_varbump_temperature", 1.0)


def temperature_label(temperature: float) -> str:
    """What to put behind a label: nothing for the Bayesian posterior."""
    return "" if temperature == 1.0 else f" (temperature {temperature:.3g})"
