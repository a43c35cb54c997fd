"""Pictures of finished results; nothing is computed here."""

from varbump.plotting.bands import BandsDisplay, FunctionsDisplay
from varbump.plotting.training import TrainingDisplay

__all__ = ["BandsDisplay", "FunctionsDisplay", "TrainingDisplay"]
