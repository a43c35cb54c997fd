"""Mathematics as MathML, which browsers draw themselves: the site needs no script and no font for it."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

__all__ = ["setup"]

DOTS = re.compile(r"\\dots\b")
"""A command that docutils does not know."""

logger = logging.getLogger(__name__)


def converted(node: Any, tex: str, as_block: bool) -> str:
    """The formula as MathML; one that cannot be converted is a warning of the build."""
    try:
        return tex2mathml(DOTS.sub(r"\\ldots", tex), as_block=as_block)
    except Exception as error:  # of several kinds
        logger.warning("cannot convert the formula %r: %s", tex, error, location=node)
        return tex


def visit_math(self: Any, node: Any) -> None:
    """Write a formula of a line."""
    self.body.append(converted(node, node.astext(), as_block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: Any) -> None:
    """Write a formula that stands alone."""
    attributes = {"CLASS": "math"} | ({"ids": node["ids"]} if node["ids"] else {})
    self.body.append(self.starttag(node, "div", **attributes))
    self.body.append(converted(node, node.astext(), as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer "mathml"."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
