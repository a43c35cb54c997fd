"""Run the tutorials from top to bottom, and keep their output in the files: `python docs/tutorials/run.py`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "_ext"))

from executed import Kernel  # noqa: E402


def main(arguments: list[str] | None = None) -> None:
    """Run each notebook and write it to the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results (default: that of the notebooks)")
    parser.add_argument("names", nargs="*", help="notebooks (default: all)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kernel = Kernel()
    try:
        for path in sorted(HERE.glob("*.ipynb")):
            if not options.names or path.name in options.names:
                notebook = nbformat.read(path, as_version=4)
                print(f"{path.name}: {kernel.page(notebook):.1f} s", flush=True)
                nbformat.write(notebook, options.out / path.name)
    finally:
        kernel.close()


if __name__ == "__main__":
    main()
