"""Metadata of the distribution: the README as a package index shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)\n(?:\n\*(?!\*)(?:[^\n]+\n)+)?\n?", re.MULTILINE)
"""A picture, and the paragraph in italics that describes it."""

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
"""A link to a file of the repository."""


def long_description(readme: str) -> str:
    """The README without pictures and links into the repository, which a package index cannot show."""
    return LINK.sub(r"\1", PICTURE.sub("", readme))


class CustomMetadataHook(MetadataHookInterface):
    """Sets the readme of the metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in the text."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": long_description(text)}
