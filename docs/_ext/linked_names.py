"""Names such as ``vb.fit`` in the text of pages are links to the reference."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

__all__ = ["LinkedNames", "setup"]

NAME = re.compile(r"vb\.((?:\w+\.)?\w+)(?:\(.*\))?", re.DOTALL)


class LinkedNames(SphinxTransform):
    """Make a cross-reference of each literal that is a public name, alone or as a call."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Wrap the literals; those without a page stay as they are."""
        del kwargs
        for literal in list(self.document.findall(nodes.literal)):
            found = NAME.fullmatch(literal.astext())
            inside = isinstance(literal.parent, (nodes.title, nodes.reference, addnodes.pending_xref))
            if not found or inside:
                continue
            target = f"varbump.{found[1]}"
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refdoc=self.env.docname
            )
            literal.replace_self(link)
            link += literal


def setup(app: Any) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(LinkedNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
