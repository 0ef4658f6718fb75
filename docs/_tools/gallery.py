"""Draw the figures of docs/how-to/plots.md with the code that stands there: python docs/_tools/gallery.py."""

import os
import re
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from snnlearn.plot.style import STYLE

DOCS = Path(__file__).parent.parent


def main() -> None:
    page = (DOCS / "how-to" / "plots.md").read_text("utf-8")
    parts = re.findall(
        r"^```python\n(.*?)^```(?:\s*^!\[[^\]]*\]\((.*?)\))?",
        page,
        re.MULTILINE | re.DOTALL,
    )
    plt.rcParams.update(STYLE | {"axes.spines.right": False})
    names: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for code, image in parts:
            exec(code, names)
            if image:
                figure = names["figure"] if "figure = " in code else names["ax"].figure
                figure.savefig(
                    (DOCS / "how-to" / image).resolve(),
                    dpi=60 if figure.get_figwidth() > 12 else 75,
                )
                print(image)


if __name__ == "__main__":
    main()
