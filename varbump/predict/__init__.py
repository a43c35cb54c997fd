"""From weights to functions, observations and bands."""

__all__: list[str] = []
