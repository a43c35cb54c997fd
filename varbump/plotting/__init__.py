"""Pictures of finished results; nothing is computed here."""

from varbump.plotting.bands import BandsDisplay, FunctionsDisplay
from varbump.plotting.calibration import CalibrationDisplay, CoverageByRegionDisplay, PITDisplay
from varbump.plotting.training import TrainingDisplay

__all__ = [
    "BandsDisplay",
    "CalibrationDisplay",
    "CoverageByRegionDisplay",
    "FunctionsDisplay",
    "PITDisplay",
    "TrainingDisplay",
]
