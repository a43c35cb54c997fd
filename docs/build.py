"""Build the site into docs/_build/html, without a network: `python docs/build.py`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

from executed import execute_pages  # noqa: E402


def main() -> int:
    """Run the code of the pages, then Sphinx, for which a warning is an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "_build" / "html", help="folder of the site")
    parser.add_argument("--processes", type=int, default=2, help="processes that run the code of pages")
    options = parser.parse_args()
    execute_pages(options.processes)
    trees = HERE / "_build" / "doctrees"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(trees)]
    return subprocess.run([*command, str(HERE), str(options.out)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
