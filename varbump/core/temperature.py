"""A posterior that was trained at a temperature other than 1 says so wherever it is shown."""

from __future__ import annotations

from typing import Any

__all__ = ["note_temperature", "temperature_label", "temperature_of"]


def note_temperature(network: Any, temperature: float) -> None:
    """Keep with the network at which temperature it was trained last."""
    object.__setattr__(network, "_varbump_temperature", float(temperature))  # past the attribute tracking of Keras


def temperature_of(source: Any) -> float:
    """Temperature of the last training of a network, or of that of an ensemble; 1 where there was none."""
    return getattr(source, "temperature", getattr(source, "_varbump_temperature", 1.0))


def temperature_label(temperature: float) -> str:
    """What to put behind a label: nothing for the Bayesian posterior."""
    return "" if temperature == 1.0 else f" (temperature {temperature:.3g})"
