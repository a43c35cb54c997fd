"""Stochastic variational inference, compiled."""

__all__: list[str] = []
