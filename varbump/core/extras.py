"""Packages that are installed on demand."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["need"]


def need(module: str, what: str) -> Any:
    """The module, or an ImportError that names the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0].replace("_", "-")
        raise ImportError(f'varbump.{what} needs {package}: pip install "varbump[arviz]"') from error
