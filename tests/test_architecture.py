"""The rooms of the package: imports only point down, and every exported name exists."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import varbump

ROOT = Path(varbump.__file__).parent

RANKS = {
    "_keras": 0,
    "version": 0,
    "triangles": 1,
    "fan_in": 1,
    "tempering": 1,
    "forward": 1,
    "elbo": 1,
    "bumps": 1,
    "datasets": 1,
    "checks": 1,
    "atomic": 1,
    "archive": 2,
    "slices": 2,
    "backtrace": 1,
    "priors": 2,
    "posteriors": 2,
    "likelihoods": 2,
    "layers": 3,
    "sampler": 3,
    "network": 4,
    "evidence": 4,
    "training": 4,
    "prediction": 4,
    "diagnostics": 4,
    "mcmc": 5,
    "plotting": 5,
    "predictive": 5,
    "scores": 6,
    "importance": 6,
    "estimator": 6,
    "saving": 7,
    "cli": 9,
    "__main__": 10,
}


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
            assert RANKS[name] < rank, f"{path.name}:{line} imports {name} of rank {RANKS[name]}, its own is {rank}"


def test_the_package_root_is_imported_by_no_module():
    for path in modules():
        for name, line in imported(path):
            assert name != "__init__", f"{path}:{line}"


def test_tf_keras_is_named_in_one_module():
    naming = {room(p) for p in modules() if any("tf_keras" in ast.dump(n) for n in imports_of(p))}
    assert naming == {"_keras"}


def imports_of(path):
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, (ast.Import, ast.ImportFrom))]


def test_plots_do_not_import_tensorflow():
    for path in (ROOT / "plotting").glob("*.py"):
        assert not any("tensorflow" in ast.dump(node) for node in imports_of(path)), path


def all_modules():
    return ["varbump", *(m.name for m in pkgutil.walk_packages(varbump.__path__, "varbump."))]


@pytest.mark.parametrize("name", all_modules())
def test_every_exported_name_exists(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for exported in module.__all__:
        assert hasattr(module, exported), exported
