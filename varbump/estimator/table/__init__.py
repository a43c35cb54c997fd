"""Tables as they are: from columns of any kind to the numbers that a network takes."""

from varbump.estimator.table.encoding import EncodedColumn, TableEncoder, fit_encoder

__all__ = ["EncodedColumn", "TableEncoder", "fit_encoder"]
