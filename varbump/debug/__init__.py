"""Why is it nan, why is there no gradient: what is computed between weights and loss, and where it went wrong."""

__all__: list[str] = []
