"""Temperature of the training, which labels and reports mention if it is not 1."""

from __future__ import annotations

from typing import Any

__all__ = ["forget_temperature", "note_temperature", "temperature_label", "temperature_of", "was_trained"]


def note_temperature(network: Any, temperature: float) -> None:
    """Store in a network the temperature of its latest training."""
    object.__setattr__(network, "_varbump_temperature", float(temperature))  # bypasses the attribute tracking of Keras


def forget_temperature(network: Any) -> None:
    """Undo `note_temperature`, for a network whose training has been undone."""
    network.__dict__.pop("_varbump_temperature", None)


def temperature_of(source: Any) -> float:
    """Return the temperature of the latest training of a network or an ensemble; 1 if it was never trained."""
    return getattr(source, "temperature", getattr(source, "_varbump_temperature", 1.0))


def was_trained(network: Any) -> bool:
    """Whether a network has been trained by this package."""
    return hasattr(network, "_varbump_temperature")


def temperature_label(temperature: float) -> str:
    """Return a suffix for labels; it is empty at temperature 1, the Bayesian posterior."""
    return "" if temperature == 1.0 else f" (temperature {temperature:.3g})"
