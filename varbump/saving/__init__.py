"""One file for a trained model."""

from varbump.core.archive import ArchiveError
from varbump.saving.files import SavedModel, load, save

__all__ = ["ArchiveError", "SavedModel", "load", "save"]
