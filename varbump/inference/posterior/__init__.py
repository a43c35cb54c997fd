"""Near-exact draws of the weights, by the method that suits the model."""

__all__: list[str] = []
