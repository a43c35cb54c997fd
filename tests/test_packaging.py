"""What is distributed: the source archive, the wheel made of it, and its description."""

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


def run(*command, **options):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source archive and the wheel; the latter is made of the former. Nothing is downloaded."""
    for module in ("build", "hatchling"):
        pytest.importorskip(module, reason=f'{module} is not installed; pip install ".[dev]"')
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_indexes_accept_it(built):
    pytest.importorskip("twine", reason='twine is not installed; pip install ".[dev]"')
    out = run("-m", "twine", "--no-color", "check", "--strict", *map(str, built))
    assert out.count("PASSED") == 2


def test_the_description_has_nothing_that_an_index_cannot_show(built):
    with zipfile.ZipFile(built[1]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        metadata = email.message_from_bytes(wheel.read(name))
    text = metadata.get_payload()
    assert "vb.fit(network, likelihood, x, y" in text
    assert "## Can I trust the band?" in text
    assert "![" not in text
    assert not re.search(r"\]\((?!http)", text)
    assert "Blue: uncertainty" not in text  # the caption of a picture


def test_the_source_archive_has_what_its_tests_read(built, tmp_path):
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (folder,) = tmp_path.iterdir()
    tests = ["tests/test_readme.py", "tests/test_architecture.py"]
    chosen = "pictures or shell or names or counts or design_page or root_holds"
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *tests, cwd=folder)
    assert {path.name for path in (ROOT / "tests").rglob("*.py")} == {p.name for p in (folder / "tests").rglob("*.py")}


def test_the_wheel_is_installed_and_used(built, tmp_path):
    where = tmp_path / "site"
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(where), str(built[1]))
    code = "import varbump as vb; print(vb.__file__); print(vb.build_network(seed=0).count_params())"
    out = run("-c", f"import sys; sys.path.insert(0, {str(where)!r}); {code}", cwd=tmp_path).split()
    assert Path(out[0]).is_relative_to(where)
    assert int(out[1]) > 0
    assert (where / "varbump" / "py.typed").exists() == (ROOT / "varbump" / "py.typed").exists()
    assert (where / "varbump" / "__init__.pyi").exists()


def test_extras_can_be_installed_on_every_python():
    """ArviZ needs a later Python than we do, and the README's command for the tests installs all extras."""
    (line,) = re.findall(r"^arviz = .*", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert line.count("python_version >= '3.11'") == 2
