"""What pages take from the package itself, so that it is never out of date: the command line's help, the table of rules."""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ["COLUMNS"] = "100"  # of argparse
os.environ["NO_COLOR"] = "1"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what is marked on a page."""
    if "<!-- command line -->" in markdown:
        markdown = markdown.replace("<!-- command line -->", command_line())
    if "<!-- taxonomy -->" in markdown:
        from snnlearn.family import taxonomy

        markdown = markdown.replace("<!-- taxonomy -->", f"```text\n{taxonomy()}\n```")
    return markdown


def command_line() -> str:
    """A section for each command: its `--help`."""
    from snnlearn.cli import _parser

    parser = _parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = [f"```text\n{parser.format_help().strip()}\n```"]
    parts += [f"## {name}\n\n```text\n{command.format_help().strip()}\n```" for name, command in commands.choices.items()]
    return "\n\n".join(parts)
