"""Variational inference on several workers, which average their parameters now and then."""

__all__: list[str] = []
