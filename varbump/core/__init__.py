"""What all other packages build on: Keras, checks, seeds, files, printing."""

__all__: list[str] = []
