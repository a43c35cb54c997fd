"""Near-exact draws of the weights: candidates from a global inducing point posterior, resampled by importance."""

from varbump.importance.draws import ImportanceDraws
from varbump.importance.sampling import sample_importance

__all__ = ["ImportanceDraws", "sample_importance"]
