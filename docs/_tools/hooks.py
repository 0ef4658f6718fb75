"""What the site has beside the pages of docs/: the README as its home, CONTRIBUTING.md, CHANGELOG.md and the notebooks as
pages, and links between them. Pages are plain Markdown, which a code host shows as they are; here

* a link to a file of the repository leads to its page, and one to a file that has no page becomes plain text;
* a table of objects (`refresh.py`) gives way to their whole documentation.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import refresh

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(
    r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^()\s#]+)(#[^()\s]*)?\)"
)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OBJECTS = re.compile(
    r"<!-- generated: (objects.*?|other objects)\s-->\n.*?<!-- end -->", re.DOTALL
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that come from outside of docs/."""
    for source, page in PAGES.items():
        files.append(
            File.generated(
                config, page, content=(refresh.ROOT / source).read_text("utf-8")
            )
        )
    for path in sorted((refresh.ROOT / "notebooks").glob("*.ipynb")):
        parts = []
        for k, cell in enumerate(refresh.cells(path.stem)):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(source)
                continue
            parts.append(f"```py\n{source}\n```")
            parts += [f"```text\n{text.rstrip()}\n```" for text in refresh.texts(cell)]
            for n, png in enumerate(refresh.images(cell)):
                name = f"{path.stem}_{k}_{n}.png"
                files.append(File.generated(config, f"notebooks/{name}", content=png))
                parts.append(f"![]({name})")
        files.append(
            File.generated(
                config, f"notebooks/{path.stem}.md", content="\n\n".join(parts)
            )
        )
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """The documentation of objects, and links between pages of the site."""
    markdown = OBJECTS.sub(lambda found: documentation(found[1]), markdown)
    uri = page.file.src_uri
    source = next((name for name, generated in PAGES.items() if generated == uri), None)
    source = source or (uri if uri.startswith("notebooks/") else f"docs/{uri}")

    def link(found: re.Match[str]) -> str:
        image, text, target, anchor = found.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        path = PAGES.get(path, path.removeprefix("docs/"))
        path = path.replace(".ipynb", ".md") if path.startswith("notebooks/") else path
        if files.get_file_from_path(path) is None:
            return text
        return f"{image}[{text}]({posixpath.relpath(path, posixpath.dirname(uri) or '.')}{anchor or ''})"

    parts, at = [], 0
    for code in CODE.finditer(markdown):
        parts += [LINK.sub(link, markdown[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, LINK.sub(link, markdown[at:])])


def documentation(what: str) -> str:
    """What mkdocstrings makes of the objects of a table."""
    names = refresh.other_objects() if what == "other objects" else what.split()[1:]
    return "\n\n".join(f"::: {name}" for name in names)
