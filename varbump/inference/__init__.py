"""From data to weights, one method per folder."""

__all__: list[str] = []
