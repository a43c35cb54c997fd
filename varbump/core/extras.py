"""Optional dependencies."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["need"]


def need(module: str, what: str, extra: str = "arviz") -> Any:
    """Import an optional module, or raise an ImportError that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0].replace("_", "-")
        if extra == "arviz" and sys.version_info < (3, 11):
            raise ImportError(f"varbump.{what} needs {package}, which needs Python 3.11 or later") from error
        raise ImportError(f'varbump.{what} needs {package}: pip install "varbump[{extra}]"') from error
