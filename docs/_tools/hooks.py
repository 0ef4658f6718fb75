"""What pages take from elsewhere, so that it is never out of date: the command line's help, the table of rules, the names in a
recording, and the notebooks with their outputs.

    <!-- command line -->              the help of every command
    <!-- taxonomy -->                  the table of `snnlearn taxonomy`
    <!-- names -->                     data sets and columns of a recording
    <!-- rest -->                      public objects that no other page of the reference has
    <!-- output NOTEBOOK: TEXT -->     the text output that contains TEXT
    <!-- figure NOTEBOOK: TEXT -->     the figure of the cell whose code contains TEXT
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import types
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

os.environ["COLUMNS"] = "100"  # of argparse
os.environ["NO_COLOR"] = "1"
NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each notebook, and its figures."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        parts = []
        for k, cell in enumerate(cells(path)):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(source.replace("`notebooks/", "`"))
                continue
            parts.append(f"```py\n{source}\n```")
            parts += [f"```text\n{text.rstrip()}\n```" for text in texts(cell)]
            for n, png in enumerate(images(cell)):
                name = f"{path.stem}_{k}_{n}.png"
                files.append(File.generated(config, f"notebooks/{name}", content=png))
                parts.append(f"![]({name})")
        page = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, page, content="\n\n".join(parts)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is marked on a page."""
    for mark, make in (("command line", command_line), ("taxonomy", rules), ("names", names), ("rest", rest)):
        if f"<!-- {mark} -->" in markdown:
            markdown = markdown.replace(f"<!-- {mark} -->", make())
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"<!-- output (\w+): (.*?) -->", lambda m: f"```text\n{output(*m.groups())}\n```", markdown)
    return re.sub(r"<!-- figure (\w+): (.*?) -->", lambda m: f"![]({up}notebooks/{figure(*m.groups())})", markdown)


def command_line() -> str:
    """A section for each command: its `--help`."""
    from snnlearn.cli import make_parser

    parser = make_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = [f"```text\n{parser.format_help().strip()}\n```"]
    parts += [f"## {name}\n\n```text\n{command.format_help().strip()}\n```" for name, command in commands.choices.items()]
    return "\n\n".join(parts)


def rules() -> str:
    """The table of learning rules."""
    from snnlearn.family import taxonomy

    return f"```text\n{taxonomy()}\n```"


def names() -> str:
    """A row for each name that a recording uses."""
    from snnlearn.recording.schema import NAMES

    rows = [f"| `{name}` | {entry.units} | {entry.description} |" for name, entry in NAMES.items()]
    return "\n".join(["| name | unit | meaning |", "|---|---|---|", *rows])


def rest() -> str:
    """What is in `__all__` of the package and of its public modules, and on no page."""
    import snnlearn

    pages = (NOTEBOOKS.parent / "docs" / "reference").glob("*.md")
    listed = {name for page in pages for name in re.findall(r"^::: ([\w.]+)", page.read_text("utf-8"), re.MULTILINE)}
    last = {name.rpartition(".")[2] for name in listed}
    found = []
    for name in snnlearn.__all__:
        value = getattr(snnlearn, name)
        if isinstance(value, types.ModuleType):
            inner = getattr(
                value, "__all__", [n for n, v in vars(value).items() if getattr(v, "__module__", "") == value.__name__]
            )
            found += [f"snnlearn.{name}.{one}" for one in inner if callable(getattr(value, one)) and one not in last]
        elif callable(value) and name not in last:
            found.append(f"snnlearn.{name}")
    return "\n\n".join(f"::: {name}" for name in found) or "Nothing: every public object has its place on another page."


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook."""
    return json.loads(path.read_text("utf-8"))["cells"]


def texts(cell: dict[str, Any]) -> list[str]:
    """The text that a cell printed, and its value where that is no picture."""
    found = []
    for one in cell["outputs"]:
        data = one.get("data", {})
        text = one.get("text", "") or ("" if "image/png" in data else data.get("text/plain", ""))
        found.append("".join(text))
    return [text for text in found if text.strip()]


def images(cell: dict[str, Any]) -> list[bytes]:
    """The figures of a cell."""
    return [base64.b64decode("".join(o["data"]["image/png"])) for o in cell["outputs"] if "image/png" in o.get("data", {})]


def output(notebook: str, text: str) -> str:
    """The first text output that contains a text."""
    for cell in cells(NOTEBOOKS / f"{notebook}.ipynb"):
        for found in texts(cell) if cell["cell_type"] == "code" else ():
            if text in found:
                return found.rstrip()
    raise PluginError(f"no cell of notebooks/{notebook}.ipynb printed {text!r}")


def figure(notebook: str, text: str) -> str:
    """The name of the first figure of the first cell whose code contains a text."""
    for k, cell in enumerate(cells(NOTEBOOKS / f"{notebook}.ipynb")):
        if cell["cell_type"] == "code" and text in "".join(cell["source"]) and images(cell):
            return f"{notebook}_{k}_0.png"
    raise PluginError(f"no cell of notebooks/{notebook}.ipynb with {text!r} drew a figure")
