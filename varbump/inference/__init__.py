"""From data to weights, one method a folder."""

__all__: list[str] = []
