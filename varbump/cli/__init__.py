"""The command line: ``varbump fit``, ``predict``, ``report`` and ``demo``."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]

NEEDED = ("click", "pyarrow")


def main() -> None:
    """Run the command line on the arguments of the process, and exit."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f'varbump: the command line needs {" and ".join(missing)}; run: pip install "varbump[cli]"')
    try:
        from varbump.cli.app import varbump

        varbump.main(prog_name="varbump")
    except KeyboardInterrupt:  # before or after the command itself
        sys.stderr.write("varbump: interrupted\n")
        sys.exit(130)
