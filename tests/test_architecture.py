"""The rooms of the package: imports only point down, and every exported name exists."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import varbump

ROOT = Path(varbump.__file__).parent

RANKS = {
    "version": 0,
    "core": 0,
    "forward": 1,
    "data": 1,
    "posteriors": 2,
    "priors": 2,
    "likelihoods": 2,
    "plotting": 2,
    "layers": 3,
    "model": 4,
    "predict": 5,
    "debug": 5,
    "inference": 6,
    "diagnostics": 6,
    "scores": 7,
    "estimator": 7,
    "saving": 8,
    "cli": 9,
    "__main__": 10,
}
"""`version` is a constant that every room may read."""


def modules():
    return sorted(ROOT.rglob("*.py"))


def imported(path):
    """Names of the package's modules that a file imports, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "varbump":
            parts = node.module.split(".")
            names = [[*parts, alias.name] for alias in node.names] if len(parts) == 1 else [parts]
            yield from ((name[1], node.lineno) for name in names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "varbump":
                    yield (alias.name.split(".") + ["__init__"])[1], node.lineno


def room(path):
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    if room(path) == "__init__":
        return
    rank = RANKS[room(path)]
    for name, line in imported(path):
        if name != room(path):
            assert name == "version" or RANKS[name] < rank, f"{path}:{line} imports {name}, {RANKS[name]}, from {rank}"


def test_the_package_root_is_imported_by_no_module():
    for path in modules():
        for name, line in imported(path):
            assert name != "__init__", f"{path}:{line}"


def test_tf_keras_is_named_in_one_module():
    naming = [p for p in modules() if any("tf_keras" in ast.dump(node) for node in imports_of(p))]
    assert naming == [ROOT / "core" / "keras.py"]


def imports_of(path):
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, (ast.Import, ast.ImportFrom))]


def file_of(module):
    """The file of a module of the package, by its dotted name; None for a name inside of a module."""
    base = ROOT.joinpath(*module.split(".")[1:])
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def reached(path):
    """All files of the package that a file imports, directly or through others, at the top or inside of functions."""
    pending, found = [path], set()
    while pending:
        path = pending.pop()
        if path in found or path is None:
            continue
        found.add(path)
        for node in imports_of(path):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for name in names:
                if name.startswith("varbump."):
                    parts = name.split(".")
                    pending += [file_of(".".join(parts[:n])) for n in range(2, len(parts) + 1)]
                    if isinstance(node, ast.ImportFrom):
                        pending += [file_of(f"{name}.{alias.name}") for alias in node.names]
    return found


def test_plots_do_not_import_tensorflow_not_even_indirectly():
    for start in (ROOT / "plotting").glob("*.py"):
        for path in reached(start):
            for node in imports_of(path):
                assert not any(word in ast.dump(node) for word in ("tensorflow", "tf_keras")), (start, path)


def test_the_root_holds_packages_and_nothing_else():
    assert {p.name for p in ROOT.glob("*.py")} == {"__init__.py", "__main__.py", "version.py"}


def all_modules():
    return ["varbump", *(m.name for m in pkgutil.walk_packages(varbump.__path__, "varbump."))]


@pytest.mark.parametrize("name", all_modules())
def test_every_exported_name_exists(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for exported in module.__all__:
        assert hasattr(module, exported), exported


def test_the_ranks_are_those_of_the_design_page():
    page = (Path(__file__).parent.parent / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    written = {name: int(rank) for rank, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert written == {name: rank for name, rank in RANKS.items() if name not in ("version", "__main__")}
