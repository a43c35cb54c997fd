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


@pytest.mark.parametrize(("package", "begins"), [("tf_keras", "keras2"), ("keras", "keras3")])
def test_each_keras_is_imported_in_its_own_modules_of_core(package, begins):
    naming = {p for p in modules() if any(package in named(node) for node in imports_of(p))}
    assert ROOT / "core" / f"{begins}.py" in naming
    assert naming <= set((ROOT / "core").glob(f"{begins}*.py"))


def named(node):
    """Packages that an import statement names."""
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.split(".")[0] for name in names}


def test_which_keras_is_in_use_is_asked_in_core_only():
    for path in modules():
        asks = any(isinstance(node, ast.Name) and node.id == "FACE" for node in ast.walk(ast.parse(path.read_text())))
        assert not asks or room(path) == "core", path


def test_both_keras_have_the_same_names():
    exported = [importlib.import_module(f"varbump.core.keras{version}").__all__ for version in (2, 3)]
    assert exported[0] == exported[1]
    assert set(exported[0]) < set(importlib.import_module("varbump.core.keras").__all__)


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


OWNERS = ("posteriors", "priors", "likelihoods")
"""Packages whose things say themselves what others need to know of them."""

BASES = {"Likelihood", "Posterior", "PosteriorFactory", "Prior"}

ASKED_STILL = {"predict/noise.py"}
"""Modules that ask which likelihood it is, until likelihoods say what distribution a draw of f implies."""


def classes_asked_for(path):
    """Names of our classes that a file names in an isinstance, or compares a type with, and where they come from."""
    tree = ast.parse(path.read_text())
    origin = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("varbump"):
            parts = [*node.module.split("."), ""]
            origin |= {alias.asname or alias.name: (parts[1] or alias.name, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass")
        if asks or (isinstance(node, ast.Compare) and "id='type'" in ast.dump(node.left)):  # type(x) is ..., == ...
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and inner.id in origin:
                    yield (*origin[inner.id], node.lineno)
                elif isinstance(inner, ast.Attribute) and getattr(inner.value, "id", None) in origin:
                    yield origin[inner.value.id][0], inner.attr, node.lineno


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_asks_which_family_prior_or_likelihood_it_is(path):
    """Ask the thing instead: a new one then costs one file, and one of a user's own works everywhere."""
    if str(path.relative_to(ROOT)) in ASKED_STILL:
        return
    for package, name, line in classes_asked_for(path):
        if package in OWNERS and package != room(path):
            assert name in BASES, f"{path}:{line} asks for {name} of {package}"


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
