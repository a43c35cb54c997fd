"""A network, and what can be said of its structure."""

__all__: list[str] = []
