"""One file for a trained model."""

from varbump.core.archive import ArchiveError
from varbump.saving.files import SavedModel, load, save
from varbump.saving.partitions import predict_partition
from varbump.saving.serving import export

__all__ = ["ArchiveError", "SavedModel", "export", "load", "predict_partition", "save"]
