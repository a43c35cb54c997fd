"""Bayesian variational regression: from (x, y) to a curve with honest uncertainty.

The public names and their modules are listed in `__init__.pyi`, and each is imported on first use. Keras must know our
classes by name as soon as the package is imported, for models that are loaded or given as strings, so their modules are
imported at once; except on the command line, which answers --help and reports mistyped names before TensorFlow loads.
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
