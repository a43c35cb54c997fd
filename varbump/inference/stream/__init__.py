"""Variational inference on sources of rows, block by block."""

__all__: list[str] = []
