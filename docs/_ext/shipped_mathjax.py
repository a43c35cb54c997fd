"""MathJax and its fonts, as an installed package has them, become part of the site: formulas need no other address."""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

__all__ = ["setup"]

WANTED = ("tex-chtml.js", "output/chtml/fonts/woff-v2/", "input/tex/extensions/")
"""The program, its fonts, and what it loads for rare commands; all of MathJax would be 24 MB."""


def copy_files(app: Any, error: Exception | None) -> None:
    """Copy the files to the site."""
    if error is not None or app.builder.format != "html":
        return
    for file in distribution("sphinx-mathjax-offline").files or []:
        _, found, path = file.as_posix().partition("static/mathjax/")
        if found and path.startswith(WANTED):
            target = Path(app.outdir, "_static", "mathjax", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def setup(app: Any) -> dict[str, bool]:
    """Copy the files at the end."""
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
