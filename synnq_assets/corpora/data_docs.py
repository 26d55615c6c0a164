"""Data Docs that can be read anywhere, and that tell nobody that they are read.

The pages of Great Expectations load styles and scripts from public content networks, and its index
is drawn by such a script. Scripts and foreign references are taken out, one small style sheet is
put in, and the index is written here.
"""

import html
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from synnq_assets.storage.files import write_atomically

INDEX = "index.html"
_ACTIVE = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>"
    r"|<a\b[^>]*href=\"https?://[^>]*>.*?</a>|url\(\s*['\"]?https?://[^)]*\)",
    re.IGNORECASE | re.DOTALL,
)
_STYLE = """<style>
body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0}
td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}
ul{padding-left:1.2rem}
button,.modal,.ge-navigation-sidebar-container,nav{display:none}
.fa-check-circle::before{content:"\\2713"}.fa-times::before{content:"\\2717"}
</style>"""


class ExpectationResult(NamedTuple):
    """One expectation: what was expected, whether it held, and what was seen."""

    name: str
    success: bool
    observed: str


def publish_data_docs(
    pages: Path, docs_dir: Path, title: str, results: Sequence[ExpectationResult]
) -> Path:
    """Write cleaned pages and an index into `docs_dir`, in the place of an earlier run's.

    Args:
        pages: what Great Expectations wrote.
        docs_dir: where the pages go.
        title: of the index.
        results: listed on the index.

    Returns:
        The path of the index.

    Raises:
        StorageError: the disk refuses.
    """
    for folder in ("validations", "expectations"):
        shutil.rmtree(docs_dir / folder, ignore_errors=True)
    links = []
    for page in sorted(pages.rglob("*.html")):
        relative = page.relative_to(pages)
        if relative == Path(INDEX):
            continue
        text = clean_page(page.read_text(encoding="utf-8"))
        write_atomically(docs_dir / relative, text.encode())
        links.append(relative)
    index = docs_dir / INDEX
    write_atomically(index, _render_index(title, results, links).encode())
    return index


def clean_page(page: str) -> str:
    """Return a page without scripts and without anything that is fetched from elsewhere."""
    return _ACTIVE.sub("", page).replace("</head>", f"{_STYLE}</head>", 1)


def _render_index(title: str, results: Sequence[ExpectationResult], links: Sequence[Path]) -> str:
    rows = "".join(
        f"<tr><td>{'✓' if item.success else '✗'}</td><td>{html.escape(item.name)}</td>"
        f"<td>{html.escape(item.observed)}</td></tr>"
        for item in results
    )
    entries = "".join(
        f'<li><a href="{html.escape(path.as_posix())}">{html.escape(_describe(path))}</a></li>'
        for path in links
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title>{_STYLE}</head><body><h1>{html.escape(title)}</h1><table><tr><th></th>"
        f"<th>expectation</th><th>observed</th></tr>{rows}</table>"
        f"<h2>Pages</h2><ul>{entries}</ul></body></html>\n"
    )


def _describe(path: Path) -> str:
    kind = "results" if path.parts[0] == "validations" else "suite"
    return f"{kind}: {Path(path.parts[1]).stem}"
