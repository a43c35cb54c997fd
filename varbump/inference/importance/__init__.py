"""Near-exact draws of the weights: candidates from a global inducing point posterior, resampled by importance."""

__all__: list[str] = []
