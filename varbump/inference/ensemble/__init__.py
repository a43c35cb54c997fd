"""Many networks trained at once."""

__all__: list[str] = []
