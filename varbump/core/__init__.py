"""What everyone stands on: Keras, checks, seeds, files, printing."""

__all__: list[str] = []
