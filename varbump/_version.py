"""The version, for modules that may not import the package root."""

__all__ = ["__version__"]

__version__ = "0.1.0"
