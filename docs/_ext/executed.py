"""The code of the pages is run here, once for each content of page and package.

The results go to a cache of jupyter-cache, where myst-nb finds them by content. Pages share a process, whose variables
are cleared in between, since the import of TensorFlow takes longer than most pages; a page that is not in the cache
when Sphinx wants it is run by myst-nb in a process of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from multiprocessing import get_context
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

__all__ = ["execute_pages", "folder"]

DOCS = Path(__file__).resolve().parent.parent
PACKAGE = DOCS.parent / "varbump"

START = """
import varbump as vb
vb.fit
%matplotlib inline
%config InlineBackend.figure_formats = ["png"]
%config InlineBackend.rc = {"figure.figsize": (6.4, 3.6), "figure.dpi": 100, "font.size": 9}
"""
"""What TensorFlow says of itself when it is imported belongs to no page."""

CLEAR = """
%reset -f
import matplotlib
matplotlib.pyplot.close("all")
"""


def folder() -> Path:
    """Where results are kept: another folder for every state of the package."""
    digest = hashlib.sha256()
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]):
        digest.update(path.read_bytes())
    digest.update(f"{START}{CLEAR}".encode())
    return DOCS / "_build" / "executed" / digest.hexdigest()[:12]


def read(path: Path) -> Any:
    """The notebook of a page as myst-nb reads it, or None of a page without code."""
    from myst_nb.core.config import NbParserConfig
    from myst_nb.core.read import create_nb_reader
    from myst_parser.config.main import MdParserConfig

    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), MdParserConfig(), NbParserConfig(), text)
    return None if reader is None else reader.read(text)


def missing(cache: Any) -> list[tuple[Path, Any]]:
    """The pages, with their notebooks, whose results are not in the cache."""
    found = []
    for path in sorted(DOCS.rglob("*.md"), reverse=True):  # the last take longest
        if {"_build", "tutorials"} & set(path.parts) or (notebook := read(path)) is None:
            continue
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            found.append((path, notebook))
    return found


class Kernel:
    """A process that runs one page after another."""

    def __init__(self) -> None:
        from jupyter_client import KernelManager

        paths = [str(DOCS.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.working = TemporaryDirectory()
        self.manager = KernelManager(kernel_name="python3")
        arguments = ["--log-level=ERROR"]
        self.manager.start_kernel(cwd=self.working.name, env=environment, extra_arguments=arguments)
        self.run(START)

    def run(self, source: str) -> None:
        """Run lines that belong to no page."""
        from nbformat.v4 import new_code_cell, new_notebook

        self.execute(new_notebook(cells=[new_code_cell(source)]))

    def execute(self, notebook: Any) -> None:
        """Run a notebook, whose cells get their outputs."""
        from nbclient import NotebookClient

        NotebookClient(notebook, km=self.manager, timeout=300, record_timing=False).execute()

    def page(self, notebook: Any) -> float:
        """Run the notebook of a page without the variables of the one before; the seconds that it took."""
        self.run(CLEAR)
        start = perf_counter()
        done = deepcopy(notebook)  # its metadata change, by which the cache knows it
        self.execute(done)
        notebook.cells = done.cells
        notebook.metadata["language_info"] = done.metadata["language_info"]
        return perf_counter() - start

    def close(self) -> None:
        """End the process."""
        self.manager.shutdown_kernel(now=True)
        self.working.cleanup()


_kernel: Kernel | None = None
"""The kernel of a worker."""


def _start() -> None:
    """Start the kernel of a worker, which ends with it."""
    global _kernel
    _kernel = Kernel()
    Finalize(None, _kernel.close, exitpriority=10)


def _executed(notebook: Any) -> tuple[Any, float]:
    """Run a page in a worker."""
    assert _kernel is not None
    seconds = _kernel.page(notebook)
    return notebook, seconds


def execute_pages(processes: int = 2) -> None:
    """Run all pages whose results are not in the cache, and put them there."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    for other in folder().parent.glob("*"):
        if other != folder():
            shutil.rmtree(other)
    cache = get_cache(str(folder()))
    todo = missing(cache)
    if not todo:
        return
    failed: list[BaseException] = []
    with ProcessPoolExecutor(min(processes, len(todo)), get_context("spawn"), _start) as pool:
        futures = {pool.submit(_executed, notebook): path for path, notebook in todo}
        for future in as_completed(futures):
            path = futures[future]
            if error := future.exception():
                print(f"{path.relative_to(DOCS)} failed: {error}", flush=True)
                failed.append(error)
                continue
            notebook, seconds = future.result()
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            print(f"{path.relative_to(DOCS)}: {seconds:.1f} s", flush=True)
    if failed:
        raise RuntimeError(f"{len(failed)} pages failed")
