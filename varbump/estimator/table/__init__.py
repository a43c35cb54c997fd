"""Tables as they are: from columns of any kind to the numbers that a network takes."""

from varbump.estimator.table.encoder_fit import fit_encoder
from varbump.estimator.table.encoding import EncodedColumn, TableEncoder

__all__ = ["EncodedColumn", "TableEncoder", "fit_encoder"]
