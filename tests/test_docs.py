"""The site: no public name is missing, it builds without a warning, and needs nothing from elsewhere."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matrix
import pytest

import varbump as vb

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MODULES = ("sphinx", "numpydoc", "myst_nb", "pydata_sphinx_theme", "ipykernel", "pyarrow", "pandas")
DRAWING = ("vb.fit", "vb.build_network", "vb.sample_posterior", "vb.VariationalRegressor", "vb.predict_bands")
NO_PICTURE = ("index", "machines", "serving", "nan", "columns", "layers", "keras3")
LOADED = ("stylesheet", "preload", "preconnect", "dns-prefetch", "icon", "modulepreload")


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "_ext" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_public_name(reference):
    pages = reference.public_names()
    listed = {name for title, names in pages.items() if not title.startswith("varbump.") for name in names}
    assert listed | {"__version__"} | set(reference.NAMESPACES) == set(vb.__all__)
    for name in reference.NAMESPACES:
        assert pages[f"varbump.{name}"] == list(getattr(vb, name).__all__)


def test_a_forgotten_name_is_an_error(reference, monkeypatch):
    monkeypatch.setattr(reference, "TOPICS", {"Train": ["fit"]})
    with pytest.raises(ValueError, match="build_network"):
        reference.public_names()


def test_the_changelog_knows_the_version():
    assert f"## [{vb.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {vb.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_page_of_keras_3_has_the_reason_of_each_test_that_is_skipped_there():
    page = (DOCS / "howto" / "keras3.md").read_text()
    reasons = dict(
        re.findall(r'^(\w+) = "(.*)"\n"""Reason', (ROOT / "tests" / "other_keras.py").read_text(), re.MULTILINE)
    )
    used = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        used |= set(re.findall(r"only_keras2\((\w+)\)", path.read_text()))
    assert used == set(reasons)
    for reason in reasons.values():
        assert f"| {reason} |" in page


def test_the_list_of_licences_has_every_dependency():
    spec = importlib.util.spec_from_file_location("licences", DOCS / "licences.py")
    licences = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(licences)
    page = licences.PAGE.read_text()
    for name, bounds, uses in licences.requirements():
        assert f"| {name} | `{bounds}` | {uses} | {licences.REASONS[name]} | " in page, "run python docs/licences.py"
    assert set(licences.kept(page)) == {"package", "---", *(name for name, *_ in licences.requirements())}
    assert "not stated" not in page


def test_the_table_of_supported_versions_is_read_as_it_is_written():
    rows = matrix.read(matrix.PAGE.read_text())
    assert rows
    assert matrix.page(rows) == matrix.PAGE.read_text()
    for row in rows:
        minor = [".".join(row[name].split(".")[:2]) for name in ("Python", "TensorFlow")]
        assert minor[0] in matrix.PYTHONS
        assert minor[1] in matrix.TENSORFLOWS


def test_the_matrix_has_the_versions_of_pyproject():
    text = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r"Python :: (3\.\d+)", text) == list(matrix.PYTHONS)
    (low, high) = re.findall(r'"tensorflow>=2\.(\d+),<2\.(\d+)"', text)[0]
    assert [f"2.{minor}" for minor in range(int(low), int(high))] == list(matrix.TENSORFLOWS)


def test_reasons_of_the_matrix_hold_no_addresses_and_paths():
    said = "x\nERROR: no wheel at https://host.example/a/ for /some/where/b.whl\nnote"
    assert matrix.reason(said) == "no wheel at (address) for b.whl"


@pytest.mark.slow
def test_the_code_for_keras_3_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "keras3.md").read_text(), re.DOTALL)
    environment = {name: value for name, value in os.environ.items() if name != "VARBUMP_KERAS"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "model.varbump").is_file()


def test_pages_state_their_seeds():
    for path in DOCS.rglob("*.md"):
        for cell in re.findall(r"^```\{code-cell\}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
            for node in ast.walk(ast.parse(cell)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in DRAWING:
                    given = {keyword.arg for keyword in node.keywords}
                    assert given & {"seed", "random_state"}, (path, ast.unparse(node))


class Page(HTMLParser):
    """What a page has and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag == "link" and set(attributes.get("rel", "").split()) & set(LOADED):
            self.loaded.append(attributes["href"])
        elif attributes.get("src"):
            self.loaded.append(attributes["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors; what the pages compute is taken from the cache if it is there."""
    for module in MODULES:
        pytest.importorskip(module, reason=f'{module} is not installed; pip install ".[docs]"')
    out = tmp_path_factory.mktemp("site")
    command, environment = (
        [sys.executable, str(DOCS / "build.py"), "--out", str(out)],
        {**os.environ, "VARBUMP_KERAS": ""},
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site):
    return {
        path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if "_static" not in path.parts
    }


@pytest.mark.slow
def test_links_and_pictures_lead_somewhere(site, pages):
    assert len(pages) > 100
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_relative_to(site.resolve()), (path, link)
            assert target.is_file(), (path, link)
            if parts.fragment and target in pages and parts.fragment != "":
                assert unquote(parts.fragment) in pages[target].ids, (path, link)


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert not [address for address in page.loaded if urlsplit(address).netloc], path
    for path in site.rglob("*.css"):
        addresses = re.findall(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", path.read_text(encoding="utf-8"))
        assert not [first or second for first, second in addresses if urlsplit(first or second).netloc], path


@pytest.mark.slow
def test_every_public_name_has_a_page(site, reference):
    for title, names in reference.public_names().items():
        module = title if title.startswith("varbump.") else "varbump"
        for name in names:
            assert (site / "reference" / "names" / f"{module}.{name}.html").is_file()


@pytest.mark.slow
def test_pages_show_pictures_and_no_errors(site):
    for path in (site / "howto").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "Traceback" not in text
        assert path.stem in NO_PICTURE or "../_images/" in text, path


@pytest.mark.slow
def test_formulas_have_their_program_and_fonts(site, pages):
    path = site / "explanation" / "objective.html"
    assert path.read_text(encoding="utf-8").count('class="math ') > 5
    assert any("mathjax/tex-chtml.js" in address for address in pages[path].loaded)
    assert list((site / "_static" / "mathjax").rglob("MathJax_Main-Regular.woff"))


@pytest.mark.slow
def test_tutorials_run(tmp_path):
    for module in ("nbclient", "ipykernel", "jupyter_cache", "myst_nb"):
        pytest.importorskip(module, reason=f'{module} is not installed; pip install ".[docs]"')
    command = [sys.executable, str(DOCS / "tutorials" / "run.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (DOCS / "tutorials").glob("*.ipynb"):
        assert path.stat().st_size < 500_000
        kept, made = (json.loads((folder / path.name).read_text()) for folder in (DOCS / "tutorials", tmp_path))
        for before, after in zip(kept["cells"], made["cells"], strict=True):
            kinds = [
                [each["output_type"] for each in cell.get("outputs", []) if each.get("name") != "stderr"]
                for cell in (before, after)
            ]
            assert kinds[0] == kinds[1], f"{path.name} is not as it was left: python docs/tutorials/run.py"


@pytest.mark.slow
def test_names_in_the_text_are_links_to_the_reference(site, pages):
    links = pages[site / "howto" / "trust.html"].links
    assert any("reference/names/varbump.sample_posterior.html" in link for link in links)
    assert any("reference/names/varbump.likelihoods.HeteroscedasticNormal.html" in link for link in links)
