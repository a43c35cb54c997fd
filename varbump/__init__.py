"""Bayesian variational regression: from (x, y) to a curve with honest uncertainty.

The names are those of `__init__.pyi`, each with its module, and are imported when they are first used: what nobody
asks for costs nothing. Keras must know our classes by name as soon as the package is imported, for models that are
loaded or written down as strings, so their modules come at once; except in the command line, which answers --help and
a mistyped file name before TensorFlow is there.
"""

import sys
from itertools import pairwise
from pathlib import Path

import lazy_loader

from varbump.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted([*__all__, "__version__"])


def _is_the_command() -> bool:
    """Whether this process is ``varbump ...`` or ``python -m varbump ...``."""
    program = Path((getattr(sys, "argv", None) or [""])[0]).stem
    return program == "varbump" or ("-m", "varbump") in pairwise(sys.orig_argv)


if not _is_the_command():
    from varbump import layers, likelihoods, posteriors, priors  # noqa: F401
