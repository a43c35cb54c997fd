"""One pass through a network, the ELBO, and compiled programs."""

__all__: list[str] = []
