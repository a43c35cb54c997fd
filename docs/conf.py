"""Settings of Sphinx; `python docs/build.py` builds the site."""

import logging
import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
warnings.filterwarnings("ignore", category=DeprecationWarning)
logging.getLogger("tensorflow").setLevel(logging.ERROR)

import executed  # noqa: E402

import varbump  # noqa: E402

for _name in ("datasets", "sources"):  # public under another name than that of their files
    sys.modules[f"varbump.{_name}"] = getattr(varbump, _name)

project = "varbump"
author = "the authors of varbump"
copyright = "the authors of varbump, Apache License 2.0"
version = release = varbump.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx.ext.mathjax",
    "reference",
    "shipped_mathjax",
    "linked_names",
]
exclude_patterns = ["_build", "README.md"]
templates_path = ["_templates"]
default_role = "py:obj"
toc_object_entries = False
smartquotes = False  # the tables of plots/ have commands with --options

# docstrings
autosummary_generate = True
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# pages
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(executed.folder())
nb_execution_excludepatterns = ["tutorials/*"]  # which hold their output
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove-warn"  # code of a page that warns ends the build, such as a fit that has not settled
nb_ipywidgets_js = {}  # its scripts would come from another site

# looks
html_theme = "pydata_sphinx_theme"
html_title = "varbump"
html_static_path = ["_static"]
html_css_files = ["site.css"]
mathjax_path = "mathjax/tex-chtml.js"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "varbump"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 6,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "first": []}


def without_routing(app, what, name, obj, skip, options):
    """Leave out the methods that scikit-learn generates for metadata routing."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app):
    """Connect what belongs to this site only."""
    app.connect("autodoc-skip-member", without_routing)
