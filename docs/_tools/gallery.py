"""Draws the figures of docs/how-to/plots.md with the code that stands there: python docs/_tools/gallery.py.

A figure holds the digest of the code that led to it, by which `tests/test_docs.py` notices one that is stale.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
PART = re.compile(
    r"^```python\n(.*?)^```(?:\s*^!\[[^\]]*\]\((.*?)\))?", re.MULTILINE | re.DOTALL
)


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from snnlearn.plot.style import STYLE

    plt.rcParams.update(STYLE | {"axes.spines.right": False})
    names: dict = {}
    drawn = list(parts())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for code, path, mark in drawn:
            exec(code, names)
            if path:
                figure = names["figure"] if "figure = " in code else names["ax"].figure
                dpi = 60 if figure.get_figwidth() > 12 else 75
                figure.savefig(path, dpi=dpi, metadata={"Source": mark})
                print(path.name)


def parts() -> Iterator[tuple[str, Path | None, str]]:
    """(code, its figure's file or None, digest of the code so far) of each block."""
    page = DOCS / "how-to" / "plots.md"
    digest = hashlib.blake2b(digest_size=8)
    for code, image in PART.findall(page.read_text("utf-8")):
        digest.update(code.encode())
        path = (page.parent / image).resolve() if image else None
        yield code, path, digest.hexdigest()


def is_fresh(path: Path, mark: str) -> bool:
    return f"tEXtSource\0{mark}".encode() in path.read_bytes()


if __name__ == "__main__":
    main()
