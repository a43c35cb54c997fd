"""Sources: rows of data that need not fit into memory, read block by block."""

from varbump.data.sources.arrays import ArraySource
from varbump.data.sources.arrow import ArrowSource
from varbump.data.sources.base import Rows, Source
from varbump.data.sources.csv import CSVSource
from varbump.data.sources.dataset import DatasetSource
from varbump.data.sources.moments import Moments
from varbump.data.sources.parquet import ParquetSource

__all__ = ["ArraySource", "ArrowSource", "CSVSource", "DatasetSource", "Moments", "ParquetSource", "Rows", "Source"]
