"""Write the list of what varbump depends on, with licences, into docs/licences.md: `python docs/licences.py`.

Names and ranges are those of pyproject.toml, licences those that the installed packages state in their metadata. A
package that is not installed keeps the licence that the page has.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"

REASONS = {
    "tensorflow": "arithmetic, gradients, compiled programs",
    "tf-keras": "Keras 2: networks, layers, optimisers",
    "keras": "Keras 3: the same, under `VARBUMP_KERAS=3`",
    "tensorflow-probability": "distributions",
    "numpy": "arrays",
    "matplotlib": "plots",
    "scikit-learn": "the interface of the regressor; its forest",
    "scipy": "special functions, linear algebra, optimisation",
    "joblib": "candidates in processes of their own",
    "threadpoolctl": "threads of linear algebra, one for each worker",
    "scoringrules": "interval scores, and the CRPS of a normal",
    "rich": "tables and progress in a terminal",
    "lazy_loader": "names that are imported when they are used",
    "arviz-base": "draws for ArviZ",
    "arviz-stats": "k-hat and diagnostics of ArviZ",
    "click": "the command line",
    "pyarrow": "Parquet, Arrow and CSV files",
    "pandas": "blocks of files as frames, for the regressor; tests",
    "dask": "predictions of distributed tables, tested with it",
    "tensorboard": "histories in TensorBoard",
    "ngboost": "comparison in experiments",
    "numpyro": "comparison in experiments",
    "pytest": "tests",
    "pytest-xdist": "tests in several processes",
    "hypothesis": "tests with made-up inputs",
    "mpmath": "exact values for tests",
    "sphinx": "the site",
    "numpydoc": "docstrings on the site",
    "myst-nb": "pages whose code is run",
    "pydata-sphinx-theme": "looks of the site",
    "ipykernel": "runs the code of pages",
    "sphinx-mathjax-offline": "formulas without a network",
    "ruff": "lint and format",
    "mypy": "types",
    "build": "source archive and wheel",
    "hatchling": "source archive and wheel",
    "twine": "checks of the wheel",
}
"""Why each is needed."""

HEAD = """# Dependencies and licences

Written by `python docs/licences.py`: ranges are those of `pyproject.toml`, licences what each package states of itself.
What these packages depend on in turn is theirs to say. varbump itself has the Apache License 2.0, and its wheel holds
no code of others.

| package | range | needed for | why | licence |
|---|---|---|---|---|
"""


def requirements() -> list[tuple[str, str, str]]:
    """Name, range and use (an extra, or everything) of each dependency of pyproject.toml; once for each name."""
    toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"everything": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, tuple[str, str, str]] = {}
    for group, entries in groups.items():
        for entry in entries:
            matched = re.match(r"([\w.-]+)(?:\[[^\]]*\])?([^;]*)", entry)
            assert matched is not None
            name, bounds = matched[1], matched[2].strip()
            if name == "varbump":
                continue
            uses = f"{found[name][2]}, {group}" if name in found else group
            found[name] = (name, bounds, uses)
    return list(found.values())


def licence(name: str) -> str | None:
    """What an installed package says of its licence, in a line; None if it is not installed or says nothing."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    stated = (metadata["License-Expression"] or "").strip()
    classes = [
        entry.split(" :: ")[-1] for entry in metadata.get_all("Classifier") or [] if entry.startswith("License ::")
    ]
    short = (metadata["License"] or "").strip()
    return stated or ", ".join(classes) or (short if short and "\n" not in short else None)


def kept(page: str) -> dict[str, str]:
    """Licence of each package in a page."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    return {row[0]: row[-1] for row in rows if len(row) == 5}


def main() -> None:
    """Write the page."""
    before = kept(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    lines = []
    for name, bounds, uses in requirements():
        if name not in REASONS:
            sys.exit(f"say in REASONS of docs/licences.py why {name} is needed")
        stated = licence(name) or before.get(name) or "not stated"
        lines.append(f"| {name} | `{bounds}` | {uses} | {REASONS[name]} | {stated} |\n")
    PAGE.write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
