"""One pass through a network."""

__all__: list[str] = []
