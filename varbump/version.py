"""Which version of varbump this is; files that it writes say so."""

__all__ = ["__version__"]

__version__ = "0.1.0"
