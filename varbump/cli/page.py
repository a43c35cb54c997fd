"""Self-contained HTML without scripts, fonts or links; all text from the data is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from varbump.cli.pictures import save_picture

__all__ = ["bars", "page", "paragraph", "picture", "section", "table"]

STYLE = """
:root { color-scheme: light dark; --ink: #202020; --soft: #666; --paper: #fff; --line: #ddd; --blue: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a0a0a0; --paper: #161616; --line: #383838; --blue: #56b4e9; }
  img { filter: invert(0.91) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 56rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1rem 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 0.5rem; padding-top: 0.8rem; border-top: 1px solid var(--line); }
p { max-width: 42rem; margin: 0.5rem 0; }
img { display: block; max-width: 100%; height: auto; margin: 0.5rem 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 0.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 7rem; }
table.pairs td { text-align: left; white-space: normal; }
th { color: var(--soft); font-weight: 600; }
.bar { display: grid; grid-template-columns: minmax(6rem, 14rem) 4rem 1fr; gap: 0.6rem; font-size: 0.9rem;
  align-items: center; }
.bar i { display: block; height: 0.7rem; min-width: 1px; background: var(--blue); }
.bar b { font-weight: 400; text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 34rem) {
  table { font-size: 0.75rem; }
  th, td { padding-right: 0.5rem; }
  th { white-space: normal; }
  th:first-child, td:first-child { min-width: 4.5rem; }
  .bar { grid-template-columns: minmax(4.5rem, 7rem) 3.2rem 1fr; font-size: 0.8rem; }
}
footer { margin-top: 3rem; color: var(--soft); font-size: 0.85rem; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole document."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n<footer>Made by varbump: Bayesian variational regression.</footer>\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a heading with its content; several pictures stand side by side if there is room."""
    pictures = [part for part in parts if part.startswith("<img")]
    others = [part for part in parts if part and not part.startswith("<img")]
    body = f'<div class="pictures">{"".join(pictures)}</div>' if len(pictures) > 1 else "".join(pictures)
    return f"<h2>{escape(heading)}</h2>\n" + (
        "\n".join([*others, body]) if len(pictures) > 1 else "\n".join([body, *others])
    )


def paragraph(text: str) -> str:
    """Return a paragraph of plain text, or nothing for an empty one."""
    return f"<p>{escape(text)}</p>" if text else ""


def picture(figure: Figure, description: str) -> str:
    """Return a figure embedded in the page."""
    buffer = io.BytesIO()
    save_picture(figure, buffer)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return f'<img alt="{escape(description)}" width="{width}" height="{height}" src="data:image/png;base64,{encoded}">'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that scrolls sideways if too wide; without headings it is a list of pairs."""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    if not any(head):
        return f'<div class="scroll"><table class="pairs">{body}</table></div>'
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f'<div class="scroll"><table><tr>{heads}</tr>{body}</table></div>'


def bars(values: Sequence[tuple[str, float]]) -> str:
    """Return names, numbers and bars whose lengths are proportional to the numbers."""
    largest = max(value for _, value in values) or 1.0
    return "".join(
        f'<div class="bar"><span>{escape(name)}</span><b>{value:.3g}</b>'
        f'<span><i style="width:{100 * value / largest:.1f}%"></i></span></div>'
        for name, value in values
    )
